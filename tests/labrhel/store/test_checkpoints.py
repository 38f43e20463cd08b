"""Two slots, written in turn: what the journal names is not touched until it names the other."""

from pathlib import Path

import pytest

from labrhel.errors import RecordError
from labrhel.store import _checkpoints
from labrhel.store._checkpoints import Slots, read_slot, slot_file
from labrhel.testing.leaks import no_leaks


@pytest.mark.parametrize(("last", "first"), [(None, 0), (0, 1), (1, 0)])
def test_the_slot_that_is_named_last_is_not_touched(tmp_path: Path, last: int | None, first: int) -> None:
    slots = Slots(tmp_path, last)
    assert slots.put(b"one") == first
    assert slots.put(b"again") == first  # not kept: the journal does not name it
    slots.keep(first)
    assert slots.put(b"two") == 1 - first
    slots.keep(1 - first)
    assert slots.put(b"three") == first
    slots.close()
    assert read_slot(tmp_path, first, 5) == b"three"
    assert read_slot(tmp_path, 1 - first, 3) == b"two"


def test_a_shorter_state_is_written_over_a_longer_one_and_read_by_its_size(tmp_path: Path) -> None:
    slots = Slots(tmp_path, None)
    slots.put(b"a long state")
    slots.put(b"short")
    slots.close()
    assert read_slot(tmp_path, 0, 5) == b"short"
    assert read_slot(tmp_path, 0, 99)[:5] == b"short"
    assert read_slot(tmp_path, 1, 5) == b""
    assert slot_file(tmp_path, 0).name == "checkpoint.0"
    assert slot_file(tmp_path, 0).stat().st_mode & 0o133 == 0  # nobody else writes it, nobody runs it


def test_a_disk_that_takes_a_part_at_a_time_gets_all_of_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = _checkpoints.os.write
    monkeypatch.setattr(_checkpoints.os, "write", lambda file, data: write(file, data[:7]))
    slots = Slots(tmp_path, None)
    slots.put(bytes(range(100)))
    slots.close()
    assert read_slot(tmp_path, 0, 100) == bytes(range(100))


def test_a_closed_pair_opens_its_files_again_where_it_stopped(tmp_path: Path) -> None:
    slots = Slots(tmp_path, None)
    slots.keep(slots.put(b"one"))
    slots.close()
    assert slots.put(b"two") == 1
    slots.close()
    assert (read_slot(tmp_path, 0, 3), read_slot(tmp_path, 1, 3)) == (b"one", b"two")


def test_closing_waits_for_the_disk_and_leaves_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr(_checkpoints.os, "fsync", waited.append)
    with no_leaks():
        slots = Slots(tmp_path, None)
        for state in (b"one", b"two", b"three"):
            slots.keep(slots.put(state))
        slots.close()
    assert len(set(waited)) == 2
    slots.close()
    assert len(waited) == 2


def test_a_slot_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="nowhere"):
        Slots(tmp_path / "nowhere", None).put(b"one")
