"""Definite-length blocks of IEEE 488.2: #<n><length in n digits><bytes>."""

from __future__ import annotations

from drivers.transport.deadline import Deadline
from drivers.transport.port import DamageError, Port
from labrhel.errors import ProgramError

LONGEST = 1 << 26
"""The longest block that is believed where its length is not known beforehand [bytes]: 16 times the deepest record."""


def encode_block(data: bytes) -> bytes:
    """`data` as a block; raises ProgramError for more than a header of nine digits can count."""
    digits = str(len(data)).encode()
    if len(digits) > 9:
        raise ProgramError(f"a block holds at most 999999999 bytes, not {len(data)}: send it in parts")
    return b"#%d%b%b" % (len(digits), digits, data)


def read_block(port: Port, terminator: bytes, length: int | None, deadline: Deadline) -> bytes:
    """Read one block and the terminator behind it; `length` [bytes] is what it must have, if that is known.

    Raises DamageError for what is no such block, and OSError.
    """
    head = port.receive_exactly(2, deadline)
    if head[:1] != b"#" or not b"1" <= head[1:] <= b"9":
        raise DamageError("the answer is no block of known length", head + port.held[:200])
    digits = port.receive_exactly(int(head[1:]), deadline)
    if not digits.isdigit() or (int(digits) > LONGEST if length is None else int(digits) != length):
        wanted = f"at most {LONGEST}" if length is None else str(length)
        raise DamageError(f"the header of the block says {digits!r}, where {wanted} bytes were expected", head + digits)
    data = port.receive_exactly(int(digits), deadline)
    if tail := port.receive_line(terminator, deadline):
        raise DamageError(f"{len(tail)} bytes follow the block of {len(data)} bytes", tail[:200])
    return data
