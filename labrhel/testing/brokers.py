"""A real MQTT broker on a port of its own, in a process that a test may kill: mosquitto, or amqtt where there is none.

`python -m labrhel.testing.brokers PORT` is the latter.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from labrhel.testing.programs import program
from labrhel.testing.waiting import PATIENCE, wait_for


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Broker:
    """A broker behind a port, as the process that `command` starts; it forgets everything when it stops."""

    def __init__(self, port: int, command: Sequence[str], version: str = "5") -> None:
        self.port, self.version, self._command = port, version, command
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, port: int | None = None, **settings: float) -> str:
        """What `--telemetry` says to publish there, or to what stands at `port` before it."""
        query = urlencode({"version": self.version} | settings)
        return f"mqtt://127.0.0.1:{port or self.port}/lab/rig?{query}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for(self._answers, f"the broker {self._command[0]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, if it runs, with this signal."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def mosquitto(folder: Path, settings: str = "allow_anonymous true") -> Broker:
    """Mosquitto with these lines in its configuration, which is written into `folder`."""
    port, file = free_port(), folder / "mosquitto.conf"
    # As root, mosquitto would become another user, who cannot read the test's files.
    file.write_text(f"user root\nlistener {port} 127.0.0.1\npersistence false\n{settings}\n")
    return Broker(port, [program("mosquitto") or "mosquitto", "-c", str(file)])


def python_broker() -> Broker:
    """amqtt, which needs no program but Python, and speaks MQTT 3.1.1."""
    port = free_port()
    return Broker(port, [sys.executable, "-m", "labrhel.testing.brokers", str(port)], "3.1.1")


def a_broker(folder: Path) -> Broker:
    """Mosquitto where it is installed, else amqtt."""
    return python_broker() if program("mosquitto") is None else mosquitto(folder)


async def _serve(port: int) -> None:
    from amqtt.broker import Broker as Amqtt  # a development dependency

    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}
    await Amqtt({"listeners": listeners, "plugins": plugins}).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
