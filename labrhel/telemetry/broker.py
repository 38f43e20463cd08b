"""The one module that knows aiomqtt: a connection to a broker, as little of MQTT as telemetry needs.

MQTT 5, so that the broker forgets the session of a run by itself, or 3.1.1 for brokers that speak nothing later.
Everything is sent at quality 1 and awaited: what the broker has not acknowledged is on its way once, and never in a
queue of the library.  aiomqtt (2.5) does not reconnect; a connection that fails, fails with TransportError.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from labrhel.errors import TransportError
from labrhel.telemetry.payloads import Message
from labrhel.telemetry.settings import Settings

_PATIENCE = 3.0  # s for the broker to take a connection, or to acknowledge a message
_KEEP_ALIVE = 20  # s; a machine that lost power is declared lost after half as much again
_SESSION = 600  # s that the broker keeps the commands for a run whose connection is gone
_ONCE = 1  # quality of service: at least once

_SILENT = logging.getLogger("labrhel.telemetry.mqtt")  # what the library has to say is in the errors
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class _Client(aiomqtt.Client):
    """A client whose connection that ends before the broker has answered has failed at once."""

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        # aiomqtt (2.5) would wait for the answer with all its patience, longer than a run waits at its end.
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("it closed the connection without an answer"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)


class Connection:
    """An open connection to a broker."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def publish(self, message: Message) -> None:
        """Return when the broker has it; raises TransportError if it has not in time."""
        try:
            await self._client.publish(message.topic, message.payload, qos=_ONCE, retain=message.retain)
        except (aiomqtt.MqttError, ValueError) as error:
            raise TransportError(f"the broker did not take a message ({error})") from None

    async def received(self) -> AsyncIterator[tuple[bytes, bool]]:
        """What comes in, and whether it is an old one that the broker retained; TransportError when the link ends."""
        try:
            async for message in self._client.messages:
                payload = message.payload if isinstance(message.payload, bytes) else b""
                yield payload, bool(message.retain)
        except aiomqtt.MqttError as error:
            raise TransportError(f"the connection ended ({error})") from None


@asynccontextmanager
async def connected(
    settings: Settings, identity: str, will: Message | None = None, listen_to: str | None = None, *, fresh: bool
) -> AsyncIterator[Connection]:
    """Connect, and subscribe if there is something to listen to; `will`: said by the broker if the link breaks off.

    `fresh` forgets what an earlier session of the same identity left behind; otherwise commands that came in the
    meantime are delivered now.
    """
    client = _Client(
        settings.host,
        settings.port,
        username=settings.user,
        password=settings.password,
        identifier=identity,
        **_session(settings.version, fresh=fresh),
        will=None if will is None else aiomqtt.Will(will.topic, will.payload, _ONCE, will.retain),
        keepalive=_KEEP_ALIVE,
        timeout=_PATIENCE,
        tls_context=settings.tls,
        # Without it a small message waits for the acknowledgement of the one before: 88 ms instead of 0.7.
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        max_queued_incoming_messages=100,
        logger=_SILENT,
    )
    # aiomqtt lacks an option for it: paho would wait 5 s for an address that does not answer, at the end of a run too.
    client._client.connect_timeout = _PATIENCE
    try:
        async with client:
            if listen_to is not None:
                await client.subscribe(listen_to, qos=_ONCE)
            yield Connection(client)
    except aiomqtt.MqttError as error:
        raise TransportError(str(error)) from None
    finally:
        # A broker that takes the connection and then stays silent leaves the socket open in aiomqtt (2.5.1).
        with suppress(OSError):
            client._client._sock_close()


def _session(version: str, *, fresh: bool) -> dict[str, Any]:
    """How long a session lasts, in the words of each version."""
    if version != "5":
        return {"protocol": aiomqtt.ProtocolVersion.V311, "clean_session": fresh}
    expiry = Properties(PacketTypes.CONNECT)
    expiry.SessionExpiryInterval = _SESSION
    return {"protocol": aiomqtt.ProtocolVersion.V5, "clean_start": fresh, "properties": expiry}
