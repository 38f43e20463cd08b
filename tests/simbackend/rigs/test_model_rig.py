"""The rig of any model: the same answers as the compiled rig of the oscillator network."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, InstrumentError
from labrhel.executor import execute
from labrhel.frozen import FrozenArray
from labrhel.learning.train import free_run
from labrhel.model.leapfrog import leapfrog
from labrhel.rig.capabilities import Reversal
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, GivenState, Pass, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from protocols.rhel import RHEL
from simbackend.imperfections import HiddenFriction, Imperfections, Mismatch, NonReciprocity
from simbackend.models.separable_model import SeparableModel, Term
from simbackend.rigs.reference import ReferenceTask, lossy_rig
from simbackend.rigs.simulated import ModelRig, SimulatedRig


def on_model_rig(reference: ReferenceTask) -> ReferenceTask:
    rig = ModelRig(reference.model)
    return replace(reference, rig=rig, task=replace(reference.task, capabilities=rig.capabilities))


def test_it_runs_a_lossy_network_as_the_compiled_rig_does() -> None:
    reference = lossy_rig(np.random.default_rng(2))
    outputs = [
        execute(free_run(case.task, case.sequences, case.theta), case.handler())[0]
        for case in (reference, on_model_rig(reference))
    ]
    assert np.allclose(*outputs, atol=1e-11)


def test_driven_echoes_on_it_give_the_exact_gradient() -> None:
    reference = on_model_rig(lossy_rig(np.random.default_rng(2)))
    cosine, error = reference.compare(reference.gradient(RHEL()))
    assert error < 1e-6
    assert cosine > 1 - 1e-12


def test_knobs_are_set_and_read_back() -> None:
    rig = on_model_rig(lossy_rig(np.random.default_rng(2))).rig
    rig.configure({"stiffness": np.full(6, 2.0)})
    assert np.array_equal(rig.read(["stiffness"])["stiffness"], np.full(6, 2.0))


def test_a_motion_that_diverges_is_an_error_and_not_a_nan() -> None:
    reference = on_model_rig(lossy_rig(np.random.default_rng(2)))
    with pytest.raises(InstrumentError, match="diverged"):
        execute(
            free_run(reference.task, reference.sequences, {**reference.theta, "cubic": np.full(6, -50.0)}),
            reference.handler(),
        )


class Pendulum(SeparableModel):
    """V = sum_i g_i (1 - cos q_i): what no network is."""

    def __init__(self, size: int = 2, **common: Any) -> None:
        super().__init__(size, {"gravity": Term((size,), 1.3, "g")}, **common)

    def potential(self, q: np.ndarray, theta: Mapping[str, np.ndarray]) -> float:
        return float(self.value("gravity", theta) @ (1 - np.cos(q)))

    def force(self, q: np.ndarray, theta: Mapping[str, np.ndarray]) -> np.ndarray:
        return -self.value("gravity", theta)[(slice(None),) + (None,) * (q.ndim - 1)] * np.sin(q)

    def slopes(self, q: np.ndarray, theta: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"gravity": 1 - np.cos(q)}


STEP, STEPS, Q = 0.1, 50, ("q1", "q2")


def shot(seed: int) -> ShotProgram:
    random = np.random.default_rng(seed)
    start = GivenState(FrozenArray(random.normal(size=2)), FrozenArray(random.normal(size=2)))
    wave = Waveform.of(random.normal(size=STEPS), STEP)
    forward = Pass(STEPS, (Drive("u1", wave, Role.INPUT),), keep=True)
    back = Drive("u1", wave.reversed((STEPS - 1) * STEP), Role.INPUT)
    return ShotProgram(STEP, start, (forward, Pass(STEPS, (back,), Acquire(Q, end_state=True), echo=True)))


def ended(rig: SimulatedRig, *programs: ShotProgram) -> list[np.ndarray]:
    captures = rig.run([compile(program, rig.capabilities) for program in programs])
    return [capture.last.stack(Q) for capture in captures]


def test_shots_that_run_side_by_side_are_those_that_run_alone() -> None:
    together = ended(SimulatedRig(Pendulum()), *(shot(seed) for seed in range(5)))
    for seed, trace in enumerate(together):
        assert np.abs(trace - ended(SimulatedRig(Pendulum()), shot(seed))[0]).max() < 1e-13


@pytest.mark.parametrize("reversal", [Reversal.MOMENTUM_FLIP, Reversal.STATE_RESTORE])
def test_an_echo_of_a_users_model_retraces_from_a_flip_and_from_a_stored_state(reversal: Reversal) -> None:
    rig = SimulatedRig(Pendulum(), offers=frozenset({reversal}))
    rig.run([compile(replace(shot(1), passes=shot(1).passes[:1]), rig.capabilities)])
    (capture,) = rig.run([compile(shot(1), rig.capabilities)])
    assert capture.passes_run == (1 if reversal is Reversal.STATE_RESTORE else 2)
    start = shot(1).prepare
    assert isinstance(start, GivenState)
    assert capture.last.end_state is not None
    assert np.abs(capture.last.end_state.position[0] - start.position.values).max() < 1e-12


def test_a_device_of_a_users_model_moves_by_its_true_parts() -> None:
    model, errors = Pendulum(), Imperfections(7, Mismatch(0.05), HiddenFriction(modes=(0.2, 0.1)))
    rig = SimulatedRig(model, imperfections=errors)
    true = rig.true_parameters()
    assert not np.allclose(true["gravity"], 1.3)
    assert np.allclose(true["friction"], 0.2 * np.diag([1, 0]) + 0.1 * np.diag([0, 1]))  # two modes of one frequency
    program = shot(3)
    program = replace(program, passes=(replace(program.passes[0], acquire=Acquire(Q)),))
    start, drive = program.prepare, np.zeros((2, STEPS))
    assert isinstance(start, GivenState)
    drive[0] = np.random.default_rng(3).normal(size=54)[4:]  # as `shot` draws it
    by_hand = leapfrog(
        lambda q: model.force(q, true), model.mass(true), model.friction(true), drive, STEP, start.position.values,
        start.momentum.values,
    )  # fmt: skip
    assert np.abs(ended(rig, program)[0] - by_hand.q).max() < 1e-12


def test_what_cannot_act_on_a_users_model_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="springs between oscillators, which Pendulum does not have"):
        SimulatedRig(Pendulum(), imperfections=Imperfections(reciprocity=NonReciprocity(0.01)))


def test_the_hessian_of_a_users_model_comes_from_its_force() -> None:
    q, theta = np.array([0.4, -2.0]), {"gravity": np.array([1.0, 2.0])}
    assert np.allclose(Pendulum().hessian(q, theta), np.diag(theta["gravity"] * np.cos(q)), rtol=0, atol=1e-15)
