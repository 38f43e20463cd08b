import numpy as np
import pytest

from labrhel.errors import ConfigurationError, InstrumentError, TransportError
from labrhel.executor import Retry
from labrhel.shots.operations import Configure, Operation, Read, RunShots
from labrhel.shots.program import Hold, Pass, Rest, ShotProgram

FROM_REST = ShotProgram(0.1, Rest(), (Pass(1),))
FROM_HOLD = ShotProgram(0.1, Hold(), (Pass(1),))


class Failing:
    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def do(self, operation: Operation) -> str:
        del operation
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


@pytest.mark.parametrize("operation", [RunShots((FROM_REST, FROM_REST)), Read(("temperature",))])
def test_a_shot_that_prepares_its_start_and_a_reading_get_another_chance(operation: Operation) -> None:
    inner = Failing(2, TransportError("lost"))
    assert Retry(inner, attempts=3).do(operation) == "answer"
    assert inner.calls == 3


@pytest.mark.parametrize(
    "operation", [RunShots((FROM_REST, FROM_HOLD)), Configure({"mass": np.ones(1)}), RunShots((FROM_HOLD,))]
)
def test_a_held_state_and_a_setting_are_never_tried_again(operation: Operation) -> None:
    inner = Failing(1, TransportError("lost"))
    with pytest.raises(TransportError):
        Retry(inner).do(operation)
    assert inner.calls == 1


def test_retrying_ends() -> None:
    inner = Failing(99, TransportError("lost"))
    with pytest.raises(TransportError, match="lost"):
        Retry(inner, attempts=3).do(RunShots((FROM_REST,)))
    assert inner.calls == 3


def test_what_the_instrument_refused_is_not_asked_again() -> None:
    inner = Failing(1, InstrumentError("no"))
    with pytest.raises(InstrumentError):
        Retry(inner).do(RunShots((FROM_REST,)))
    assert inner.calls == 1


@pytest.mark.parametrize(("options", "calls"), [({}, 3), ({"attempts": 1}, 1), ({"attempts": 2}, 2)])
def test_there_are_three_attempts_or_as_many_as_one_asks_for(options: dict[str, int], calls: int) -> None:
    inner = Failing(99, TransportError("lost"))
    with pytest.raises(TransportError):
        Retry(inner, **options).do(Read(("temperature",)))
    assert inner.calls == calls


@pytest.mark.parametrize("attempts", [0, -1])
def test_an_operation_that_is_never_attempted_is_refused(attempts: int) -> None:
    with pytest.raises(ConfigurationError, match=f"attempted 1, 2, ... times, not {attempts}"):
        Retry(Failing(0, TransportError("lost")), attempts)
