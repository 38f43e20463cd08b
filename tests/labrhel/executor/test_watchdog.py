"""A link that is stuck: the rig is made safe while the call still hangs."""

import threading
from typing import Any

import pytest

from labrhel.errors import DeadlineError, InstrumentError, TransportError
from labrhel.executor import Watchdog
from labrhel.shots.compile import compile
from labrhel.shots.operations import Operation, Read, RunShots
from labrhel.shots.program import Pass, Rest, ShotProgram
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig


class Stuck:
    """Hangs until its rig is made safe, which is how a driver's call comes back; then fails or answers."""

    def __init__(self, error: Exception | None = None, *, hangs: bool = True) -> None:
        self._freed = threading.Event()
        self.error, self.hangs, self.safe = error, hangs, 0

    def do(self, operation: Operation) -> Any:
        if self.hangs:
            assert self._freed.wait(10)
            if self.error:
                raise self.error
        return "answer"

    def make_safe(self) -> None:
        self.safe += 1
        self._freed.set()


@pytest.mark.parametrize("error", [None, TransportError("the link was closed")])
def test_a_call_that_hangs_ends_in_a_deadline_error_and_a_safe_rig(error: Exception | None) -> None:
    stuck = Stuck(error)
    with (
        Watchdog(stuck, stuck.make_safe, 1.0, 0.0, 0.05) as watched,
        pytest.raises(DeadlineError, match=r"Read took longer than 0.05 s.*the rig has been made safe"),
    ):
        watched.do(Read(("T",)))
    assert stuck.safe == 1


def test_what_is_in_time_is_left_alone_and_no_thread_is_left() -> None:
    quick = Stuck(hangs=False)
    before = threading.active_count()
    with Watchdog(quick, quick.make_safe, 1.0, 0.0, 10.0) as watched:
        assert [watched.do(RunShots(())) for _ in range(5)] == ["answer"] * 5
    assert quick.safe == 0
    assert threading.active_count() == before


def test_a_block_ends_when_the_rig_has_been_made_safe_and_not_before() -> None:
    order: list[str] = []

    class Slow(Stuck):
        def make_safe(self) -> None:
            super().make_safe()  # from here on the call is free to end
            threading.Event().wait(0.2)
            order.append("safe")

    slow = Slow()
    with Watchdog(slow, slow.make_safe, 1.0, 0.0, 0.05) as watched, pytest.raises(DeadlineError):
        watched.do(Read(("T",)))
    assert [*order, "end"] == ["safe", "end"]


def test_a_rig_that_cannot_be_made_safe_is_told() -> None:
    class Hopeless(Stuck):
        def make_safe(self) -> None:
            super().make_safe()
            raise InstrumentError("output 2 is stuck")

    hopeless = Hopeless()
    with (
        Watchdog(hopeless, hopeless.make_safe, 1.0, 0.0, 0.05) as watched,
        pytest.raises(DeadlineError, match=r"could NOT be made safe \(output 2 is stuck\)"),
    ):
        watched.do(Read(("T",)))
        watched.do(Read(("T",)))


def test_errors_of_the_rig_pass_through() -> None:
    class Refusing(Stuck):
        def do(self, operation: Operation) -> Any:
            raise InstrumentError("no")

    refusing = Refusing()
    with Watchdog(refusing, refusing.make_safe, 1.0, 0.0, 5.0) as watched, pytest.raises(InstrumentError, match="no"):
        watched.do(Read(("T",)))


# -- by an injected clock ----------------------------------------------------------------------------------------------


class Clock:
    """Stands still until it is set, and knows when the watchdog has looked at it."""

    def __init__(self) -> None:
        self.now = 100.0
        self._looks = 0
        self._looked = threading.Condition()

    def __call__(self) -> float:
        if threading.current_thread().name == "watchdog":
            with self._looked:
                self._looks += 1
                self._looked.notify_all()
        return self.now

    def set(self, now: float) -> None:
        """Set it, and wait until the watchdog has looked twice: once may have been before."""
        self.now = now
        with self._looked:
            wanted = self._looks + 2
            assert self._looked.wait_for(lambda: self._looks >= wanted, 10)


class Slow:
    """Takes as long by the clock as it is told, and says whether its rig was made safe meanwhile."""

    def __init__(self, seconds: float) -> None:
        self.clock, self.seconds, self.safe = Clock(), seconds, 0

    def do(self, operation: Operation) -> Any:
        self.clock.set(self.clock.now + self.seconds)
        return "answer"

    def make_safe(self) -> None:
        self.safe += 1


def two_shots() -> RunShots:
    """4 repeats of 30 + 20 kicks of 0.1 and 1 repeat of 10, on a rig whose unit of time is a hundredth of a second."""
    rig = SimulatedRig(OscillatorNetwork(1)).capabilities
    long = ShotProgram(0.1, Rest(), (Pass(30), Pass(20)), repeats=4)
    programs = (long, ShotProgram(0.2, Rest(), (Pass(10),)))
    return RunShots(programs, compiled=tuple(compile(program, rig) for program in programs))


RIG_TIME = 4 * (1.0 + 0.01 * 0.1 * 50) + (1.0 + 0.01 * 0.2 * 10)  # with a second of rest before each


@pytest.mark.parametrize(
    ("operation", "allowed", "slack"),
    [
        (Read(("T",)), 2.0, {}),
        (two_shots(), 2.0 + 3 * RIG_TIME, {}),
        (two_shots(), 2.0 + 1.5 * RIG_TIME, {"slack": 1.5}),
    ],
)
def test_the_rig_is_made_safe_just_after_the_time_allowed_and_not_just_before(
    operation: Operation, allowed: float, slack: dict[str, float]
) -> None:
    quick = Slow(allowed - 1e-3)
    with Watchdog(quick, quick.make_safe, 0.01, 1.0, 2.0, clock=quick.clock, **slack) as watched:
        quick.clock.set(1e5)  # nor before the first
        assert [watched.do(operation) for _ in range(2)] == ["answer", "answer"]
        quick.clock.set(1e6)  # between two operations nobody waits
    assert quick.safe == 0
    late = Slow(allowed + 1e-3)
    with (
        Watchdog(late, late.make_safe, 0.01, 1.0, 2.0, clock=late.clock, **slack) as watched,
        pytest.raises(DeadlineError, match=f"took longer than {allowed:.3g} s"),
    ):
        watched.do(operation)
    assert late.safe == 1


def test_after_one_deadline_no_operation_is_trusted_any_more_and_the_rig_is_made_safe_once() -> None:
    slow = Slow(5.0)
    with Watchdog(slow, slow.make_safe, 1.0, 0.0, 2.0, clock=slow.clock) as watched:
        for seconds in (5.0, 0.0, 5.0):
            slow.seconds = seconds
            with pytest.raises(DeadlineError, match="the rig has been made safe"):
                watched.do(Read(("T",)))
    assert slow.safe == 1


def test_a_call_that_comes_back_first_says_that_the_rig_is_being_made_safe() -> None:
    stuck, told = Stuck(), threading.Event()

    def make_safe() -> None:
        stuck.make_safe()
        assert told.wait(10)

    with Watchdog(stuck, make_safe, 1.0, 0.0, 0.0) as watched:
        with pytest.raises(DeadlineError, match="the rig is being made safe"):
            watched.do(Read(("T",)))
        told.set()


def test_a_second_block_is_watched_like_the_first() -> None:
    slow = Slow(1.0)
    watched = Watchdog(slow, slow.make_safe, 1.0, 0.0, 2.0, clock=slow.clock)
    with watched:
        assert watched.do(Read(("T",))) == "answer"
    slow.seconds = 3.0
    with watched, pytest.raises(DeadlineError, match="the rig has been made safe"):
        watched.do(Read(("T",)))
    assert slow.safe == 1


def test_an_operation_that_failed_is_waited_for_no_longer() -> None:
    class Refusing(Slow):
        def do(self, operation: Operation) -> Any:
            raise InstrumentError("no")

    refusing = Refusing(0.0)
    with Watchdog(refusing, refusing.make_safe, 1.0, 0.0, 2.0, clock=refusing.clock) as watched:
        with pytest.raises(InstrumentError, match="no"):
            watched.do(Read(("T",)))
        refusing.clock.set(1e6)
    assert refusing.safe == 0
