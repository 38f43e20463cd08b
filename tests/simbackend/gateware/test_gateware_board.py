"""The board as bytes see it, under Amaranth's own simulator: requests, refusals, damage, silence, the output."""

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="Amaranth is not installed: pip install 'labrhel[gateware]'")

from amaranth.sim import Simulator

from labrhel.wire.board import ANSWER, MAGIC, Build, Option, Refusal, Region, Register, Request, Status, address
from labrhel.wire.fixed_point import Format
from labrhel.wire.frames import Decoder, Frame, encode
from labrhel.wire.microcode import leapfrog
from simbackend.gateware.board import Board
from simbackend.gateware.frames import PATIENCE

BUILD = Build(2, 1, Format(16, 12), Format(16, 14), 64, 4, 64)
SESSION = 0x1234
STEP = leapfrog([800, 800], [1600, 1700], [300, 300], [(0, 1)], [200], [[1600], [0]])


class Host:
    """The other end of the wire."""

    def __init__(self, ctx, board: Board) -> None:
        self.ctx, self.board = ctx, board
        self.decoder, self.sequence = Decoder(), 0
        ctx.set(board.tx.ready, 1)

    async def clock(self, count: int = 1) -> list[Frame]:
        frames = []
        for _ in range(count):
            if self.ctx.get(self.board.tx.valid):
                frames += self.decoder.feed(bytes([self.ctx.get(self.board.tx.payload)]))
            await self.ctx.tick()
        return frames

    async def send(self, data: bytes) -> list[Frame]:
        frames = []
        for byte in data:
            self.ctx.set(self.board.rx.payload, byte)
            self.ctx.set(self.board.rx.valid, 1)
            while not self.ctx.get(self.board.rx.ready):
                frames += await self.clock()
            frames += await self.clock()
        self.ctx.set(self.board.rx.valid, 0)
        return frames

    async def ask(self, kind: int, *words: int, sequence: int | None = None) -> tuple[int, list[int]]:
        """Status and words of the answer."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        payload = np.array([word & 0xFFFFFFFF for word in words], "<u4").tobytes()
        frames = await self.send(encode(Frame(kind, sequence, payload)))
        while not frames:
            frames += await self.clock()
        (answer,) = frames
        assert (answer.kind, answer.sequence) == (kind | ANSWER, sequence)
        status, *found = np.frombuffer(answer.payload, "<u4").tolist()
        return status, found

    async def tick(self, milliseconds: int) -> None:
        for _ in range(milliseconds):
            self.ctx.set(self.board.tick, 1)
            await self.clock()
            self.ctx.set(self.board.tick, 0)
            await self.clock()

    async def load(self) -> None:
        """Open a session and write the operations of a step."""
        await self.ask(Request.HELLO, SESSION)
        await self.ask(Request.WRITE, address(Region.CONTROL, 0), *(item.word for item in STEP))
        await self.ask(Request.WRITE, address(Region.COEFFICIENTS, 0), *(item.coefficient for item in STEP))
        await self.ask(Request.WRITE, address(Region.REGISTERS, Register.LENGTH), len(STEP))

    async def finish(self) -> int:
        while (await self.ask(Request.READ, 0, 1))[0] & Status.RUNNING:
            pass
        return (await self.ask(Request.READ, 0, 1))[0]


def play(test: Callable) -> None:
    board = Board(BUILD)
    simulator = Simulator(board)
    simulator.add_clock(1e-6)

    async def bench(ctx) -> None:
        await test(Host(ctx, board))

    simulator.add_testbench(bench)
    simulator.run()


def refusal(status: int) -> int:
    return status & 0xFF


def test_it_says_what_it_is_and_in_whose_session() -> None:
    async def test(host: Host) -> None:
        status, _ = await host.ask(Request.HELLO, SESSION)
        assert status == SESSION << 16
        _, words = await host.ask(Request.READ, address(Region.REGISTERS, 0), Register.TABLE + 1)
        assert words[Register.MAGIC] == MAGIC
        assert words[Register.GATEWARE] == BUILD.gateware
        assert Build.of(words) == BUILD

    play(test)


@pytest.mark.parametrize(
    ("kind", "words", "reason"),
    [
        (9, (), Refusal.KIND),
        (Request.READ, (0,), Refusal.KIND),
        (Request.WRITE, (address(Region.INPUTS, 0),), Refusal.KIND),
        (Request.READ, (address(Region.INPUTS, 0), 1), Refusal.ADDRESS),
        (Request.READ, (address(Region.POSITIONS, 100), 29), Refusal.ADDRESS),
        (Request.WRITE, (address(Region.POSITIONS, 0), 1), Refusal.ADDRESS),
        (Request.WRITE, (address(Region.REGISTERS, Register.GATEWARE), 1), Refusal.ADDRESS),
        (Request.WRITE, (address(Region.INPUTS, 64), 1), Refusal.ADDRESS),
        (Request.READ, (address(Region(7), 0) + (9 << 24), 1), Refusal.ADDRESS),
        (Request.RUN, (2, 5, 0), Refusal.SHOT),
        (Request.RUN, (1, 0, 0), Refusal.LENGTH),
        (Request.RUN, (1, 65, 0), Refusal.LENGTH),
        (Request.RUN, (1, 5, 4 << 8), Refusal.LENGTH),
    ],
)
def test_what_it_cannot_do_it_refuses_with_the_reason(kind: int, words: tuple[int, ...], reason: Refusal) -> None:
    async def test(host: Host) -> None:
        await host.load()
        status, found = await host.ask(kind, *words)
        assert refusal(status) == reason
        assert not found
        assert not status & Status.RUNNING

    play(test)


def test_a_request_that_is_older_than_the_last_one_changes_nothing() -> None:
    where = address(Region.STATES, 4)

    async def test(host: Host) -> None:
        await host.load()
        await host.ask(Request.WRITE, where, 7, sequence=500)
        assert refusal((await host.ask(Request.WRITE, where, 8, sequence=499))[0]) == Refusal.STALE
        assert (await host.ask(Request.READ, where, 1, sequence=500))[1] == [7]

    play(test)


def test_a_repeated_run_runs_once() -> None:
    async def test(host: Host) -> None:
        await host.load()
        await host.ask(Request.RUN, 1, 5, Option.REST)
        await host.finish()
        status, _ = await host.ask(Request.RUN, 1, 5, Option.REST)
        assert refusal(status) == 0
        assert not status & Status.RUNNING

    play(test)


def test_while_a_pass_runs_memories_are_closed_and_stop_is_heard() -> None:
    async def test(host: Host) -> None:
        await host.load()
        status, _ = await host.ask(Request.RUN, 1, 64, Option.REST)
        assert status & Status.RUNNING
        assert refusal((await host.ask(Request.WRITE, address(Region.INPUTS, 0), 1))[0]) == Refusal.BUSY
        assert refusal((await host.ask(Request.RUN, 2, 5, Option.REST))[0]) == Refusal.BUSY
        status, _ = await host.ask(Request.STOP, sequence=0)  # whatever its number
        assert status & Status.STOPPED
        assert not status & (Status.RUNNING | Status.FINISHED)

    play(test)


def test_silence_stops_a_pass_and_a_frame_keeps_it_running() -> None:
    async def test(host: Host) -> None:
        await host.load()
        await host.ask(Request.WRITE, address(Region.REGISTERS, Register.HEARTBEAT), 5)
        await host.ask(Request.RUN, 1, 64, Option.REST)
        await host.tick(4)
        assert (await host.ask(Request.READ, 0, 1))[0] & Status.RUNNING
        await host.tick(8)
        status, _ = await host.ask(Request.READ, 0, 1)
        assert status & Status.SILENCE
        assert status & Status.STOPPED
        assert not status & Status.RUNNING

    play(test)


def test_the_output_follows_a_unit_while_a_pass_runs_and_is_safe_otherwise() -> None:
    async def test(host: Host) -> None:
        await host.load()
        await host.ask(Request.WRITE, address(Region.REGISTERS, Register.MONITOR), 1, -99)
        assert host.ctx.get(host.board.output) == -99
        await host.ask(Request.WRITE, address(Region.STATES, 0), 1000, 2000)
        await host.ask(Request.RUN, 1, 3, 0)
        seen = set()
        while host.ctx.get(host.board.busy):
            seen.add(host.ctx.get(host.board.output))
            await host.clock()
        await host.clock(2)
        _, words = await host.ask(Request.READ, address(Region.POSITIONS, 0), 6)
        assert set(words[1::2]) <= seen
        assert host.ctx.get(host.board.output) == -99

    play(test)


@pytest.mark.parametrize("place", range(0, 30, 3))
def test_a_damaged_frame_changes_nothing_and_the_next_one_is_heard(place: int) -> None:
    where = address(Region.STATES, 0)

    async def test(host: Host) -> None:
        await host.load()
        good = encode(Frame(Request.WRITE, 100, np.array([where, 1, 2], "<u4").tobytes()))
        bad = bytearray(good)
        bad[place % len(bad)] ^= 0x10
        assert await host.send(bytes(bad)) == []
        await host.tick(PATIENCE + 1)  # a length that grew is waited for
        assert await host.clock(50) == []
        assert (await host.ask(Request.READ, where, 2, sequence=101))[1] == [0, 0]

    play(test)


def test_a_frame_that_breaks_off_is_given_up_and_noise_is_passed_over() -> None:
    async def test(host: Host) -> None:
        await host.load()
        whole = encode(Frame(Request.STOP, 50))
        assert await host.send(whole[:7]) == []
        await host.tick(PATIENCE + 1)
        await host.send(b"\x00\xa5\xa5\x5a noise \xa5")
        await host.tick(PATIENCE + 1)
        _, words = await host.ask(Request.READ, address(Region.REGISTERS, Register.DAMAGED), 1)
        assert words[0] >= 2

    play(test)
