"""Frames: how a host and an FPGA board put messages into a stream of bytes, and find them again after damage.

    offset  bytes  field
         0      2  start marker, A5 5A
         2      1  version of this layout, 1
         3      1  kind of message
         4      2  sequence number; an answer carries that of its request
         6      4  length n of the payload [bytes], at most LONGEST
        10      2  header check: the low half of the CRC-32 of bytes 2 to 9
        12      n  payload
      12+n      4  CRC-32 of bytes 2 to 11+n

Numbers are unsigned and little-endian.  The CRC-32 is that of Ethernet and zlib; the header check is the same register
read half-way, so one engine serves both, and a damaged length is refused at once, not after n bytes that never come.
A decoder that finds damage goes on with the next start marker behind the one that it had believed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from zlib import crc32

from labrhel.errors import ProgramError

MARKER = b"\xa5\x5a"
VERSION = 1
LONGEST = 1 << 20
"""The longest payload [bytes]; send more in several frames."""

_HEADER = struct.Struct("<BBHI")
_CHECK = struct.Struct("<H")
_CRC = struct.Struct("<I")
HEADER_BYTES = len(MARKER) + _HEADER.size + _CHECK.size
"""Bytes before the payload; a frame is this, the payload, and the four bytes of its CRC."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: `kind` in 0..255, `sequence` in 0..65535, `payload` of up to LONGEST bytes."""

    kind: int
    sequence: int
    payload: bytes = b""

    def __post_init__(self) -> None:
        if not (0 <= self.kind < 1 << 8 and 0 <= self.sequence < 1 << 16 and len(self.payload) <= LONGEST):
            raise ProgramError(
                f"a frame holds a kind of 0 to 255, a sequence number of 0 to 65535 and at most {LONGEST} bytes, not "
                f"kind {self.kind}, sequence number {self.sequence} and {len(self.payload)} bytes: send several frames"
            )


def encode(frame: Frame) -> bytes:
    """The bytes of a frame; `Decoder.feed` is its inverse."""
    header = _HEADER.pack(VERSION, frame.kind, frame.sequence, len(frame.payload))
    check = _CHECK.pack(crc32(header) & 0xFFFF)
    crc = crc32(frame.payload, crc32(header + check))
    return b"".join((MARKER, header, check, frame.payload, _CRC.pack(crc)))


class Decoder:
    """Finds the frames in a stream that arrives in pieces of any length.

    Never returns a damaged frame: it counts it in `damaged_frames` (a good header, but a wrong CRC: bytes changed, lost
    or added) and all bytes that belong to no frame in `damaged_bytes`.  `foreign_version` is the version of
    the last frame whose header is whole but of another layout, None if there was none.
    """

    def __init__(self) -> None:
        self.damaged_bytes = 0
        self.damaged_frames = 0
        self.foreign_version: int | None = None
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes as they arrive; return the frames that they complete, in order."""
        self._buffer += data
        frames: list[Frame] = []
        at = 0
        while True:
            start = self._buffer.find(MARKER, at)
            if start < 0:  # the last byte may be half a marker
                start = len(self._buffer) - self._buffer.endswith(MARKER[:1])
                self.damaged_bytes += max(start - at, 0)
                at = max(start, at)
                break
            self.damaged_bytes += start - at
            at = start
            length = self._payload_length(at)
            if length is None:
                self.damaged_bytes += len(MARKER)
                at += len(MARKER)
                continue
            end = at + HEADER_BYTES + length + _CRC.size
            if end > len(self._buffer):
                break
            frame = self._frame(at, end)
            if frame is None:
                self.damaged_frames += 1
                self.damaged_bytes += len(MARKER)
                at += len(MARKER)
            else:
                frames.append(frame)
                at = end
        del self._buffer[:at]
        return frames

    def reset(self) -> None:
        """Drop what is held, as after a time-out or on a new connection; an incomplete frame counts as damaged."""
        self.damaged_frames += self.pending >= HEADER_BYTES
        self.damaged_bytes += self.pending
        self._buffer.clear()

    def _payload_length(self, start: int) -> int | None:
        """The length that the header says (0 while it is incomplete), or None if it is no header of ours."""
        begin, check = start + len(MARKER), start + len(MARKER) + _HEADER.size
        if len(self._buffer) < start + HEADER_BYTES:
            return 0
        version, _, _, length = _HEADER.unpack_from(self._buffer, begin)
        if crc32(self._buffer[begin:check]) & 0xFFFF != _CHECK.unpack_from(self._buffer, check)[0]:
            return None
        if version != VERSION:
            self.foreign_version = version
            return None
        return length if length <= LONGEST else None

    def _frame(self, start: int, end: int) -> Frame | None:
        begin, body = start + len(MARKER), start + HEADER_BYTES
        with memoryview(self._buffer) as view:
            if crc32(view[begin : end - _CRC.size]) != _CRC.unpack_from(view, end - _CRC.size)[0]:
                return None
            _, kind, sequence, _ = _HEADER.unpack_from(view, begin)
            return Frame(kind, sequence, bytes(view[body : end - _CRC.size]))
