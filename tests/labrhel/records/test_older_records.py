"""Runs recorded before the wiring spoke volts: what was simulated replays to the bit, what a bench said can be read."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray

from labrhel.errors import RecordError
from labrhel.records.replay import replay
from labrhel.records.replay_rig import ReplayRig, brought_by
from labrhel.rig.wiring import IDEAL_WIRING
from labrhel.session import resume
from labrhel.store import RunReader
from labrhel.testing.command_line import Shell

RECORDED = Path(__file__).parents[2] / "fixtures" / "recorded_before_volts"
SIMULATED = sorted((RECORDED / "simulated").iterdir())
(BENCH,) = (RECORDED / "bench").iterdir()


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A copy of the bench run, that commands may write into."""
    return shutil.copytree(BENCH, tmp_path / "runs" / BENCH.name)


@pytest.mark.parametrize("folder", SIMULATED, ids=lambda folder: folder.name.split("-")[1])
def test_a_simulated_run_replays_to_the_same_bits(folder: Path, tmp_path: Path) -> None:
    run = shutil.copytree(folder, tmp_path / folder.name)
    done = replay(run)
    assert done.same and done.largest == 0.0
    assert done.missing == 0 and done.answered == len(RunReader(run).shots()) > 0


def test_a_simulated_run_brings_no_wiring() -> None:
    assert all(brought_by(RunReader(folder)) == IDEAL_WIRING for folder in SIMULATED)


def test_a_bench_run_is_still_shown_plotted_and_exported(bench: Path, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    status, out, _ = shell("show", bench)
    assert status == 0 and "bench:station.yaml" in out
    assert shell("plot", bench, "--to", "run.png")[0] == 0
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert shell("export", bench, "run.nc")[0] == 0
    with xarray.open_dataset(tmp_path / "run.nc") as dataset:
        assert np.isfinite(dataset["loss"]).any()


@pytest.mark.parametrize("mode", ["strict", "results", "hybrid"])
def test_a_bench_run_in_model_units_is_not_replayed(bench: Path, mode: str) -> None:
    with pytest.raises(RecordError, match=r"record format 1, whose shots are in model units.*start a new run"):
        ReplayRig(RunReader(bench), mode)


@pytest.mark.parametrize("command", ["replay", "resume"])
def test_commands_refuse_a_bench_run_in_model_units_with_one_sentence(
    bench: Path, tmp_path: Path, command: str
) -> None:
    status, _, said = Shell(tmp_path)(command, bench)
    assert status == 3
    assert said.startswith("error: ") and len(said.strip().splitlines()) == 1
    assert "record format 1" in said and "cannot be replayed or resumed" in said


def test_a_bench_run_in_model_units_is_not_resumed(bench: Path) -> None:
    with pytest.raises(RecordError, match="record format 1"):
        resume(bench, lambda published: None)
