"""One function knows the order of the executor."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.errors import DeadlineError, InterlockError, LimitError, TransportError
from labrhel.executor import ORDER, Condition, DryBackend, RigBackend, Safety, execute, stack
from labrhel.experiment import load_experiment
from labrhel.frozen import FrozenArray
from labrhel.rig.wiring import Approach, LinearKnob, Wiring
from labrhel.shots.operations import Checkpoint, Configure, Operation, Publish, RunShots
from labrhel.shots.program import Acquire, Pass, Rest, ShotProgram
from labrhel.store import Policy, create_run
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

SHOT = RunShots((ShotProgram(0.1, Rest(), (Pass(5, (), Acquire(("q1",))),)),))


class Journal:
    """A recording that notes what it is given."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def shots(self, operation: RunShots, captures: Any) -> None:
        self.heard.append("shots")

    def configured(self, operation: Configure, achieved: Any) -> None:
        self.heard.append("configured")

    def read(self, operation: Any, answer: Any) -> None:
        self.heard.append("read")

    def checkpoint(self, operation: Checkpoint) -> None:
        self.heard.append("checkpoint")

    def published(self, operation: Publish) -> None:
        self.heard.append("published")


class Failing(RigBackend):
    """Loses the link for the first `failures` operations."""

    def __init__(self, rig: SimulatedRig, failures: int) -> None:
        super().__init__(rig)
        self.left = failures
        self.asked = 0

    def do(self, operation: Operation) -> Any:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise TransportError("the link is down")
        return super().do(operation)


@pytest.fixture
def rig() -> SimulatedRig:
    return SimulatedRig(OscillatorNetwork(1))


def test_a_whole_stack_says_the_order_of_the_design(rig: SimulatedRig) -> None:
    safety = Safety(rig.make_safe, patience=1.0)
    whole = stack(RigBackend(rig), rig.capabilities, safety=safety, recording=Journal(), attempts=3)
    assert str(whole) == "compile -> interlock -> limits -> recorder -> retry -> watchdog -> backend"


def test_what_is_not_asked_for_is_left_out_and_compile_and_limits_always_stand(rig: SimulatedRig) -> None:
    assert str(stack(DryBackend(rig.capabilities), rig.capabilities)) == "compile -> limits -> backend"
    assert str(stack(RigBackend(rig), rig.capabilities, safety=Safety(rig.make_safe), attempts=2)) == (
        "compile -> interlock -> limits -> retry -> backend"
    )


@pytest.mark.parametrize(("overshoot", "layers"), [(0.0, ""), (0.5, "approach -> "), (-0.5, "approach -> ")])
def test_a_knob_that_is_turned_beyond_its_value_first_brings_the_approach(
    rig: SimulatedRig, overshoot: float, layers: str
) -> None:
    knob = LinearKnob(FrozenArray(np.eye(1)), FrozenArray([0.0]), Approach(overshoot))
    found = str(stack(RigBackend(rig), rig.capabilities, Wiring(knobs={"stiffness": knob})))
    assert found.replace(layers, "", 1) == "compile -> limits -> backend"
    assert layers in found


def test_a_run_of_an_experiment_has_the_whole_stack(tmp_path: Path) -> None:
    experiment = load_experiment("coupled_oscillators")
    with create_run(tmp_path, "run", {}, "", Policy(1)) as writer:
        assert str(experiment.executor(writer)) == " -> ".join((*ORDER[:-1], "backend"))  # no knob overshoots
    assert str(experiment.on_paper(DryBackend(experiment.rig.capabilities))) == "compile -> limits -> backend"


def test_an_interlock_stops_a_shot_before_it_is_checked_tried_or_recorded(rig: SimulatedRig) -> None:
    made_safe, journal, backend = [], Journal(), Failing(rig, 1)
    safety = Safety(lambda: made_safe.append(1), (Condition("door", lambda: "it is open"),))
    handler = stack(backend, rig.capabilities, safety=safety, recording=journal, attempts=3)
    with pytest.raises(InterlockError, match="it is open"):
        handler.do(SHOT)
    assert (made_safe, journal.heard, backend.asked) == ([1], [], 0)


def test_the_recorder_hears_of_the_attempt_that_succeeded_alone(rig: SimulatedRig) -> None:
    journal, backend = Journal(), Failing(rig, 2)
    handler = stack(backend, rig.capabilities, recording=journal, attempts=3)
    handler.do(SHOT)
    assert (journal.heard, backend.asked) == (["shots"], 3)


def test_what_the_limits_refuse_reaches_neither_the_record_nor_the_rig(rig: SimulatedRig) -> None:
    journal, backend = Journal(), Failing(rig, 0)
    handler = stack(backend, rig.capabilities, recording=journal)
    with pytest.raises(LimitError, match="not a finite number"):
        handler.do(Configure({"stiffness": np.array([np.nan])}))
    assert (journal.heard, backend.asked) == ([], 0)


def test_the_watchdog_watches_inside_the_block_and_may_be_entered_again() -> None:
    class Slow(SimulatedRig):
        def run(self, shots: Any) -> Any:
            assert safe.wait(10)
            return super().run(shots)

    safe = threading.Event()
    rig = Slow(OscillatorNetwork(1))
    handler = stack(RigBackend(rig), rig.capabilities, safety=Safety(safe.set, patience=0.05))
    with handler:
        handler.do(Configure({"stiffness": np.array([1.3])}))
    with handler, pytest.raises(DeadlineError, match="took longer than"):
        handler.do(SHOT)
    assert safe.is_set()


def test_a_protocol_runs_through_a_stack_in_model_units(rig: SimulatedRig) -> None:
    def protocol() -> Any:
        achieved = yield Configure({"stiffness": np.array([1.7])})
        (capture,) = yield SHOT
        return achieved["stiffness"], capture.last.traces["q1"].values

    stiffness, trace = execute(protocol(), stack(RigBackend(rig), rig.capabilities))
    assert stiffness == 1.7
    assert trace.shape == (1, 5)


def test_the_watchdog_of_a_stack_watches_inside_its_block_alone(rig: SimulatedRig) -> None:
    def watching() -> int:
        return sum(thread.name == "watchdog" for thread in threading.enumerate())

    before = watching()
    with stack(RigBackend(rig), rig.capabilities, safety=Safety(rig.make_safe, patience=60.0)) as whole:
        assert watching() == before + 1
        assert len(whole.do(SHOT)) == 1
    assert watching() == before
