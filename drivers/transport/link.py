"""A link to an instrument that speaks in messages (SCPI): whole exchanges, and no answer but to the question asked.

After any failure the link is out of step.  The next exchange first proves it again: it clears the device where the wire
can, drains, and asks a question whose answer it knows (the marker) until that answer comes; failing that, it closes the
wire, opens it again and proves that.  Then the hooks of `on_reopen` send the settings again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from drivers.transport._visa import OpenPort
from drivers.transport.block import BlockEnd, encode_block, read_block
from drivers.transport.commands import is_repeatable
from drivers.transport.deadline import Deadline
from drivers.transport.lease import Lease
from drivers.transport.owner import HURRY, LinkError, Owner, not_opened
from drivers.transport.permit import StoppedError, require_permit
from drivers.transport.port import DamageError, Port
from drivers.transport.proof import EchoError, Proof
from drivers.transport.traffic import TrafficLog
from labrhel.errors import ProgramError

_T = TypeVar("_T")
Told = str | tuple[str, bytes]
"""A message without an answer: its text, or its text up to a block (with its comma) and what that holds."""
PAUSE = 0.02
"""Between attempts to reopen a wire whose device does not prove itself [s]."""

_SHOWN = 300  # characters of messages in a sentence
_AGAIN = 0.5  # s for a device that was given up less than its patience ago


class Link(Owner):
    """One instrument behind one wire; every method may be called from any thread.

    `timeout` [s] is for a whole exchange; `terminator` ends messages both ways, unless the device is seen to end its
    own by another line end; `marker` is a harmless query that always has the same answer (None: prove by reopening
    alone).  A query that only reads (`is_repeatable`, or as `repeat` says) is tried up to 1 + `retries` times; a set or
    a trigger never again.

    A byte changed within an answer's text leaves no trace in the wire: give `query_as` a strict parser.
    """

    def __init__(
        self,
        open_port: OpenPort,
        name: str,
        *,
        timeout: float = 2.0,
        terminator: str = "\n",
        marker: str | None = "*IDN?",
        retries: int = 2,
        patience: float = 5.0,
        log: TrafficLog | None = None,
        lease: Lease | None = None,
    ) -> None:
        super().__init__(open_port, name, patience=patience, log=log, lease=lease)
        self.timeout, self.retries = timeout, retries
        self._terminator = terminator.encode()
        self._proof = Proof(marker, self._terminator, timeout)
        self._block_end = BlockEnd()
        self._in_step, self._gave_up = False, -math.inf
        self._silence: Callable[[str], None] | None = None
        try:
            with self._lock:
                self._ready()
        except OSError as problem:
            self.close()
            raise not_opened(name, problem) from problem

    @property
    def identity(self) -> str:
        """The answer to the marker, as it was when the link was opened."""
        return self._proof.identity.decode("ascii", "replace")

    @property
    def in_step(self) -> bool:
        """False after a failure, until the next exchange has mended the link."""
        return self._in_step and not self._lost

    def on_silence(self, hook: Callable[[str], None]) -> None:
        """When a question is not answered in time, have `hook`, which gets its text, ask the device why.

        It is called once the link is in step again; what it raises takes the place of the time-out, and nothing is
        asked again.  An exchange with a `timeout` of its own is left to whoever waits.
        """
        self._silence = hook

    def write(self, text: str, *, timeout: float | None = None) -> None:
        """Send a message that has no answer.  Raises LinkError; it is never sent twice."""
        self._exchange(text, [self._message(text)], lambda port, deadline: None, repeat=False, timeout=timeout)

    def write_block(self, text: str, data: bytes, *, timeout: float | None = None) -> None:
        """Send a message that ends in a block of bytes, `text` up to the block (with its comma)."""
        message = self._message(text, encode_block(data))
        self._exchange(text, [message], lambda port, deadline: None, repeat=False, timeout=timeout)

    def query(self, text: str, *, repeat: bool | None = None, timeout: float | None = None) -> str:
        """Ask; return the answer without its terminator.  Raises LinkError, with what was read."""
        return self.query_as(text, str, repeat=repeat, timeout=timeout)

    def query_as(
        self,
        text: str,
        parse: Callable[[str], _T],
        *,
        first: Sequence[Told] = (),
        repeat: bool | None = None,
        timeout: float | None = None,
    ) -> _T:
        """Ask, and convert the answer; a ValueError of `parse` (float, say) is a damaged answer, and asked again.

        `first` are messages of their own, without answers, that go out just before; nothing mends the link in between,
        so the device that answers has got them.  They are repeated only if `repeat` says so.
        """

        def receive(port: Port, deadline: Deadline) -> _T:
            line = port.receive_line(self._proof.end, deadline)
            self._check_end(port, line)
            if not line or not line.isascii() or not (answer := line.decode()).isprintable():
                raise DamageError(f"the answer {line[:60]!r} is no text", line)
            if answer == text:
                raise DamageError("it sends back what it is sent: switch its echo off", line)
            try:
                return parse(answer)
            except ValueError as error:
                raise DamageError(f"the answer {answer[:60]!r} is not what it should be ({error})", line) from error

        if not first:
            return self._exchange(text, [self._message(text)], receive, repeat=repeat, timeout=timeout)
        told = [(item, b"") if isinstance(item, str) else (item[0], encode_block(item[1])) for item in first]
        spoken = "; ".join([*(words for words, _ in told), text])
        if len(spoken) > _SHOWN:
            spoken = f"{spoken[:_SHOWN]}..."
        messages = [*(self._message(*item) for item in told), self._message(text)]
        return self._exchange(spoken, messages, receive, repeat=bool(repeat), timeout=timeout)

    def query_block(
        self, text: str, *, length: int | None = None, repeat: bool | None = None, timeout: float | None = None
    ) -> bytes:
        """Ask for a block; return its bytes, all of them.  `length` [bytes] is what it must have, if that is known."""

        def receive(port: Port, deadline: Deadline) -> bytes:
            proof, behind = self._proof, self._block_end
            return read_block(port, proof.end, length, deadline, behind=behind, terminates=proof.terminates)

        return self._exchange(text, [self._message(text)], receive, repeat=repeat, timeout=timeout)

    def _check_end(self, port: Port, answer: bytes) -> None:
        """One answer and its terminator, no more and no less."""
        if port.held:
            raise DamageError("more than one answer came", answer + self._proof.end + port.held)
        if self._proof.terminates and not port.terminated:
            raise DamageError("the answer ended without its terminator", answer)

    def _message(self, text: str, block: bytes = b"") -> bytes:
        if not text.isascii() or not text.isprintable():
            raise ProgramError(f"{text!r} is no message: use printable ASCII on one line, and write_block for bytes")
        return text.encode() + block + self._terminator

    def _exchange(
        self,
        text: str,
        messages: Sequence[bytes],
        receive: Callable[[Port, Deadline], _T],
        *,
        repeat: bool | None,
        timeout: float | None,
    ) -> _T:
        """Messages and the answer to the last, under the lock; `timeout` is for each try, without mending before it."""
        repeat = is_repeatable(text) if repeat is None else repeat
        is_marker, first = text == self._proof.marker, None
        with self._lock:
            self._begin()
            require_permit()  # after it has forgotten an interruption: one that comes later ends the exchange itself
            for left in range(self.retries if repeat and not self._mending else 0, -1, -1):
                sent = False
                try:
                    port = self._port_in_step()
                    if port is None:
                        port = self._mended()
                        require_permit()  # a stop may have come while the link was mended
                    deadline = Deadline(self.timeout if timeout is None else timeout)
                    sent = True
                    self._proof.due += is_marker
                    port.send_all(messages, deadline)
                    # Each has the whole time, since what is sent first may be long, or take long.
                    answer = receive(port, deadline if len(messages) == 1 else Deadline(deadline.seconds))
                    self._proof.due -= is_marker
                    return answer
                except StoppedError:
                    raise  # the link is in step, for OFF
                except BaseException as problem:  # Ctrl-C, too, leaves an answer on its way
                    self._in_step = False
                    if not isinstance(problem, OSError):
                        raise
                    first = first or problem
                    if sent and timeout is None and isinstance(problem, TimeoutError):
                        self._ask_why(text)
                    if not sent or not left or self._interrupted.is_set():
                        raise self._error(text, first, problem, sent=sent, repeat=repeat) from first
        raise AssertionError("unreachable")

    def _ask_why(self, text: str) -> None:
        """What `on_silence` says; raises what that does, but for failures of the wire."""
        if self._silence is None or self._mending or self._interrupted.is_set():
            return
        try:
            self._ready()
            self._mending = True  # so that its questions are asked once
            try:
                self._silence(text)
            finally:
                self._mending = False
        except (OSError, LinkError):
            self._in_step = False

    def _error(self, text: str, problem: OSError, last: OSError, *, sent: bool, repeat: bool) -> LinkError:
        """The sentence about the first `problem` of an exchange, and what has become of the `last` try."""
        if self._interrupted.is_set():
            self._lost = True
            problem = ConnectionAbortedError("interrupted")
        if not sent and last is not problem:
            after = f"then the link could not be mended ({last}): look at the device and its cable"
        elif not sent:
            after = "it was not sent, since the link could not be mended: look at the device and its cable"
        elif repeat:
            after = f"it only reads, and failed up to {1 + self.retries} times: look at the device and its cable"
        else:
            after = "the device may have acted on it, so it was not sent again: read back before going on"
        raw = getattr(problem, "raw", b"") or (self._port.held if self._port else b"")
        return LinkError(f"{self.name}: {text!r}: {problem}; {after}", raw=raw, may_have_acted=sent and not repeat)

    def _ready(self) -> Port:
        """The port, in step, mended first if need be; raises OSError."""
        return self._port_in_step() or self._mended()

    def _port_in_step(self) -> Port | None:
        port = self._port
        if port and (self._mending or (self._in_step and not self._lost and not port.has_arrived())):
            return port
        return None

    def _mended(self) -> Port:
        if self._mending:
            raise ConnectionError("the link was lost while it was mended")
        self._in_step = False
        self._mending = True
        try:
            self._mend()
        finally:
            self._mending = False
        self._in_step = True
        assert self._port
        return self._port

    def _mend(self) -> None:
        # Patience is for a device that comes back; one that has just been given up is not waited for again at once, or
        # making a dead bench safe would take it for every command.
        patience = max(self.patience, self.timeout)
        if time.monotonic() - self._gave_up < self.patience:
            patience = min(_AGAIN, self.patience)
        elif self._hurried:
            patience = min(HURRY, patience)
        try:
            self._mend_within(Deadline(patience))
        except OSError:
            self._gave_up = time.monotonic()
            raise

    def _mend_within(self, deadline: Deadline) -> None:
        """Raises OSError, of the first problem that was met and of the last."""
        may_go_on = self._port is not None and not self._lost and self._proof.marker is not None
        first = ""
        while True:
            self._check_interrupt()
            try:
                port = self._port if may_go_on and self._port else self._reopen(deadline)
                # A wire that has just been opened is asked at least once, however long that took.
                self._proof.give(port, reopened=not may_go_on, seconds=max(deadline.remaining, _AGAIN))
                for hook in self._hooks:
                    hook()
                return
            except (OSError, LinkError) as problem:
                words, is_echo = str(problem), isinstance(problem, EchoError) and not self._proof.identity
                first = first or words
                if not may_go_on:
                    self._interrupted.wait(PAUSE)
                    if is_echo or not deadline.remaining:
                        raise ConnectionError(first if first == words else f"{first}; then {words}") from problem
            may_go_on = False
