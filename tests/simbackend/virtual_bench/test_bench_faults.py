"""Faults happen when they are ordered, once, and leave the instrument as a real one would be.

LABRHEL_FAULTS sets how many random ones there are (40; `make targets` takes 1000).
"""

import json
import os
import select
import socket
import threading
import time
from contextlib import closing

import pytest

from labrhel.errors import ConfigurationError
from labrhel.testing.waiting import PATIENCE, wait_for
from simbackend.testing.plain_client import Client, clients, station
from simbackend.virtual_bench import Fault, virtual_bench
from simbackend.virtual_bench.faults import KINDS

COUNT = int(os.environ.get("LABRHEL_FAULTS", "40"))


@pytest.fixture
def bench(tmp_path):
    with virtual_bench(station(tmp_path)) as opened:
        yield opened


@pytest.fixture
def awg(bench):
    with clients(bench, "awg") as (client,):
        yield client


def order(bench, **words):
    with socket.create_connection(bench.control, 5) as control, control.makefile("rwb") as lines:
        lines.write(json.dumps(words).encode() + b"\n")
        lines.flush()
        return json.loads(lines.readline())


def test_a_late_answer_comes_late_and_the_next_one_in_time(bench, awg):
    assert order(bench, instrument="awg", fault="late", amount=0.3, after=1) == {"ordered": "late"}
    assert awg.ask("*OPC?") == "1"
    assert order(bench, instrument="awg", happened=True) == {"happened": []}
    begun = time.monotonic()
    assert awg.ask("*OPC?") == "1"
    assert time.monotonic() - begun > 0.29
    assert order(bench, instrument="awg", happened=True) == {"happened": ["late"]}
    assert awg.ask("*OPC?") == "1"
    assert order(bench, instrument="awg", happened=True) == {"happened": ["late"]}


@pytest.mark.parametrize(
    ("kind", "answer"), [("garbage", b"\xfe\xfe\xfe\xfe1\n"), ("terminator", b"1\x001\n"), ("lost", b"1\n")]
)
def test_answers_are_spoiled_as_ordered(bench, awg, kind, answer):
    order(bench, instrument="awg", fault=kind)
    awg.write("*OPC?")
    awg.write("*OPC?")
    assert awg.read() == answer


def test_a_reset_breaks_one_connection_and_a_new_one_finds_the_settings(bench, awg):
    awg.write("SOUR1:VOLT 2.5")
    awg.ask("*OPC?")
    order(bench, instrument="awg", fault="reset")
    with pytest.raises(OSError):
        awg.ask("*OPC?")
    with clients(bench, "awg") as (again,):
        assert float(again.ask("SOUR1:VOLT?")) == 2.5


def test_a_restart_is_away_for_a_while_and_forgets_everything_but_its_address(bench, awg):
    awg.write("SOUR1:VOLT 2.5;:OUTP1 ON")
    awg.ask("*OPC?")
    order(bench, instrument="awg", fault="restart", amount=2.0)
    with pytest.raises(OSError):
        awg.ask("*OPC?")
    with pytest.raises(OSError):
        Client(bench.addresses["awg"]["socket"])
    again = reached(bench)
    assert float(again.ask("SOUR1:VOLT?")) == 0.1 and again.ask("OUTP1?") == "0"
    again.close()


class SlowWire:
    """A wire that takes its time to be reachable again."""

    def __init__(self):
        self.starts = 0

    def start(self):
        time.sleep(0.2)
        self.starts += 1

    def stop(self):
        pass

    close = stop


def reached(bench):
    def client():
        try:
            return Client(bench.addresses["awg"]["socket"])
        except OSError:
            return None

    return wait_for(client, "an instrument that is back")


def test_a_restart_in_the_middle_of_a_return_comes_back_too(bench, awg):
    slow = SlowWire()
    bench.hosts["awg"].add("slow", slow, "nowhere")
    order(bench, instrument="awg", fault="restart", amount=0.01)
    order(bench, instrument="awg", fault="restart", amount=0.01)
    with pytest.raises(OSError):
        awg.ask("*OPC?")
    with closing(reached(bench)) as second, pytest.raises(OSError):
        second.ask("*OPC?")  # the slow wire has not returned from the first restart
    assert order(bench, instrument="awg", happened=True) == {"happened": ["restart", "restart"]}
    with closing(reached(bench)) as again:
        assert again.ask("*OPC?") == "1"


def test_an_instrument_that_is_away_keeps_its_port(bench, awg):
    order(bench, instrument="awg", fault="restart", amount=5.0)
    with pytest.raises(OSError):
        awg.ask("*OPC?")
    port = int(bench.addresses["awg"]["socket"].split("::")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


def test_a_stuck_instrument_holds_up_nobody_else(bench, awg):
    order(bench, instrument="awg", fault="busy", amount=2.0)
    awg.write("*OPC?")
    with clients(bench, "scope") as (scope,):
        assert scope.ask("*IDN?").startswith("RIGOL")
    assert not select.select([awg.socket], [], [], 0)[0]
    assert awg.read() == b"1\n"


def test_an_error_enters_the_queue(bench, awg):
    order(bench, instrument="awg", fault="error", amount=-221)
    assert awg.ask("SYST:ERR?") == '-221,"Settings conflict; ordered"'


def test_a_closing_bench_does_not_wait_for_faults(tmp_path):
    bench = virtual_bench(station(tmp_path))
    with clients(bench, "awg") as (client,):
        order(bench, instrument="awg", fault="busy", amount=60)
        client.write("*OPC?")
        wait_for(lambda: order(bench, instrument="awg", happened=True) == {"happened": ["busy"]}, "the fault")
        begun = time.monotonic()
        bench.close()
        assert time.monotonic() - begun < 30


def test_orders_that_make_no_sense_are_answered_in_words(bench):
    assert "did you mean 'late'" in order(bench, instrument="awg", fault="lat")["error"]
    assert "did you mean 'awg'" in order(bench, instrument="agw", fault="late")["error"]
    assert order(bench, volts="awg.ch1") == {"volts": 0.0} and order(bench, now=True)["now"] > 0
    with pytest.raises(ConfigurationError):
        Fault.of("nonsense")
    assert len(KINDS) == 9


def test_no_instrument_has_a_command_for_faults(bench, awg):
    for kind in KINDS:
        awg.write(f"SYST:{kind.upper()} 1")
        assert awg.ask("SYST:ERR?").startswith("-113")


def test_hislip_sessions_break_at_a_restart_and_new_ones_are_served(tmp_path):
    import pyvisa

    file = station(tmp_path, awg=", wires: [hislip]")
    with virtual_bench(file) as bench:
        manager = pyvisa.ResourceManager("@py")
        address = bench.addresses["awg"]["hislip"]
        session = manager.open_resource(address, read_termination="\n", write_termination="\n", timeout=2000)
        session.write("VOLT 2.5")
        assert float(session.query("VOLT?")) == 2.5
        order(bench, instrument="awg", fault="restart", amount=0.1)
        with pytest.raises((pyvisa.VisaIOError, OSError, RuntimeError)):
            session.query("VOLT?")
        session.close()

        def reopened():
            try:
                return manager.open_resource(address, read_termination="\n", write_termination="\n", timeout=2000)
            except (pyvisa.VisaIOError, OSError, RuntimeError):
                return None

        session = wait_for(reopened, "an instrument that is back")
        assert float(session.query("VOLT?")) == 0.1
        session.close()
        manager.close()


def test_a_serial_line_loses_answers_and_goes_on_at_the_same_path():
    import serial

    with virtual_bench("coupled_oscillators") as bench:
        path = bench.addresses["bias"]["serial"].removeprefix("ASRL").removesuffix("::INSTR")
        with serial.Serial(path, timeout=0.3) as line:
            for fault, answer in (("lost", b""), ("reset", b""), ("garbage", b"\xfe\xfe\xfe\xfe1\n"), ("restart", b"")):
                order(bench, instrument="bias", fault=fault)
                line.timeout = 30 if answer else 0.3
                line.write(b"*OPC?\n")
                assert line.readline()[: len(answer) or None] in (answer, b"1")
                line.reset_input_buffer()
            line.timeout = 0.3

            def is_back():
                line.reset_input_buffer()
                line.write(b"*OPC?\n")
                return line.readline() == b"1\n"

            wait_for(is_back, "an answer")


@pytest.mark.slow
def test_many_random_faults_leave_no_thread_and_an_instrument_that_answers(tmp_path):
    import random

    draw = random.Random(5)
    before = set(threading.enumerate())
    with virtual_bench(station(tmp_path)) as bench:
        for _ in range(COUNT):
            kind = draw.choice([kind for kind in KINDS if kind != "clip"])
            amount = {"late": 0.01, "busy": 0.01, "restart": 0.02}.get(kind)
            bench.hosts["awg"].order(Fault.of(kind, amount), after=draw.randrange(3))
            deadline = time.monotonic() + PATIENCE
            while len(bench.hosts["awg"].station.faults.happened) == 0 and time.monotonic() < deadline:
                try:
                    with closing(Client(bench.addresses["awg"]["socket"], timeout=0.2)) as client:
                        for _ in range(4):
                            client.write("*OPC?")
                            client.read()
                except OSError:
                    time.sleep(0.005)
            assert [fault.kind for fault in bench.hosts["awg"].station.faults.happened] == [kind]
            bench.hosts["awg"].station.faults.happened.clear()
        bench.hosts["awg"].station.faults.clear()
        with closing(reached(bench)) as client:
            assert client.ask("*IDN?").startswith("Agilent")
    assert set(threading.enumerate()) <= before
