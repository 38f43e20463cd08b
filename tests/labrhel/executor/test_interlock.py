import pytest

from labrhel.errors import InterlockError
from labrhel.executor import Condition, Interlock
from labrhel.shots.operations import Operation, Publish, RunShots


class Bench:
    """Remembers in which order it was used and made safe."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def do(self, operation: Operation) -> str:
        self.log.append(type(operation).__name__)
        return "done"

    def make_safe(self) -> None:
        self.log.append("safe")


def test_a_violated_condition_makes_the_rig_safe_and_stops_the_shot() -> None:
    bench, words = Bench(), [""]
    interlock = Interlock(bench, [Condition("door", lambda: words[0])], bench.make_safe)
    assert interlock.do(RunShots(())) == "done"
    words[0] = "the door is open"
    with pytest.raises(InterlockError, match="interlock door: the door is open; the rig has been made safe"):
        interlock.do(RunShots(()))
    assert bench.log == ["RunShots", "safe"]


def test_conditions_are_asked_before_shots_only() -> None:
    bench = Bench()
    Interlock(bench, [Condition("door", lambda: "open")], bench.make_safe).do(Publish(0, {}))
    assert bench.log == ["Publish"]
