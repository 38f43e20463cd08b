"""Those who look on see what was carried out, and the run is held between two steps alone."""

from typing import Any

import pytest

from labrhel.executor import Observing
from labrhel.shots.operations import Checkpoint, Operation, Publish, Read


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def do(self, operation: Operation) -> str:
        self.lines.append(f"do {type(operation).__name__}")
        return "answer"

    def saw(self, operation: Operation, answer: Any) -> None:
        self.lines.append(f"saw {type(operation).__name__} {answer}")

    def hold(self) -> None:
        self.lines.append("hold")


def test_an_operation_is_seen_after_it_was_carried_out_by_every_observer() -> None:
    log = Log()
    assert Observing(log, [log, log], log.hold).do(Read(("a",))) == "answer"
    assert log.lines == ["do Read", "saw Read answer", "saw Read answer"]


def test_a_run_is_held_before_the_operation_that_follows_a_checkpoint_and_only_there() -> None:
    log = Log()
    observing = Observing(log, [], log.hold)
    for operation in (Read(("a",)), Checkpoint(1, {}), Publish(1, {}), Read(("a",)), Checkpoint(2, {})):
        observing.do(operation)
    assert log.lines == ["do Read", "do Checkpoint", "hold", "do Publish", "do Read", "do Checkpoint"]


def test_a_run_that_is_stopped_between_two_steps_does_nothing_more() -> None:
    log = Log()

    def stop() -> None:
        raise KeyboardInterrupt

    observing = Observing(log, [], stop)
    observing.do(Checkpoint(1, {}))
    with pytest.raises(KeyboardInterrupt):
        observing.do(Read(("a",)))
    assert log.lines == ["do Checkpoint"]
