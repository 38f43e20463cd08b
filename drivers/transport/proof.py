"""The proof that a link is in step: a question whose answer is known, the marker, asked until that answer comes."""

from __future__ import annotations

import math
import time

from drivers.transport.deadline import Deadline
from drivers.transport.port import DamageError, Port

QUIET = 0.02
"""Silence after which a wire counts as drained [s]; more than the latency timer of a USB serial converter, 16 ms."""
SILENCE = 4.0
"""Time-outs of silence after which a marker's answer counts as lost, on wires where reopening does not drop it."""


class EchoError(DamageError):
    """The device sends back what it is sent: asking it again is of no use."""


class Proof:
    """The marker, its known answer `identity`, and how many answers to it are `due`.

    Devices answer in order, so whatever comes before the identity is old.  But markers look alike: the answer to an
    earlier one, sent by a proof that failed, or by the user, proves nothing while another is on its way.  `terminates`
    says whether the device ends its answers with `end`, as it should even where the wire marks their end.  That is the
    terminator of messages until the device is seen to end its own with a line feed alone, or with a return before it.
    """

    def __init__(self, marker: str | None, terminator: bytes, timeout: float) -> None:
        self.marker, self.identity, self.due, self.terminates = marker, b"", 0, True
        self._message = (marker or "").encode() + terminator
        self.end, self._timeout = terminator, timeout

    def give(self, port: Port, *, reopened: bool, seconds: float = math.inf) -> None:
        """Bring a port in step, or raise OSError; the first time, learn the identity.

        It takes a time-out, or `seconds` if that is less, and as much again while a device does not stop sending.
        """
        deadline = Deadline(min(self._timeout, seconds))
        if reopened:
            self.due *= not port.forgets
        else:
            port.clear(deadline)
        port.drain(0.0 if reopened and port.forgets else QUIET, deadline.seconds)
        if self.marker is None:
            return
        if self.identity:
            self._ask(port, deadline)
        else:
            self._learn(port, deadline)
        if port.has_arrived():
            raise DamageError("the device sends more than it is asked for", port.held)

    def _ask(self, port: Port, deadline: Deadline) -> None:
        self.due += 1
        port.send(self._message, deadline)
        self._await_identity(port, deadline)
        late = Deadline(SILENCE * self._timeout)
        while self.due:
            try:
                self._await_identity(port, late)
            except TimeoutError:
                self.due = 0

    def _await_identity(self, port: Port, deadline: Deadline) -> None:
        line = b""
        try:
            while not line.endswith(self.identity):
                if line:
                    deadline.require()
                line = port.receive_line(self.end, deadline)
                self._refuse_echo(line)
        except TimeoutError as error:
            if not line:
                raise
            wanted = self.identity.decode("ascii", "replace")
            problem = f"it answers {line[:60]!r} to {self.marker}, not {wanted!r}: is it another device?"
            raise DamageError(problem, line) from error
        self.due -= 1

    def _learn(self, port: Port, deadline: Deadline) -> None:
        """Ask until two answers agree: what an earlier program has left in the device may come first."""
        before, identity = b"", b" "
        while identity != before or not identity:
            if before or not identity:
                deadline.require()
            before = identity
            port.send(self._message, deadline)
            identity = self._first_line(port, deadline)
            self._refuse_echo(identity)
        time.sleep(QUIET)  # a device that never stops would be taken for one that says the same twice
        if port.has_arrived():
            raise DamageError("the device sends more than it is asked for", port.held)
        self.identity, self.terminates = identity, port.terminated

    def _first_line(self, port: Port, deadline: Deadline) -> bytes:
        """A line that tells what ends lines; a device that ends them with less than was waited for is asked again."""
        try:
            line = port.receive_line(self.end, deadline)
        except TimeoutError:
            if port.held.endswith(b"\n") and self.end == b"\r\n":
                self.end = b"\n"
            raise
        if self.end == b"\n" and line.endswith(b"\r"):
            self.end, line = b"\r\n", line[:-1]
        return line

    def _refuse_echo(self, line: bytes) -> None:
        if line.strip() == self._message.strip():
            raise EchoError(
                f"it sends back what it is sent ({self.marker}): switch its echo off, or look for a loop-back plug, a "
                "terminal, or a port that is no instrument's",
                line,
            )
