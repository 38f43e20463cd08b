"""A link to a board that speaks in frames (`labrhel.wire.frames`): one request, one answer with its sequence number."""

from __future__ import annotations

import os
from contextlib import suppress

from drivers.transport._visa import OpenPort
from drivers.transport.deadline import Deadline
from drivers.transport.lease import Lease
from drivers.transport.owner import LinkError, Owner
from drivers.transport.port import Port
from drivers.transport.traffic import TrafficLog
from labrhel.wire.frames import VERSION, Decoder, Frame, encode


class FramedLink(Owner):
    """One board behind one wire; every method may be called from any thread.

    `timeout` [s] is for a whole exchange.  The sequence number proves each answer: one with another number is dropped
    and counted in `other_frames`, so an old answer needs no marker.  After a failed exchange the next one drops what
    has arrived; after two in a row, or when the wire is lost, it opens the wire again and calls the hooks of
    `on_reopen`.
    """

    def __init__(
        self,
        open_port: OpenPort,
        name: str,
        *,
        timeout: float = 1.0,
        retries: int = 2,
        patience: float = 5.0,
        log: TrafficLog | None = None,
        lease: Lease | None = None,
    ) -> None:
        super().__init__(open_port, name, patience=patience, log=log, lease=lease)
        self.timeout, self.retries = timeout, retries
        self.decoder = Decoder()
        self.other_frames = 0
        self._sequence = int.from_bytes(os.urandom(2))  # not that of an earlier program whose answers are on their way
        self._failures = 0
        try:
            with self._lock:
                self._reopen(Deadline(patience)).drain(0.0, timeout)
        except OSError as problem:
            self.close()
            raise LinkError(
                f"{name} cannot be opened: {problem}: is it on, is the address right, does somebody else hold it?"
            ) from problem

    def exchange(self, kind: int, payload: bytes = b"", *, repeat: bool = False, timeout: float | None = None) -> Frame:
        """Send a frame and return its answer.

        `repeat` says that asking again is harmless: then it is tried up to 1 + `retries` times, each with a new number.
        Raises LinkError, which says whether the board may have acted, and ProgramError for what fits in no frame.
        """
        with self._lock:
            self._begin()
            for left in range(self.retries if repeat and not self._mending else 0, -1, -1):
                sent = False
                try:
                    port = self._ready()
                    self._sequence = (self._sequence + 1) & 0xFFFF
                    request = encode(Frame(kind, self._sequence, payload))
                    deadline = Deadline(self.timeout if timeout is None else timeout)
                    sent = True
                    port.send(request, deadline)
                    answer = self._answer(port, deadline)
                    self._failures = 0
                    return answer
                except OSError as problem:
                    self._failures += 1
                    self._lost |= not isinstance(problem, TimeoutError) or self._failures >= 2
                    if not sent or not left or self._interrupted.is_set():
                        raise self._error(kind, problem, sent=sent, repeat=repeat) from problem
        raise AssertionError("unreachable")

    def _answer(self, port: Port, deadline: Deadline) -> Frame:
        damaged, others = self.decoder.damaged_bytes, self.other_frames
        try:
            while True:
                for frame in self.decoder.feed(port.receive_some(deadline)):
                    if frame.sequence == self._sequence:
                        return frame
                    self.other_frames += 1
                deadline.require()  # a board that sends other frames without an end is none that answers
        except TimeoutError as error:
            if self.decoder.foreign_version is not None:
                raise ConnectionError(
                    f"the board speaks version {self.decoder.foreign_version} of the frames and this program version "
                    f"{VERSION}: load a gateware that fits"
                ) from error
            # Between other frames without an end, the beginning of the next one is no damage.
            pending = self.decoder.pending if self.other_frames == others else 0
            if lost := self.decoder.damaged_bytes + pending - damaged:
                raise TimeoutError(f"{lost} damaged bytes came in place of an answer") from error
            raise

    def _ready(self) -> Port:
        """The port, without old bytes, mended first if need be; raises OSError."""
        port = self._port
        if port and self._mending:
            return port
        if port and not self._lost:
            if not (self._failures or self.decoder.pending or port.has_arrived()):
                return port
            with suppress(OSError):
                self.decoder.reset()
                port.drain(0.0, self.timeout)
                return port
        self._lost = self._mending = True
        try:
            return self._mend()
        except LinkError as problem:  # of a hook
            raise ConnectionError(str(problem)) from problem
        finally:
            self._mending = False

    def _mend(self) -> Port:
        port = self._reopen(Deadline(self.patience))
        self._lost = True  # until the hooks have done their work
        self.decoder.reset()
        self.decoder.foreign_version = None
        port.drain(0.0, self.timeout)
        for hook in self._hooks:
            hook()
        self._lost, self._failures = self._interrupted.is_set(), 0
        return port

    def _error(self, kind: int, problem: OSError, *, sent: bool, repeat: bool) -> LinkError:
        if self._interrupted.is_set():
            self._lost = True
            problem = ConnectionAbortedError("interrupted")
        if not sent:
            after = "it was not sent, since the link could not be mended: look at the board and its cable"
        elif repeat:
            after = f"it only reads, and failed up to {1 + self.retries} times: look at the board and its cable"
        else:
            after = "the board may have acted on it, so it was not sent again: read its state before going on"
        return LinkError(f"{self.name}: frame of kind {kind}: {problem}; {after}", may_have_acted=sent and not repeat)
