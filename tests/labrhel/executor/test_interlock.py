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


class Jammed:
    """A guard that objects to one kind of operation, by its answer."""

    name = "jam"

    def violated(self, operation: Operation, answer: object) -> str:
        return f"jammed by {answer}" if isinstance(operation, Publish) else ""


def test_a_guard_looks_at_every_operation_after_it_was_carried_out() -> None:
    bench = Bench()
    interlock = Interlock(bench, [], bench.make_safe, [Jammed()])
    assert interlock.do(RunShots(())) == "done"
    with pytest.raises(InterlockError, match="interlock jam: jammed by done; the rig has been made safe"):
        interlock.do(Publish(0, {}))
    assert bench.log == ["RunShots", "Publish", "safe"]


def test_every_condition_is_asked_and_every_guard() -> None:
    bench, asked = Bench(), []
    conditions = [Condition(name, lambda name=name: asked.append(name) or "") for name in ("door", "stop")]
    Interlock(bench, conditions, bench.make_safe, [Jammed(), Jammed()]).do(RunShots(()))
    assert asked == ["door", "stop"]
    assert bench.log == ["RunShots"]
