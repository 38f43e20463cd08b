"""The one owner of a wire: the lock around exchanges, closing and opening again, and the way to interrupt."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

from drivers.transport._visa import OpenPort
from drivers.transport.deadline import Deadline
from drivers.transport.lease import Lease
from drivers.transport.port import Port
from drivers.transport.traffic import Direction, TrafficLog
from labrhel.errors import TransportError

HURRY = 1.5
"""Seconds for a device to come back where others must not be kept waiting."""


class LinkError(TransportError):
    """An exchange failed; the link mends itself at the next one.  `may_have_acted`: was anything sent at all?"""

    def __init__(self, problem: str, *, raw: bytes = b"", may_have_acted: bool = False) -> None:
        self.may_have_acted = may_have_acted
        super().__init__(problem, raw=raw)


def not_opened(name: str, problem: OSError) -> LinkError:
    """The sentence for a wire that cannot be opened."""
    words = f"{name} cannot be opened: {problem}: is it on, is the address right, does somebody else hold it?"
    return LinkError(words, raw=getattr(problem, "raw", b""))


class Owner:
    """Holds a port, its lease and its lock; links build their exchanges on it.

    `patience` [s]: how long a device may take to come back when it has closed the connection, or does not answer.
    """

    def __init__(
        self, open_port: OpenPort, name: str, *, patience: float, log: TrafficLog | None, lease: Lease | None
    ) -> None:
        self.name, self.patience = name, patience
        self._open_port, self._log, self._lease = open_port, log, lease
        self._lock = threading.RLock()
        self._port: Port | None = None
        self._lost = False
        self._closed = False
        self._mending = self._hurried = False
        self._interrupted = threading.Event()
        self._process = os.getpid()
        self._hooks: list[Callable[[], None]] = []

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep all other threads off the link for several exchanges in a row."""
        with self._lock:
            yield

    @contextmanager
    def taken_over(self, patience: float) -> Iterator[None]:
        """The same, for whoever cannot wait: a running exchange has `patience` [s] to end, and is interrupted then.

        Without a thread of its own, since at the end of an interpreter there are none to be had.  A device that does
        not answer has HURRY [s] to come back.
        """
        if not self._lock.acquire(timeout=patience):
            self.interrupt()
            self._lock.acquire()
        self._hurried = True
        try:
            yield
        finally:
            self._hurried = False
            self._lock.release()

    def on_reopen(self, hook: Callable[[], None]) -> None:
        """Have `hook` send this link's settings again after every recovery, before anything else is sent.

        After every one, since a device that restarted behind a serial line cannot be told from one that was late.
        """
        self._hooks.append(hook)

    def interrupt(self) -> None:
        """From any thread: end a waiting exchange, which raises LinkError; the next one reopens the link first.

        HiSLIP clears the device through its second socket; a socket is shut down; reading a serial line is cancelled.
        Other VISA wires have no such way: there the exchange ends at its time-out.
        """
        self._interrupted.set()
        self._lost = True
        self._note(b"interrupted")
        if port := self._port:
            port.interrupt()

    def close(self) -> None:
        """Close the wire and give the lease back, after a running exchange; harmless twice."""
        with self._lock:
            self._closed = True
            self._close_port()
            if self._lease:
                self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        """The start of an exchange, under the lock."""
        if self._process != os.getpid():
            raise LinkError(f"{self.name} belongs to the process that opened it: open a link of your own")
        if self._closed:
            raise LinkError(f"{self.name} has been closed: open a new link")
        if not self._mending and self._interrupted.is_set():
            self._interrupted.clear()

    def _check_interrupt(self) -> None:
        if self._interrupted.is_set():
            raise ConnectionAbortedError("interrupted")

    def _reopen(self, deadline: Deadline) -> Port:
        """Close the port and open it again, as often as the deadline allows; raises OSError."""
        pause = 0.01
        self._close_port()
        while True:
            self._check_interrupt()
            try:
                self._port = self._open_port(max(deadline.remaining, 0.01))
                break
            except OSError:
                if deadline.remaining <= pause:
                    raise
            self._interrupted.wait(pause)
            pause = min(2 * pause, 0.5)
        self._lost = False
        self._check_interrupt()  # one that came while there was no port to interrupt
        self._note(b"opened")
        return self._port

    def _close_port(self) -> None:
        port, self._port = self._port, None
        if port:
            with suppress(OSError):
                port.close()
            self._note(b"closed")

    def _note(self, event: bytes) -> None:
        if self._log:
            self._log.record(self.name, Direction.EVENT, event)
