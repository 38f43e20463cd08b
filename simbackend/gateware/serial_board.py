"""The board behind a UART, as it goes into an FPGA: eight data bits, no parity, one stop bit.

`python -m simbackend.gateware.serial_board --clock 50000000 --baud 921600 > board.v` writes Verilog for a vendor's
tool, and the id of the bitstream to stderr.  Pins: clk, rst (active high; tie it low), rx, tx, and `output`, the word
for a converter.
"""

# Amaranth's statements are typed for people, not for type checkers.
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

import argparse
import sys
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from labrhel.wire.board import Build
from labrhel.wire.fixed_point import Format
from simbackend.gateware.board import Board


class UartReceiver(wiring.Component):
    """Bytes from a line, `divisor` clocks a bit; a byte whose stop bit is missing is dropped."""

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"line": In(1, init=1), "bytes": Out(stream.Signature(8))})

    def elaborate(self, platform: Any) -> Module:
        """The circuit."""
        m = Module()
        line, wait, place, taken = Signal(init=1), Signal(range(2 * self.divisor)), Signal(range(11)), Signal(10)
        m.submodules.synchronizer = FFSynchronizer(self.line, line, init=1)
        with m.If(self.bytes.ready):
            m.d.sync += self.bytes.valid.eq(0)
        with m.If(place == 0):
            m.d.sync += wait.eq(self.divisor // 2)  # to the middle of the start bit
            with m.If(~line):
                m.d.sync += place.eq(10)
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [wait.eq(self.divisor - 1), place.eq(place - 1), taken.eq(Cat(taken[1:], line))]
            with m.If((place == 10) & line):
                m.d.sync += place.eq(0)  # no start bit, but a spike
            with m.Elif((place == 1) & line):
                m.d.sync += [self.bytes.payload.eq(taken[2:]), self.bytes.valid.eq(1)]
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a line, `divisor` clocks a bit."""

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"bytes": In(stream.Signature(8)), "line": Out(1, init=1)})

    def elaborate(self, platform: Any) -> Module:
        """The circuit."""
        m = Module()
        left, wait, bits = Signal(range(11)), Signal(range(self.divisor)), Signal(10, init=0x3FF)
        m.d.comb += [self.line.eq(bits[0]), self.bytes.ready.eq(left == 0)]
        with m.If(self.bytes.ready & self.bytes.valid):
            m.d.sync += [bits.eq(Cat(Const(0, 1), self.bytes.payload, Const(1, 1)))]
            m.d.sync += [left.eq(10), wait.eq(self.divisor - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Elif(left != 0):
            m.d.sync += [wait.eq(self.divisor - 1), left.eq(left - 1), bits.eq(Cat(bits[1:], Const(1, 1)))]
        return m


class SerialBoard(wiring.Component):
    """The board on two wires, at `baud`."""

    def __init__(self, build: Build, baud: int = 921_600) -> None:
        self.build, self.baud = build, baud
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "output": Out(signed(build.state.word))})

    def elaborate(self, platform: Any) -> Module:
        """The circuit."""
        m, divisor, millisecond = Module(), max(round(self.build.clock / self.baud), 2), self.build.clock // 1000
        m.submodules.board = board = Board(self.build)
        m.submodules.receiver, m.submodules.transmitter = receiver, transmitter = (
            UartReceiver(divisor),
            UartTransmitter(divisor),
        )
        wiring.connect(m, receiver.bytes, board.rx)
        wiring.connect(m, board.tx, transmitter.bytes)
        count = Signal(range(millisecond + 1))
        m.d.comb += [receiver.line.eq(self.rx), self.tx.eq(transmitter.line), self.output.eq(board.output)]
        m.d.comb += board.tick.eq(count == 0)
        m.d.sync += count.eq(Mux(count == 0, millisecond - 1, count - 1))
        return m


def main(words: list[str] | None = None) -> None:
    """Write the Verilog of a board."""
    from simbackend.gateware.verilog import intermediate, verilog

    usual = Build()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("units", "ports", "depth", "slots", "operations", "clock"):
        parser.add_argument(f"--{name}", type=int, default=getattr(usual, name))
    for name in ("state", "coefficient"):
        form = getattr(usual, name)
        parser.add_argument(
            f"--{name}", type=int, nargs=2, default=(form.word, form.fraction), metavar=("BITS", "FRACTION")
        )
    parser.add_argument("--baud", type=int, default=921_600)
    given = vars(parser.parse_args(words))
    baud = given.pop("baud")
    build = Build(**given | {name: Format(*given[name]) for name in ("state", "coefficient")})
    print(f"gateware {build.gateware:08x}", file=sys.stderr)
    print(verilog(intermediate(SerialBoard(build, baud))))


if __name__ == "__main__":
    main()
