"""The arithmetic of the core: one operation a clock (`labrhel.wire.microcode`) through five stages, one multiplier.

    1  read the words that the operation names          4  round, wrap to the word, see whether that lost anything
    2  choose the two factors                           5  read the target, add, wrap, write; count what was lost
    3  multiply

Bit for bit the map of `simbackend.fixed_point.reference`.
"""

# Amaranth's statements are typed for people, not for type checkers.
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from labrhel.wire.board import Build, stride
from labrhel.wire.fixed_point import Format
from labrhel.wire.microcode import LATENCY, Code
from labrhel.wire.tanh_table import points, reach_of, shift_of

OPERATION = data.StructLayout(
    {"code": 4, "negate": 1, "quiet": 1, "capture": 1, "spare": 1, "x": 8, "y": 8, "target": 8}
)
"""The bits of `labrhel.wire.microcode.Operation.word`."""

_GUARD = 12
"""Bits by which a sum of forces may outgrow its word before it is wrapped: 2^12 terms."""


class Pipeline(wiring.Component):
    """`operation`, `coefficient` and `step` are those of stage 1 while `valid`; `clear` drops all that are on the way.

    `input_sample` is wanted in stage 2, one clock after `input_port` and `input_step`; `nudge` likewise in stage 5.
    While nothing is on the way, `load_q` and `load_p` write `load_value` to a `unit`, and `q`, `p` are those of `unit`.
    """

    def __init__(self, build: Build) -> None:
        self.build = build
        word, step = signed(build.state.word), range(build.depth)
        super().__init__(
            {
                "valid": In(1), "clear": In(1), "operation": In(OPERATION),
                "coefficient": In(signed(build.coefficient.word)), "step": In(step),
                "input_port": Out(8), "input_step": Out(step), "input_sample": In(word),
                "nudge_unit": Out(8), "nudge_step": Out(step), "nudge": In(word),
                "capture": Out(1), "capture_unit": Out(8), "capture_step": Out(step),
                "capture_q": Out(word), "capture_p": Out(word), "lost": Out(3),
                "unit": In(8), "load_q": In(1), "load_p": In(1), "load_value": In(word), "q": Out(word), "p": Out(word),
            }
        )  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        """The circuit."""
        m, state, factor = Module(), self.build.state, self.build.coefficient
        word, wide = signed(state.word), signed(max(state.word, factor.word))

        def registers(name: str, shape: Shape) -> memory.Memory:
            m.submodules[name] = made = memory.Memory(shape=shape, depth=stride(self.build.units), init=[])
            return made

        def reads(words: memory.Memory, unit: Value) -> Value:
            port = words.read_port(domain="comb")
            m.d.comb += port.addr.eq(unit)
            return port.data

        def later(name: str, shape: Any, value: Value) -> Signal:
            """The value one stage later."""
            kept = Signal(shape, name=name)
            m.d.sync += kept.eq(value)
            return kept

        q, p = registers("words_q", word), registers("words_p", word)
        work, push = registers("words_work", wide), registers("words_push", signed(state.word + _GUARD))
        doing, valid, step = [self.operation], [self.valid], [self.step]  # of stages 1 to LATENCY
        for stage in range(2, LATENCY + 1):
            doing.append(later(f"doing{stage}", OPERATION, doing[-1]))
            valid.append(later(f"valid{stage}", 1, valid[-1] & ~self.clear))
            step.append(later(f"step{stage}", self.step.shape(), step[-1]))

        # Stage 1: read.
        first = doing[0]
        looked = Mux(self.valid, first.x, self.unit)
        at_x, momentum = reads(q, looked), reads(p, looked)
        m.d.comb += [self.q.eq(at_x), self.p.eq(momentum)]
        m.d.comb += [self.input_port.eq(first.x), self.input_step.eq(self.step)]
        c, x, y = (
            later("c2", factor_shape := signed(factor.word), self.coefficient),
            later("x2", word, at_x),
            later("y2", word, reads(q, first.y)),
        )
        mv, w = later("p2", word, momentum), later("w2", wide, reads(work, first.x))

        # Stage 2: choose the factors.
        a, b, slope = Signal(wide), Signal(signed(state.word + 1)), Signal(factor_shape)
        rest, lost_slope = Signal(), Signal()
        m.d.comb += slope.eq(c + w)
        with m.Switch(doing[1].code):
            with m.Case(Code.DRIFT):
                m.d.comb += [a.eq(c), b.eq(mv), rest.eq(mv == -(1 << (state.word - 1)))]
            with m.Case(Code.SQUARE):
                m.d.comb += [a.eq(x), b.eq(x)]
            with m.Case(Code.BEND):
                m.d.comb += [a.eq(c), b.eq(w)]
            with m.Case(Code.TERM):
                m.d.comb += [a.eq(slope), b.eq(x), lost_slope.eq(_lost(c + w, factor))]
            with m.Case(Code.BOUND):
                m.d.comb += [a.eq(c), b.eq(w)]
            with m.Case(Code.PORT):
                m.d.comb += [a.eq(c), b.eq(self.input_sample)]
            with m.Case(Code.PULL):
                m.d.comb += [a.eq(c), b.eq(x - y)]
        a, b = later("a3", wide, a), later("b3", signed(state.word + 1), b)
        rest, lost_slope = later("rest3", 1, rest), later("lost3", 1, lost_slope)

        # Stage 3: multiply.
        # One bit less than the factors have: only the one product of their two most negative numbers would need it,
        # and a difference of positions never is its most negative number.
        whole = signed(wide.width + state.word)
        looks = (doing[2].code == Code.LOOK) if self.build.table else Const(0)
        rise, rest_of_word, base = self._table(m, x) if self.build.table else (a, b, Const(0))
        product = later("product4", whole, Mux(looks, rise, a) * Mux(looks, rest_of_word, b) + Mux(looks, base, 0))
        rest, lost_slope = later("rest4", 1, rest), later("lost4", 1, lost_slope)

        # Stage 4: round and wrap.
        code = doing[3].code
        fine = (
            (code == Code.SQUARE) | (code == Code.BEND) | (code == Code.LOOK)
        )  # in the state's format, the others in the coefficients'
        odd = (code == Code.DRIFT) & (product < 0)
        half = Signal(whole)
        m.d.comb += half.eq(product + Mux(fine, _half(state), _half(factor)) - (odd & (factor.fraction > 0)))
        rounded = Mux(fine, half >> state.fraction, half >> factor.fraction)
        bent = code == Code.BEND
        wrapped = Mux(bent, rounded[: factor.word].as_signed(), rounded[: state.word].as_signed())
        lost = Mux(bent, _lost(rounded, factor), _lost(rounded, state)) & ~rest & ~doing[3].quiet
        r = later("r5", wide, Mux(rest, 0, wrapped))
        lost = later("lost5", 2, lost + lost_slope)
        rest = later("rest5", 1, rest)
        m.d.comb += [self.nudge_unit.eq(doing[3].target), self.nudge_step.eq(step[3])]

        # Stage 5: add to the target.
        last, target = doing[4], doing[4].target
        q_write, p_write = q.write_port(), p.write_port()
        work_write, push_write = work.write_port(), push.write_port()
        pushed, moment = reads(push, target), reads(p, target)
        reached = reads(q, target) + r
        signed_r = Mux(last.negate, -r, r)
        m.d.comb += [work_write.addr.eq(target), work_write.data.eq(r), push_write.addr.eq(target)]
        m.d.comb += [
            q_write.addr.eq(target),
            q_write.data.eq(reached),
            p_write.addr.eq(target),
            p_write.data.eq(pushed),
        ]
        m.d.comb += [self.capture_unit.eq(target), self.capture_step.eq(step[4])]
        m.d.comb += [self.capture_q.eq(q_write.data), self.capture_p.eq(moment)]
        with m.If(valid[4]), m.Switch(last.code):
            with m.Case(Code.DRIFT):
                m.d.comb += [q_write.en.eq(1), self.capture.eq(last.capture)]
                m.d.comb += self.lost.eq(lost + (_lost(reached, state) & ~rest))
            with m.Case(Code.SQUARE, Code.BEND, Code.LOOK):
                m.d.comb += [work_write.en.eq(1), self.lost.eq(lost)]
            with m.Case(Code.TERM):
                m.d.comb += [push_write.data.eq(moment + self.nudge - r), push_write.en.eq(1), self.lost.eq(lost)]
            with m.Case(Code.BOUND):
                m.d.comb += [push_write.data.eq(pushed - r), push_write.en.eq(1), self.lost.eq(lost)]
            with m.Case(Code.PORT, Code.PULL):
                m.d.comb += [push_write.data.eq(pushed + signed_r), push_write.en.eq(1), self.lost.eq(lost)]
            with m.Case(Code.SETTLE):
                m.d.comb += [p_write.en.eq(1), self.lost.eq(_lost(pushed, state))]
        with m.If(self.load_q | self.load_p):
            m.d.comb += [q_write.addr.eq(self.unit), q_write.data.eq(self.load_value), q_write.en.eq(self.load_q)]
            m.d.comb += [p_write.addr.eq(self.unit), p_write.data.eq(self.load_value), p_write.en.eq(self.load_p)]
        return m

    def _table(self, m: Module, x: Value) -> tuple[Value, Value, Value]:
        """For a word in stage 2, in stage 3: the rise of its interval, how far it is in, and where the interval begins.

        The last two as fractions and products of the state's format, which stage 4 rounds.
        """
        state, intervals = self.build.state, self.build.table
        shift, reach, tanh = shift_of(state, intervals), reach_of(state), points(state, intervals).tolist()
        word, up = signed(state.word), state.fraction - shift
        cut = Signal(word)
        m.d.comb += cut.eq(Mux(x < -reach, -reach, Mux(x >= reach, reach - 1, x)))
        found = []
        for name, values in (("table_base", tanh[:-1]), ("table_rise", np.diff(tanh).tolist())):
            m.submodules[name] = rows = memory.Memory(shape=signed(state.fraction + 2), depth=intervals, init=values)
            port = rows.read_port()
            m.d.comb += port.addr.eq((cut >> shift) + intervals // 2)
            found.append(port.data)
        rest = Signal(range(1 << state.fraction), name="table_rest3")
        m.d.sync += rest.eq(cut[:shift] << up)
        return found[1], rest, found[0] << state.fraction


def _lost(value: Value, form: Format) -> Value:
    """Whether a number does not fit into the words of a format; the excluded code does not."""
    return (value > form.largest_code) | (value < -form.largest_code)


def _half(form: Format) -> int:
    """What rounds a product half up when its fraction is cut off."""
    return (1 << form.fraction) >> 1
