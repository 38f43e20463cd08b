"""The journal's frames by their definition, cut, damaged and half written."""

import errno
import os
import struct
import zlib
from pathlib import Path

import pytest

from labrhel.errors import RecordError
from labrhel.store import _journal
from labrhel.store._journal import FILE, Journal, Place, create_journal, damage, frame, frames, load, unframed
from labrhel.testing.leaks import no_leaks

FIRST, SECOND = ('{"a":1}', b"xyz"), ('{"b":22}', b"")


def journal(folder: Path, *parts: tuple[str, bytes]) -> bytes:
    create_journal(folder, *(frame(head, data) for head, data in parts))
    return (folder / FILE).read_bytes()


def test_a_frame_is_its_lengths_their_checksums_a_head_and_data(tmp_path: Path) -> None:
    content = journal(tmp_path, FIRST)
    lengths = struct.pack("<QI", 11, 8)
    checks = struct.pack("<II", zlib.crc32(lengths), zlib.crc32(b'{"a":1}\n'))
    assert content == lengths + checks + b'{"a":1}\nxyz'


def test_frames_are_read_with_their_places_from_the_start_or_from_an_end_on(tmp_path: Path) -> None:
    content = journal(tmp_path, FIRST, SECOND)
    both = list(frames(tmp_path))
    assert [head for head, _ in both] == [b'{"a":1}\n', b'{"b":22}\n']
    assert [place for _, place in both] == [Place(28, 3), Place(len(content), 0)]
    assert [load(tmp_path, place) for _, place in both] == [b"xyz", b""]
    assert list(frames(tmp_path, 31)) == both[1:]
    assert list(frames(tmp_path, len(content))) == []


def test_a_frame_that_is_cut_short_anywhere_is_not_read_and_is_no_damage(tmp_path: Path) -> None:
    content = journal(tmp_path, FIRST, ('{"b":22}', b"1234567"))
    for length in range(31, len(content)):
        (tmp_path / FILE).write_bytes(content[:length])
        assert len(list(frames(tmp_path))) == 1
        assert damage(tmp_path, 31) == ""
    (tmp_path / FILE).write_bytes(content)
    assert len(list(frames(tmp_path))) == 2
    assert damage(tmp_path, 31) == damage(tmp_path, len(content)) == ""


@pytest.mark.parametrize("place", [0, 8, 12, 16, 20, 26])
def test_a_byte_that_changed_in_prefix_or_head_ends_the_reading_and_is_damage(tmp_path: Path, place: int) -> None:
    content = bytearray(journal(tmp_path, FIRST, SECOND))
    content[31 + place] ^= 0x40
    (tmp_path / FILE).write_bytes(content)
    assert len(list(frames(tmp_path))) == 1
    assert damage(tmp_path, 31) == (
        f"{tmp_path / FILE} is damaged at byte 31 of {len(content)}: what follows cannot be read"
    )


def test_zeros_where_a_frame_or_its_head_should_be_are_what_a_power_cut_leaves(tmp_path: Path) -> None:
    content = journal(tmp_path, FIRST, SECOND)
    for rest in (bytes(100), content[31:51] + bytes(60)):
        (tmp_path / FILE).write_bytes(content[:31] + rest)
        assert len(list(frames(tmp_path))) == 1
        assert damage(tmp_path, 31) == ""


def test_a_writer_cuts_off_what_was_half_written_and_goes_on_behind_the_last_whole_frame(tmp_path: Path) -> None:
    content = journal(tmp_path, FIRST, SECOND)
    (tmp_path / FILE).write_bytes(content[:-3])
    writer = Journal(tmp_path, 31)
    writer.append(frame('{"c":3}', b"new"))
    writer.append([*frame('{"d":4}'), *frame('{"e":5}', b"both", b" parts")])
    writer.close()
    writer.close()
    assert [head for head, _ in frames(tmp_path)] == [b'{"a":1}\n', b'{"c":3}\n', b'{"d":4}\n', b'{"e":5}\n']
    assert load(tmp_path, list(frames(tmp_path))[-1][1]) == b"both parts"


def test_a_damaged_journal_is_not_opened_for_writing(tmp_path: Path) -> None:
    content = bytearray(journal(tmp_path, FIRST, SECOND))
    content[35] ^= 1
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(RecordError, match=r"is damaged at byte 31 of .*; restore the folder from a copy"):
        Journal(tmp_path, 31)
    assert (tmp_path / FILE).read_bytes() == content


@pytest.mark.parametrize("size", [10, 40_000, 100_000])
@pytest.mark.parametrize("pieces", [1, 3, 1500])
def test_long_frames_and_many_pieces_are_written_whole(tmp_path: Path, size: int, pieces: int) -> None:
    journal(tmp_path, FIRST)
    data = os.urandom(size)
    parts = [data[place * size // pieces : (place + 1) * size // pieces] for place in range(pieces)]
    writer = Journal(tmp_path, 31)
    writer.append(frame('{"c":3}', *map(memoryview, parts)))
    writer.append(frame('{"d":4}'))
    writer.close()
    _, (_, place), (last, _) = frames(tmp_path)
    assert load(tmp_path, place) == data and last == b'{"d":4}\n'


class Disk:
    """A disk that takes so many bytes a write, and is full after so many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int, room: int) -> None:
        self.most, self.room, self._write = most, room, os.write
        monkeypatch.setattr(_journal.os, "write", self.write)
        monkeypatch.setattr(_journal.os, "writev", lambda file, pieces: self.write(file, b"".join(pieces)))

    def write(self, file: int, data: bytes | memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self._write(file, data[: min(self.most, self.room)])
        self.room -= taken
        return taken


@pytest.mark.parametrize("length", [50, 50_000])
def test_a_disk_that_takes_a_part_at_a_time_gets_all_of_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    journal(tmp_path, FIRST)
    writer = Journal(tmp_path, 31)
    Disk(monkeypatch, length // 7, 10**9)
    data = os.urandom(length)
    writer.append(frame('{"c":3}', data))
    writer.close()
    assert load(tmp_path, list(frames(tmp_path))[-1][1]) == data


def test_a_full_disk_leaves_the_journal_as_it_was_and_writing_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal(tmp_path, FIRST)
    writer = Journal(tmp_path, 31)
    writer.append(frame('{"c":3}'))
    before = (tmp_path / FILE).read_bytes()
    disk = Disk(monkeypatch, 20, 33)
    with pytest.raises(RecordError, match="is full; the shot was not acknowledged"):
        writer.append(frame('{"d":4}', bytes(100)))
    assert (tmp_path / FILE).read_bytes() == before
    disk.room = 10**9
    writer.append(frame('{"e":5}'))
    writer.close()
    assert [head for head, _ in frames(tmp_path)] == [b'{"a":1}\n', b'{"c":3}\n', b'{"e":5}\n']


def test_closing_waits_for_the_disk_and_closing_twice_closes_nobody_elses_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(_journal.os, "fsync", waited.append)
    journal(tmp_path, FIRST)
    with no_leaks():
        writer = Journal(tmp_path, 31)
        writer.close()
    assert len(waited) == 1
    monkeypatch.setattr(_journal.os, "close", waited.append)
    writer.close()
    assert len(waited) == 1


@pytest.mark.skipif(not hasattr(os, "writev"), reason="this system cannot gather")
@pytest.mark.parametrize(
    ("size", "pieces", "gathered"),
    [(1 << 15, 2, True), ((1 << 15) - 1, 2, False), (1 << 16, 1000, True), (1 << 16, 1001, False)],
)
def test_what_is_large_is_not_copied_where_the_system_takes_its_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, pieces: int, *, gathered: bool
) -> None:
    journal(tmp_path, FIRST)
    writer = Journal(tmp_path, 31)
    taken: list[int] = []
    writev = os.writev
    monkeypatch.setattr(_journal.os, "writev", lambda file, parts: (taken.append(len(parts)), writev(file, parts))[1])
    parts = [bytes(size // pieces)] * (pieces - 1)
    writer.append([*parts, bytes(size - sum(map(len, parts)))])
    writer.close()
    assert taken == ([pieces] if gathered else [])
    assert (tmp_path / FILE).stat().st_size == 31 + size


@pytest.mark.parametrize("later", [b"\1", bytes((1 << 20) + 1) + b"\1", bytes((1 << 20) + 1)])
@pytest.mark.parametrize("seen", [bytes(28), bytes(10) + b"\1" + bytes(17), b"\1" + bytes(27), b"\1" * 28])
def test_only_zeros_up_to_the_end_are_what_a_power_cut_leaves(tmp_path: Path, seen: bytes, later: bytes) -> None:
    content = journal(tmp_path, FIRST)
    (tmp_path / FILE).write_bytes(content + seen + later)
    cut_off = 0 in seen and not any(seen[seen.index(0) :]) and not any(later)
    assert (damage(tmp_path, 31) == "") is cut_off


def test_a_head_of_a_frame_without_data_may_be_a_new_line_alone(tmp_path: Path) -> None:
    create_journal(tmp_path, frame(""), frame(""))
    assert [(head, place.size) for head, place in frames(tmp_path)] == [(b"\n", 0)] * 2
    assert damage(tmp_path, 21) == ""


def test_a_folder_without_a_journal_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="is not a run folder"):
        list(frames(tmp_path))


def test_a_block_says_the_head_and_the_size_of_the_frame_that_it_begins_with_as_soon_as_it_holds_all_of_it() -> None:
    content = b"".join(frame('{"a":1}', b"xyz"))
    assert unframed(content) == (b'{"a":1}\n', 31)
    assert unframed(content + b"more") == (b'{"a":1}\n', 31)
    for length in (0, 19, 20, 30):
        assert unframed(content[:length]) == (b"", 0)


@pytest.mark.parametrize("place", [0, 8, 12, 16, 20, 27])
def test_a_block_that_begins_with_a_damaged_frame_begins_with_none(place: int) -> None:
    content = bytearray(b"".join(frame('{"a":1}', b"xyz")))
    content[place] ^= 0x40
    assert unframed(bytes(content)) is None


def test_a_frame_without_a_head_is_none() -> None:
    lengths = struct.pack("<QI", 0, 0)
    content = lengths + struct.pack("<II", zlib.crc32(lengths), zlib.crc32(b""))
    assert unframed(content) is None
