"""Those who look at operations as they pass."""

from typing import Any

import pytest

from labrhel.executor import Tap, between_steps, published
from labrhel.shots.operations import Checkpoint, Operation, Publish, Read


class Answering:
    """Answers with the name of the operation, and fails on a reading."""

    def do(self, operation: Operation) -> str:
        if isinstance(operation, Read):
            raise OSError("no such reading")
        return type(operation).__name__


def test_one_tap_tells_before_and_after_and_passes_the_answer_on() -> None:
    told: list[Any] = []
    tap = Tap(Answering(), before=(told.append,), after=(lambda operation, answer: told.append(answer),))
    operation = Publish(3, {"loss": 0.5})
    assert tap.do(operation) == "Publish"
    assert told == [operation, "Publish"]


def test_of_an_operation_that_fails_only_the_first_half_is_told() -> None:
    told: list[str] = []
    tap = Tap(
        Answering(),
        before=(lambda operation: told.append("before"),),
        after=(lambda operation, answer: told.append("after"),),
    )
    with pytest.raises(OSError, match="no such reading"):
        tap.do(Read(("T",)))
    assert told == ["before"]


def test_a_hold_comes_between_a_checkpoint_and_what_follows_it_and_not_after_the_last() -> None:
    told: list[str] = []
    tap = Tap(
        Answering(),
        before=(between_steps(lambda: told.append("hold")),),
        after=(lambda operation, answer: told.append(answer),),
    )
    for operation in (Publish(0, {}), Checkpoint(1, {}), Publish(1, {}), Publish(1, {}), Checkpoint(2, {})):
        tap.do(operation)
    assert told == ["Publish", "Checkpoint", "hold", "Publish", "Publish", "Checkpoint"]


def test_an_onlooker_hears_of_publications_alone() -> None:
    heard: list[Publish] = []
    tap = Tap(Answering(), after=(published(heard.append),))
    tap.do(Checkpoint(1, {}))
    tap.do(Publish(1, {"loss": 0.25}))
    assert [item.scalars["loss"] for item in heard] == [0.25]


def test_nothing_is_held_before_the_first_step() -> None:
    held: list[str] = []
    look = between_steps(lambda: held.append("hold"))
    look(Publish(0, {}))
    assert not held
    look(Checkpoint(1, {}))
    look(Publish(1, {}))
    assert held == ["hold"]
