"""The drivers against a record of their traffic: the same run with nothing attached, and a changed driver caught."""

import re
from pathlib import Path

import pytest

from drivers.transport.deadline import Deadline
from drivers.transport.replayed import ReplayedTraffic
from drivers.transport.traffic import Direction, TrafficLog
from labrhel.config import find
from labrhel.errors import RecordError
from labrhel.testing.command_line import called
from simbackend.testing.benches import bench_and_station


@pytest.mark.slow
def test_a_run_over_wires_is_run_again_from_their_traffic_alone(tmp_path: Path) -> None:
    text = find("bench_oscillators").read_text().replace("steps: 40", "steps: 2")
    (tmp_path / "b.yaml").write_text(text)
    with bench_and_station(tmp_path):
        first = called(tmp_path, "run", "b.yaml", "--rig", "bench:station.yaml?traffic=w.jsonl")
    assert first.returncode == 0, first.stdout + first.stderr
    again = called(tmp_path, "run", "b.yaml", "--rig", "bench:station.yaml?wires=w.jsonl")
    assert again.returncode == 0, again.stderr
    words = r"loss \S+ -> \S+ in \d+ gradients|test error .*"
    assert re.findall(words, again.stdout) == re.findall(words, first.stdout) != []
    changed = tmp_path / "louder.yaml"
    changed.write_text(text.replace("amplitude: 0.3", "amplitude: 0.31"))
    other = called(tmp_path, "run", "louder.yaml", "--rig", "bench:station.yaml?wires=w.jsonl")
    assert other.returncode == 3
    assert "the driver sends" in other.stderr
    missing = called(tmp_path, "run", "b.yaml", "--rig", "bench:station.yaml?wires=nothing.jsonl")
    assert missing.returncode == 2 and "there is no record of traffic" in missing.stderr


def recorded(folder: Path, *pieces: tuple[Direction, bytes]) -> ReplayedTraffic:
    log = TrafficLog(folder / "w.jsonl")
    for direction, data in pieces:
        log.record("box", direction, data)
    log.close()
    return ReplayedTraffic(folder / "w.jsonl")


def test_answers_come_back_in_whatever_pieces_they_are_asked_for(tmp_path: Path) -> None:
    traffic = recorded(
        tmp_path, (Direction.SENT, b"*ID"), (Direction.SENT, b"N?\n"), (Direction.RECEIVED, b"a box"),
        (Direction.RECEIVED, b"\n"), (Direction.SENT, b"GO\n"),
    )  # fmt: skip
    port = traffic.port("box")
    port.send(b"*IDN?\n", Deadline(1))
    assert port.receive_line(b"\n", Deadline(1)) == b"a box"
    with pytest.raises(RecordError, match=r"box: the driver sends 'STOP\\n', and sent 'GO\\n' then"):
        port.send(b"STOP\n", Deadline(1))
    traffic.port("box").send(b"GO\n", Deadline(1))  # a port that is opened again goes on where the last one was
    assert traffic.left() == {"box": 0}
    with pytest.raises(RecordError, match="where nothing more was said then"):
        port.send(b"GO\n", Deadline(1))
    with pytest.raises(TimeoutError):
        port.receive_some(Deadline(0.1))


def test_a_link_that_was_not_recorded_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no traffic of awg9; it has that of: box"):
        recorded(tmp_path, (Direction.SENT, b"x")).port("awg9")
