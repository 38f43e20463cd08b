"""A board and its command set (`labrhel.wire.board`), one method a request.

Every request may be repeated without harm, so the link does so by itself when an answer does not come.  Every answer
is checked for the session that this host has opened: a board that was started again since holds other words than
this host believes, and says so by its first answer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import numpy as np

from drivers.transport import FramedLink
from drivers.transport.deadline import Deadline
from labrhel.errors import ConfigurationError, InstrumentError, TransportError
from labrhel.wire.board import (
    ANSWER,
    MAGIC,
    VERSION,
    Build,
    Option,
    Refusal,
    Region,
    Register,
    Request,
    Status,
    address,
)
from labrhel.wire.fixed_point import Codes

_REASONS = {
    Refusal.KIND: "it does not know this request",
    Refusal.ADDRESS: "there are no such words",
    Refusal.BUSY: "a pass is running",
    Refusal.STALE: "the request is older than its last one",
    Refusal.SHOT: "it is not the next shot: somebody else fires shots on this board",
    Refusal.LENGTH: "it has no such states, or does not hold so many steps or operations",
}

_STANDSTILL = 5.0  # [s] without a further step of a running pass; a step takes microseconds
_POLL = 0.0005  # [s] between two looks at a running pass; each look is a heartbeat as well


class FpgaBoard:
    """Opens a session on the board behind a link; `build` is what it says of itself.

    `generation` counts the sessions: with each, everything that was written to the board is to be written again.
    `expected` is the gateware id that the user has named, if any.  `rate` [bytes/s] is that of a slow wire.
    Raises ConfigurationError if what answers is no board, another gateware, or another version than this program's.
    """

    def __init__(self, link: FramedLink, *, expected: int | None = None, rate: float = np.inf) -> None:
        self._link, self._expected, self._rate = link, expected, rate
        self._session = self._shot = self.generation = 0
        self._known = False  # whether nothing has gone wrong in the session that this host has opened
        self._accepted: int | None = None  # the generation that requests are meant for; None: stopped
        self._stops = 0
        self.build = self._open_session()
        self._accepted = self.generation
        link.on_reopen(self._reopened)

    def refresh(self) -> None:
        """Begin a stretch of work: see that a session is open, a new one (see `generation`) if anything went wrong.

        Until the next call every request belongs to that session, and fails if the link had to open another, since
        the board may then have lost what was written, or carried out a request of the session before.
        """
        stops = self._stops
        if not self._known:
            self._reopened()
        self._checked(Request.READ, address(Region.REGISTERS, Register.SHOT), 1)
        with self._link.exclusive():
            self._accepted = self.generation if self._stops == stops else None

    def write(self, region: Region, offset: int, words: Codes | Sequence[int]) -> None:
        """Write words, in as many requests as it takes."""
        codes = np.asarray(words, dtype=np.int64).ravel()
        for start in range(0, codes.size, Build.chunk):
            part = codes[start : start + Build.chunk]
            self._exchange(Request.WRITE, address(region, offset + start), *(part & 0xFFFFFFFF).tolist())

    def read(self, region: Region, offset: int, count: int) -> Codes:
        """Read `count` words as signed codes."""
        parts = []
        for start in range(0, count, Build.chunk):
            size = min(Build.chunk, count - start)
            _, words = self._exchange(Request.READ, address(region, offset + start), size)
            if words.size != size:
                raise TransportError(f"{self._link.name}: {words.size} words came in place of {size}")
            parts.append(words.astype(np.int32).astype(np.int64))
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def start(self, steps: int, options: Option, source: int, target: int) -> None:
        """Start the next pass, from a slot of states to another; one that was not sent does not count."""
        with self._link.exclusive():
            self._exchange(Request.RUN, self._shot + 1, steps, options | source << 8 | target << 16)
            self._shot += 1

    def status(self) -> Status:
        """The board's status word of its last pass."""
        return Status(self._exchange(Request.READ, address(Region.REGISTERS, 0), 0)[0] & 0xFF00)

    def finish(self, steps: int) -> int:
        """Wait for the pass of `steps`; how many words did not fit.

        Raises InstrumentError if it was stopped, TransportError if the board has stopped it for not hearing of us, or
        says that it runs but comes no further, or further than it was told to.
        """
        reached, deadline = -1, Deadline(max(_STANDSTILL, self._link.patience))
        while True:
            status, words = self._exchange(Request.READ, address(Region.REGISTERS, Register.OVERFLOWS), 4)
            if not status & Status.RUNNING:
                break
            ran = int(words[1])
            if ran > steps or not deadline.remaining:
                self._known = False
                raise TransportError(
                    f"{self._link.name}: the board is at step {ran} of {steps} and says that it runs: stop it, and "
                    "look whether another host uses it"
                )
            if ran > reached:
                reached, deadline = ran, Deadline(deadline.seconds)
            time.sleep(_POLL)
        if status & Status.SILENCE:
            raise TransportError(f"{self._link.name}: the board heard nothing for too long and has stopped the pass")
        if status & Status.STOPPED:
            raise InstrumentError(f"{self._link.name}: the pass was stopped; its outputs are safe")
        overflows, ran, _, shot = words.tolist()
        if not status & Status.FINISHED or ran != steps or shot != self._shot:
            raise TransportError(f"{self._link.name}: the board ran {ran} of {steps} steps: another host uses it")
        return overflows

    def stop(self) -> None:
        """From any thread: end a pass at once; the outputs are safe afterwards."""
        self._stops += 1
        self._accepted = None  # what another thread was about to do is not done
        status, _ = self._checked(Request.STOP)
        if status & Status.RUNNING:
            raise InstrumentError(f"{self._link.name}: the board goes on after it was told to stop: switch it off")

    def close(self) -> None:
        """Give the link back."""
        self._link.close()

    def _exchange(self, kind: Request, *words: int) -> tuple[int, Codes]:
        """An answer from the session that `refresh` has found."""
        with self._link.exclusive():  # a stop comes before the request is sent, or after its answer
            if self._accepted is None:
                raise InstrumentError(f"{self._link.name}: stopped while it was in use; its outputs are safe")
            try:
                answer = self._checked(kind, *words)
                if self._accepted not in (None, self.generation):
                    raise TransportError(
                        f"{self._link.name}: the link broke and was opened again: what the board held is gone"
                    )
            except TransportError:
                self._known = False
                raise
        return answer

    def _checked(self, kind: Request, *words: int) -> tuple[int, Codes]:
        """Status and words of an answer that is ours and no refusal."""
        payload = np.array(words, dtype="<u4").tobytes()
        wanted = words[1] if kind is Request.READ else 0
        patience = self._link.timeout + 1.2 * (len(payload) + 4 * wanted) / self._rate
        frame = self._link.exchange(kind, payload, repeat=True, timeout=patience)
        if frame.kind != kind | ANSWER or len(frame.payload) < 4 or len(frame.payload) % 4:
            raise ConfigurationError(f"{self._link.name}: what answers is no labrhel board: {frame.payload[:16].hex()}")
        status, *_ = found = np.frombuffer(frame.payload, "<u4")
        if status >> 16 != self._session:
            self._known = False
            raise TransportError(
                f"{self._link.name}: the board has been started again, or another host has taken it: "
                "what it held is gone"
            )
        if reason := status & 0xFF:
            raise InstrumentError(
                f"{self._link.name}: the board refuses a {kind.name}: {_reason(int(reason))}",
                answer=f"status {status:08x}",
            )
        return int(status), found[1:]

    def _reopened(self) -> None:
        if self._open_session() != self.build:
            raise ConfigurationError(f"{self._link.name}: another board answers now: start again")

    def _open_session(self) -> Build:
        self._session = int.from_bytes(os.urandom(2), "little") or 1
        self._shot = 0
        self.generation += 1
        self._checked(Request.HELLO, self._session)
        _, words = self._checked(Request.READ, address(Region.REGISTERS, 0), Register.TABLE + 1)
        self._known = True
        return self._identified(words.tolist())

    def _identified(self, words: list[int]) -> Build:
        name = self._link.name
        if len(words) <= Register.TABLE or words[Register.MAGIC] != MAGIC:
            raise ConfigurationError(f"{name}: what answers is no labrhel board: check the address and the bitstream")
        if words[Register.VERSION] != VERSION:
            raise ConfigurationError(
                f"{name}: the board speaks version {words[Register.VERSION]} of the command set, this program "
                f"{VERSION}: build and load the bitstream that belongs to it"
            )
        build, found = Build.of(words), words[Register.GATEWARE]
        if found != build.gateware:
            raise ConfigurationError(
                f"{name}: the gateware is {found:08x}; one of its size that computes what this program expects is "
                f"{build.gateware:08x}: build and load it (docs/fpga-board.md)"
            )
        if self._expected not in (None, found):
            raise ConfigurationError(f"{name}: the gateware is {found:08x}, and {self._expected:08x} was asked for")
        return build


def _reason(code: int) -> str:
    """Why the board refuses, in words, also of a gateware that knows more reasons than this program."""
    return _REASONS[Refusal(code)] if code in _REASONS else f"for reason {code}, which this program does not know"
