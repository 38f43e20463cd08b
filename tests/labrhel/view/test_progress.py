"""A run seen from its record while it goes on: the same as its record read whole, and nothing is disturbed."""

from pathlib import Path

import numpy as np
import pytest

from labrhel.errors import RecordError
from labrhel.records.echoes import last_echo
from labrhel.shots.operations import Checkpoint, Publish
from labrhel.store import Policy, RunReader, RunWriter, create_run
from labrhel.store._steps import FILE
from labrhel.testing.command_line import called, only_run
from labrhel.view.newest import newest_echo, results_of_tests
from labrhel.view.overview import Overview
from labrhel.view.progress import Progress


def started(root: Path, name: str = "run") -> RunWriter:
    return create_run(root, name, {"steps": 9, "rig": "sim:"}, "a: 1\n", Policy.parse("none"))


def take(writer: RunWriter, step: int, loss: float = 1.0, *words: str) -> None:
    writer.published(Publish(step, {"loss": loss}, words))
    writer.checkpoint(Checkpoint(step + 1, {"parameters": np.array([loss]), "parameter_names": ["k"]}))


def test_states_and_steps_follow_the_run(tmp_path: Path) -> None:
    writer = started(tmp_path)
    progress = Progress(writer.folder)
    assert progress.look() and progress.state == "running" and progress.steps == 0
    assert not progress.look()
    for step in range(4):
        take(writer, step, 1.0 / (step + 1), f"the echo misses by 0.0{step}")
        assert progress.look() and progress.steps == step + 1
    writer.held("paused")
    assert progress.look() and progress.state == "paused"
    writer.held("continued")
    assert progress.look() and progress.state == "running"
    assert (progress.planned, progress.warned, list(progress.words)) == (9, 4, [(0, "the echo misses by 0.00")])
    assert progress.scalars.points("loss")[1].tolist() == [1.0, 1 / 2, 1 / 3, 1 / 4]
    writer.end("failed", "TransportError: nobody listens there")
    assert progress.look()
    assert (progress.state, progress.why) == ("failed", "TransportError: nobody listens there")
    late = Progress(writer.folder)
    late.look()
    assert (late.state, late.why, late.steps) == (progress.state, progress.why, 4)


def test_a_run_that_was_killed_is_said_to_be(tmp_path: Path) -> None:
    writer = started(tmp_path)
    take(writer, 0)
    progress = Progress(writer.folder)
    progress.look()
    assert progress.state == "running"
    writer.close()
    assert progress.look() and progress.state == "killed"


@pytest.mark.parametrize("lost", ["nothing", "rows", "a bit"])
def test_what_is_seen_is_what_the_record_says_also_after_damage_and_a_resume(tmp_path: Path, lost: str) -> None:
    writer = started(tmp_path)
    for step in range(5):
        take(writer, step, 0.5**step)
    writer.close()
    progress = Progress(writer.folder)
    progress.look()
    rows = writer.folder / FILE
    if lost == "rows":
        rows.unlink()
    elif lost == "a bit":
        content = bytearray(rows.read_bytes())
        content[-100] ^= 4
        rows.write_bytes(content)
    fresh = Progress(writer.folder)
    fresh.look()
    assert fresh.scalars.points("loss")[1].tolist() == RunReader(writer.folder).scalars()["loss"].tolist()
    with RunWriter.open_for_resume(writer.folder) as again:
        take(again, 5, 7.0)
    for seen in (progress, fresh):
        seen.look()
        assert seen.state == "done"
        assert seen.scalars.points("loss")[1].tolist() == [1, 0.5, 0.25, 0.125, 0.0625, 7.0]
        assert seen.parameters.points("k")[1].tolist() == RunReader(writer.folder).parameters()["k"].tolist()


def test_looking_writes_nothing_and_keeps_nobody_from_writing(tmp_path: Path) -> None:
    writer = started(tmp_path)
    take(writer, 0)
    writer.close()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    overview = Overview(tmp_path)
    overview.look()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    with RunWriter.open_for_resume(writer.folder):
        overview.look()
        assert [line.state for line in overview.lines] == ["running"]


def test_a_folder_of_runs_is_listed_newest_first_and_a_damaged_one_hides_no_other(tmp_path: Path) -> None:
    good, bad = started(tmp_path, "good"), started(tmp_path, "bad")
    take(good, 0)
    bad.close()
    (bad.folder / "manifest.json").write_text("{}")
    overview = Overview(tmp_path)
    assert overview.look() and not overview.look()
    assert {line.name: line.state for line in overview.lines} == {"good": "running", bad.folder.name: "damaged"}
    assert overview.progress(good.folder.name) is not None
    assert overview.progress(bad.folder.name) is None
    good.end("done", "all taken")
    assert overview.look() and {line.state for line in overview.lines} == {"done", "damaged"}


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a run folder"):
        Progress(tmp_path)


def test_the_newest_echo_and_the_tests_are_those_of_the_record(tmp_path: Path) -> None:
    asked = called(tmp_path, "run", "coupled_oscillators", "--steps", "3", "--set", "protocol.record=every 2")
    assert asked.returncode == 0, asked.stderr
    folder = only_run(tmp_path / "runs").folder
    progress = Progress(folder)
    progress.look()
    seen, truth = newest_echo(progress), last_echo(RunReader(folder))
    assert seen is not None and truth is not None
    assert (seen.step, seen.channel, seen.unit, seen.dt) == (2, truth.channel, truth.unit, truth.dt)
    for name in ("forward", "plus", "minus"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(truth, name))
    assert results_of_tests(progress)["test"]["output"].shape[1] > 100
