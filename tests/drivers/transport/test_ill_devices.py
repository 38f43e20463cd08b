"""Devices that do harm: an exchange or an opening ends in one sentence, in time, and takes no memory."""

import socket
import struct
import threading
import time
import tracemalloc
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyvisa_py.protocols.hislip import HEADER_FORMAT, MESSAGETYPE

from drivers.testing.ill_devices import ILLS, ill_server
from drivers.testing.wires import Device, PtyServer, TcpServer, Wire
from drivers.transport import Link, LinkError, open_link
from drivers.transport._hislip import HislipPort
from drivers.transport.deadline import Deadline
from drivers.transport.port import LONGEST_LINE

IN_TIME = 15.0  # s, with the time-outs that links have by themselves; here they are a tenth of that
MOST = 40 << 20  # bytes
BLOCKS = ("huge block", "nine digits", "endless")


def quick_link(server: TcpServer) -> Link:
    return open_link(server.address, timeout=0.2, patience=0.5)


@pytest.mark.parametrize("ill", ILLS)
def test_an_opening_ends_in_one_sentence(ill: str) -> None:
    _, server = ill_server(ill)
    begun = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(LinkError, match="cannot be opened"):
            quick_link(server)
        assert tracemalloc.get_traced_memory()[1] < MOST
        assert time.monotonic() - begun < IN_TIME
    finally:
        tracemalloc.stop()
        server.close()


@pytest.mark.parametrize(("ill", "what"), [(ill, "block" if ill in BLOCKS else "line") for ill in ILLS])
def test_an_exchange_ends_with_the_first_cause(ill: str, what: str) -> None:
    device, server = ill_server("")
    begun = time.monotonic()
    try:
        with quick_link(server) as link:
            device.ill = ill
            tracemalloc.start()
            with pytest.raises(LinkError) as it:
                link.query_block("BLOCK? 1 100") if what == "block" else link.query("ECHO? 1", repeat=False)
            assert tracemalloc.get_traced_memory()[1] < MOST
            words = str(it.value)
            assert words.startswith(f"{server.address}: '{'BLOCK' if what == 'block' else 'ECHO'}")
            with pytest.raises(LinkError):
                link.query("ECHO? 2")
        assert time.monotonic() - begun < IN_TIME
    finally:
        tracemalloc.stop()
        server.close()


def test_a_header_that_promises_gigabytes_takes_none() -> None:
    device, server = ill_server("")
    with quick_link(server) as link:
        device.ill = "huge block"
        with pytest.raises(LinkError, match=r"'999999999', where at most 67108864 bytes were expected"):
            link.query_block("BLOCK? 1 100", repeat=False)
    server.close()


def test_an_answer_without_an_end_is_given_up_at_its_largest_size() -> None:
    device, server = ill_server("")
    with open_link(server.address, timeout=20.0, patience=0.1) as link:
        device.ill = "endless"
        with pytest.raises(LinkError, match="bytes came without an end") as it:
            link.query("ECHO? 1", repeat=False)
        assert len(it.value.raw) <= 200
    server.close()
    assert LONGEST_LINE <= device.sent < 60 * LONGEST_LINE


def test_a_device_that_echoes_is_named_after_one_question() -> None:
    device, server = ill_server("echo")
    with pytest.raises(LinkError, match=r"sends back what it is sent \(\*IDN\?\): switch its echo off"):
        open_link(server.address, timeout=30.0, patience=60.0)
    server.close()
    assert device.received == ["*IDN?"]


def test_a_serial_line_that_echoes_and_then_answers_is_named_too() -> None:
    server = PtyServer(EchoThenAnswer())
    with pytest.raises(LinkError, match="switch its echo off"):
        open_link(server.address, timeout=2.0, patience=60.0)
    server.close()


class EchoThenAnswer(Device):
    """A terminal server with its echo on."""

    def obey(self, message: bytes, wire: Wire) -> None:
        wire.send(message + b"\r\n")
        wire.send(b"MAKER,MODEL,1,1\n")


def test_a_device_that_was_given_up_is_not_waited_for_again() -> None:
    device, server = ill_server("half-open")
    device.ill, device.answers = "half-open", 2
    with open_link(server.address, timeout=0.1, patience=1.5) as link:
        with pytest.raises(LinkError, match="no answer within"):
            link.query("ECHO? 1")
        before = Deadline(3 * 1.5)  # what it would take to wait each time
        for _ in range(3):
            with pytest.raises(LinkError):
                link.query("ECHO? 2")
        assert before.remaining > 0
    server.close()


def test_the_first_cause_stands_before_what_came_of_it() -> None:
    device, server = ill_server("half-open")
    device.answers = 2
    with open_link(server.address, timeout=0.1, patience=0.2) as link, pytest.raises(LinkError) as it:
        link.query("ECHO? 1")
    server.close()
    assert "'ECHO? 1': no answer within 0.1 s; then the link could not be mended" in str(it.value)


def test_a_device_that_says_why_it_does_not_answer_is_not_asked_again() -> None:
    device, server = ill_server("")
    asked: list[str] = []

    def why(text: str) -> None:
        asked.append(link.query("ECHO? -113"))
        raise ValueError(text)

    with open_link(server.address, timeout=0.2) as link:
        link.on_silence(why)
        with pytest.raises(ValueError, match="NONSENSE"):
            link.query("NONSENSE?")
        assert device.received.count("NONSENSE?") == 1 and asked == ["-113"]
        with pytest.raises(LinkError, match="no answer"):  # whoever sets a time-out judges it himself
            link.query("NONSENSE?", timeout=0.1, repeat=False)
        assert asked == ["-113"]
        assert link.query("ECHO? 2") == "2"
    server.close()


@pytest.mark.parametrize("what", ["read", "clear"])
def test_hislip_messages_that_nobody_asked_for_end_at_the_deadline_even_without_a_pause(what: str) -> None:
    (sync, far), (other, far_other) = socket.socketpair(), socket.socketpair()
    old = struct.pack(HEADER_FORMAT, b"HS", MESSAGETYPE["Data"], 0, 17, 100) + bytes(100)

    def flood(wire: socket.socket) -> None:
        with suppress(OSError):
            while True:
                wire.sendall(old * 100)

    session = SimpleNamespace(_sync=sync, _async=other, max_msg_size=1 << 20)
    port = HislipPort(cast(Any, session), "ill", None, lambda: None)
    with ExitStack() as stack:
        for wire in (far, far_other):
            thread = threading.Thread(target=flood, args=(wire,))
            thread.start()
            stack.callback(thread.join)
        for wire in (sync, other, far, far_other):
            stack.callback(wire.close)
            stack.callback(wire.shutdown, socket.SHUT_RDWR)
        with pytest.raises(TimeoutError):
            port.receive_some(Deadline(0.2)) if what == "read" else port.clear(Deadline(0.2))
