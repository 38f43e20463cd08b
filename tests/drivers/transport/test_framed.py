"""Framed links against a board that echoes, on a socket and on a pseudo-terminal, with faults at random instants."""

import os
import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import pytest

from drivers.testing.wires import LATE, LINK_TIMEOUT, Device, PtyServer, TcpServer, TcpWire, Wire
from drivers.transport import FramedLink, LinkError, open_framed_link
from labrhel.errors import ConfigurationError
from labrhel.wire.frames import Decoder, Frame, encode

COUNT = int(os.environ.get("LABRHEL_FAULTS", "50"))
KINDS = ("late", "lost", "extra", "garbage", "changed", "other sequence", "twice", "silent", "restart", "reset")


class Board(Device):
    """Answers each frame with its payload, after a fault that is armed."""

    def answer(self, frame: Frame, wire: Wire) -> None:
        self.received.append(frame.payload.decode("latin-1"))
        answer, rng = encode(Frame(frame.kind | 0x80, frame.sequence, frame.payload)), self.random
        kind, self._armed = self._armed, ""
        self.faults += bool(kind)
        at = rng.randrange(len(answer))
        if kind == "late":
            time.sleep(LATE)
        elif kind == "lost":
            answer = answer[:at] + answer[at + rng.randint(1, 3) :]
        elif kind == "extra":
            answer = answer[:at] + rng.randbytes(rng.randint(1, 3)) + answer[at:]
        elif kind == "garbage":
            answer = rng.randbytes(rng.randint(1, 40)) + answer
        elif kind == "changed":
            answer = answer[:at] + bytes([answer[at] ^ rng.randint(1, 255)]) + answer[at + 1 :]
        elif kind == "other sequence":
            answer = encode(Frame(frame.kind, (frame.sequence + rng.randint(1, 9)) & 0xFFFF, b"wrong")) + answer
        elif kind == "twice":
            answer = answer + answer
        elif kind == "others without end":
            other = encode(Frame(frame.kind, (frame.sequence + 1) & 0xFFFF, b"other"))
            while True:
                wire.send(other * 1000)
        elif kind == "silent":
            return wire.silence()
        elif kind == "restart":
            return wire.restart(0.02)
        elif kind == "reset":
            wire.send(answer[:at])
            return wire.reset()
        return wire.send(answer)


class TcpBoard(TcpServer):
    device: Board

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        wire, decoder = TcpWire(self, connection), Decoder()
        while data := connection.recv(1 << 16):
            for frame in decoder.feed(data):
                if not wire.silent:
                    self.device.answer(frame, wire)


class PtyBoard(PtyServer):
    device: Board

    @property
    def address(self) -> str:
        return f"serial://{self.path}?baud=921600"

    def _run(self) -> None:
        decoder = Decoder()
        while not self._stopping:
            if select.select([self._master], [], [], 0.02)[0]:
                for frame in decoder.feed(os.read(self._master, 1 << 12)):
                    if time.monotonic() >= self._until:
                        self.device.answer(frame, self)


BOARDS = {"tcp": TcpBoard, "serial": PtyBoard}
wires = pytest.mark.parametrize("wire", BOARDS)


@contextmanager
def linked(
    wire: str, timeout: float = LINK_TIMEOUT, patience: float = 20.0
) -> Iterator[tuple[FramedLink, Board, TcpServer]]:
    board = Board(seed=5)
    server = BOARDS[wire](board)
    try:
        with open_framed_link(server.address, timeout=timeout, patience=patience) as link:
            yield link, board, server
    finally:
        server.close()


@wires
def test_requests_and_answers_of_any_length_go_through(wire: str) -> None:
    with linked(wire, timeout=5.0) as (link, _, _):
        for size in (0, 1, 1000, 100_000):
            payload = random.Random(size).randbytes(size)
            answer = link.exchange(3, payload)
            assert (answer.kind, answer.payload) == (0x83, payload)


@pytest.mark.parametrize("kind", KINDS)
@wires
def test_no_fault_gives_a_wrong_answer(wire: str, kind: str) -> None:
    rng = random.Random(len(kind))
    number = named = 0
    with linked(wire) as (link, board, _):
        while board.faults < COUNT:
            if rng.random() < 0.5:
                board.arm(kind)
            number += 1
            payload = str(number).encode() * rng.randint(1, 50)
            try:
                assert link.exchange(1, payload, repeat=True).payload == payload
            except LinkError:
                named += 1
        assert link.exchange(1, b"last", repeat=True).payload == b"last"
    assert named < 0.1 * number


def test_frames_of_others_without_an_end_are_no_answer() -> None:
    begun = time.monotonic()
    with linked("tcp", timeout=0.2, patience=0.5) as (link, board, _):
        board.arm("others without end")
        with pytest.raises(LinkError, match=r"no answer within 0\.2 s"):
            link.exchange(1, b"x")
    assert time.monotonic() - begun < 10.0


@pytest.mark.parametrize("kind", ["late", "lost", "changed", "silent", "restart", "reset"])
@wires
def test_a_request_that_may_have_acted_is_never_sent_twice(wire: str, kind: str) -> None:
    with linked(wire) as (link, board, _):
        board.arm(kind)
        with pytest.raises(LinkError, match="may have acted") as caught:
            link.exchange(1, b"trigger")
        assert caught.value.may_have_acted
        assert link.exchange(1, b"read", repeat=True).payload == b"read"
        assert board.received.count("trigger") == 1


@wires
def test_a_waiting_exchange_is_interrupted_from_another_thread(wire: str) -> None:
    with linked(wire, timeout=10.0) as (link, board, _):
        board.arm("silent")
        timer = threading.Timer(0.1, link.interrupt)
        timer.start()
        with pytest.raises(LinkError, match="interrupted"):
            link.exchange(1, b"wait", repeat=True)
        timer.join()
        assert link.exchange(1, b"on").payload == b"on"


def test_settings_are_sent_again_after_reopening() -> None:
    with linked("tcp", patience=2.0) as (link, board, server):

        def send_settings() -> None:
            link.exchange(9, b"settings")

        link.on_reopen(send_settings)
        link.exchange(1, b"first")
        server.drop()
        assert link.exchange(1, b"read", repeat=True).payload == b"read"
        assert board.received[-2:] == ["settings", "read"]


def test_a_gateware_of_another_version_is_named() -> None:
    with linked("tcp") as (link, board, _):
        foreign = b"\x02\x01\x00\x00\x00\x00\x00\x00"
        check = (crc32(foreign) & 0xFFFF).to_bytes(2, "little")
        board.answer = lambda frame, wire: wire.send(b"\xa5\x5a" + foreign + check + bytes(4))
        with pytest.raises(LinkError, match=r"version 2 .* this program version 1: load a gateware that fits"):
            link.exchange(1)


@pytest.mark.parametrize(
    "address", ["tcp://host", "serial://COM3", "udp://host:1", "tcp://host:1?x=2", "serial:///dev/x?b=1"]
)
def test_an_address_of_no_board_is_a_mistake_in_the_file(address: str) -> None:
    with pytest.raises(ConfigurationError, match="no address of a board"):
        open_framed_link(address)
