"""Lines that only grow: what a crash tears is left out, what a flipped bit changes is refused, never mistaken."""

import json
from pathlib import Path

import pytest

from labrhel.errors import RecordError
from labrhel.store import _lines
from labrhel.store._lines import append_line, read_lines
from labrhel.testing.leaks import no_leaks

LINES = [
    {"id": "a1", "kind": "proposed", "values": {"gain é": 1.5}},
    {"id": "b2", "kind": "accepted", "refers": ["a1"]},
]


def written(folder: Path) -> Path:
    file = folder / "deep" / "record.jsonl"
    for line in LINES:
        append_line(file, line)
    return file


def contents(file: Path) -> list[dict[str, object]]:
    return [data for _, data in read_lines(file)]


def test_lines_come_back_as_they_were(tmp_path: Path) -> None:
    assert contents(written(tmp_path)) == LINES
    assert contents(tmp_path / "nowhere") == []


def test_whatever_is_cut_off_the_end_only_whole_lines_are_read_and_the_next_one_is_kept(tmp_path: Path) -> None:
    file = written(tmp_path)
    whole = file.read_bytes()
    ends = [index for index, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        file.write_bytes(whole[:cut])
        kept = LINES[: sum(end <= cut for end in ends)]
        assert contents(file) == kept
        append_line(file, {"id": "c3", "kind": "accepted"})
        append_line(file, {"id": "d4", "kind": "accepted"})
        assert contents(file) == [*kept, {"id": "c3", "kind": "accepted"}, {"id": "d4", "kind": "accepted"}]


def test_no_flipped_bit_is_read_as_something_else(tmp_path: Path) -> None:
    file = written(tmp_path)
    whole = file.read_bytes()
    silent = []
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        file.write_bytes(data)
        try:
            if contents(file) != LINES:
                silent.append(bit)
        except RecordError as error:
            assert "damaged" in str(error)
    assert silent == []


def test_lines_of_earlier_versions_are_read_and_none_may_follow_a_checked_one(tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
    append_line(file, {"id": "c3", "kind": "accepted"})
    assert [data["id"] for data in contents(file)] == ["a1", "b2", "c3"]
    with file.open("a") as more:
        more.write(json.dumps(LINES[0]) + "\n")
    with pytest.raises(RecordError, match=r"old\.jsonl:4 is damaged"):
        contents(file)


def test_a_disk_that_is_full_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    file = written(tmp_path)
    before, real = file.read_bytes(), os.write

    def short(descriptor: int, data: bytes) -> int:
        if not data.startswith(b"{"):
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:10])

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(RecordError, match="No space left on device; nothing was accepted"):
        append_line(file, {"id": "c3", "kind": "accepted"})
    assert file.read_bytes() == before


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    file = written(tmp_path)
    link = tmp_path / "link.jsonl"
    link.symlink_to(file)
    with pytest.raises(RecordError, match="nothing was accepted"):
        append_line(link, {"id": "c3", "kind": "accepted"})
    assert contents(file) == LINES


def test_a_line_that_has_nothing_but_a_checksum_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    for text in ('{"check": 5}\n', '{"check":0,"id":"a1"}\n'):
        file.write_text(text)
        with pytest.raises(RecordError, match="damaged"):
            contents(file)


def test_a_damaged_line_of_one_letter_is_no_torn_one(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_bytes(b"x\n" + file.read_bytes())
    with pytest.raises(RecordError, match=r"jsonl:1 is damaged"):
        contents(file)


@pytest.mark.parametrize("spoiled", [b"\r", b"0", b"}"])
def test_a_last_line_whose_end_was_spoiled_is_damaged_and_not_torn(tmp_path: Path, spoiled: bytes) -> None:
    file = written(tmp_path)
    file.write_bytes(file.read_bytes()[:-1] + spoiled)
    if spoiled.strip():
        with pytest.raises(RecordError, match=r"jsonl:2 is damaged"):
            contents(file)
    else:
        assert contents(file) == LINES


def test_a_line_of_an_earlier_version_that_lacks_its_new_line_alone_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    file.write_text('{"id": "a1", "kind": "accepted"}')
    append_line(file, {"id": "b2"})
    assert contents(file) == [{"id": "a1", "kind": "accepted"}, {"id": "b2"}]
    assert '"closes"' not in file.read_text()
    file.write_text('{"id": "a1", "kind"')
    append_line(file, {"id": "b2"})
    assert contents(file) == [{"id": "b2"}]
    assert '"closes": 19' in file.read_text()


def test_a_line_is_on_the_disk_when_it_is_acknowledged_and_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(_lines.os, "fsync", waited.append)
    with no_leaks():
        written(tmp_path)
    assert len(waited) == len(LINES)
    assert (tmp_path / "deep" / "record.jsonl").stat().st_mode & 0o133 == 0  # nobody else writes it, nobody runs it
