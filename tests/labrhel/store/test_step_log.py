"""Writing one row a step: all of it or nothing, and a file that is taken up where the journal stands."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from labrhel.errors import RecordError
from labrhel.shots.operations import Checkpoint, Publish
from labrhel.store import Policy, RunWriter, _step_log, create_run
from labrhel.store._step_log import StepLog
from labrhel.store._steps import FILE, Rows, StepRows
from labrhel.testing.leaks import no_leaks


def started(root: Path) -> RunWriter:
    return create_run(root, "run", {}, "a: 1\n", Policy.parse("none"))


def take(writer: RunWriter, step: int, loss: float) -> None:
    writer.published(Publish(step, {"loss": loss}, ()))
    state = {"parameters": np.array([loss, -loss]), "parameter_names": ["k", "c"]}
    writer.checkpoint(Checkpoint(step + 1, state))


def losses(folder: Path) -> list[float]:
    return [row[5] for item in StepRows(folder).read() if isinstance(item, Rows) for row in item.table.tolist()]


def finished(root: Path, steps: int) -> tuple[Path, int]:
    """The folder of a run of so many steps, and where its journal ends."""
    with started(root) as writer:
        for step in range(steps):
            take(writer, step, float(step))
    return writer.folder, (writer.folder / "journal.log").stat().st_size


def test_a_disk_that_takes_a_part_at_a_time_gets_all_and_one_that_is_full_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, end = finished(tmp_path, 2)
    log, write, room = StepLog(folder, end), os.write, [10**6]

    def taken(file: int, data: bytes | memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(file, data[: min(7, room[0])])
        room[0] -= done
        return done

    monkeypatch.setattr(_step_log.os, "write", taken)
    log.published(2, {"loss": 2.0}, (), 0.0, end)
    log.checkpoint(2, np.array([2.0, -2.0]), ["k", "c"], 0.0, end)
    assert losses(folder) == [0.0, 1.0, 2.0]
    before = (folder / FILE).read_bytes()
    room[0] = 30
    log.published(3, {"loss": 3.0}, (), 0.0, end)
    with pytest.raises(RecordError, match="is full"):
        log.checkpoint(3, np.array([3.0, -3.0]), ["k", "c"], 0.0, end)
    assert (folder / FILE).read_bytes() == before
    room[0] = 10**6
    log.published(4, {"loss": 4.0}, (), 0.0, end)
    log.checkpoint(4, np.array([4.0, -4.0]), ["k", "c"], 0.0, end)
    log.close()
    assert losses(folder) == [0.0, 1.0, 2.0, 4.0]


def test_a_file_that_is_whole_is_taken_up_without_a_change_and_goes_on_with_its_columns(tmp_path: Path) -> None:
    folder, end = finished(tmp_path, 3)
    before = (folder / FILE).read_bytes()
    with no_leaks():
        log = StepLog(folder, end)
        assert (folder / FILE).read_bytes() == before
        assert list(log.gathering.names) == ["k", "c"]
        log.published(3, {"loss": 3.0}, (), 0.0, end)
        log.checkpoint(3, np.array([3.0, -3.0]), ["k", "c"], 0.0, end)
        log.close()
        log.close()
    row = StepRows(folder)
    list(row.read())
    assert (folder / FILE).stat().st_size == len(before) + row.row  # the columns are not said once more
    log.finish()  # after the end there is nothing to write


@pytest.mark.parametrize("held", [1, 2, 3])
def test_rows_of_steps_that_the_journal_does_not_hold_are_cut_off_to_the_byte(tmp_path: Path, held: int) -> None:
    folder, _ = finished(tmp_path, 3)
    rows = [row for item in StepRows(folder).read() if isinstance(item, Rows) for row in item.table.tolist()]
    ends = [0, *(int(row[2]) for row in rows)]
    journal = folder / "journal.log"
    journal.write_bytes(journal.read_bytes()[: ends[held]])
    StepLog(folder, ends[held]).close()
    assert losses(folder) == [0.0, 1.0, 2.0][:held]


def test_of_a_journal_that_holds_no_step_no_row_is_kept(tmp_path: Path) -> None:
    folder, _ = finished(tmp_path, 3)
    first = next(int(item.table[0, 2]) for item in StepRows(folder).read() if isinstance(item, Rows))
    assert _step_log._whole(folder, first - 1) == ((), None, 0, 0)


def test_what_no_checkpoint_came_after_is_written_at_the_end(tmp_path: Path) -> None:
    folder, end = finished(tmp_path, 1)
    log = StepLog(folder, end)
    log.published(1, {"loss": 5.0}, (), 0.0, end)
    assert losses(folder) == [0.0]
    log.finish()
    assert losses(folder) == [0.0, 5.0]
    log.close()
