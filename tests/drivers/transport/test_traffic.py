import json
import random
from pathlib import Path

import pytest

from drivers.transport import Direction, Traffic, TrafficLog, read_traffic
from labrhel.errors import RecordError


def test_what_is_written_is_read_back_in_order(tmp_path: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    times = iter(range(100))
    log = TrafficLog(file, monotonic=lambda: next(times), wall=lambda: 1e9)
    log.record("scope", Direction.SENT, b"CURV?\n")
    log.record("scope", Direction.RECEIVED, bytes(range(256)))
    log.record("scope", Direction.EVENT, b"closed")
    assert list(read_traffic(file)) == log.newest()
    assert log.newest()[1] == Traffic("scope", Direction.RECEIVED, bytes(range(256)), 1, 1e9)
    log.close()
    log.close()


def test_a_file_is_continued_and_a_line_cut_by_a_crash_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    for data in (b"one", b"two"):
        log = TrafficLog(file)
        log.record("x", Direction.SENT, data)
        log.close()
    file.write_bytes(file.read_bytes()[:-5])
    assert [piece.data for piece in read_traffic(file)] == [b"one"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    file.write_text("{}\n{}\n")
    with pytest.raises(RecordError, match=r"traffic\.jsonl:1"):
        list(read_traffic(file))


def test_memory_keeps_the_newest_bytes_only() -> None:
    log = TrafficLog(keep_bytes=100)
    for number in range(1000):
        log.record("x", Direction.SENT, b"%03d" % number)
    kept = log.newest()
    assert len(kept) == 33
    assert kept[-1].data == b"999"


def written(file: Path) -> bytes:
    log = TrafficLog(file)
    for number in range(2):
        log.record("scope", Direction.SENT, b":WAV:PRE?\n" * number)
        log.record("scope", Direction.RECEIVED, bytes(range(number, 40)))
    log.close()
    return file.read_bytes()


def test_every_flipped_bit_of_a_file_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    whole = written(file)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(RecordError, match=r"traffic\.jsonl:\d: this line is no traffic"):
            list(read_traffic(file))


def test_a_file_that_is_torn_anywhere_ends_with_its_last_whole_line(tmp_path: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    whole = written(file)
    pieces = list(read_traffic(file))
    for length in range(0, len(whole), 3):
        file.write_bytes(whole[:length])
        read = list(read_traffic(file))
        assert read == pieces[: len(read)] and len(read) - whole[:length].count(b"\n") in (0, 1)


LINE = {"t": 1.0, "wall": 2.0, "link": "x", "dir": ">", "data": "QQ=="}


@pytest.mark.parametrize(
    "change",
    [{"t": None}, {"t": "1"}, {"wall": float("nan")}, {"wall": True}, {"link": 3}, {"link": []}, {"dir": "?"},
     {"dir": None}, {"data": 5}, {"data": "Q"}, {"data": "ä"}, {"data": ["QQ=="]}, {"more": 1}],
)  # fmt: skip
def test_a_line_with_other_fields_than_it_should_have_is_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "traffic.jsonl"
    file.write_text(json.dumps(LINE) + "\n")
    assert next(read_traffic(file)).data == b"A"  # from before there were checksums
    file.write_text(json.dumps(LINE | change) + "\n")
    with pytest.raises(RecordError, match="no traffic"):
        list(read_traffic(file))


@pytest.mark.parametrize("text", [b"[" * 100_000, b"3", b"null", b"\xff\xfe", b'"x"', b"{}", b"1e999", b""])
def test_what_is_no_traffic_at_all_is_one_sentence(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(text + b"\n")
    with pytest.raises(RecordError, match="no traffic"):
        list(read_traffic(file))
    with pytest.raises(RecordError, match="cannot be read"):
        list(read_traffic(tmp_path))


def test_a_file_that_is_mutated_at_random_is_read_or_named(tmp_path: Path) -> None:
    file, chance = tmp_path / "traffic.jsonl", random.Random(1)
    whole = written(file)
    for _ in range(300):
        begin, end = sorted(chance.sample(range(len(whole)), 2))
        middle = chance.choice([b"", chance.randbytes(9), whole[begin:end] * 2, b"\n"])
        file.write_bytes(whole[:begin] + middle + whole[end:])
        try:
            list(read_traffic(file))
        except RecordError as error:
            assert "no traffic of a link" in str(error)
