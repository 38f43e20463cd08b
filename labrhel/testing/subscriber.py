"""A subscriber that is not labrhel's, to see what an MQTT broker passes on, and to send commands."""

from __future__ import annotations

import json
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from labrhel.testing.waiting import PATIENCE, wait_for


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
        self.subscriptions = 0  # one at first, and one at each return of the broker
        self._client.on_subscribe = self._listens
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_for(lambda: self.subscriptions, "the subscription")

    def _subscribe(self, client: paho.Client, *_: object) -> None:
        client.subscribe(f"{self._prefix}/#", qos=1)

    def _listens(self, *_: object) -> None:
        self.subscriptions += 1

    def _take(self, client: object, user: object, message: paho.MQTTMessage) -> None:
        topic = message.topic.removeprefix(f"{self._prefix}/")
        if topic != "command":
            self.messages.append((topic, json.loads(message.payload), message.retain))

    def of(self, topic: str) -> list[dict[str, Any]]:
        """What was published under a topic."""
        return [content for name, content, _ in list(self.messages) if name == topic]

    def state(self) -> str:
        """The state of the run as it was last published."""
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
        """Disconnect from the broker."""
        self._client.disconnect()
        self._client.loop_stop()
