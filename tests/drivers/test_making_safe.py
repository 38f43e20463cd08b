"""The order of making safe, on an injected clock: OFF before all else, then levels, by order and in time."""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from drivers.making_safe import TURN, Ramp, SafeLevels
from labrhel.errors import InstrumentError
from labrhel.testing.waiting import wait_for


class World:
    """A clock that sleeping moves on, and what was sent when."""

    def __init__(self) -> None:
        self.now = 100.0
        self.log: list[tuple[float, str, Any]] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def sent(self, name: str, what: Any) -> None:
        self.log.append((self.now - 100.0, name, what))

    def levels(self, name: str, own: str) -> list[tuple[float, float]]:
        return [(when, what[own]) for when, who, what in self.log if who == name and own in what]


class Box:
    """A source of levels, or, without any, a generator."""

    def __init__(self, world: World, name: str, held: Mapping[str, float], at: Mapping[str, float]) -> None:
        self.world, self.name, self.identity, self.held = world, name, name, held
        self.now, self.levels = dict(at), dict.fromkeys(at, (-5.0, 5.0))
        self.fails_after, self.fails_off = 10**9, False

    def get_levels(self, terminals: Sequence[str]) -> dict[str, float]:
        return {own: self.now[own] for own in terminals}

    def set_levels(self, volts: Mapping[str, float]) -> dict[str, float]:
        self.fails_after -= 1
        if self.fails_after < 0:
            raise InstrumentError(f"{self.name} says no")
        self.world.sent(self.name, dict(volts))
        self.now |= volts
        return dict(volts)

    def switch_off(self) -> None:
        self.world.sent(self.name, "off")
        if self.fails_off:
            raise InstrumentError(f"{self.name} does not switch off")

    def make_safe(self) -> None:
        self.world.sent(self.name, "at once")
        self.now |= self.held

    def close(self) -> None: ...

    def release(self) -> None: ...


RAMPS = {"bias.a": Ramp(0.05, 2), "bias.b": Ramp(0.02, 1), "gate.c": Ramp(0.03, 1)}


def safe_levels(world: World, ramps: Mapping[str, Ramp]) -> SafeLevels:
    return SafeLevels(ramps, clock=world.clock, sleep=world.sleep)


def bench(world: World) -> tuple[Box, Box, Box]:
    bias = Box(world, "bias", {"a": 1.0, "b": -0.5, "d": 0.25}, {"a": 3.0, "b": 0.5, "d": 2.0, "e": 4.0})
    gate = Box(world, "gate", {"c": 1.0}, {"c": -1.0})
    return Box(world, "awg", {}, {}), bias, gate


def test_everything_that_goes_off_is_told_so_before_a_level_moves() -> None:
    world = World()
    boxes = bench(world)
    safe_levels(world, RAMPS).make_safe([[boxes[0]], boxes[1:]])
    assert world.log[0][1:] == ("awg", "off")
    assert {item[1:] for item in world.log[1:3]} == {("bias", "off"), ("gate", "off")}
    assert all(what != "off" for _, _, what in world.log[3:])
    assert [boxes[1].now, boxes[2].now] == [{"a": 1.0, "b": -0.5, "d": 0.25, "e": 4.0}, {"c": 1.0}]


def test_orders_follow_each_other_and_a_level_without_a_ramp_is_set_at_once() -> None:
    world = World()
    boxes = bench(world)
    safe_levels(world, RAMPS).make_safe([boxes])
    begins = {own: world.levels(name, own)[0][0] for name, own in (("bias", "a"), ("bias", "b"), ("gate", "c"))}
    ends = {own: world.levels(name, own)[-1][0] for name, own in (("bias", "a"), ("bias", "b"), ("gate", "c"))}
    assert world.levels("bias", "d") == [(0.0, 0.25)]
    assert begins["a"] >= max(ends["b"], ends["c"])


def test_a_ramp_is_straight_and_takes_its_time() -> None:
    world = World()
    bias = Box(world, "bias", {"a": 1.0}, {"a": 3.0})
    safe_levels(world, {"bias.a": Ramp(0.05)}).make_safe([[bias]])
    steps = world.levels("bias", "a")
    assert len(steps) > 20
    for when, volts in steps[:-1]:
        assert volts == pytest.approx(3.0 - 2.0 * when / 0.05)
    assert steps[-1] == (pytest.approx(0.05, abs=2.1e-3), 1.0)


def test_a_ramp_begins_within_the_limits_wherever_the_level_was_turned_by_hand() -> None:
    world = World()
    bias = Box(world, "bias", {"a": 1.0}, {"a": 8.0})
    safe_levels(world, {"bias.a": Ramp(0.05, limits=(-1.0, 3.0))}).make_safe([[bias]])
    steps = [volts for _, volts in world.levels("bias", "a")]
    assert steps[0] == 3.0 and max(steps) == 3.0 and steps[-1] == 1.0
    assert len(steps) > 20


def test_an_emergency_ramps_no_longer_than_it_may_all_ramps_together() -> None:
    world = World()
    boxes = bench(world)
    slow = {"bias.a": Ramp(3.0, 2), "bias.b": Ramp(5.0, 1), "gate.c": Ramp(4.0, 1)}
    safe_levels(world, slow).make_safe([boxes], longest=0.1)
    assert world.now - 100.0 == pytest.approx(0.1, abs=0.01)
    assert [boxes[1].now["a"], boxes[1].now["b"], boxes[2].now["c"]] == [1.0, -0.5, 1.0]
    assert len(world.levels("bias", "a")) == 1  # its turn came when the time was over


class Slow(Box):
    """One whose wire is silent until it is told otherwise."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name, {}, {})
        self.answers = threading.Event()

    def switch_off(self) -> None:
        assert self.answers.wait(60)
        super().switch_off()


class Scope(Slow):
    """One that only looks."""

    set_levels = None  # type: ignore[assignment]

    def prepare(self) -> None: ...

    def arm(self) -> None: ...

    def wait(self) -> None: ...

    def read(self) -> None: ...

    inputs = ()


def test_levels_wait_for_no_instrument_that_drives_nothing_nor_in_an_emergency_for_a_generator_that_is_silent() -> None:
    for kind, longest in ((Scope, math.inf), (Slow, 0.1)):
        world = World()
        bias, first = Box(world, "bias", {}, {"a": 3.0}), kind(world, "first")
        done = threading.Thread(target=safe_levels(world, {}).make_safe, args=([[first], [bias]], longest))
        begin = time.monotonic()
        done.start()
        wait_for(lambda log=world.log: log, "OFF of the level")
        assert time.monotonic() - begin < 0.9 * TURN, kind
        assert world.log[0][1:] == ("bias", "off")
        first.answers.set()
        done.join()
        assert world.log[-1][1:] == ("first", "off")


def test_a_level_without_a_ramp_is_set_before_anything_is_asked() -> None:
    world = World()
    bias = Box(world, "bias", {"a": 1.0}, {"a": 3.0})
    bias.get_levels = lambda terminals: pytest.fail("it was asked")  # type: ignore[method-assign]
    safe_levels(world, {}).make_safe([[bias]])
    assert [item[1:] for item in world.log] == [("bias", "off"), ("bias", {"a": 1.0})]


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_a_ramp_that_fails_ends_at_its_level_at_once_and_the_next_order_is_ramped(steps: int) -> None:
    world = World()
    bias, gate = Box(world, "bias", {"a": 1.0}, {"a": 3.0}), Box(world, "gate", {"c": 1.0}, {"c": -1.0})
    bias.fails_after = steps
    ramps = {"bias.a": Ramp(0.05, 1), "gate.c": Ramp(0.03, 2)}
    safe_levels(world, ramps).make_safe([[bias, gate]])
    assert (bias.now, gate.now) == ({"a": 1.0}, {"c": 1.0})
    assert ("bias", "at once") in [item[1:] for item in world.log]
    assert len(world.levels("gate", "c")) > 10


def test_an_output_that_does_not_switch_off_is_said_and_the_levels_are_ramped_all_the_same() -> None:
    world = World()
    boxes = bench(world)
    boxes[0].fails_off = True
    problems = safe_levels(world, RAMPS).make_safe([[box] for box in boxes])
    assert [(name, str(error)) for name, error in problems.items()] == [("awg", "awg does not switch off")]
    assert boxes[2].now == {"c": 1.0}


def test_a_level_that_is_there_already_takes_no_time() -> None:
    world = World()
    bias = Box(world, "bias", {"a": 1.0, "b": -0.5}, {"a": 1.0, "b": -0.5004})
    safe_levels(world, {"bias.a": Ramp(2.0), "bias.b": Ramp(3.0)}).make_safe([[bias]])
    assert (world.now, bias.now) == (100.0, {"a": 1.0, "b": -0.5})


def test_an_emergency_cuts_a_ramp_short_that_is_under_way() -> None:
    world = World()
    bias = Box(world, "bias", {"a": 1.0}, {"a": 3.0})
    levels = safe_levels(world, {"bias.a": Ramp(60.0)})
    begun, stopped = threading.Event(), threading.Event()
    step = bias.set_levels

    def set_levels(volts: Mapping[str, float]) -> dict[str, float]:
        if world.now > 101.0 and not begun.is_set():
            begun.set()
            assert stopped.wait(10)
        return step(volts)

    bias.set_levels = set_levels  # type: ignore[method-assign]
    slow = threading.Thread(target=levels.make_safe, args=([[bias]],))
    slow.start()
    assert begun.wait(10)
    emergency = threading.Thread(target=levels.make_safe, args=([[bias]], 0.1))
    emergency.start()
    while len(levels._ends) < 2:  # until the emergency has said how long it has
        time.sleep(1e-3)
    stopped.set()
    for thread in (slow, emergency):
        thread.join(10)
        assert not thread.is_alive()
    assert bias.now == {"a": 1.0}
    assert world.now < 102.0
