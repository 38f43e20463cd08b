"""A Keysight E36312A holds three levels that are never negative."""

import json
import threading
from contextlib import suppress

import numpy as np
import pytest

from drivers.roles import LevelSource
from labrhel.errors import ConfigurationError, InstrumentError, LabrhelError, LimitError, ProgramError
from simbackend.virtual_bench import Fault

BENCH = """
instruments:
  supply: {kind: e36300, wires: [socket, hislip]}
leads:
  - {wire: supply.ch1, to: "stiffness[0]", at_zero: 1.0, per_volt: 0.2}
  - {wire: supply.ch2, to: "stiffness[1]", at_zero: 1.0, per_volt: 0.2}
"""


def at(bench, channel):
    with bench.clock.lock:
        return bench.world.volts(f"supply.ch{channel}")


@pytest.mark.parametrize("wire", ["socket", "hislip"])
def test_levels_are_set_and_measured(start, opened, wire):
    bench = start(BENCH)
    supply = opened(bench, "supply", wire)
    assert isinstance(supply, LevelSource)
    assert supply.set_levels({"ch1": 1.5, "ch2": 12.25}) == {"ch1": 1.5, "ch2": 12.25}
    assert supply.get_levels(["ch2", "ch1", "ch3"]) == {"ch2": 12.25, "ch1": 1.5, "ch3": 0.0}
    assert (at(bench, 1), at(bench, 2)) == (1.5, 12.25)
    assert supply.set_levels({}) == {}
    supply.ch2.voltage(3.125)
    assert supply.ch2.voltage() == 3.125 == at(bench, 2)


def test_opening_changes_nothing_and_making_safe_switches_off(start, opened):
    bench = start(BENCH)
    supply = opened(bench, "supply")
    supply.set_levels({"ch1": 3.0, "ch2": 4.0})
    supply.link.close()  # the program ends without making safe
    supply.close = lambda: None
    supply.remove_instance(supply)
    again = opened(bench, "supply", safe={"ch2": 1.0})
    assert again.get_levels(["ch1", "ch2"]) == {"ch1": 3.0, "ch2": 4.0}
    again.make_safe()
    again.make_safe()
    assert (at(bench, 1), at(bench, 2)) == (0.0, 1.0)


def test_a_level_beyond_its_limits_moves_nothing_and_the_instrument_trips(start, opened):
    bench = start(BENCH)
    supply = opened(bench, "supply", limits={"ch1": [0.0, 2.0]}, current={"ch1": 0.1})
    for volts in (2.5, -1.0, float("nan")):
        with pytest.raises(LimitError, match=r"supply.ch1 would get .* allowed is \[0, 2\] V"):
            supply.set_levels({"ch2": 1.0, "ch1": volts})
    with pytest.raises(ProgramError, match="no terminal 'ch4'"):
        supply.set_levels({"ch4": 0.0})
    assert at(bench, 1) == at(bench, 2) == 0.0
    supply.set_levels({"ch1": 2.0})
    assert supply.ch1.protection() == pytest.approx(2.14)
    assert supply.ch1.current_limit() == pytest.approx(0.1)
    supply.write(":VOLT 4,(@1)")  # past the driver
    assert at(bench, 1) == 0.0
    with pytest.raises(LabrhelError, match="tripped"):
        supply.set_levels({"ch1": 1.0})
    supply.make_safe()


def test_options_that_make_no_sense_are_errors_of_the_file(start, opened):
    bench = start(BENCH)
    for options in (
        {"safe": {"ch1": 11.0}}, {"safe": {"x": 0.0}}, {"limits": [-1, 1]}, {"current": {"ch1": 9.0}}
    ):  # fmt: skip
        with pytest.raises(ConfigurationError):
            opened(bench, "supply", **options)


def test_a_supply_that_has_restarted_says_that_its_levels_are_gone(start, opened):
    bench = start(BENCH)
    supply = opened(bench, "supply", limits={"ch1": [0.0, 2.0]})
    supply.set_levels({"ch1": 1.0})
    bench.hosts["supply"].order(Fault.of("restart", 0.05))
    with pytest.raises(LabrhelError, match="has lost what it was given"):
        supply.get_levels(["ch1"])
    assert supply.set_levels({"ch1": 1.0}) == {"ch1": 1.0}
    assert supply.ch1.protection() == pytest.approx(2.14)


def test_it_is_made_safe_while_another_thread_sets_levels(start, opened):
    bench = start(BENCH)
    supply = opened(bench, "supply")
    stop, problems = threading.Event(), []

    def go():
        while not stop.is_set():
            try:
                supply.set_levels({"ch1": 1.0, "ch2": 2.0})
            except LabrhelError as error:
                problems.append(error)

    going = threading.Thread(target=go)
    going.start()
    for _ in range(20):
        supply.make_safe()
    stop.set()
    going.join()
    supply.make_safe()
    assert at(bench, 1) == at(bench, 2) == 0.0
    assert json.dumps(supply.snapshot(update=True))


@pytest.mark.parametrize("wire", ["socket", "hislip"])
@pytest.mark.parametrize("kind", ["late", "lost", "terminator", "garbage", "reset", "restart", "busy", "error"])
def test_after_any_fault_a_level_is_right_or_a_named_error(start, opened, kind, wire):
    bench = start(BENCH)
    supply = opened(bench, "supply", wire, timeout=0.3)
    amount = {"late": 0.45, "busy": 0.45, "restart": 0.05}.get(kind)
    supply.set_levels({"ch1": 0.5})
    for turn, after in enumerate(np.random.default_rng(len(kind)).integers(0, 4, 4)):
        wanted = {"ch1": 0.1 * turn, "ch2": 0.3 * turn}
        bench.hosts["supply"].order(Fault.of(kind, amount), int(after))
        try:
            assert supply.set_levels(wanted) == pytest.approx(wanted)
            assert supply.get_levels(["ch1", "ch2"]) == pytest.approx(wanted)
            assert (at(bench, 1), at(bench, 2)) == pytest.approx(tuple(wanted.values()))
        except LabrhelError:
            bench.hosts["supply"].station.faults.clear()
            supply.make_safe()
            assert at(bench, 1) == at(bench, 2) == 0.0
        bench.hosts["supply"].station.faults.clear()
        if kind == "error":  # one that entered the queue while levels were measured is told at the next setting
            with suppress(InstrumentError):
                supply.set_levels(wanted)
    assert supply.set_levels({"ch1": 0.5}) == {"ch1": 0.5}
