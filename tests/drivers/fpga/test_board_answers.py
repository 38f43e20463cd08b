"""A board whose answers make no sense ends a pass in one sentence."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from drivers.fpga import FpgaBoard
from drivers.fpga import board as driver
from drivers.testing.wires import Device, TcpServer
from drivers.transport import open_framed_link
from labrhel.errors import InstrumentError, TransportError
from labrhel.wire.board import ANSWER, MAGIC, VERSION, Build, Register, Request, Status
from labrhel.wire.frames import Decoder, Frame, encode


class Says(TcpServer):
    """Answers as a board of the usual size, with `status` and at `step` of a pass."""

    status, step, each = Status.RUNNING, 0, 0

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        decoder, session = Decoder(), 0
        while data := connection.recv(1 << 16):
            for frame in decoder.feed(data):
                words = np.frombuffer(frame.payload, "<u4").tolist()
                if frame.kind == Request.HELLO:
                    session = words[0]
                known = Build().registers() | {
                    Register.MAGIC: MAGIC, Register.VERSION: VERSION, Register.GATEWARE: Build().gateware,
                    Register.STEPS: self.step,
                }  # fmt: skip
                self.step += self.each
                said = []
                if frame.kind == Request.READ:
                    said = [known.get(Register(at), 0) if at < 16 else 0 for at in range(words[0], sum(words[:2]))]
                status = session << 16 | (self.status if frame.kind == Request.READ and words[1] < 15 else 0)
                payload = np.array([status, *said], "<u4").tobytes()
                connection.sendall(encode(Frame(frame.kind | ANSWER, frame.sequence, payload)))


@contextmanager
def talking(step: int = 0, each: int = 0, status: int = Status.RUNNING) -> Iterator[FpgaBoard]:
    server = Says(Device())
    try:
        with open_framed_link(server.address, timeout=5.0, patience=0.3) as link:
            board = FpgaBoard(link)
            server.step, server.each, server.status = step, each, Status(status)
            yield board
    finally:
        server.close()


def test_a_pass_that_comes_no_further_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_STANDSTILL", 0.2)
    with talking(step=3) as board, pytest.raises(TransportError, match="at step 3 of 8 and says that it runs: stop it"):
        board.finish(8)


def test_a_pass_that_goes_further_than_it_was_told_to_is_given_up() -> None:
    with talking(each=1) as board, pytest.raises(TransportError, match="at step 9 of 8 and says that it runs"):
        board.finish(8)


def test_a_refusal_that_this_program_does_not_know_is_named_by_its_number() -> None:
    with talking(status=99) as board, pytest.raises(InstrumentError, match="refuses a READ: for reason 99, which this"):
        board.status()
