"""How long a guardian keeps trying, and how often: on a clock that the test sets, and a bench that is gone."""

import os
from itertools import islice
from pathlib import Path

import pytest

from drivers.persistence import LONGEST, keep_trying
from drivers.persistence import _pauses as pauses
from drivers.rescue import take_up
from labrhel.config.station import load_station
from labrhel.errors import NotSafeError
from labrhel.safety import ledger
from simbackend.testing.benches import bench_and_station


@pytest.fixture
def gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The station file of a bench that has been taken apart."""
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))
    with bench_and_station(tmp_path) as (_, file):
        return file


@pytest.mark.slow
def test_a_guardian_gives_up_a_bench_that_is_gone_for_good_and_the_ledger_remembers_it(gone: Path) -> None:
    document = load_station(gone)
    entry = ledger.remember(gone, document.source.text, {"bias.ch1": 0.5, "awg1.ch1": None})
    entry.let_go({"bias.ch1": 0.5, "awg1.ch1": None}, "a wire is cut")
    moments = iter([0.0, 1.0, LONGEST + 1.0])
    slept: list[float] = []
    assert not keep_trying(document, os.getpid(), entry, clock=lambda: next(moments), sleep=slept.append)
    assert len(slept) == 1
    (left,) = ledger.left()
    assert left.entry.outputs == {"bias.ch1": 0.5, "awg1.ch1": None}
    with pytest.raises(NotSafeError, match=r"^OUTPUTS MAY STILL BE ON: bias\.ch1 at 0\.5 V, awg1\.ch1 at an unknown"):
        take_up(left)
    left.forget()
    assert keep_trying(document, os.getpid(), entry)  # somebody has looked at it by hand


def test_after_a_minute_a_guardian_tries_every_ten_seconds() -> None:
    some = list(islice(pauses(), 60))
    in_a_minute = [pause for turn, pause in enumerate(some) if sum(some[:turn]) < 60.0]
    assert max(in_a_minute) == 2.0
    assert some[len(in_a_minute)] > 2.0 and some[-1] == 10.0 and max(some) == 10.0
    assert some == sorted(some)


def test_a_guardian_tries_four_times_a_second_at_first_and_every_other_second_later() -> None:
    some = list(islice(pauses(), 12))
    assert some[0] == 0.25 and some[-1] == 2.0
    assert some == sorted(some)
    assert sum(some[:3]) < 1.5
