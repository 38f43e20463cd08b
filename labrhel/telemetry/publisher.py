"""The publisher: a thread with an event loop of its own that empties an outbox, and listens for commands.

It connects again and again while the broker is away, which costs the run nothing, and says so once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from labrhel.errors import TransportError
from labrhel.safety.control import Control
from labrhel.shots.capture import Capture
from labrhel.telemetry import payloads
from labrhel.telemetry.outbox import Outbox, Taken
from labrhel.telemetry.payloads import Message, Run
from labrhel.telemetry.settings import Settings

if TYPE_CHECKING:
    from labrhel.telemetry.broker import Connection

_LOOK = 0.05  # s between two looks into the outbox: nobody wakes the publisher, for that would cost the run
_STATUS_EVERY = 1.0  # s between two status messages that differ in the step alone
_BACK_OFF = (0.2, 5.0)  # s to wait for the next attempt to connect: at first, and at most
DEADLINE = 2.0  # s for the last messages, once the run has ended

_log = logging.getLogger("labrhel.telemetry")


class Publisher:
    """Speaks for one run; `state_of` tells state and step at any time, `finish` the last state."""

    def __init__(
        self, settings: Settings, run: Run, outbox: Outbox, control: Control, state_of: Callable[[], tuple[str, int]]
    ) -> None:
        self._settings, self._run, self._outbox, self._control = settings, run, outbox, control
        self._state_of = state_of
        self._scalars: dict[str, float] = {}
        self._in_hand: Message | None = None
        self._said: tuple[str, int] | None = None
        self._said_at = self._traced_at = 0.0
        self._dropped, self._words, self._fresh, self._finished_at = 0, "", True, 0.0
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def finish(self, words: str) -> None:
        """Send what is left and the last status, in `DEADLINE` seconds or never."""
        self._words, self._finished_at = words, time.monotonic()
        self._thread.join(DEADLINE + _LOOK)

    def _work(self) -> None:
        # Windows' own event loop cannot watch the sockets of the library.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        from labrhel.telemetry.broker import connected  # a run without telemetry never loads aiomqtt

        wait, warned = _BACK_OFF[0], False
        run, prefix = self._run, self._settings.prefix
        lost = self._message("status", payloads.status(run, "lost", words="the connection broke off"), retain=True)
        while True:
            began = time.monotonic()
            try:
                async with connected(
                    self._settings, f"labrhel-{run.identity}", lost, f"{prefix}/command", fresh=self._fresh
                ) as link:
                    if warned:
                        _log.warning("telemetry: %s is back", self._settings)
                    wait, warned, self._fresh, self._said = _BACK_OFF[0], False, False, None
                    await self._talk(link)
                    return
            except TransportError as error:
                if not warned:
                    _log.warning("telemetry: no connection to %s (%s); the run goes on", self._settings, error)
                    warned = True
            # An attempt that began before the end of the run may have met a link that is whole again now.
            if self._finished_at and (began > self._finished_at or self._late()):
                return
            until = time.monotonic() + wait
            while time.monotonic() < until and not self._finished_at:
                await asyncio.sleep(_LOOK)
            wait = min(2 * wait, _BACK_OFF[1])

    async def _talk(self, link: Connection) -> None:
        """Until the run has ended and all is sent; TransportError when the connection breaks off."""
        listening = asyncio.create_task(self._obey(link))
        try:
            while True:
                if listening.done():
                    listening.result()
                finished = bool(self._finished_at)
                await self._send(link)
                await self._say_status(link)
                if finished:
                    return
                await asyncio.sleep(_LOOK)
        finally:
            listening.cancel()

    async def _send(self, link: Connection) -> None:
        while not self._late():
            if self._in_hand is None:
                taken = self._outbox.take()
                if taken is None:
                    break
                self._dropped += taken.dropped
                self._scalars.update(taken.item.scalars)
                self._in_hand = self._message("scalars", payloads.scalars(self._run, taken))
            await link.publish(self._in_hand)
            self._in_hand = None
        rate, now = self._settings.traces_per_second, time.monotonic()
        if rate and now >= self._traced_at + 1 / rate and (capture := self._outbox.take_capture()) is not None:
            self._traced_at = now
            await link.publish(self._traces(capture))

    async def _say_status(self, link: Connection) -> None:
        state, step = now = self._state_of()
        recently = time.monotonic() < self._said_at + _STATUS_EVERY
        if now == self._said or (recently and self._said is not None and self._said[0] == state):
            return
        facts = {"step": step, "time": round(time.time(), 3), "dropped": self._dropped, "words": self._words}
        known = payloads.metrics(self._run, self._scalars)
        payload = payloads.status(self._run, state, **facts, metrics=known)
        await link.publish(self._message("status", payload, retain=True))
        self._said, self._said_at = now, time.monotonic()

    async def _obey(self, link: Connection) -> None:
        async for payload, retained in link.received():
            command = payload.decode("utf-8", "replace").strip()
            if retained:
                obeyed, words = False, "a retained command would stop every run to come; send it without retain"
            else:
                obeyed, words = self._control.ask(command)
                if obeyed:
                    _log.warning("telemetry: asked to %s: %s", command, words)
            answer = payloads.reply(self._run, command, words, obeyed=obeyed)
            await link.publish(self._message("reply", answer))

    def _late(self) -> bool:
        return bool(self._finished_at) and time.monotonic() > self._finished_at + DEADLINE / 2

    def _traces(self, taken: Taken[Capture]) -> Message:
        return self._message("traces", payloads.traces(self._run, taken, self._settings.points))

    def _message(self, topic: str, payload: bytes, *, retain: bool = False) -> Message:
        return Message(f"{self._settings.prefix}/{topic}", payload, retain)
