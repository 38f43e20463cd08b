"""Frames in hardware: the two ends of `labrhel.wire.frames`, a byte a clock.

A frame counts only when its last CRC byte has come and is right; until then its words wait in a buffer.  A frame that
stops in the middle is given up after PATIENCE milliseconds of silence, so that a lost byte costs one frame.
"""

# Amaranth's statements are typed for people, not for type checkers.
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from labrhel.wire.board import Build
from labrhel.wire.frames import HEADER_BYTES, MARKER, VERSION

PATIENCE = 100
"""Milliseconds."""

ARGUMENTS = 3
"""Words of a request that are there at once; all of them are in the buffer."""

_CHECKED = HEADER_BYTES - len(MARKER) - 2  # bytes of the header under its check


_POLYNOMIAL, _RESIDUE = 0xEDB88320, 0xDEBB20E3  # of Ethernet, lowest bit first; what a frame with its CRC leaves


class Crc(wiring.Component):
    """The CRC-32 of the bytes since `start`; `matches` if the last four of them were the CRC of those before."""

    def __init__(self) -> None:
        super().__init__({"start": In(1), "valid": In(1), "data": In(8), "crc": Out(32), "matches": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        """The circuit; eight shifts of a whole word, which simulators like better than 32 sums of bits."""
        m, kept = Module(), Signal(32, init=0xFFFFFFFF)
        bits = Signal(32)
        m.d.comb += bits.eq(kept ^ self.data)
        for place in range(8):
            shifted = Signal(32, name=f"shifted{place}")
            m.d.comb += shifted.eq((bits >> 1) ^ Mux(bits[0], _POLYNOMIAL, 0))
            bits = shifted
        with m.If(self.start):
            m.d.sync += kept.eq(0xFFFFFFFF)
        with m.Elif(self.valid):
            m.d.sync += kept.eq(bits)
        m.d.comb += [self.crc.eq(~kept), self.matches.eq(kept == _RESIDUE)]
        return m


class Receiver(wiring.Component):
    """Holds one good frame: `ready` until `take`.  `words` counts those of its payload, `damaged` bad frames.

    `word` follows `index` by one clock.  `tick` is high for one clock each millisecond.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "rx": In(stream.Signature(8)), "tick": In(1), "ready": Out(1), "take": In(1),
                "kind": Out(8), "sequence": Out(16), "words": Out(16), "damaged": Out(32), "idle": Out(1),
                "arguments": Out(32 * ARGUMENTS), "index": In(16), "word": Out(signed(32)),
            }
        )  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        """The circuit."""
        m, rx = Module(), self.rx
        m.submodules.buffer = buffer = memory.Memory(shape=signed(32), depth=Build.chunk + 1, init=[])
        read, write = buffer.read_port(), buffer.write_port()
        m.submodules.crc = crc = Crc()
        header, check, newest = Signal(8 * _CHECKED), Signal(8), Signal(32)
        count, quiet = Signal(17), Signal(range(PATIENCE + 1))
        byte, came = rx.payload, rx.valid & rx.ready
        length = header[32:64]
        filled = Cat(newest[8:], byte)
        m.d.comb += [self.kind.eq(header[8:16]), self.sequence.eq(header[16:32]), self.words.eq(length >> 2)]
        m.d.comb += [read.addr.eq(self.index), self.word.eq(read.data)]
        m.d.comb += [write.addr.eq(count >> 2), write.data.eq(filled), rx.ready.eq(1)]
        m.d.comb += [crc.data.eq(byte), crc.valid.eq(came)]
        late = quiet == PATIENCE
        with m.If(came):
            m.d.sync += [count.eq(count + 1), newest.eq(filled), quiet.eq(0)]
        with m.Elif(self.tick & ~late):
            m.d.sync += quiet.eq(quiet + 1)

        @contextmanager
        def expects(name: str) -> Iterator[None]:
            """A state that waits for a byte, but not without end."""
            with m.State(name):
                with m.If(late):
                    m.next = "DAMAGED"
                with m.Elif(came):
                    yield

        with m.FSM() as states:
            m.d.comb += self.idle.eq(states.ongoing("MARKER"))
            with m.State("MARKER"), m.If(came & (byte == MARKER[0])):
                m.next = "MARKER 2"
            with expects("MARKER 2"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += count.eq(0)
                with m.If(byte == MARKER[1]):
                    m.next = "HEADER"
                with m.Elif(byte != MARKER[0]):
                    m.next = "MARKER"
            with expects("HEADER"):
                m.d.sync += header.eq(Cat(header[8:], byte))
                with m.If(count == _CHECKED - 1):
                    m.next = "CHECK"
            with expects("CHECK"):
                m.d.sync += check.eq(crc.crc[8:16])
                m.next = "CHECK 2"
                with m.If(byte != crc.crc[:8]):
                    m.next = "DAMAGED"
            with expects("CHECK 2"):
                m.d.sync += count.eq(0)
                fits = (length <= 4 * (Build.chunk + 1)) & (length[:2] == 0) & (header[:8] == VERSION)
                m.next = "PAYLOAD"
                with m.If((byte != check) | ~fits):
                    m.next = "DAMAGED"
                with m.Elif(length == 0):
                    m.next = "CRC"
            with expects("PAYLOAD"):
                m.d.comb += write.en.eq(count[:2] == 3)
                for place in range(ARGUMENTS):
                    with m.If(count == 4 * place + 3):
                        m.d.sync += self.arguments.word_select(place, 32).eq(filled)
                with m.If(count == length - 1):
                    m.d.sync += count.eq(0)
                    m.next = "CRC"
            with expects("CRC"), m.If(count == 3):
                m.next = "VERIFY"
            with m.State("VERIFY"):
                m.d.comb += rx.ready.eq(0)
                m.next = "DAMAGED"
                with m.If(crc.matches):
                    m.next = "READY"
            with m.State("READY"):
                m.d.comb += [rx.ready.eq(0), self.ready.eq(1)]
                with m.If(self.take):
                    m.next = "MARKER"
            with m.State("DAMAGED"):
                m.d.comb += rx.ready.eq(0)
                m.d.sync += [self.damaged.eq(self.damaged + 1), quiet.eq(0)]
                m.next = "MARKER"
        return m


class Transmitter(wiring.Component):
    """Sends an answer of `status` and `words` more words, which it asks for by `index`, one clock ahead of `word`.

    `start` begins; `busy` until the last byte has gone.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "tx": Out(stream.Signature(8)), "start": In(1), "busy": Out(1), "kind": In(8), "sequence": In(16),
                "status": In(32), "words": In(32), "index": Out(32), "word": In(32),
            }
        )  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        """The circuit."""
        m, tx = Module(), self.tx
        m.submodules.crc = crc = Crc()
        header, check, shown, left = Signal(8 * _CHECKED), Signal(16), Signal(32), Signal(32)
        count, went = Signal(3), tx.valid & tx.ready
        m.d.comb += [crc.data.eq(tx.payload), self.busy.eq(1)]

        @contextmanager
        def sends(name: str, size: int, byte: Value) -> Iterator[None]:
            """A state that sends `size` times the byte; what follows is for the last one."""
            with m.State(name):
                m.d.comb += [tx.valid.eq(1), tx.payload.eq(byte), crc.valid.eq(went & (name != "CRC"))]
                with m.If(went):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == size - 1):
                        m.d.sync += count.eq(0)
                        yield

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.busy.eq(0)
                with m.If(self.start):
                    length = ((self.words + 1) << 2)[:32]
                    m.d.sync += header.eq(Cat(Const(VERSION, 8), self.kind, self.sequence, length))
                    m.d.sync += [shown.eq(self.status), left.eq(self.words), self.index.eq(0), count.eq(0)]
                    m.next = "MARKER"
            with sends("MARKER", 2, Const(int.from_bytes(MARKER, "little"), 16).word_select(count[0], 8)):
                m.d.comb += crc.start.eq(1)
                m.next = "HEADER"
            with sends("HEADER", _CHECKED, header.word_select(count, 8)):
                m.next = "CHECK"
            with sends("CHECK", 2, Mux(count == 0, crc.crc[:8], check[8:])):
                m.next = "WORDS"
            with sends("WORDS", 4, shown.word_select(count[:2], 8)):
                m.d.sync += [shown.eq(self.word), self.index.eq(self.index + 1), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "CRC"
            with sends("CRC", 4, crc.crc.word_select(count[:2], 8)):
                m.next = "IDLE"
        with m.If(count == 0):
            m.d.sync += check.eq(crc.crc[:16])
        return m
