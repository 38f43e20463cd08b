"""What a run is stopped for, one guard after the other, and that all is well just below."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from labrhel.errors import InterlockError
from labrhel.executor import Interlock
from labrhel.executor.guards import Divergence, OverRange, Reading, Scalar
from labrhel.shots.capture import Capture, PassCapture, Trace
from labrhel.shots.operations import Operation, Publish, RunShots


@dataclass
class Answering:
    """Answers with what it was given, and counts how often it was made safe."""

    answer: Any = None
    safe: int = 0

    def do(self, operation: Operation) -> Any:
        return self.answer

    def make_safe(self) -> None:
        self.safe += 1


def clipped(count: int) -> list[Capture]:
    trace = Trace(np.zeros((1, 100)), "V", 0.0, 0.1, over_range=count)
    return [Capture(None, (PassCapture({"q1": trace}),), 1)]  # type: ignore[arg-type]


def test_a_channel_that_clips_more_than_its_share_is_named() -> None:
    rig = Answering(clipped(2))
    interlock = Interlock(rig, (), rig.make_safe, [OverRange(0.02)])
    assert interlock.do(RunShots(())) is rig.answer
    rig.answer = clipped(3)
    with pytest.raises(InterlockError, match="over_range: channel q1 clipped 3 of 100 samples"):
        interlock.do(RunShots(()))
    assert rig.safe == 1


def test_a_scalar_above_its_limit_names_the_step() -> None:
    guard = Scalar("retrace", "retrace_error", 0.1, "look")
    assert not guard.violated(Publish(3, {"retrace_error": 0.1}), None)
    assert not guard.violated(Publish(3, {"loss": 9.0}), None)
    assert (
        guard.violated(Publish(3, {"retrace_error": 0.2}), None) == "retrace_error was 0.2 in step 3, above 0.1: look"
    )
    assert guard.violated(Publish(3, {"retrace_error": float("nan")}), None)


def test_a_loss_is_compared_with_its_lowest() -> None:
    guard = Divergence(10.0)
    assert not any(guard.violated(Publish(step, {"loss": loss}), None) for step, loss in enumerate((5.0, 1.0, 10.0)))
    assert "more than 10 times its lowest, 1" in guard.violated(Publish(4, {"loss": 10.1}), None)


class Thermometer:
    """A rig that only reads."""

    def __init__(self, value: float) -> None:
        self.value, self.asked = value, 0

    def read(self, names: list[str]) -> dict[str, Any]:
        self.asked += 1
        return {name: np.array(self.value) for name in names}


def test_a_reading_is_asked_no_more_often_than_it_may_and_must_be_in_its_range() -> None:
    rig, now = Thermometer(20.0), [0.0]
    reading = Reading(rig, "oven", 10.0, 30.0, 5.0, lambda: now[0])  # type: ignore[arg-type]
    assert not reading.violated()
    rig.value = 31.0
    now[0] = 4.9
    assert not reading.violated() and rig.asked == 1
    now[0] = 5.0
    assert reading.violated() == "oven reads 31, outside [10, 30]"
    rig.value, now[0] = float("nan"), 10.0
    assert "reads nan" in reading.violated()


def two_channels(first: int, second: int) -> Capture:
    quiet = Trace(np.zeros((2, 40)), "V", 0.0, 0.1, over_range=first)
    loud = Trace(np.zeros((2, 10)), "V", 0.0, 0.1, over_range=second)
    return Capture(None, (PassCapture({"q1": quiet, "q2": loud}),) * 2, 1)  # type: ignore[arg-type]


def test_clipping_is_counted_by_channel_over_all_passes_shots_and_repeats() -> None:
    # q1 has 2 repeats x 40 samples x 2 passes x 3 shots = 480 samples, q2 has 120: 0.1 of them are 48 and 12.
    guard = OverRange(0.1)
    assert not guard.violated(RunShots(()), [two_channels(8, 2)] * 3)
    words = guard.violated(RunShots(()), [two_channels(8, 2), two_channels(8, 2), two_channels(8, 3)])
    assert words.startswith("channel q2 clipped 14 of 120 samples, more than 0.1 of them")
    words = guard.violated(RunShots(()), [two_channels(8, 0), two_channels(8, 0), two_channels(9, 0)])
    assert words.startswith("channel q1 clipped 50 of 480 samples")
    assert not guard.violated(Publish(1, {}), None)


def test_a_loss_may_rise_again_by_its_factor_and_not_by_more_also_when_a_lower_one_came_since() -> None:
    guard = Divergence(2.0)
    fine = [4.0, 8.0, 3.0, 6.0, 1.0, 2.0]
    assert [guard.violated(Publish(step, {"loss": loss}), None) for step, loss in enumerate(fine)] == [""] * 6
    assert "was 2.01 in step 6, more than 2 times its lowest, 1" in guard.violated(Publish(6, {"loss": 2.01}), None)
    assert guard.violated(Publish(7, {"loss": float("nan")}), None)


def test_a_divergence_is_seen_in_published_losses_alone() -> None:
    guard = Divergence(2.0)
    for operation in (RunShots(()), Publish(0, {"recalibrations": 9.0})):
        assert not guard.violated(operation, None)


@pytest.mark.parametrize(("value", "fine"), [(10.0, True), (30.0, True), (9.99, False), (30.01, False)])
def test_a_reading_may_be_at_the_ends_of_its_range(value: float, fine: bool) -> None:  # noqa: FBT001
    reading = Reading(Thermometer(value), "oven", 10.0, 30.0, 5.0, lambda: 0.0)  # type: ignore[arg-type]
    assert bool(reading.violated()) is not fine


def test_of_a_reading_with_several_values_the_first_wrong_one_is_told() -> None:
    rig = Thermometer(20.0)
    rig.value = np.array([[20.0, 31.5], [8.0, 20.0]])  # type: ignore[assignment]
    reading = Reading(rig, "oven", 10.0, 30.0, 5.0, lambda: 0.0)  # type: ignore[arg-type]
    assert reading.violated() == "oven reads 31.5, outside [10, 30]"
