import multiprocessing
import os
import random
import socket
import threading
import time
from pathlib import Path

import pytest
import serial

from drivers.testing.wires import IDENTITY, LATE, SERVERS, Device, PtyServer, TcpServer, block, read_token, token
from drivers.transport import Direction, LinkError, TrafficLog, is_repeatable, open_link
from drivers.transport._socket import write_all
from drivers.transport.deadline import Deadline
from labrhel.errors import ConfigurationError, ProgramError, TransportError
from labrhel.testing.waiting import PATIENCE, wait_for

READS = int(os.environ.get("LABRHEL_READS", "1000"))

wires = pytest.mark.parametrize("wire", SERVERS)


@wires
def test_messages_answers_and_blocks_go_through(wire: str) -> None:
    device = Device()
    server = SERVERS[wire](device)
    with open_link(server.address) as link:
        assert link.identity == IDENTITY
        link.write("SET 1")
        assert link.query("ECHO? abc") == "abc"
        assert link.query_as("ECHO? 2.5", float) == 2.5
        assert link.query_block("BLOCK? 7 100000") == block(7, 100_000)
        assert link.query_block("BLOCK? 7 20", length=20) == block(7, 20)
        assert "SET 1" in device.received
    server.close()


@wires
def test_a_block_that_holds_terminators_is_sent_whole(wire: str) -> None:
    log = TrafficLog()
    server = SERVERS[wire](Device())
    with open_link(server.address, log=log) as link:
        link.write_block("DATA:ARB:DAC wave,", b"\n#\r\x00")
        assert link.query("ECHO? next") == "next"
    server.close()
    assert b"DATA:ARB:DAC wave,#14\n#\r\x00\n" in [piece.data for piece in log.newest()]


@wires
def test_what_is_told_before_a_question_goes_out_as_messages_of_their_own_and_is_not_repeated(wire: str) -> None:
    device, log = Device(), TrafficLog()
    server = SERVERS[wire](device)
    told = ["SET 1", ("DATA wave,", b"abc"), "SET 2"]
    with open_link(server.address, log=log, timeout=0.3) as link:
        assert link.query_as("ECHO? abc", str, first=told) == "abc"
        words = ["SET 1", "DATA wave,#13abc", "SET 2", "ECHO? abc"]
        assert device.received[-4:] == words
        sent = [piece.data for piece in log.newest() if piece.direction is Direction.SENT]
        assert sent[-4:] == [f"{text}\n".encode() for text in words]
        with pytest.raises(LinkError, match=r"'SET 1; DATA wave,; SET 2; ECHO\? abc': .*may have acted"):
            link.query_as("ECHO? abc", int, first=told)
        assert link.query("ECHO? next") == "next"
    server.close()
    assert device.received.count("SET 1") == 2


def test_on_a_socket_all_of_that_is_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []

    def seen(wire: socket.socket, data: bytes, deadline: Deadline) -> None:
        pieces.append(data)
        write_all(wire, data, deadline)

    monkeypatch.setattr("drivers.transport._socket.write_all", seen)
    server = SERVERS["socket"](Device())
    with open_link(server.address) as link:
        pieces.clear()
        assert link.query_as("ECHO? abc", str, first=["SET 1", "SET 2"]) == "abc"
    server.close()
    assert pieces == [b"SET 1\nSET 2\nECHO? abc\n"]


@wires
def test_two_threads_never_get_each_others_answer(wire: str) -> None:
    server = SERVERS[wire](Device())
    wrong: list[str] = []

    def read(first: int) -> None:
        for number in range(first, first + READS // 2):
            if (got := link.query_as(f"ECHO? {token(number)}", read_token)) != token(number):
                wrong.append(got)

    with open_link(server.address) as link:
        threads = [threading.Thread(target=read, args=(first,)) for first in (0, 10**6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    server.close()
    assert not wrong


def _read_in_turns(address: str, first: int, state: str, results: multiprocessing.Queue) -> None:
    os.environ["LABRHEL_STATE"] = state
    wrong = 0
    for begin in range(first, first + READS // 2, 50):
        with open_link(address, wait=60.0) as link:
            for number in range(begin, begin + 50):
                wrong += link.query_as(f"ECHO? {token(number)}", read_token) != token(number)
    results.put(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("wire", ["socket", "serial"])
def test_two_processes_take_turns_by_the_lease_and_get_their_own_answers(wire: str) -> None:
    server = SERVERS[wire](Device())
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    state = os.environ["LABRHEL_STATE"]
    readers = [
        context.Process(target=_read_in_turns, args=(server.address, first, state, results)) for first in (0, 10**6)
    ]
    for reader in readers:
        reader.start()
    assert [results.get(timeout=120) for _ in readers] == [0, 0]
    for reader in readers:
        reader.join()
        reader.close()
    results.close()
    results.join_thread()
    server.close()


def test_a_second_owner_gets_one_sentence() -> None:
    server = TcpServer(Device())
    with (
        open_link(server.address),
        pytest.raises(TransportError, match=rf"in use by process {os.getpid()}, this very program.* since .*: stop"),
    ):
        open_link(server.address.replace("127.0.0.1", "localhost"))
    server.close()


@wires
def test_an_exchange_that_waits_is_interrupted_from_another_thread_and_the_next_one_works(wire: str) -> None:
    device = Device()
    server = SERVERS[wire](device)
    with open_link(server.address, timeout=PATIENCE) as link:
        device.arm("silent")

        def interrupt() -> None:
            wait_for(lambda: "ECHO? 1" in device.received, "the exchange")
            time.sleep(2 * LATE)  # a serial line that is silent hears again by then
            link.interrupt()

        other = threading.Thread(target=interrupt)
        other.start()
        with pytest.raises(LinkError, match="interrupted"):
            link.query("ECHO? 1")
        assert not link.in_step
        other.join()
        assert link.query("ECHO? 2") == "2"
    server.close()


def test_hislip_clears_the_device_when_interrupted_and_when_it_mends() -> None:
    device = Device()
    server = SERVERS["hislip"](device)
    with open_link(server.address, timeout=0.1) as link:
        device.arm("late")
        assert link.query("ECHO? 1", timeout=0.02) == "1"
        assert server.clears == 1  # pyright: ignore[reportAttributeAccessIssue]
        link.interrupt()
        assert link.query("ECHO? 2") == "2"
    server.close()
    assert server.clears == 2  # pyright: ignore[reportAttributeAccessIssue]


@wires
def test_settings_are_sent_again_after_a_recovery_and_before_anything_else(wire: str) -> None:
    device = Device()
    server = SERVERS[wire](device)
    with open_link(server.address, timeout=0.05) as link:
        link.on_reopen(lambda: link.write("FORMAT REAL"))
        assert "FORMAT REAL" not in device.received
        device.arm("silent")
        assert link.query("ECHO? 1") == "1"
        assert device.received.index("FORMAT REAL") > device.received.index("ECHO? 1")
        assert device.received[-1] == "ECHO? 1"
    server.close()


def test_another_device_at_the_address_is_an_error_that_names_both() -> None:
    device = Device()
    server = TcpServer(device)
    with open_link(server.address, timeout=0.05, patience=0.3) as link:
        device.identity = "OTHER,DEVICE,1,1"
        server.drop()
        with pytest.raises(LinkError, match=r"OTHER,DEVICE.*LABRHEL,ECHO.*another device") as caught:
            link.write("OUTPUT ON")
        assert not caught.value.may_have_acted
        assert "OUTPUT ON" not in device.received
    server.close()


def test_a_dead_device_is_an_error_that_says_that_nothing_was_sent() -> None:
    server = TcpServer(Device())
    with open_link(server.address, timeout=0.05, patience=0.2) as link:
        server.close()
        with pytest.raises(LinkError, match="was not sent") as caught:
            link.write("OUTPUT ON")
        assert not caught.value.may_have_acted


def test_an_address_where_nobody_listens_is_refused_and_its_lease_given_back() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"TCPIP::127.0.0.1::{free.getsockname()[1]}::SOCKET"
    for _ in range(2):
        with pytest.raises(LinkError, match="cannot be opened"):
            open_link(address, patience=0.1)


def test_what_an_earlier_program_left_in_the_line_is_not_taken_for_the_identity() -> None:
    server = SERVERS["serial"](Device())
    server.send(b"1.2345\n")
    with open_link(server.address) as link:
        assert link.identity == IDENTITY
        assert link.query("ECHO? 5") == "5"
    server.close()


@pytest.mark.parametrize("lines", [1, 40])
def test_a_program_that_is_held_up_while_it_writes_to_a_serial_line_sends_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    """Found on a loaded machine: pyserial then says that its time is up, of bytes that it has written."""
    monkeypatch.setattr(serial.serialutil.Timeout, "expired", lambda timeout: True)
    device = Device()
    server = PtyServer(device)
    with open_link(server.address, timeout=PATIENCE) as link:
        before = len(device.received)
        for number in range(lines):
            link.write(f"SET {number} {'x' * 100}")
        assert link.query("ECHO? end") == "end"
    server.close()
    assert [text.split()[1] for text in device.received[before:]] == [*map(str, range(lines)), "end"]


def test_exclusive_keeps_other_threads_off() -> None:
    device = Device()
    server = TcpServer(device)
    with open_link(server.address) as link:
        with link.exclusive():
            link.write("A")
            other = threading.Thread(target=link.query, args=("ECHO? other",))
            other.start()
            time.sleep(0.05)
            assert link.query("ECHO? mine") == "mine"
        other.join()
    server.close()
    assert device.received[-3:] == ["A", "ECHO? mine", "ECHO? other"]


def test_ctrl_c_in_an_exchange_leaves_no_answer_for_the_next_one() -> None:
    server = TcpServer(Device())

    def interrupted(text: str) -> str:
        raise KeyboardInterrupt

    with open_link(server.address) as link:
        with pytest.raises(KeyboardInterrupt):
            link.query_as("ECHO? 1", interrupted)
        assert not link.in_step
        assert link.query("ECHO? 2") == "2"
    server.close()


@pytest.mark.parametrize("text", ["VOLT 1\nOUTP ON", "VOLT é", "A\r"])
def test_a_text_that_is_not_one_message_is_refused(text: str) -> None:
    server = TcpServer(Device())
    with open_link(server.address) as link, pytest.raises(ProgramError, match="one line"):
        link.write(text)
    server.close()


def test_a_closed_link_says_so() -> None:
    server = TcpServer(Device())
    link = open_link(server.address)
    link.close()
    link.close()
    with pytest.raises(LinkError, match="has been closed"):
        link.query("*IDN?")
    server.close()


def test_an_address_that_is_none_is_a_mistake_in_the_file() -> None:
    with pytest.raises(ConfigurationError, match="no VISA address"):
        open_link("192.168.1.5:5025")


@pytest.mark.parametrize("text", ["VOLT?", "VOLT? MAX", "SOUR1:VOLT?;FREQ?", "*IDN?", ":WAV:DATA?", "*STB?"])
def test_queries_that_only_read_are_repeatable(text: str) -> None:
    assert is_repeatable(text)


@pytest.mark.parametrize(
    "text",
    [
        "VOLT 1",
        "*TRG",
        "VOLT 1;*OPC?",
        "*OPC?",
        "*ESR?",
        "SYST:ERR?",
        "READ?",
        ":MEAS:VOLT?",
        "STAT:OPER:EVEN?",
        "*TST?",
        "",
    ],
)
def test_what_acts_or_uses_up_its_answer_is_not(text: str) -> None:
    assert not is_repeatable(text)


def test_the_log_holds_every_byte_both_ways() -> None:
    log = TrafficLog()
    server = TcpServer(Device())
    number = random.Random(1).randrange(10**6)
    with open_link(server.address, log=log) as link:
        link.query(f"ECHO? {number}")
    server.close()
    sent = b"".join(piece.data for piece in log.newest() if piece.direction is Direction.SENT)
    received = b"".join(piece.data for piece in log.newest() if piece.direction is Direction.RECEIVED)
    assert sent == b"*IDN?\n*IDN?\n" + f"ECHO? {number}\n".encode()
    assert received == f"{IDENTITY}\n{IDENTITY}\n{number}\n".encode()
    events = [piece.data for piece in log.newest() if piece.direction is Direction.EVENT]
    assert events == [b"opened", b"closed"]


def test_a_forked_child_may_not_use_its_parents_link(tmp_path: Path) -> None:
    server = TcpServer(Device())
    with open_link(server.address) as link:
        link._process += 1  # what a fork changes
        with pytest.raises(LinkError, match="belongs to the process"):
            link.query("*IDN?")
        link._process -= 1
    server.close()
