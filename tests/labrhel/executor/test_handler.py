from collections.abc import Generator
from typing import Any

import pytest

from labrhel.errors import TransportError
from labrhel.executor import execute
from labrhel.shots.operations import Operation, Publish, Read


class Scripted:
    """A handler whose answers, exceptions among them, are a list."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.seen = list(answers), []

    def do(self, operation: Operation) -> Any:
        self.seen.append(operation)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


Script = Generator[Operation, Any, Any]


def test_a_protocol_gets_each_answer_and_its_value_is_returned() -> None:
    def protocol() -> Script:
        first = yield Read(("a",))
        second = yield Read(("b",))
        return first + second

    handler = Scripted(1, 2)
    assert execute(protocol(), handler) == 3
    assert handler.seen == [Read(("a",)), Read(("b",))]


def test_an_error_is_thrown_in_at_the_yield_that_asked_for_it_and_can_be_repaired() -> None:
    def protocol() -> Script:
        try:
            yield Read(("a",))
        except TransportError:
            return (yield Read(("b",)))

    assert execute(protocol(), Scripted(TransportError("lost"), "repaired")) == "repaired"


def test_a_protocol_puts_back_what_it_changed_before_the_error_goes_on() -> None:
    def protocol() -> Script:
        try:
            yield Read(("a",))
        finally:
            yield Publish(0, {"restored": 1.0})

    handler = Scripted(TransportError("lost"), None)
    with pytest.raises(TransportError, match="lost"):
        execute(protocol(), handler)
    assert handler.seen[-1] == Publish(0, {"restored": 1.0})


def test_an_error_while_putting_back_goes_on_and_keeps_the_first_one_as_its_context() -> None:
    def protocol() -> Script:
        try:
            yield Read(("a",))
        finally:
            yield Read(("b",))

    with pytest.raises(TransportError, match="second") as caught:
        execute(protocol(), Scripted(TransportError("first"), TransportError("second")))
    assert "first" in str(caught.value.__context__)


def test_an_interrupt_reaches_the_protocol_too() -> None:
    put_back = []

    def protocol() -> Script:
        try:
            yield Read(("a",))
        finally:
            put_back.append(True)

    with pytest.raises(KeyboardInterrupt):
        execute(protocol(), Scripted(KeyboardInterrupt()))
    assert put_back == [True]


def test_a_protocol_that_asks_for_nothing_still_returns() -> None:
    def protocol() -> Script:
        return 5
        yield

    assert execute(protocol(), Scripted()) == 5
