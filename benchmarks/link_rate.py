"""What a link costs: block reads and small queries, against a plain-socket program that moves the same bytes.

    python -m benchmarks.link_rate

The instrument is a process of its own.  Medians of interleaved rounds; asserts nothing.  `targets()` gives the figures
to `make targets`.
"""

from __future__ import annotations

import multiprocessing
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from pyvisa_py.protocols.hislip import HEADER_FORMAT, HEADER_SIZE, MESSAGETYPE

from benchmarks.figure import Figure, print_table
from drivers.transport import open_link

ROUNDS, BLOCK, QUERIES = 15, 8_000_000, 300
_ANSWERS = {b"*IDN?": b"BENCH,0,0,0\n", b"BLOCK?": b"#7%d" % BLOCK + bytes(BLOCK) + b"\n", b"VOLT?": b"1.25\n"}
_RESPONSES = {"Initialize": 1 << 24, "AsyncInitialize": 0, "AsyncMaxMsgSize": 0}


def targets() -> Iterator[Figure]:
    """Rates of block reads with their targets, and ratios to the plain program."""
    seconds = _measure()
    for wire, target in (("socket", 50), ("HiSLIP", 100)):
        rate = BLOCK / median(seconds[f"{wire} block"]) / 1e6
        ratio = _ratio(seconds, f"{wire} block", "plain block")
        yield Figure(f"block read over {wire}: >= {target} MB/s", f"{rate:.0f} MB/s", rate >= target)
        yield Figure("  times as long as a plain socket", f"{ratio:.2f}", None)
        micros = 1e6 * median(seconds[f"{wire} query"]) / QUERIES
        ratio = _ratio(seconds, f"{wire} query", "plain query")
        yield Figure(f"  query over {wire}, and times as long", f"{micros:.0f} us, {ratio:.2f}", None)


def _measure() -> dict[str, list[float]]:
    """Seconds by program and work, one entry a round."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    port, folder = ours.recv(), Path(tempfile.mkdtemp(prefix="link-rate-"))
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        open_link(f"TCPIP::127.0.0.1::{port}::SOCKET", lease_folder=folder) as stream,
        open_link(f"TCPIP::127.0.0.1::hislip0,{port}::INSTR", lease_folder=folder) as hislip,
    ):
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        works: dict[str, Callable[[], object]] = {
            "plain block": lambda: _plain(plain, b"BLOCK?"),
            "socket block": lambda: stream.query_block("BLOCK?"),
            "HiSLIP block": lambda: hislip.query_block("BLOCK?"),
            "plain query": lambda: [_plain(plain, b"VOLT?") for _ in range(QUERIES)],
            "socket query": lambda: [stream.query("VOLT?") for _ in range(QUERIES)],
            "HiSLIP query": lambda: [hislip.query("VOLT?") for _ in range(QUERIES)],
        }
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(ROUNDS):
            for name, work in works.items():
                begin = time.perf_counter()
                work()
                seconds[name].append(time.perf_counter() - begin)
    server.terminate()
    server.join()
    return seconds


def _ratio(seconds: dict[str, list[float]], one: str, other: str) -> float:
    return median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))


def _plain(wire: socket.socket, message: bytes) -> bytes:
    """The plainest program: send, and receive as many bytes as are known to come."""
    wire.sendall(message + b"\n")
    return _exactly(wire, len(_ANSWERS[message]))


def _exactly(wire: socket.socket, count: int) -> bytes:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        if not (got := wire.recv_into(view)):
            raise ConnectionError
        view = view[got:]
    return bytes(data)


def _serve(report: Connection) -> None:
    """An instrument that speaks plainly or by HiSLIP, as each client begins."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        report.send(listener.getsockname()[1])
        while True:
            wire, _ = listener.accept()
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_answer, args=(wire,), daemon=True).start()


def _answer(wire: socket.socket) -> None:
    with wire, suppress(ConnectionError):
        speak = _speak_hislip if wire.recv(2, socket.MSG_PEEK) == b"HS" else _speak_plainly
        speak(wire)


def _speak_plainly(wire: socket.socket) -> None:
    with wire.makefile("rb") as lines:
        for message in lines:
            wire.sendall(_ANSWERS[message.rstrip()])


def _speak_hislip(wire: socket.socket) -> None:
    names = {number: name for name, number in MESSAGETYPE.items()}
    while True:
        _, kind, _, number, length = struct.unpack(HEADER_FORMAT, _exactly(wire, HEADER_SIZE))
        payload = _exactly(wire, length)
        if kind == MESSAGETYPE["DataEnd"]:
            answer, kind = _ANSWERS[payload.rstrip()], "DataEnd"
        else:
            kind, number = names[kind] + "Response", _RESPONSES[names[kind]]
            answer = payload  # the message size that was asked for
            answer = b"" if kind == "InitializeResponse" else answer
        header = struct.pack(HEADER_FORMAT, b"HS", MESSAGETYPE[kind], 0, number, len(answer))
        wire.sendall(header)
        wire.sendall(answer)


if __name__ == "__main__":
    print_table(targets())
