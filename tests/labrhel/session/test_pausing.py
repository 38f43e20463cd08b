"""A run in a program of its own, that is paused, woken and stopped from another one."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrhel.store import RunReader, list_runs
from labrhel.store.index import prune, rows
from labrhel.testing.command_line import called
from labrhel.testing.configurations import SMALL
from labrhel.testing.waiting import PATIENCE, wait_for


@pytest.fixture
def going(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of more steps than anybody waits for."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL.replace("steps: 12", "steps: 1000000").replace("every 3", "none"))
    run = subprocess.Popen(
        [sys.executable, "-m", "labrhel", "run", str(file), "--out", str(tmp_path / "runs")],
        env=os.environ | {"LABRHEL_STATE": str(tmp_path / "state")}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    yield run
    run.kill()
    run.communicate()


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command given from this program, which is another one than the run's."""
    return called(folder, *words, "--runs", folder / "runs")


def steps(folder: Path) -> int:
    """Steps that were checkpointed so far; 0 before there is a run."""
    if not (readers := list_runs(folder / "runs")):
        return 0
    (reader,) = readers
    checkpoint = RunReader(reader.folder).last_checkpoint()
    return 0 if checkpoint is None else checkpoint.step


def wait_for_steps(folder: Path, least: int) -> int:
    return wait_for(lambda: taken if (taken := steps(folder)) >= least else 0, f"step {least}")


def test_a_run_is_paused_woken_and_stopped_from_the_command_line(going: subprocess.Popen[str], tmp_path: Path) -> None:
    wait_for_steps(tmp_path, 3)
    assert "pauses when the step that is running is done" in command(tmp_path, "pause").stdout
    wait_for(lambda: "already paused" in command(tmp_path, "pause").stdout, "the pause")
    taken = steps(tmp_path)
    time.sleep(0.5)
    assert steps(tmp_path) == taken
    assert "already paused" in command(tmp_path, "pause").stdout
    (reader,) = list_runs(tmp_path / "runs")
    assert [row.status for row in rows(tmp_path / "runs")] == ["paused"]
    assert list(prune(rows(tmp_path / "runs"))) == []
    shown = command(tmp_path, "show").stdout
    assert f"{reader.id}   paused" in shown
    assert f"{reader.id}: goes on" in command(tmp_path, "resume").stdout
    wait_for_steps(tmp_path, taken + 1)
    assert RunReader(reader.folder).status == "running"
    assert [kind for kind, *_ in RunReader(reader.folder).events()][-2:] == ["paused", "continued"]
    assert "stops when the step" in command(tmp_path, "stop").stdout
    _, errors = going.communicate(timeout=PATIENCE)
    assert going.returncode == 130
    assert "outputs are safe" in errors
    assert f"run     {reader.folder}" in errors
    assert RunReader(reader.folder).status == "interrupted"


def test_a_paused_run_can_be_stopped_by_the_emergency_stop(going: subprocess.Popen[str], tmp_path: Path) -> None:
    wait_for_steps(tmp_path, 1)
    command(tmp_path, "pause")
    assert "safe after" in called(tmp_path, "estop").stdout
    (reader,) = list_runs(tmp_path / "runs")
    command(tmp_path, "resume", reader.folder.name)
    _, errors = going.communicate(timeout=PATIENCE)
    assert going.returncode == 3
    assert "labrhel reset" in errors


def test_a_run_that_is_killed_while_it_is_paused_is_listed_as_killed(
    going: subprocess.Popen[str], tmp_path: Path
) -> None:
    wait_for_steps(tmp_path, 1)
    command(tmp_path, "pause")
    wait_for(lambda: [row.status for row in rows(tmp_path / "runs")] == ["paused"], "the pause")
    going.kill()
    going.wait(timeout=PATIENCE)
    assert [row.status for row in rows(tmp_path / "runs")] == ["killed"]


def test_without_a_run_there_is_nothing_to_pause(tmp_path: Path) -> None:
    answer = command(tmp_path, "pause")
    assert answer.returncode == 2
    assert "no such run is going on" in answer.stderr
