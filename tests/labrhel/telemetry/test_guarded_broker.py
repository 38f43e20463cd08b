"""TLS and a password, which must be nowhere in a run; and brokers that take a connection and say nothing."""

import gc
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrhel import session
from labrhel.experiment import load_experiment
from labrhel.shots.operations import Publish
from labrhel.telemetry import Run, Settings, Telemetry
from labrhel.telemetry.publisher import DEADLINE
from labrhel.testing.brokers import Broker, mosquitto
from labrhel.testing.configurations import SMALL
from labrhel.testing.control import running
from labrhel.testing.programs import program
from labrhel.testing.subscriber import Subscriber
from labrhel.testing.waiting import wait_for

guards = pytest.mark.needs("mosquitto", "mosquitto_passwd", "openssl")
PASSWORD = "open sesame 7f3a"
RUN = Run("20260101T000000Z-x-abcdef", "x", 3, "V", "ms")


def ignore(published: Publish) -> None:
    """Watch nothing."""


def certify(folder: Path, name: str) -> None:
    """A certificate for this machine that vouches for itself, and its key."""
    words = f"req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.pem -days 2 -subj /CN=127.0.0.1"
    command = ["openssl", *words.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    certify(tmp_path, "server")
    users = tmp_path / "users"
    users.touch(mode=0o600)
    command = [str(program("mosquitto_passwd")), "-b", str(users), "rig", PASSWORD]
    subprocess.run(command, check=True, capture_output=True)
    keys = f"certfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key"
    broker = mosquitto(tmp_path, f"allow_anonymous false\npassword_file {users}\n{keys}")
    broker.start()
    yield broker
    broker.stop()


def configuration(folder: Path, port: int, **changes: str) -> Path:
    """One that names the broker alone; all else stands in the settings of the user."""
    known = {"port": str(port), "ca": f"{folder}/server.pem", "user": "rig", "password_file": "secret"} | changes
    own = folder / "own" / "labrhel"
    own.mkdir(parents=True, exist_ok=True)
    (own / "secret").write_text(PASSWORD + "\n")
    (own / "brokers.yaml").touch(mode=0o600)
    (own / "brokers.yaml").write_text(
        f"127.0.0.1: {{{', '.join(f'{key}: {value}' for key, value in known.items())}}}\n"
    )
    file = folder / "small.yaml"
    file.write_text(SMALL + f"telemetry: {{broker: 127.0.0.1, port: {port}, prefix: lab/rig}}\n")
    return file


@guards
def test_a_run_speaks_tls_with_a_password_that_is_nowhere_in_its_record(tmp_path: Path, guarded: Broker) -> None:
    subscriber = Subscriber(guarded.port, ca=str(tmp_path / "server.pem"), user="rig", password=PASSWORD)
    file = configuration(tmp_path, guarded.port)
    done = session.start(load_experiment(file, steps=5), tmp_path / "runs", ignore)
    wait_for(lambda: subscriber.state() == "done", "the last status")
    assert len(subscriber.of("scalars")) == 5 + 2
    subscriber.close()
    files = [path for path in done.folder.rglob("*") if path.is_file()]
    assert len(files) >= 5
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


@guards
@pytest.mark.parametrize(
    ("changes", "words"),
    [({"user": "nobody"}, "Not authorized"), ({"ca": "../../other.pem"}, "certificate verify failed")],
)
def test_a_broker_that_refuses_or_is_another_costs_one_warning(
    tmp_path: Path, guarded: Broker, changes: dict[str, str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    certify(tmp_path, "other")
    file = configuration(tmp_path, guarded.port, **changes)

    def watch(published: Publish) -> None:
        time.sleep(0.02)
        if published.step == 5:
            wait_for(lambda: caplog.records, "the warning")

    done = session.start(load_experiment(file, steps=30), tmp_path / "runs", watch)
    assert len(done.losses) == 30
    (record,) = caplog.records
    assert words in record.getMessage()
    assert PASSWORD not in record.getMessage()


class Mute:
    """A server that takes every connection and never says a word."""

    def __init__(self) -> None:
        self.taken: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        try:
            while True:
                self.taken.append(self._server.accept()[0])
        except OSError:
            return

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        for item in (self._server, *self.taken):
            item.close()


@pytest.fixture
def mute() -> Iterator[Mute]:
    server = Mute()
    yield server
    server.close()


def test_a_mute_broker_delays_the_end_of_a_run_by_the_deadline_at_most(mute: Mute) -> None:
    with Telemetry(Settings("127.0.0.1", mute.port, "lab"), RUN, running()) as telemetry:
        telemetry.saw(Publish(0, {"loss": 1.0}), None)
        wait_for(lambda: mute.taken, "the connection")
        begin = time.monotonic()
    assert time.monotonic() - begin < 5 * DEADLINE


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc, which only Linux has")
def test_attempts_to_connect_leave_no_socket_and_no_thread_behind(mute: Mute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labrhel.telemetry.broker._PATIENCE", 0.1)
    monkeypatch.setattr("labrhel.telemetry.publisher._BACK_OFF", (0.01, 0.01))

    def sockets() -> int:
        """All of this process but the mute server's ends."""
        kinds = [
            str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.exists() or entry.is_symlink()
        ]
        return sum(kind.startswith("socket:") for kind in kinds) - len(mute.taken)

    gc.collect()  # what earlier tests left to the collector is theirs
    threads, before = threading.active_count(), sockets()
    with Telemetry(Settings("127.0.0.1", mute.port, "lab"), RUN, running()):
        wait_for(lambda: len(mute.taken) >= 5, "five attempts")
    wait_for(lambda: threading.active_count() <= threads, "the threads to end")
    assert sockets() <= before
