"""The board: the oscillator core, and what carries out the requests of `labrhel.wire.board` on a stream of bytes.

One request at a time; a pass runs beside them.  The board stops a pass by itself when no good frame has come for
HEARTBEAT milliseconds, and whenever no pass runs its output is at its safe value.
"""

# Amaranth's statements are typed for people, not for type checkers.
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from labrhel.wire.board import ANSWER, MAGIC, VERSION, Build, Refusal, Region, Register, Request, Status
from simbackend.gateware.core import Core
from simbackend.gateware.frames import Receiver, Transmitter

HEARTBEAT = 250
"""Milliseconds of silence that stop a pass, until the host says otherwise."""

_STATUS = ((Status.RUNNING, "running"), (Status.FINISHED, "finished"), (Status.STOPPED, "stopped"))


class Board(wiring.Component):
    """Bytes in, bytes out.  `tick` is high for one clock each millisecond; `busy` while the clock must go on.

    `output` is the position of the unit that register MONITOR names at the last kick, for a converter.
    """

    def __init__(self, build: Build) -> None:
        self.build = build
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "tx": Out(stream.Signature(8)),
                "tick": In(1),
                "busy": Out(1),
                "output": Out(signed(build.state.word)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The circuit."""
        m, build = Module(), self.build
        m.submodules.core = core = Core(build)
        m.submodules.receiver = asked = Receiver()
        m.submodules.transmitter = answer = Transmitter()
        wiring.connect(m, wiring.flipped(self.rx), asked.rx)
        wiring.connect(m, answer.tx, wiring.flipped(self.tx))
        m.d.comb += asked.tick.eq(self.tick)

        session, latest, shot, silence = Signal(16), Signal(16), Signal(32), Signal()
        first, second, third = (asked.arguments.word_select(place, 32) for place in range(3))
        region, offset, index = first[24:], first[:24], Signal(16)
        settings = {
            Register.HEARTBEAT: Signal(32, init=HEARTBEAT, name="heartbeat"),
            Register.LENGTH: Signal(32, name="length"),
            Register.MONITOR: Signal(8, name="monitor"),
            Register.SAFE: Signal(signed(build.state.word), name="safe"),
        }
        values: dict[int, Any] = {register: Const(value, 32) for register, value in build.registers().items()}
        values |= {
            Register.MAGIC: Const(MAGIC, 32),
            Register.VERSION: Const(VERSION, 32),
            Register.GATEWARE: Const(build.gateware, 32),
            Register.OVERFLOWS: core.overflows,
            Register.STEPS: core.step,
            Register.DAMAGED: asked.damaged,
            Register.SHOT: shot,
        }
        values |= settings
        registers = Array(values.get(place, Const(0, 32)) for place in range(build.words(Region.REGISTERS)))

        # The output, and silence.
        quiet = Signal(32)
        m.d.sync += self.output.eq(Mux(core.running, self.output, settings[Register.SAFE]))
        with m.If(core.running & core.capture & (core.capture_unit == settings[Register.MONITOR])):
            m.d.sync += self.output.eq(core.capture_q)
        with m.If(asked.ready):
            m.d.sync += quiet.eq(0)
        with m.Elif(self.tick):
            m.d.sync += quiet.eq(quiet + 1)
        with m.If(core.running & (quiet > settings[Register.HEARTBEAT])):
            m.d.comb += core.stop.eq(1)
            m.d.sync += silence.eq(1)

        # Reading and writing words, and what an answer says.
        m.d.comb += [core.read_region.eq(region), core.read_offset.eq(offset + answer.index)]
        m.d.comb += [core.write_region.eq(region), core.write_offset.eq(offset + index), asked.index.eq(index + 1)]
        shown = Signal(32)
        m.d.sync += shown.eq(registers[offset + answer.index])
        m.d.comb += answer.word.eq(Mux(region == Region.REGISTERS, shown, core.read_data))
        refusal, words = Signal(8), Signal(32)
        flags = [(bit, getattr(core, name)) for bit, name in _STATUS]
        flags += [(Status.SILENCE, silence), (Status.OVERFLOW, core.overflows != 0)]
        told = sum((Mux(value, int(bit), 0) for bit, value in flags), Const(0, 16))
        m.d.comb += [answer.kind.eq(asked.kind | ANSWER), answer.sequence.eq(asked.sequence), answer.words.eq(words)]
        m.d.comb += answer.status.eq(Cat((told | refusal)[:16], session))

        m.d.comb += [core.options.eq(third[:8]), core.source.eq(third[8:16]), core.target.eq(third[16:24])]
        m.d.comb += [core.steps.eq(second), core.length.eq(settings[Register.LENGTH])]
        m.d.comb += self.busy.eq(core.running | answer.busy | ~asked.idle)
        stale = (asked.sequence - latest)[15]
        ordered = (asked.kind != Request.HELLO) & (asked.kind != Request.STOP)

        def refuses(condition: Value, reason: Refusal) -> Any:
            with m.If(condition):
                m.d.sync += refusal.eq(reason)
            return m.Else()

        with m.FSM():
            with m.State("LISTEN"):
                m.d.sync += [refusal.eq(0), words.eq(0), index.eq(0)]
                with m.If(asked.ready):
                    m.next = "ANSWER"
                    with m.If(ordered & stale):
                        m.d.sync += refusal.eq(Refusal.STALE)
                    with m.Else():
                        m.d.sync += latest.eq(Mux(asked.kind == Request.STOP, latest, asked.sequence))
                        with m.Switch(asked.kind):
                            with m.Case(Request.HELLO), refuses(asked.words != 1, Refusal.KIND):
                                m.d.sync += [session.eq(first), shot.eq(0)]
                                m.d.comb += core.stop.eq(1)
                            with m.Case(Request.STOP):
                                m.d.comb += core.stop.eq(1)
                            with (
                                m.Case(Request.READ),
                                refuses(asked.words != 2, Refusal.KIND),
                                refuses(~_inside(build, _READABLE, region, offset, second), Refusal.ADDRESS),
                                refuses(core.running & (region != Region.REGISTERS), Refusal.BUSY),
                            ):
                                m.d.sync += words.eq(second)
                            with (
                                m.Case(Request.WRITE),
                                refuses(asked.words < 2, Refusal.KIND),
                                refuses(
                                    ~_inside(build, _WRITABLE, region, offset, asked.words - 1)
                                    | ((region == Region.REGISTERS) & (offset < Register.HEARTBEAT)),
                                    Refusal.ADDRESS,
                                ),
                                refuses(core.running & (region != Region.REGISTERS), Refusal.BUSY),
                            ):
                                m.next = "WRITE"
                            with m.Case(Request.RUN), refuses(asked.words != 3, Refusal.KIND):
                                with m.If((shot == first) & (first != 0)):
                                    pass  # a repeat of the request that has started the last pass
                                with m.Else(), refuses(core.running, Refusal.BUSY):
                                    length = settings[Register.LENGTH]
                                    fits = (second > 0) & (second <= build.depth)
                                    fits &= (length > 0) & (length <= build.operations)
                                    fits &= (third[8:16] < build.slots) & (third[16:24] < build.slots)
                                    with refuses(first != shot + 1, Refusal.SHOT), refuses(~fits, Refusal.LENGTH):
                                        m.d.comb += core.start.eq(1)
                                        m.d.sync += [shot.eq(first), silence.eq(0)]
                            with m.Default():
                                m.d.sync += refusal.eq(Refusal.KIND)
            with m.State("WRITE"):
                m.next = "WRITE 2"  # the buffer shows the word one clock later
            with m.State("WRITE 2"):
                m.d.comb += core.write_data.eq(asked.word)
                m.d.sync += index.eq(index + 1)
                m.next = "WRITE"
                with m.If(region == Region.REGISTERS):
                    for register, signal in settings.items():
                        with m.If(offset + index == register):
                            m.d.sync += signal.eq(asked.word)
                with m.Else():
                    m.d.comb += core.write.eq(1)
                with m.If(index == asked.words - 2):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += answer.start.eq(1)
                m.next = "SEND"
            with m.State("SEND"), m.If(~answer.busy):
                m.d.comb += asked.take.eq(1)
                m.next = "LISTEN"
        return m


_READABLE = (Region.REGISTERS, Region.STATES, Region.POSITIONS, Region.MOMENTA)
_WRITABLE = tuple(region for region in Region if region not in (Region.POSITIONS, Region.MOMENTA))


def _inside(build: Build, regions: tuple[Region, ...], region: Value, offset: Value, count: Value) -> Value:
    """Whether `count` words from `offset` lie in one of the regions."""
    end = offset + count
    return Cat(*((region == item) & (end <= build.words(item)) for item in regions)).any()
