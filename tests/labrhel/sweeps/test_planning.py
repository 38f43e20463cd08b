"""What a point is called: by all that decides its result, and by nothing else."""

from pathlib import Path

import pytest

from labrhel.config import find
from labrhel.errors import ConfigurationError, RecordError
from labrhel.sweeps.axes import axes_of
from labrhel.sweeps.kept import find_sweep, keep, read_sweep, sweep_files
from labrhel.sweeps.planning import SweepPoint, planned

EXAMPLE = find("coupled_oscillators").read_text(encoding="utf-8")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "o.yaml"
    file.write_text(EXAMPLE, encoding="utf-8")
    return file


def runs(config: Path, *sets: str) -> list[str]:
    return [point.run for point in planned(config, axes_of(sets, [])).points]


def test_a_point_has_the_same_run_in_every_sweep_and_each_its_own(config: Path) -> None:
    every = runs(config, "protocol.eps=1e-4,1e-3", "optimizer.seed=0..1")
    assert len(set(every)) == 4
    assert all(run.startswith("o-") for run in every)
    assert runs(config, "optimizer.seed=1", "protocol.eps=0.001") == every[3:]


def test_what_stands_in_the_file_already_and_what_is_the_default_change_nothing(config: Path) -> None:
    (plain,) = runs(config, "optimizer.steps=800")
    assert runs(config, "optimizer.seed=1") == [plain]  # as in the file
    assert runs(config, "protocol.repeats=1") == [plain]  # the default
    config.write_text("# a comment\n" + EXAMPLE, encoding="utf-8")
    assert runs(config, "optimizer.steps=800") == [plain]


def test_the_content_of_files_that_a_configuration_names_is_part_of_it(config: Path) -> None:
    rig = config.with_name("device.yaml")
    rig.write_text(EXAMPLE, encoding="utf-8")
    before = runs(config, "rig=sim:device.yaml?seed=1,sim:device.yaml?seed=2")
    rig.write_text(EXAMPLE.replace("cubic: 0.2", "cubic: 0.3"), encoding="utf-8")
    after = runs(config, "rig=sim:device.yaml?seed=1,sim:device.yaml?seed=2")
    assert len({*before, *after}) == 4


def test_a_recording_decides_by_what_it_holds(tmp_path: Path) -> None:
    text = EXAMPLE.replace(EXAMPLE[EXAMPLE.index("data:") :], "")
    text += "data: {file: r.csv, target: y, rate: 1e3, train: {start: 0, stop: 100}}\n"
    config, recording = tmp_path / "o.yaml", tmp_path / "r.csv"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"there is no data file r\.csv"):
        runs(config, "optimizer.seed=0")
    recording.write_text("y\n1\n", encoding="utf-8")
    first = runs(config, "optimizer.seed=0")
    recording.write_text("y\n2\n", encoding="utf-8")
    assert runs(config, "optimizer.seed=0") != first


def test_a_value_that_stands_in_several_places_is_changed_in_all_of_them(config: Path) -> None:
    text = EXAMPLE.replace("sequences: 8", "sequences: &many 8").replace("batch: 8 ", "batch: *many ")
    config.write_text(text.replace("parameters:                        #", "parameters: &all #"), encoding="utf-8")
    many = runs(config, "optimizer.seed=0..1", "protocol.eps=1e-4,1e-3")
    config.write_text(EXAMPLE, encoding="utf-8")
    assert runs(config, "optimizer.seed=0..1", "protocol.eps=1e-4,1e-3") == many


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("protocol.epss=1,2", "did you mean 'eps'"),
        ("protcol.eps=1,2", "did you mean 'protocol'"),
        ("protocol.eps=1,-2", "must be > 0, not -2"),
        ("data.teacher.parameters.coupling[33]=1,2", r"has no \[33\]"),
    ],
)
def test_a_wrong_point_is_found_before_anything_runs(config: Path, change: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        runs(config, "optimizer.seed=0..2", change)


def test_one_rig_that_is_no_simulation_has_one_point_at_a_time() -> None:
    for rig, bench in (
        ("sim:", ""),
        ("sim:o.yaml?seed=1", ""),
        ("", ""),
        ("bench:a.yaml?traffic=w.jsonl", "bench:a.yaml"),
        ("my_rig.py:open_rig", "my_rig.py:open_rig"),
        ("fpga:tcp://host:1", "fpga:tcp://host:1"),
    ):
        assert SweepPoint("run", (), rig).bench == bench


def test_the_file_of_a_sweep_is_the_sweep_again_and_is_found_by_the_beginning_of_its_name(
    config: Path, tmp_path: Path
) -> None:
    sweep = planned(config, axes_of(["optimizer.seed=0..2"], ["protocol.eps=1e-4,1e-3", "protocol.repeats=1,2"]))
    file = keep(sweep, tmp_path / "runs")
    again = read_sweep(file)
    assert (again.identity, again.axes, again.points) == (sweep.identity, sweep.axes, sweep.points)
    for text in (sweep.identity, sweep.identity.rpartition("-")[2][:4], "sweep-o", str(file)):
        assert find_sweep(text, tmp_path / "runs") == file
    assert find_sweep("o-", tmp_path / "runs") is None
    assert sweep_files(tmp_path / "runs") == [file]
    file.write_text(file.read_text(encoding="utf-8").replace('"format": 1', '"format": 2'), encoding="utf-8")
    with pytest.raises(RecordError, match="is no sweep"):
        read_sweep(file)
