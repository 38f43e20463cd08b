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
