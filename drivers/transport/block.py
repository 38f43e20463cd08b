"""Blocks of IEEE 488.2: #<n><length in n digits><bytes>, or #0<bytes> up to the end of an answer."""

from __future__ import annotations

from drivers.transport.deadline import Deadline
from drivers.transport.port import DamageError, Port
from labrhel.errors import ProgramError

LONGEST = 1 << 26
"""The longest block that is believed where its length is not known beforehand [bytes]: 16 times the deepest record."""


_LINE_ENDS = b"\r\n"


def encode_block(data: bytes) -> bytes:
    """`data` as a block; raises ProgramError for more than a header of nine digits can count."""
    digits = str(len(data)).encode()
    if len(digits) > 9:
        raise ProgramError(f"a block holds at most 999999999 bytes, not {len(data)}: send it in parts")
    return b"#%d%b%b" % (len(digits), digits, data)


class BlockEnd:
    """What a device puts behind its blocks: the end of every answer, until it was seen to do otherwise.

    Some firmware ends a block with nothing, or with two line ends.  What is there twice in a row is learnt; once, it is
    taken for damage.  A block that ends in a line end itself may have lost a byte, and teaches nothing.
    """

    def __init__(self) -> None:
        self._learnt: bytes | None = None
        self._seen: bytes | None = None

    def take(self, port: Port, data: bytes, usual: bytes, deadline: Deadline, *, terminates: bool) -> None:
        """Read it; `usual` ends answers, and `terminates` says whether even where the wire marks their end.

        Raises DamageError for what stands there for the first time, OSError.
        """
        if self._learnt is not None:
            return self._take_learnt(port, self._learnt, deadline)
        try:
            line = port.receive_line(usual, deadline)
            followed = line + (usual if port.terminated else b"") + port.held
            is_usual = not line and not port.held and (port.terminated or not terminates)
        except TimeoutError:
            followed, is_usual = port.held, False
        if is_usual:
            self._seen = None
            return None
        if followed.strip(_LINE_ENDS):
            raise DamageError(f"{len(followed)} bytes follow the block of {len(data)} bytes", followed[:200])
        if followed != self._seen or data[-1:] in (b"", b"\r", b"\n"):
            self._seen = followed
            raise DamageError(f"{followed!r} stands behind a block, where {usual!r} was due", followed)
        self._learnt = followed
        port.receive_exactly(len(port.held), deadline)
        return None

    def _take_learnt(self, port: Port, learnt: bytes, deadline: Deadline) -> None:
        got = port.receive_exactly(len(learnt), deadline) if learnt else b""
        if got != learnt or port.held.strip(_LINE_ENDS):
            raise DamageError(f"{(got + port.held)[:60]!r} follows a block, where {learnt!r} was due", got + port.held)
        port.receive_exactly(len(port.held), deadline)  # a line end more than usual


def read_block(
    port: Port, end: bytes, length: int | None, deadline: Deadline, *, behind: BlockEnd, terminates: bool = True
) -> bytes:
    """Read one block and what stands `behind` it; `length` [bytes] is what it must have, if that is known.

    `end` ends answers, and `terminates` says whether it does even where the wire marks their end.  A block of
    indefinite length (#0) needs one or the other: a known length, or a wire that marks the end of an answer.
    Raises DamageError for what is no such block, and OSError.
    """
    head = port.receive_exactly(2, deadline)
    if head[:1] != b"#" or not head[1:].isdigit():
        raise DamageError("the answer is no block", head + port.held[:200])
    if head == b"#0":
        if length is None:
            return _indefinite(port, end, deadline)
        data = port.receive_exactly(length, deadline)
        behind.take(port, data, end, deadline, terminates=terminates)
        return data
    digits = port.receive_exactly(int(head[1:]), deadline)
    if not digits.isdigit() or (int(digits) > LONGEST if length is None else int(digits) != length):
        wanted = f"at most {LONGEST}" if length is None else str(length)
        raise DamageError(f"the header of the block says {digits!r}, where {wanted} bytes were expected", head + digits)
    data = port.receive_exactly(int(digits), deadline)
    behind.take(port, data, end, deadline, terminates=terminates)
    return data


def _indefinite(port: Port, end: bytes, deadline: Deadline) -> bytes:
    data = bytearray()
    try:
        while not port.ended and len(data) <= LONGEST:
            data += port.receive_some(deadline)
    except TimeoutError:
        words = "the block does not say its length (#0), and this wire does not mark its end: use HiSLIP, USB or GPIB"
        raise DamageError(words, bytes(data[:200])) from None
    if len(data) > LONGEST:
        raise DamageError(f"a block without a length has more than {LONGEST} bytes", bytes(data[:200]))
    return bytes(data.removesuffix(end))
