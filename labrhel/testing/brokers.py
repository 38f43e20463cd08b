"""A real broker on a port of its own, and a subscriber that is not labrhel's."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from labrhel.testing.waiting import PATIENCE, wait_for

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin:/usr/bin:/usr/local/bin")


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Broker:
    """mosquitto with a configuration of its own; it forgets everything when it stops."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true") -> None:
        assert MOSQUITTO is not None
        self.port, self._file = free_port(), folder / "mosquitto.conf"
        # As root, mosquitto would become another user, who cannot read the test's files.
        self._file.write_text(f"user root\nlistener {self.port} 127.0.0.1\npersistence false\n{settings}\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}/lab/rig"

    def start(self) -> None:
        self._process = subprocess.Popen([str(MOSQUITTO), "-c", str(self._file)], stderr=subprocess.DEVNULL)
        wait_for(self._answers, "mosquitto")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Subscriber:
    """Keeps all that is published, as (topic below the prefix, content, retained)."""

    def __init__(self, port: int, prefix: str = "lab/rig", **login: str) -> None:
        self.messages: list[tuple[str, dict[str, Any], bool]] = []
        self._prefix = prefix
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if "ca" in login:
            self._client.tls_set(login["ca"])
            self._client.username_pw_set(login["user"], login["password"])
        self._client.on_connect = self._subscribe
        self._client.on_message = self._take
        self._client.reconnect_delay_set(0.05, 0.2)  # pyright: ignore[reportArgumentType]  (paho sleeps it)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_for(self._client.is_connected, "the subscriber")

    def _subscribe(self, client: paho.Client, *_: object) -> None:
        client.subscribe(f"{self._prefix}/#", qos=1)

    def _take(self, client: object, user: object, message: paho.MQTTMessage) -> None:
        topic = message.topic.removeprefix(f"{self._prefix}/")
        if topic != "command":
            self.messages.append((topic, json.loads(message.payload), message.retain))

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [content for name, content, _ in list(self.messages) if name == topic]

    def state(self) -> str:
        return self.of("status")[-1]["state"] if self.of("status") else ""

    def send(self, words: str, *, retain: bool = False) -> None:
        """Send a command."""
        self._client.publish(f"{self._prefix}/command", words, qos=1, retain=retain).wait_for_publish(PATIENCE)

    def command(self, words: str) -> dict[str, Any]:
        """Send a command and return the answer to it."""
        before = len(self.of("reply"))
        self.send(words)
        return wait_for(lambda: self.of("reply")[before:], f"a reply to {words}")[0]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
