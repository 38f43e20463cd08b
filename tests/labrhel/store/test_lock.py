"""One writer a run: who holds it is told, and nobody holds what was never written."""

import os
from pathlib import Path

import pytest

from labrhel.errors import RecordError
from labrhel.store._lock import FILE, WriterLock, is_locked


def test_a_run_is_locked_while_its_lock_is_held_and_never_else(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    lock = WriterLock(tmp_path)
    assert is_locked(tmp_path)
    lock.release()
    lock.release()
    assert not is_locked(tmp_path)
    assert (tmp_path / FILE).exists()


def test_the_holder_is_named_and_what_an_earlier_one_left_is_gone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("an earlier holder with a long name\n")
    lock = WriterLock(tmp_path)
    assert (tmp_path / FILE).read_text() == f"{os.getpid()}\n"
    with pytest.raises(RecordError, match=rf"another process \(id {os.getpid()}\) is writing"):
        WriterLock(tmp_path)
    assert is_locked(tmp_path)
    lock.release()
    WriterLock(tmp_path).release()
