"""The innermost handler: which calls of a rig an operation becomes, and shots that it started too late."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from labrhel.errors import DeadlineError
from labrhel.executor import Compiling, Handler, RigBackend
from labrhel.rig.capabilities import Capabilities
from labrhel.shots.operations import Checkpoint, Configure, Publish, Read, RunShots
from labrhel.shots.program import Acquire, Pass, Rest, ShotProgram
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import capabilities_of
from simbackend.rigs.wrong import MistimedRig

MODEL = OscillatorNetwork(2, nominal={"stiffness": [1.0, 1.3], "input": [[0.7], [0.2]]})
PROGRAM = ShotProgram(0.2, Rest(), (Pass(8, (), Acquire(("q1",))),))


class Answer(NamedTuple):
    """A capture, as far as the handler looks at it."""

    shot: str
    planned_start: float = 3.0
    actual_start: float = 3.5


class Rig:
    """Writes down how it was called, and answers with what it was handed."""

    capabilities: Capabilities = capabilities_of(MODEL, "written down")

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def run(self, shots: Sequence[str]) -> list[Answer]:
        self.calls.append(("run", list(shots)))
        return [Answer(shot) for shot in shots]

    def configure(self, knobs: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(("configure", dict(knobs)))
        return {name: value + 0.25 for name, value in knobs.items()}

    def read(self, names: Sequence[str]) -> dict[str, Any]:
        self.calls.append(("read", tuple(names)))
        return {"oven": np.array(21.0)}


SHOTS = ("a", "b", "c")


@pytest.mark.parametrize(("order", "calls"), [("free", [["a", "b", "c"]]), ("fixed", [["a"], ["b"], ["c"]])])
def test_shots_of_a_free_order_are_one_batch_and_those_of_a_fixed_one_come_one_by_one(
    order: Any, calls: list[list[str]]
) -> None:
    rig = Rig()
    answer = RigBackend(rig).do(RunShots((), order, SHOTS))  # type: ignore[arg-type]
    assert answer == [Answer(shot) for shot in SHOTS]
    assert rig.calls == [("run", call) for call in calls]


def test_a_setting_answers_with_what_the_rig_achieved() -> None:
    rig = Rig()
    asked = Configure({"stiffness": np.array(9.0)}, {"bias": np.array(1.5)})
    assert RigBackend(rig).do(asked) == {"bias": 1.75}  # type: ignore[arg-type]
    assert rig.calls == [("configure", {"bias": 1.5})]


def test_a_reading_is_the_rigs_and_the_rest_is_not_its_business() -> None:
    rig = Rig()
    backend = RigBackend(rig)  # type: ignore[arg-type]
    assert backend.do(Read(("oven",)))["oven"] == 21.0
    assert backend.do(Checkpoint(1, {})) is None
    assert backend.do(Publish(1, {})) is None
    assert rig.calls == [("read", ("oven",))]


def handler(late: float, latest: float) -> Handler:
    rig = MistimedRig(MODEL, late=late, latest=latest)
    return Compiling(RigBackend(rig), rig.capabilities)


@pytest.mark.parametrize("order", ["free", "fixed"])
def test_a_late_shot_is_an_error_that_says_how_late(order: str) -> None:
    operation = RunShots((PROGRAM, PROGRAM), order)  # type: ignore[arg-type]
    with pytest.raises(DeadlineError, match=r"started 0\.03 s after it was planned, and 0\.02 s are allowed"):
        handler(0.03, 0.02).do(operation)


@pytest.mark.parametrize("order", ["free", "fixed"])
def test_a_shot_within_its_tolerance_is_answered(order: str) -> None:
    operation = RunShots((PROGRAM, PROGRAM), order)  # type: ignore[arg-type]
    first, second = handler(0.03, 0.04).do(operation)
    assert first.actual_start - first.planned_start == pytest.approx(0.03)
    assert second.planned_start > first.planned_start


def test_a_start_that_is_no_number_is_late() -> None:
    with pytest.raises(DeadlineError):
        handler(float("nan"), 1.0).do(RunShots((PROGRAM,)))


def test_a_rig_without_triggers_is_never_late() -> None:
    rig = Rig()
    rig.capabilities = replace(rig.capabilities, triggers=())
    assert RigBackend(rig).do(RunShots((), "free", SHOTS))  # type: ignore[arg-type]


def test_of_several_triggers_the_strictest_says_what_is_late() -> None:
    rig = MistimedRig(MODEL, late=0.03, latest=0.02)
    (own,) = rig.capabilities.triggers
    rig.capabilities = replace(rig.capabilities, triggers=(own, replace(own, name="other", latest=1.0)))
    with pytest.raises(DeadlineError, match=r"and 0\.02 s are allowed"):
        Compiling(RigBackend(rig), rig.capabilities).do(RunShots((PROGRAM,)))


# -- what is told to the logger ----------------------------------------------------------------------------------------


def test_every_operation_is_told_with_what_came_of_it(caplog: pytest.LogCaptureFixture) -> None:
    backend = RigBackend(Rig())  # type: ignore[arg-type]
    with caplog.at_level("DEBUG", "labrhel.executor.backend"):
        backend.do(Configure({}, {"bias": np.array(1.5), "gains": np.arange(9.0)}))
        backend.do(Read(("oven",)))
        backend.do(Checkpoint(4, {}))
        backend.do(Publish(5, {"loss": 0.125}, words=("it drifts",)))
        backend.do(Publish(6, {}))
    told = [(item.levelname, item.getMessage().partition(" in ")[0]) for item in caplog.records]
    assert told == [
        ("INFO", "knobs set to bias 1.75, gains [0.25 1.25 2.25 3.25 4.25 5.25 6.25 7.25 ...]"),
        ("DEBUG", "read oven 21"),
        ("DEBUG", "checkpoint of step 4"),
        ("INFO", "step 5: loss 0.125"),
        ("WARNING", "step 5: it drifts"),
        ("INFO", "step 6: nothing"),
    ]


def test_shots_are_told_with_their_passes_and_a_time_in_milliseconds(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "labrhel.executor.backend"):
        handler(0.0, 1.0).do(RunShots((PROGRAM, PROGRAM)))
    (line,) = [item.getMessage() for item in caplog.records]
    assert line.startswith("2 shots, 2 passes in ") and line.endswith(" ms") and "over range" not in line


@pytest.mark.parametrize(("quiet", "level"), [(True, "DEBUG"), (False, "WARNING")])
def test_nothing_is_told_of_a_quiet_rig_or_to_nobody(
    caplog: pytest.LogCaptureFixture,
    *,
    quiet: bool,
    level: str,
) -> None:
    with caplog.at_level(level, "labrhel.executor.backend"):
        assert RigBackend(Rig(), quiet=quiet).do(Publish(5, {}, words=("it drifts",))) is None  # type: ignore[arg-type]
    assert not caplog.records
