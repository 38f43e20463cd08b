import os
import signal
import subprocess
import sys

import pytest

from labrhel import plugins
from labrhel.config.station import load_station
from labrhel.errors import ConfigurationError
from labrhel.testing.command_line import called
from labrhel.testing.programs import VERILATOR
from labrhel.testing.waiting import PATIENCE
from simbackend.testing.plain_client import Client, station
from simbackend.virtual_bench import station_text, stations, virtual_bench

LABRHEL = [sys.executable, "-m", "labrhel"]


@pytest.mark.parametrize("name", sorted(stations()))
def test_every_station_starts_and_writes_a_station_file_that_can_be_read(tmp_path, name):
    with virtual_bench(name, speed=2.0) as bench:
        (tmp_path / "station.yaml").write_text(station_text(bench), encoding="utf-8")
        written = load_station(tmp_path / "station.yaml").station
        assert set(written.instruments) == set(bench.hosts)
        assert written.rig.trigger.fired_by in bench.hosts
        assert written.rig.ring_down > 0 and written.rig.ports and written.rig.channels
        assert [plugins.instrument_kind(section.type) for section in written.instruments.values()] == [
            bench.spec.instruments[key].kind for key in written.instruments
        ]


def test_a_command_runs_against_the_bench_and_its_exit_status_is_returned(tmp_path):
    code = (
        "import os, socket, sys; from labrhel.config.station import load_station; from pathlib import Path;"
        "assert os.environ['LABRHEL_BENCH'] == sys.argv[1];"
        "words = load_station(Path(sys.argv[1])).station.instruments['scope'].address.split('::');"
        "s = socket.create_connection((words[1], int(words[2])), 5); s.sendall(b'*IDN?\\n');"
        "sys.exit(7 if s.recv(100).startswith(b'RIGOL') else 1)"
    )
    command = f'{sys.executable} -c "{code}" {{station}}'
    done = subprocess.run(
        [*LABRHEL, "bench", "up", str(station(tmp_path)), "--for", command],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 7, done.stderr
    assert "awg       socket  TCPIP::127.0.0.1::" in done.stdout and "control" in done.stdout


def test_a_bench_in_the_foreground_ends_with_a_signal(tmp_path):
    running = subprocess.Popen(
        [*LABRHEL, "bench", "up", str(station(tmp_path)), "--write", str(tmp_path / "s.yaml")], stdout=subprocess.PIPE
    )
    assert running.stdout is not None
    running.stdout.readline()
    client = Client(load_station(tmp_path / "s.yaml").station.instruments["awg"].address)
    assert client.ask("*OPC?") == "1"
    client.close()
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(PATIENCE) == 0
    running.stdout.close()


def test_mistakes_in_the_file_are_said_with_their_line(tmp_path):
    file = station(tmp_path)
    text = file.read_text(encoding="utf-8")
    for old, new, words in (
        ("keysight_33600", "keysight_3360", "did you mean 'keysight_33600'"),
        ("to: f1", "to: f3", "cannot be wired to f3"),
        ("to: scope.ch2", "to: scope.ch9", "scope has no such terminal"),
        ("to: scope.ch2", "to: scope.ch1", "two leads end at scope.ch1"),
        ("wire: q2", "wire: q9", "there are oscillators q1 to q2"),
        ("to: f2", "to: f2, per_volt: 1", "no per_volt"),
        ("model: 33522B", "model: 33523B", "33622A or 33522B"),
        ("ring_down", "ring_dwon", "did you mean 'ring_down'"),
    ):
        file.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(ConfigurationError, match=words):
            virtual_bench(file)
    with pytest.raises(ConfigurationError, match="no virtual bench of that name"):
        virtual_bench("coupled")


@pytest.mark.needs(*VERILATOR)
def test_a_board_is_a_bench_as_well_and_a_command_finds_it(tmp_path):
    pytest.importorskip("amaranth", reason="Amaranth is not installed: pip install 'labrhel[gateware]'")
    command = [*LABRHEL, "conformance", "{rig}", "--config", "coupled_oscillators", "--only", "declaration"]
    done = subprocess.run(
        [*LABRHEL, "bench", "up", "fpga_board", "--write", str(tmp_path / "b.yaml"), "--for", " ".join(command)],
        check=False, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "tcp://127.0.0.1:" in done.stdout and "0 failed" not in done.stdout
    assert "rig: 'fpga:tcp://127.0.0.1:" in (tmp_path / "b.yaml").read_text()


def test_benches_are_listed_with_the_boards(tmp_path):
    done = called(tmp_path, "bench", "list")
    assert {"coupled_oscillators", "red_pitaya", "fpga_board"} <= {line.split()[0] for line in done.stdout.splitlines()}
    done = called(tmp_path, "bench", "up", "fpga_board", "--speed", "2")
    assert done.returncode == 2 and "leave out --speed" in done.stderr
