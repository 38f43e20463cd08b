"""Two benches in one training: instruments of the same names at the same time, and one bench that goes away."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labrhel import session
from labrhel.errors import NotSafeError
from labrhel.experiment import Fleet, load_experiment, load_rigs
from labrhel.safety import ledger
from labrhel.shots.operations import Publish
from labrhel.store import RunReader, list_runs
from simbackend.testing.benches import CONFIG, bench_and_station, gradient, volts
from simbackend.virtual_bench import Bench

pytestmark = pytest.mark.usefixtures("state_of_its_own")
STATIONS = ("a", "b")


@pytest.fixture
def benches(tmp_path: Path) -> Iterator[list[Bench]]:
    """Two benches, and the configuration of a training on both."""
    urls = ", ".join(f"'bench:{name}/station.yaml'" for name in STATIONS)
    text = CONFIG.replace('"sim:"', f"[{urls}]").replace("record: none", "record: none, eps: 0.1")
    (tmp_path / "config.yaml").write_text(text)
    for name in STATIONS:
        (tmp_path / name).mkdir()
    with bench_and_station(tmp_path / "a") as (first, _), bench_and_station(tmp_path / "b") as (second, _):
        try:
            yield [first, second]
        finally:
            for item in ledger.left():  # its guardian ends
                item.forget()


def both(folder: Path, steps: int) -> Fleet:
    return Fleet(tuple(filter(None, load_rigs(folder / "config.yaml", steps=steps))))


def test_two_benches_train_together_and_say_what_one_says(tmp_path: Path, benches: list[Bench]) -> None:
    done = session.start(both(tmp_path, 1), tmp_path / "runs", lambda published: None)
    norms = RunReader(done.folder).scalars()["gradient_norm"]
    alone = load_experiment(tmp_path / "config.yaml", rig_url="bench:a/station.yaml")
    try:
        expected = gradient(alone)
    finally:
        alone.rig.close()
    assert done.losses[0] == pytest.approx(expected.loss, rel=0.02)
    assert norms[0] == pytest.approx(np.linalg.norm(expected.values["coupling"]), rel=0.1)
    assert not any(volts(benches[0])) and not any(volts(benches[1])) and ledger.left() == []


def test_a_bench_that_goes_away_is_named_its_ledger_stands_and_the_other_one_is_trained_to_the_end(
    tmp_path: Path, benches: list[Bench]
) -> None:
    def cut(published: Publish) -> None:
        if published.step == 0 and "loss" in published.scalars:
            benches[1].close()

    words = r"OUTPUTS MAY STILL BE ON: rig 2 .*: rig 2 \(bench:b/station.yaml\): .* the training itself is whole"
    with pytest.raises(NotSafeError, match=words):
        session.start(both(tmp_path, 3), tmp_path / "runs", cut)
    (reader,) = list_runs(tmp_path / "runs")
    assert np.isfinite(reader.scalars()["loss"]).sum() == 3
    assert [RunReader(place).status for place in reader.parts] == ["done", "unsafe"]
    assert not any(volts(benches[0]))
    (left,) = ledger.left()
    assert Path(left.entry.station) == tmp_path / "b" / "station.yaml" and not left.is_driven
