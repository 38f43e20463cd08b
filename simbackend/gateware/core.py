"""The oscillator core: memories, and the sequence of a pass around the pipeline that does the arithmetic.

A pass loads its start from a slot of states (or from rest), with the momenta reversed if asked, runs its steps, one
operation a clock, and stores its end in a slot.  One that is stopped stores nothing.
"""

# Amaranth's statements are typed for people, not for type checkers.
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

import enum
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from labrhel.wire.board import Build, Option, Region, stride
from labrhel.wire.microcode import LATENCY
from simbackend.gateware.pipeline import Pipeline


class _Phase(enum.Enum):
    IDLE = 0
    LOAD = 1
    ISSUE = 2
    DRAIN = 3
    STORE = 4


class Core(wiring.Component):
    """A pass begins with `start` and takes what `options` to `length` then are; `stop` ends it at once.

    `read_data` follows `read_region` and `read_offset` by one clock; reads and writes are for cores that do not run.
    """

    def __init__(self, build: Build) -> None:
        self.build = build
        super().__init__(
            {
                "start": In(1), "stop": In(1), "options": In(8), "source": In(8), "target": In(8), "steps": In(32),
                "length": In(32), "running": Out(1), "finished": Out(1), "stopped": Out(1), "overflows": Out(32),
                "step": Out(32), "capture": Out(1), "capture_unit": Out(8), "capture_q": Out(signed(build.state.word)),
                "write": In(1), "write_region": In(8), "write_offset": In(24), "write_data": In(signed(32)),
                "read_region": In(8), "read_offset": In(24), "read_data": Out(signed(32)),
            }
        )  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        """The circuit."""
        m, build = Module(), self.build
        word = signed(build.state.word)
        units, ports = ((stride(count) - 1).bit_length() for count in (build.units, build.ports))
        m.submodules.pipeline = pipeline = Pipeline(build)

        def words(region: Region, shape: Any, *, host_writes: bool = True) -> memory.Memory:
            name = region.name.lower()
            m.submodules[name] = made = memory.Memory(shape=shape, depth=build.words(region), init=[])
            if host_writes:
                port = made.write_port()
                m.d.comb += [port.addr.eq(self.write_offset), port.data.eq(self.write_data)]
                m.d.comb += port.en.eq(self.write & (self.write_region == region))
            return made

        control = words(Region.CONTROL, unsigned(32)).read_port()
        coefficients = words(Region.COEFFICIENTS, signed(build.coefficient.word)).read_port()
        inputs, nudges = words(Region.INPUTS, word).read_port(), words(Region.NUDGES, word).read_port()
        slots = words(Region.STATES, word, host_writes=False)
        slot, slot_write = slots.read_port(), slots.write_port()
        options, source, target, steps, last_place = (
            Signal.like(item, name=f"kept_{item.name}")
            for item in (self.options, self.source, self.target, self.steps, self.length)
        )

        def asks(option: Option) -> Any:
            return (options & option).any()

        # Waveforms and captures.
        m.d.comb += inputs.addr.eq(Cat(pipeline.input_port[:ports], pipeline.input_step))
        m.d.comb += pipeline.input_sample.eq(Mux(asks(Option.DRIVEN), inputs.data, 0))
        m.d.comb += nudges.addr.eq(Cat(pipeline.nudge_unit[:units], pipeline.nudge_step))
        m.d.comb += pipeline.nudge.eq(Mux(asks(Option.NUDGED), nudges.data, 0))
        shown = {}
        for region, value in ((Region.POSITIONS, pipeline.capture_q), (Region.MOMENTA, pipeline.capture_p)):
            made = words(region, word, host_writes=False)
            port, shown[region] = made.write_port(), made.read_port()
            m.d.comb += [port.addr.eq(Cat(pipeline.capture_unit[:units], pipeline.capture_step)), port.data.eq(value)]
            m.d.comb += [port.en.eq(pipeline.capture), shown[region].addr.eq(self.read_offset)]
        shown[Region.STATES] = slot
        region_read = Signal.like(self.read_region)
        m.d.sync += region_read.eq(self.read_region)
        with m.Switch(region_read):
            for region, port in shown.items():
                with m.Case(region):
                    m.d.comb += self.read_data.eq(port.data)
        m.d.comb += [self.capture.eq(pipeline.capture), self.capture_unit.eq(pipeline.capture_unit)]
        m.d.comb += self.capture_q.eq(pipeline.capture_q)

        # The sequence of a pass.
        phase, place = Signal(_Phase), Signal(range(build.operations))
        count = Signal(range((2 << units) + LATENCY + 1))
        before = (count - 1)[: units + 1]  # the read port of the slots answers one clock later
        given = Mux(asks(Option.REST), 0, slot.data)
        m.d.comb += [control.addr.eq(place), coefficients.addr.eq(place)]
        m.d.comb += [pipeline.operation.eq(control.data), pipeline.coefficient.eq(coefficients.data)]
        m.d.comb += [pipeline.clear.eq(self.stop), slot.addr.eq(self.read_offset)]
        m.d.comb += [slot_write.addr.eq(self.write_offset), slot_write.data.eq(self.write_data)]
        m.d.comb += slot_write.en.eq(self.write & (self.write_region == Region.STATES))
        m.d.sync += [pipeline.valid.eq(0), pipeline.step.eq(self.step), count.eq(count + 1)]
        with m.If(self.running):
            m.d.sync += self.overflows.eq(self.overflows + pipeline.lost)
        with m.Switch(phase):
            with m.Case(_Phase.IDLE):
                m.d.sync += [count.eq(0), place.eq(0)]
                with m.If(self.start):
                    m.d.sync += [self.running.eq(1), self.finished.eq(0), self.stopped.eq(0), self.overflows.eq(0)]
                    m.d.sync += [options.eq(self.options), source.eq(self.source), target.eq(self.target)]
                    m.d.sync += [steps.eq(self.steps), last_place.eq(self.length - 1), self.step.eq(0)]
                    m.d.sync += phase.eq(_Phase.LOAD)
            with m.Case(_Phase.LOAD):
                m.d.comb += [slot.addr.eq(Cat(count[: units + 1], source)), pipeline.unit.eq(before[:units])]
                m.d.comb += [pipeline.load_q.eq((count > 0) & ~before[units]), pipeline.load_p.eq(before[units])]
                flips = asks(Option.FLIP) & before[units]
                m.d.comb += pipeline.load_value.eq(Mux(flips, -given, given))
                with m.If(count == 2 << units):
                    m.d.sync += phase.eq(_Phase.ISSUE)
            with m.Case(_Phase.ISSUE):
                m.d.sync += [pipeline.valid.eq(1), place.eq(place + 1), count.eq(0)]
                with m.If(place == last_place):
                    m.d.sync += [place.eq(0), self.step.eq(self.step + 1)]
                    with m.If(self.step == steps - 1):
                        m.d.sync += phase.eq(_Phase.DRAIN)
            with m.Case(_Phase.DRAIN), m.If(count == LATENCY):
                m.d.sync += [count.eq(0), phase.eq(_Phase.STORE)]
            with m.Case(_Phase.STORE):
                m.d.comb += [pipeline.unit.eq(count[:units]), slot_write.addr.eq(Cat(count[: units + 1], target))]
                m.d.comb += slot_write.data.eq(Mux(count[units], pipeline.p, pipeline.q))
                m.d.comb += slot_write.en.eq(1)
                with m.If(count == (2 << units) - 1):
                    m.d.sync += [self.running.eq(0), self.finished.eq(1), phase.eq(_Phase.IDLE)]
        with m.If(self.stop & self.running):
            m.d.sync += [phase.eq(_Phase.IDLE), pipeline.valid.eq(0)]
            m.d.sync += [self.running.eq(0), self.stopped.eq(1), self.finished.eq(0)]
        return m
