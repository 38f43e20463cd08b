"""The circuit under Amaranth's own simulator: every bit and every lost word as in the numerical backend."""

from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="Amaranth is not installed: pip install 'labrhel[gateware]'")

from amaranth.sim import Simulator

from labrhel.wire.board import Build, Option, Region, stride
from labrhel.wire.fixed_point import Format
from labrhel.wire.microcode import LATENCY, leapfrog
from simbackend.fixed_point import FixedPointNetwork, FixedPointState
from simbackend.gateware.core import Core

STEPS = 7


@dataclass
class Case:
    """A network of random codes over the whole range of its words, a start and waveforms."""

    network: FixedPointNetwork
    start: FixedPointState
    drive: np.ndarray
    kicks: np.ndarray

    @property
    def build(self) -> Build:
        units, ports = self.network.input_codes.shape
        sizes = {"depth": 16, "slots": 4, "operations": 128, "table": self.network.table}
        return Build(units, max(ports, 1), self.network.state, self.network.coefficient, **sizes)

    @classmethod
    def random(cls, seed: int, state: Format | None = None, factor: Format | None = None) -> "Case":
        random = np.random.default_rng(seed)
        word, other = random.integers(8, 33, 2).tolist()
        state = state or Format(word, int(random.integers(0, word)))
        factor = factor or Format(other, int(random.integers(0, other)))

        def codes(form: Format, *shape: int) -> np.ndarray:
            return random.integers(-form.largest_code, form.largest_code, shape, endpoint=True)

        n, ports = int(random.integers(1, 6)), int(random.integers(0, 3))
        edges = np.array([(i, j) for i in range(n) for j in range(i + 1, n)], dtype=np.int64).reshape(-1, 2)
        network = FixedPointNetwork(
            state, factor, 0.1, codes(factor, n), codes(factor, n), codes(factor, n), edges,
            codes(factor, len(edges)), codes(factor, n, ports), *tanh(random, state, codes(factor, n)),
        )  # fmt: skip
        start = FixedPointState(codes(state, n), codes(state, n))
        return cls(network, start, codes(state, ports, STEPS), codes(state, n, STEPS))


def tanh(random: np.random.Generator, state: Format, saturation: np.ndarray) -> tuple[np.ndarray | None, int]:
    """Half of the cases saturate, by a table of any size that their words can index."""
    table = 16 << int(random.integers(0, min(state.fraction, 6) + 1))
    return (saturation, table) if random.integers(0, 2) else (None, 0)


class CoreBench:
    """A core and what a host would do with it."""

    def __init__(self, build: Build) -> None:
        self.core, self.build = Core(build), build

    async def write(self, ctx, region: Region, words) -> None:
        for offset, value in enumerate(np.asarray(words, dtype=np.int64).ravel().tolist()):
            ctx.set(self.core.write_region, region)
            ctx.set(self.core.write_offset, offset)
            ctx.set(self.core.write_data, ((value + 2**31) % 2**32) - 2**31)
            ctx.set(self.core.write, 1)
            await ctx.tick()
        ctx.set(self.core.write, 0)

    async def read(self, ctx, region: Region, row: int, size: int) -> list[int]:
        words = []
        for place in range(size):
            ctx.set(self.core.read_region, region)
            ctx.set(self.core.read_offset, row * stride(self.build.units) + place)
            await ctx.tick()
            words.append(ctx.get(self.core.read_data))
        return words

    async def run(self, ctx, options: Option, source: int, target: int, steps: int, length: int) -> int:
        """Run a pass; the clocks that it took."""
        for name, value in (("options", options), ("source", source), ("target", target)):
            ctx.set(getattr(self.core, name), value)
        ctx.set(self.core.steps, steps)
        ctx.set(self.core.length, length)
        ctx.set(self.core.start, 1)
        await ctx.tick()
        ctx.set(self.core.start, 0)
        clocks = 1
        while ctx.get(self.core.running):
            await ctx.tick()
            clocks += 1
        assert ctx.get(self.core.finished)
        return clocks

    def play(self, test) -> None:
        simulator = Simulator(self.core)
        simulator.add_clock(1e-6)
        simulator.add_testbench(test)
        simulator.run()


def rows(codes: np.ndarray, width: int) -> np.ndarray:
    padded = np.zeros((codes.shape[1], width), np.int64)
    padded[:, : len(codes)] = codes.T
    return padded


async def loaded(bench: CoreBench, ctx, case: Case) -> int:
    """Write everything; the operations of a step."""
    net, units = case.network, stride(bench.build.units)
    step = leapfrog(
        net.drift_codes.tolist(), net.stiffness_codes.tolist(), net.cubic_codes.tolist(), net.edges.tolist(),
        net.coupling_codes.tolist(), net.input_codes.tolist(),
        () if net.saturation_codes is None else net.saturation_codes.tolist(),
    )  # fmt: skip
    await bench.write(ctx, Region.CONTROL, [item.word for item in step])
    await bench.write(ctx, Region.COEFFICIENTS, [item.coefficient for item in step])
    await bench.write(ctx, Region.STATES, rows(np.stack([case.start.q_codes, case.start.p_codes]).T, units))
    await bench.write(ctx, Region.INPUTS, rows(case.drive, stride(bench.build.ports)))
    await bench.write(ctx, Region.NUDGES, rows(case.kicks, units))
    return len(step)


@pytest.mark.parametrize("seed", range(30))
def test_every_bit_and_every_lost_word_is_that_of_the_numerical_backend(seed: int) -> None:
    case = Case.random(seed)
    bench, n = CoreBench(case.build), case.build.units
    expected = case.network.run(case.start, case.drive, case.kicks)

    async def test(ctx) -> None:
        length = await loaded(bench, ctx, case)
        await bench.run(ctx, Option.DRIVEN | Option.NUDGED, 0, 2, STEPS, length)
        assert await bench.read(ctx, Region.STATES, 4, n) == expected.end.q_codes.tolist()
        assert await bench.read(ctx, Region.STATES, 5, n) == expected.end.p_codes.tolist()
        for step in range(STEPS):
            assert await bench.read(ctx, Region.POSITIONS, step, n) == expected.position_codes[:, step].tolist()
            assert await bench.read(ctx, Region.MOMENTA, step, n) == expected.momentum_codes[:, step].tolist()
        assert ctx.get(bench.core.overflows) == expected.overflows

    bench.play(test)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("word", [8, 18, 32])
def test_a_flip_and_the_mirrored_waveforms_bring_back_every_bit_however_words_wrap(word: int, seed: int) -> None:
    case = Case.random(seed, Format(word, word - 4), Format(word, word - 2))
    bench, n = CoreBench(case.build), case.build.units

    async def test(ctx) -> None:
        length, both = await loaded(bench, ctx, case), Option.DRIVEN | Option.NUDGED
        await bench.run(ctx, both, 0, 1, STEPS, length)
        assert await bench.read(ctx, Region.STATES, 2, n) != case.start.q_codes.tolist()
        await bench.write(ctx, Region.INPUTS, rows(case.drive[:, ::-1], stride(bench.build.ports)))
        await bench.write(ctx, Region.NUDGES, rows(case.kicks[:, ::-1], stride(n)))
        await bench.run(ctx, both | Option.FLIP, 1, 2, STEPS, length)
        assert await bench.read(ctx, Region.STATES, 4, n) == case.start.q_codes.tolist()
        assert await bench.read(ctx, Region.STATES, 5, n) == (-case.start.p_codes).tolist()

    bench.play(test)


def test_what_is_not_asked_for_is_not_played_and_rest_is_rest() -> None:
    case = Case.random(3)
    bench, n = CoreBench(case.build), case.build.units
    still = case.network.run(case.start, 0 * case.drive, None)

    async def test(ctx) -> None:
        length = await loaded(bench, ctx, case)
        await bench.run(ctx, Option(0), 0, 1, STEPS, length)
        assert await bench.read(ctx, Region.STATES, 2, n) == still.end.q_codes.tolist()
        await bench.run(ctx, Option.REST, 0, 1, STEPS, length)
        assert await bench.read(ctx, Region.STATES, 2, n) == [0] * n

    bench.play(test)


def test_a_step_takes_a_clock_for_each_operation() -> None:
    case = Case.random(5)
    bench = CoreBench(case.build)

    async def test(ctx) -> None:
        length = await loaded(bench, ctx, case)
        short = await bench.run(ctx, Option.REST, 0, 1, 2, length)
        assert await bench.run(ctx, Option.REST, 0, 1, 5, length) - short == 3 * length

    bench.play(test)


def test_a_pass_that_is_stopped_stores_nothing() -> None:
    case = Case.random(4)
    bench, n = CoreBench(case.build), case.build.units

    async def test(ctx) -> None:
        length = await loaded(bench, ctx, case)
        ctx.set(bench.core.steps, STEPS)
        ctx.set(bench.core.length, length)
        ctx.set(bench.core.start, 1)
        await ctx.tick()
        ctx.set(bench.core.start, 0)
        for _ in range(3 * length):
            await ctx.tick()
        assert ctx.get(bench.core.running)
        ctx.set(bench.core.stop, 1)
        await ctx.tick()
        ctx.set(bench.core.stop, 0)
        assert not ctx.get(bench.core.running)
        assert ctx.get(bench.core.stopped)
        for _ in range(2 * LATENCY):
            await ctx.tick()
        assert await bench.read(ctx, Region.STATES, 0, n) == case.start.q_codes.tolist()

    bench.play(test)
