"""The ledger of stations: what it remembers, and until when."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labrhel.errors import NotSafeError
from labrhel.safety import ledger
from labrhel.safety.ending import Ending
from labrhel.safety.holding import Held
from labrhel.testing.leaks import no_leaks
from labrhel.testing.waiting import wait_for

HOLDER = """
import sys
from pathlib import Path
from labrhel.safety import ledger
ledger.remember(Path("station.yaml"), "text", {"bias.ch1": None}, Path(sys.argv[1]))
print("remembered", flush=True)
sys.stdin.read()
"""


def test_a_station_is_driven_until_its_program_dies_and_remembered_until_it_is_forgotten(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdout.readline()
    (item,) = ledger.left(tmp_path)
    assert item.is_driven and item.entry.outputs == {"bias.ch1": None}
    holder.kill()
    holder.communicate()
    wait_for(lambda: not item.is_driven, "the lock")
    assert item.stands
    item.forget()
    assert not item.stands
    assert list((tmp_path / "stations").iterdir()) == []


def test_every_opening_has_an_entry_of_its_own_so_that_a_changed_station_file_hides_no_bench(tmp_path: Path) -> None:
    first = ledger.remember(tmp_path / "station.yaml", "address: one", {"bias.ch1": 1.0}, tmp_path)
    first.let_go({"bias.ch1": 1.0}, "a wire is cut")
    second = ledger.remember(tmp_path / "station.yaml", "address: two", {"bias.ch1": None}, tmp_path)
    assert sorted(item.entry.text for item in ledger.left(tmp_path)) == ["address: one", "address: two"]
    second.forget()
    (left,) = ledger.left(tmp_path)
    assert (left.entry.outputs, left.entry.problem, left.is_driven) == ({"bias.ch1": 1.0}, "a wire is cut", False)


@pytest.mark.skipif(os.name != "posix", reason="a full disk is a limit of a process here")
def test_on_a_full_disk_an_entry_stays_what_it_was(tmp_path: Path) -> None:
    import resource

    entry = ledger.remember(tmp_path / "station.yaml", "text", {"bias.ch1": None}, tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        entry.let_go({"bias.ch1": 0.5}, "a wire is cut")
        with pytest.raises(OSError, match="large"):
            ledger.remember(tmp_path / "other.yaml", "text", {}, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (left,) = ledger.left(tmp_path)
    assert not left.is_driven
    assert left.entry.outputs == {"bias.ch1": None}


def test_a_damaged_entry_is_a_station_that_nobody_knows_and_not_none(tmp_path: Path) -> None:
    entry = ledger.remember(tmp_path / "station.yaml", "text", {"bias.ch1": None}, tmp_path)
    entry.place.write_text("{")
    (left,) = ledger.left(tmp_path)
    assert left.entry.outputs == {"an unknown station": None}
    assert left.entry.problem == "its entry is damaged"
    assert (left.entry.pid, left.entry.station) == (0, str(entry.place))


def test_an_entry_holds_what_the_station_was_and_who_opened_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = ledger.remember(Path("station.yaml"), "text", {"bias.ch1": 0.5, "out": None}, tmp_path)
    (left,) = ledger.left(tmp_path)
    assert left.entry == made.entry
    assert (left.entry.station, left.entry.text, left.entry.pid) == (
        str(tmp_path / "station.yaml"),
        "text",
        os.getpid(),
    )
    assert left.entry.outputs == {"bias.ch1": 0.5, "out": None} and left.entry.problem == ""
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", left.entry.since)
    assert left.place.name == f"station-{left.entry.token}.json" and len(left.entry.token) == 16
    long = ledger.remember(tmp_path / ("s" * 60 + ".yaml"), "", {}, tmp_path)
    assert long.place.name == f"{'s' * 40}-{long.entry.token}.json"
    made.forget()
    long.forget()


def test_who_drives_a_station_says_so_from_the_first_moment_until_it_lets_go(tmp_path: Path) -> None:
    with no_leaks():
        made = ledger.remember(tmp_path / "station.yaml", "text", {"out": None}, tmp_path)
        assert made.is_driven
        made.let_go({"out": 0.25}, "a wire is cut")
        assert not made.is_driven
        assert (made.entry.outputs, made.entry.problem) == ({"out": 0.25}, "a wire is cut")
        made.hold()
        assert made.is_driven
        made.forget()
        assert not made.is_driven and not made.stands
        made.let_go({"out": 0.5}, "it is safe, and stays forgotten")
    assert list((tmp_path / "stations").iterdir()) == []


def test_somebody_who_looks_whether_it_is_driven_keeps_nobody_from_driving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ledger.remember(tmp_path / "station.yaml", "text", {}, tmp_path)
    made.let_go({}, "")
    lock = made.place.with_suffix(".lock")
    looking = [Held(lock)]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            looking.pop().close()

    monkeypatch.setattr(ledger.time, "sleep", wait)
    made.hold()
    assert made.is_driven and len(waits) == 3
    made.let_go({}, "")
    looking.append(Held(lock))
    waits[:] = [0.0] * 3
    with pytest.raises(OSError, match=r"\.lock is held by another program"):
        made.hold()
    assert 0.01 < sum(waits) < 1
    looking.pop().close()
    made.forget()


def test_a_station_that_cannot_be_entered_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger, "rewrite", full)
    with no_leaks(), pytest.raises(OSError, match="No space"):
        ledger.remember(tmp_path / "station.yaml", "text", {}, tmp_path)
    assert [path.suffix for path in (tmp_path / "stations").iterdir()] in ([], [".lock"])


def test_an_entry_of_another_opening_is_not_taken_away(tmp_path: Path) -> None:
    made = ledger.remember(tmp_path / "station.yaml", "text", {"out": None}, tmp_path)
    other = ledger.at(made.place)
    assert other is not None
    made.place.write_text(made.place.read_text().replace(made.entry.token, "0" * 16))
    assert not made.stands
    made.let_go({}, "of another")
    made.forget()
    (left,) = ledger.left(tmp_path)
    assert (left.entry.token, left.entry.outputs, left.entry.problem) == ("0" * 16, {"out": None}, "")
    assert ledger.at(tmp_path / "none.json") is None


class Bench:
    """Cannot be made safe so many times."""

    def __init__(self, fails: int) -> None:
        self.fails = fails

    def make_safe(self) -> None:
        self.fails -= 1
        if self.fails >= 0:
            raise NotSafeError({"bias.ch1": 0.5}, "its wire is cut")


def test_what_went_wrong_first_is_said_after_the_outputs_that_may_be_on() -> None:
    bench = Bench(9)
    with (
        pytest.raises(NotSafeError) as said,
        Ending(bench.make_safe),
        Ending(bench.make_safe),
    ):
        raise ValueError("the first cause")
    assert str(said.value) == (
        "OUTPUTS MAY STILL BE ON: bias.ch1 at 0.5 V: the first cause; then, making safe: its wire is cut"
    )


def test_where_a_later_attempt_succeeds_nothing_is_on_and_the_first_cause_is_raised() -> None:
    bench = Bench(1)
    with pytest.raises(ValueError, match="the first cause"), Ending(bench.make_safe), Ending(bench.make_safe):
        raise ValueError("the first cause")


def test_another_failure_at_the_end_is_a_note_of_the_first_cause() -> None:
    def fails() -> None:
        raise OSError("the disk is full")

    with pytest.raises(ValueError, match="the first cause") as said, Ending(fails):
        raise ValueError("the first cause")
    assert said.value.__notes__ == ["the disk is full"]
    with pytest.raises(OSError, match="the disk is full"), Ending(fails):
        pass
