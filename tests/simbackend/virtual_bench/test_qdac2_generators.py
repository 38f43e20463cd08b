"""Sweeps, lists and waves of a QDAC-II channel, as a stock driver sends them and as voltages over time."""

import numpy as np
import pytest

from labrhel.testing.waiting import wait_for
from simbackend.virtual_bench import virtual_bench


@pytest.fixture(scope="module")
def opened():
    with virtual_bench("coupled_oscillators") as bench:
        yield bench


class Channel:
    """Channel 3 of a fresh instrument, and what it does."""

    def __init__(self, bench):
        self.bench, self.device = bench, bench.hosts["bias"].device
        self.say("*RST;*CLS")

    def say(self, words):
        with self.bench.clock.at_once():
            answer = self.device.execute(words.encode())
        return None if answer is None else answer.decode()

    def volts(self, *moments):
        source = self.bench.world._oscillators.sources["bias.ch3"]
        return [source.at(moment) for moment in moments]

    def begun(self, words):
        """When what these words start begins."""
        with self.bench.clock.at_once():
            self.device.execute(words.encode())
            return self.bench.clock.now()


@pytest.fixture
def channel(opened):
    return Channel(opened)


def test_a_sweep_goes_up_its_steps_and_stays_at_the_last(channel):
    channel.say("sour3:volt 0.25;:sour3:volt:mode swe;:sour3:swe:star 1;stop 2;poin 5;dwel 2;coun 2")
    start = channel.begun("sour3:dc:init")
    assert channel.volts(start - 1, start + 1, start + 3, start + 9) == [0.25, 1.0, 1.25, 2.0]
    assert channel.volts(start + 11, start + 19, start + 21, start + 1e6) == [1.0, 2.0, 2.0, 2.0]
    assert channel.say("sour3:swe:time?;ncl?") == "10;2"
    held = channel.begun("sour3:dc:abor")
    assert channel.volts(held + 100.0) == [1.0]
    down = channel.begun("sour3:swe:dir down;coun -1;:sour3:dc:init")
    assert channel.volts(down + 1, down + 11) == [2.0, 2.0]
    assert channel.say("sour3:swe:ncl?;:syst:err?") == '-1;0, "No error"'


def test_a_list_waits_for_what_triggers_it_once_or_each_time(channel):
    channel.say("sour3:volt:mode list;:sour3:list:volt 0.1,0.2;volt:app 0.3;:sour3:list:dwel 1")
    channel.say("sour3:dc:trig:sour int4;:sour3:dc:init")
    assert channel.say("sour3:list:poin?;volt?") == "3;0.1,0.2,0.3"
    assert channel.volts(channel.begun("tint 3") + 1.5) == [0.0]
    assert channel.volts(channel.begun("tint 4") + 1.5) == [0.2]
    channel.say("sour3:volt 0")
    assert channel.volts(channel.begun("tint 4") + 1.5) == [0.0]  # it was for once
    channel.say("sour3:dc:trig:sour bus;:sour3:dc:init:cont on;:sour3:dc:init")
    for _ in range(2):
        channel.say("sour3:volt 0")
        assert channel.volts(channel.begun("*TRG") + 2.5) == [0.3]


def test_waves_are_added_to_the_level_and_gone_when_they_are_over(channel):
    channel.say("sour3:volt 1;:sour3:sine:span 2;offs 0.5;freq 0.1;coun 1;:sour3:squ:span 1;per 10;dcyc 25;typ pos")
    start = channel.begun("sour3:sine:init")
    assert channel.volts(start + 2.5, start + 7.5) == pytest.approx([2.5, 0.5], abs=1e-3)
    assert channel.volts(start + 11) == [1.0]
    square = channel.begun("sour3:sine:abor;:sour3:squ:init")
    assert channel.volts(square + 1, square + 5, square + 11, square + 1e4 + 1) == [2.0, 1.0, 2.0, 2.0]
    assert channel.say("sour3:volt?") == "1"  # the level, without the wave
    end = channel.begun("sour3:all:abor")
    assert channel.volts(end) == [1.0]
    triangle = channel.begun("sour3:tri:span 2;per 4;dcyc 50;pol inv;:sour3:tri:init")
    assert channel.volts(triangle + 2, triangle + 4) == pytest.approx([0.0, 2.0], abs=0.05)


def test_a_trace_is_played_as_it_was_sent(channel):
    block = np.array([0.5, -0.5, 0.25], "<f4").tobytes()
    with channel.bench.clock.at_once():
        channel.device.execute(b'trac:def "Hill",3')
        channel.device.execute(b'trac:data "hill",#212' + block)
        channel.device.execute(b'sour3:awg:def "hill";scal 2;offs 0.1;coun 1')
    start = channel.begun("sour3:awg:init")
    assert channel.volts(*(start + 1e-6 * (k + 0.5) for k in range(4))) == pytest.approx([1.1, -0.9, 0.6, 0.0])
    assert channel.say("trac:cat?;:trac:rem:all;:trac:cat?") == '"hill";""'


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("sour3:dc:init", -221),  # the mode is fixed
        ("sour3:volt:mode list;:sour3:dc:init", -221),
        ("sour3:rang low;:sour3:volt:mode swe;:sour3:swe:stop 3;:sour3:dc:init", -222),
        ("sour3:rang low;:sour3:sine:span 6;:sour3:sine:init", -222),
        ("sour3:awg:init", -221),
        ('sour3:awg:def "nobody"', -224),
        ("sour25:sine:init", -114),
        ("sour3:sine:per 0", -222),
        ('trac:def "x",1', -222),
        ("sour3:list:volt #x", -161),
        ("sour3:list:volt #13ab", -161),
    ],
)
def test_what_cannot_be_played_is_refused_and_moves_nothing(channel, words, code):
    channel.say(words)
    assert channel.say("syst:err?").startswith(str(code))
    assert channel.volts(channel.bench.clock.now() + 1.0) == [0.0]


@pytest.mark.filterwarnings("ignore")
def test_the_stock_qcodes_driver_sweeps_lists_plays_and_takes_a_snapshot(opened):
    qdac2 = pytest.importorskip(
        "qcodes_contrib_drivers.drivers.QDevil.QDAC2", reason="qcodes-contrib-drivers is missing"
    )
    driver = qdac2.QDac2("stock_qdac", visalib="@py", address=opened.addresses["bias"]["socket"])
    try:
        driver.reset()
        own = Channel(opened)
        source = opened.world._oscillators.sources
        sweep = driver.ch03.dc_sweep(start_V=0, stop_V=1, points=11, repetitions=1, dwell_s=1e-3)
        sweep.start()
        wait_for(lambda: own.volts(opened.clock.now()) == [1.0], "the end of the sweep")
        assert sweep.values_V() == pytest.approx(np.linspace(0, 1, 11)) and sweep.cycles_remaining() == 0
        listed = driver.ch03.dc_list(voltages=[0.5, -0.25], dwell_s=1e-3)
        listed.start()
        wait_for(lambda: own.volts(opened.clock.now()) == [-0.25], "the end of the list")
        assert listed.values_V() == pytest.approx([0.5, -0.25])
        sine = driver.ch04.sine_wave(frequency_Hz=0.1, span_V=0.5)
        sine.start()
        driver.ask("*opc?")  # it has been obeyed
        assert np.ptp([source["bias.ch4"].at(opened.clock.now() + t) for t in range(10)]) > 0.4
        sine.abort()
        assert len(driver.snapshot(update=True)["submodules"]) >= 24
        assert driver.ask("syst:err:coun?") == "0"
    finally:
        driver.close()
