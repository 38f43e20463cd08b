"""The gateware under Amaranth's own simulator: the same circuit at the end of the same wire, in Python alone.

Some thousand times slower than under Verilator, which makes it one for tests: `simbackend.testing.gateware.a_board`.
"""

# Amaranth's statements are typed for people, not for type checkers.
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Self

from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from labrhel.wire.board import Build
from simbackend.gateware.board import Board

_IDLE = 8  # clocks without anything to do, after which the clock stands still until a byte or a millisecond comes


class SimulatedBoard:
    """A board that runs in a thread while this object is open; `url` is where it listens, one connection at a time.

    As in the Verilated one, `tick` comes each millisecond of the host's time, and the clock stands still while nothing
    happens.
    """

    def __init__(self, build: Build | None = None) -> None:
        self.build = Build() if build is None else build
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._link: socket.socket | None = None
        self._incoming, self._outgoing = bytearray(), bytearray()
        self._reset_asked, self._closing, self._reset = threading.Event(), threading.Event(), Signal()
        self._board = Board(self.build)
        self._thread = threading.Thread(target=self._run, name=f"board at {self.url}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the board is switched on."""
        return self._thread.is_alive()

    def reset(self) -> None:
        """Press the board's reset button: registers are as after power on, memories keep what they held."""
        self._reset_asked.set()

    def close(self) -> None:
        """Switch the board off."""
        self._closing.set()
        self._thread.join()
        for end in (self._link, self._server):
            if end is not None:
                end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        simulator = Simulator(ResetInserter(self._reset)(self._board))
        simulator.add_clock(1 / self.build.clock)
        simulator.add_testbench(self._outside)
        simulator.run()

    async def _outside(self, ctx: Any) -> None:
        board, idle, now = self._board, 0, time.monotonic()
        ctx.set(board.tx.ready, 1)
        while not self._closing.is_set():
            if self._reset_asked.is_set():
                self._reset_asked.clear()
                self._incoming.clear()
                self._outgoing.clear()
                ctx.set(self._reset, 1)
                await ctx.tick()
                ctx.set(self._reset, 0)
            for _ in range(200):  # some of its clocks, then the host's side again
                given = bool(self._incoming)
                ctx.set(board.rx.valid, given)
                if given:
                    ctx.set(board.rx.payload, self._incoming[0])
                    if ctx.get(board.rx.ready):
                        del self._incoming[0]
                if told := ctx.get(board.tx.valid):
                    self._outgoing.append(ctx.get(board.tx.payload))
                idle = 0 if given or told or ctx.get(board.busy) else idle + 1
                await ctx.tick()
                ctx.set(board.tick, 0)
                if idle > _IDLE:
                    break
            self._exchange(0.001 if idle > _IDLE else 0.0)
            if (later := time.monotonic()) >= now + 0.001:
                now = later
                ctx.set(board.tick, 1)

    def _exchange(self, patience: float) -> None:
        """Send what the board has said, and take what the host has sent, or a host that connects."""
        if self._outgoing and self._link is not None:
            with suppress(OSError):  # nobody listens
                self._link.sendall(self._outgoing)
        self._outgoing.clear()
        watched = self._server if self._link is None else self._link
        if self._incoming or not select.select([watched], [], [], patience)[0]:
            return
        if self._link is None:
            self._link = self._server.accept()[0]
            self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return
        data = b""
        with suppress(OSError):
            data = self._link.recv(1 << 16)
        self._incoming += data
        if not data:
            self._link.close()
            self._link = None
