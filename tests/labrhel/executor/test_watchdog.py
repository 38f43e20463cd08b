"""A link that is stuck: the rig is made safe while the call still hangs."""

import threading
import time
from typing import Any

import pytest

from labrhel.errors import DeadlineError, InstrumentError, TransportError
from labrhel.executor import Watchdog
from labrhel.shots.operations import Operation, Read, RunShots


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


def test_what_is_in_time_is_left_alone() -> None:
    quick = Stuck(hangs=False)
    before = threading.active_count()
    with Watchdog(quick, quick.make_safe, 1.0, 0.0, 0.3) as watched:
        for _ in range(5):
            assert watched.do(RunShots(())) == "answer"
            time.sleep(0.1)  # between two operations nobody waits
    assert quick.safe == 0
    assert threading.active_count() == before


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
