"""A QDAC-II holds levels."""

import json
import threading
import time

import numpy as np
import pytest

from drivers.roles import LevelSource
from labrhel.errors import ConfigurationError, InstrumentError, LabrhelError, LimitError, ProgramError
from labrhel.testing.waiting import wait_for
from simbackend.virtual_bench import Fault

BENCH = """
instruments:
  bias: {kind: qdac2, wires: [socket, serial, hislip]}
leads:
  - {wire: bias.ch1, to: "stiffness[0]", at_zero: 1.0, per_volt: 0.2}
"""


def at(bench, channel):
    return bench.hosts["bias"].device._now(channel)


@pytest.mark.parametrize("wire", ["socket", "serial", "hislip"])
def test_levels_are_set_and_read_back(start, opened, wire):
    bench = start(BENCH)
    bias = opened(bench, "bias", wire)
    assert isinstance(bias, LevelSource)
    assert bias.set_levels({"ch1": 1.5, "ch24": -2.25}) == {"ch1": 1.5, "ch24": -2.25}
    assert bias.get_levels(["ch24", "ch1", "ch2"]) == {"ch24": -2.25, "ch1": 1.5, "ch2": 0.0}
    assert (at(bench, 1), at(bench, 24)) == (1.5, -2.25)
    assert bias.set_levels({}) == {}
    bias.ch3.voltage(0.125)
    assert bias.ch3.voltage() == 0.125 == at(bench, 3)


def test_a_level_goes_there_with_its_slew_and_is_waited_for(start, opened):
    bench = start(BENCH, speed=1.0)
    bias = opened(bench, "bias", slew=10.0)
    begun = time.monotonic()
    assert bias.set_levels({"ch1": 2.0})["ch1"] == pytest.approx(2.0, abs=1e-4)
    assert time.monotonic() - begun > 0.19


def test_opening_changes_nothing_and_making_safe_goes_to_the_safe_levels(start, opened):
    bench = start(BENCH)
    bias = opened(bench, "bias")
    bias.set_levels({"ch1": 3.0, "ch2": 4.0})
    bias.link.close()  # the program ends without making safe
    bias.close = lambda: None
    bias.remove_instance(bias)
    again = opened(bench, "bias", safe={"ch1": 1.0})
    assert again.get_levels(["ch1", "ch2"]) == {"ch1": 3.0, "ch2": 4.0}
    again.make_safe()
    again.make_safe()
    assert (at(bench, 1), at(bench, 2)) == (1.0, 0.0)


def test_a_level_beyond_its_limits_moves_nothing(start, opened):
    bench = start(BENCH)
    bias = opened(bench, "bias", limits={"ch2": [0.0, 1.0]}, range="low")
    with pytest.raises(LimitError, match=r"bias.ch2 would get 1\.5 V; allowed is \[0, 1\] V"):
        bias.set_levels({"ch1": 1.0, "ch2": 1.5})
    with pytest.raises(LimitError):
        bias.ch1.voltage(2.5)
    with pytest.raises(LimitError):
        bias.set_levels({"ch1": float("nan")})
    with pytest.raises(ProgramError, match="no terminal 'ch25'"):
        bias.set_levels({"ch25": 0.0})
    assert at(bench, 1) == at(bench, 2) == 0.0
    bias.set_levels({"ch1": 1.0})
    assert bias.ch1.range() == "LOW"
    with pytest.raises(InstrumentError) as caught:
        bias.write(":sour1:volt 5")
    assert caught.value.answer.startswith("-222")


def test_options_that_make_no_sense_are_errors_of_the_file(start, opened):
    bench = start(BENCH)
    for options in (
        {"safe": {"ch1": 11.0}},
        {"safe": {"ch1": "1 V"}},
        {"safe": {"ch1": True}},
        {"limits": ["-1 V", "1 V"]},
        {"limits": [None, 1.0]},
        {"safe": {"x": 0.0}},
        {"range": "middle"},
        {"slew": 0.0},
    ):
        with pytest.raises(ConfigurationError):
            opened(bench, "bias", **options)


def test_limits_without_0_v_need_a_safe_level_where_there_is_no_switch(start, opened):
    bench = start(BENCH)
    with pytest.raises(ConfigurationError, match=r"bias\.ch7 is made safe at 0 V, outside its limits \[0\.5, 2\] V"):
        opened(bench, "bias", limits={"ch7": [0.5, 2.0]})
    assert opened(bench, "bias", limits={"ch7": [0.5, 2.0]}, safe={"ch7": 1.0}).held == {"ch7": 1.0}


def test_making_safe_does_not_wait_for_a_long_ramp(start, opened):
    bench = start(BENCH, speed=1.0)
    bias = opened(bench, "bias", slew=0.5)
    problems = []

    def go():
        try:
            bias.set_levels({"ch1": 5.0})
        except LabrhelError as error:
            problems.append(error)

    going = threading.Thread(target=go)
    going.start()
    wait_for(lambda: at(bench, 1) > 0.01, "the beginning of the ramp")
    bias.make_safe()
    assert at(bench, 1) == pytest.approx(0.0, abs=1e-3)
    going.join()
    assert "other levels" in str(problems[0]) or "interrupted" in str(problems[0])


def test_a_source_that_has_restarted_says_that_its_levels_are_gone(start, opened):
    bench = start(BENCH)
    bias = opened(bench, "bias")
    bias.set_levels({"ch1": 1.0})
    bench.hosts["bias"].order(Fault.of("restart", 0.05))
    with pytest.raises(InstrumentError, match="has lost what it was given"):
        bias.get_levels(["ch1"])
    assert bias.set_levels({"ch1": 1.0}) == {"ch1": 1.0}
    assert bias.ch1.slew() == 100.0


def test_a_snapshot_is_plain_data(start, opened):
    bench = start(BENCH)
    assert json.dumps(opened(bench, "bias").snapshot(update=True))


@pytest.mark.parametrize("wire", ["socket", "serial"])
@pytest.mark.parametrize("kind", ["late", "lost", "terminator", "garbage", "reset", "restart", "busy", "error"])
def test_after_any_fault_a_level_is_right_or_a_named_error(start, opened, kind, wire):
    bench = start(BENCH)
    bias = opened(bench, "bias", wire, timeout=0.3)
    amount = {"late": 0.45, "busy": 0.45, "restart": 0.05}.get(kind)
    bias.set_levels({"ch1": 0.5})
    for turn, after in enumerate(np.random.default_rng(len(kind)).integers(0, 5, 4)):
        wanted = {"ch1": 0.1 * turn, "ch2": -0.3 * turn}
        bench.hosts["bias"].order(Fault.of(kind, amount), int(after))
        try:
            assert bias.set_levels(wanted) == pytest.approx(wanted)
            assert bias.get_levels(["ch1", "ch2"]) == pytest.approx(wanted)
            assert (at(bench, 1), at(bench, 2)) == pytest.approx(tuple(wanted.values()))
        except LabrhelError:
            wait_for(lambda: obeys(bias.make_safe), "an instrument that is back")
            assert at(bench, 1) == at(bench, 2) == 0.0
        bench.hosts["bias"].station.faults.clear()
    wait_for(lambda: obeys(lambda: bias.set_levels({"ch1": 0.5})), "an instrument that is back")
    assert at(bench, 1) == pytest.approx(0.5)


def obeys(what):
    """Whether it could be done; one that is away for a moment, as after a restart, is asked again."""
    try:
        what()
    except LabrhelError:
        return False
    return True
