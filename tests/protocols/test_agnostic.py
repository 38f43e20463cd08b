"""Agnostic echo learning: springs that are slow variables of the rig drift by the gradient of its loss."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labrhel import session
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.executor import Compiling, Limiting, RigBackend, execute
from labrhel.experiment import load_experiment
from labrhel.learning.checking import compare
from labrhel.learning.gradient import Gradient
from labrhel.learning.needs import objections
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.waveform import Waveform
from protocols.agnostic import Agnostic
from simbackend.dynamics.adjoint import exact_gradient
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.models.self_adjusting import RESPONSE_TIME, SelfAdjustingNetwork
from simbackend.rigs.reference import reference_rig
from simbackend.rigs.simulated import SimulatedRig

N, STEP, STEPS = 3, 0.1, 400


def network(mobility: float) -> tuple[SelfAdjustingNetwork, OscillatorNetwork]:
    """A rig with slow springs, and the same one with springs that stand still."""
    random = np.random.default_rng(5)
    shared = {"cubic": random.uniform(0.1, 0.4, N), "coupling": random.uniform(0.1, 0.3, N * (N - 1) // 2)}
    springs, start = random.uniform(0.7, 1.5, N), random.normal(size=N) * 0.3
    drive = random.normal(size=(N, 1))
    slow = np.repeat([0.0, 1.0], N)
    adjusting = SelfAdjustingNetwork(
        N,
        coupling="all",
        nominal={
            **shared, "rest": springs, "input": drive, "initial_position": start,
            "friction": slow / mobility, "mass": 1 - slow + slow * RESPONSE_TIME / mobility,
        },
    )  # fmt: skip
    nominal = {**shared, "stiffness": springs, "input": drive, "initial_position": start}
    return adjusting, OscillatorNetwork(N, coupling="all", nominal=nominal)


def task_of(model: object) -> tuple[Task, list[TrialSequence], dict[str, np.ndarray], SimulatedRig]:
    rig = SimulatedRig(model)  # type: ignore[arg-type]
    time = STEP * np.arange(STEPS)
    target = (0.3 * np.sin(1.1 * time))[None]
    sequence = TrialSequence("s", {"u1": Waveform.of(0.6 * np.sin(0.9 * time), STEP)}, target, np.ones(STEPS))
    task = Task(model, rig.capabilities, STEP, 1, ("q2",), float(target.var()))  # type: ignore[arg-type]
    theta = {name: spec.nominal for name, spec in model.parameters.items()}  # type: ignore[attr-defined]
    return task, [sequence], theta | {"readout": np.ones((1, 1)), "readout_offset": np.zeros(1)}, rig


def measured(mobility: float, rule: Agnostic = Agnostic()) -> tuple[Gradient, float, float]:  # noqa: B008 (frozen)
    """The gradient, its cosine and its relative error."""
    adjusting, still = network(mobility)
    task, sequences, theta, rig = task_of(adjusting)
    handler = Compiling(Limiting(RigBackend(rig), rig.capabilities), rig.capabilities)
    gradient = execute(rule.gradient(GradientRequest(task, sequences, theta, ("rest", "readout"))), handler)
    true_task, _, true_theta, _ = task_of(still)
    exact = exact_gradient(true_task, sequences, true_theta)[1]
    np.testing.assert_allclose(gradient.values["readout"], exact["readout"], rtol=1e-2)
    return gradient, *compare(gradient.values["rest"], exact["stiffness"])


def test_the_drift_of_slow_springs_is_the_gradient_and_slower_is_better() -> None:
    found = {mobility: measured(mobility) for mobility in (1e-3, 1e-4)}
    assert found[1e-3][1] > 0.999
    assert found[1e-4][1] > 0.99999
    assert found[1e-3][2] / found[1e-4][2] == pytest.approx(10, rel=0.3)  # the error is of the order of mu
    assert found[1e-4][0].retrace_error < 1e-3


def test_holding_is_what_makes_it_right() -> None:
    drifts = [measured(1e-3, Agnostic(rounds=rounds))[0].measured["drift"] for rounds in (1, 2, 3)]
    assert drifts[0] > 10 * drifts[1] > 30 * drifts[2]


def test_rigs_whose_parameters_stand_still_are_refused() -> None:
    reference = reference_rig()
    asked = (reference.task, reference.sequences, reference.theta, ("stiffness",))
    assert "no parameter of the rig moves by itself" in objections(Agnostic.needs, *asked)
    with pytest.raises(ProgramError, match="take rule: rhel"):
        reference.gradient(Agnostic(), ("stiffness",))


def test_parameters_that_do_not_move_by_themselves_are_named() -> None:
    adjusting, _ = network(1e-3)
    task, sequences, theta, rig = task_of(adjusting)
    handler = Compiling(Limiting(RigBackend(rig), rig.capabilities), rig.capabilities)
    with pytest.raises(ProgramError, match="only rest moves by itself on this rig, not cubic"):
        execute(Agnostic().gradient(GradientRequest(task, sequences, theta, ("cubic",))), handler)


def test_it_trains_from_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "slow.yaml"
    file.write_text(
        "model:\n  kind: self_adjusting_network\n  oscillators: 2\n  coupling: all\n"
        "  units: {time: ms, position: V, input: V}\n"
        "  parameters: {rest: {value: [1.0, 1.3], train: true}, coupling: 0.2, cubic: 0.2,\n"
        "    input: [[1.0], [0.0], [0.0], [0.0]]}\n"
        "  readout: {channels: [q2], gain: 1.0}\n"
        "protocol: {rule: agnostic, record: none}\n"
        "optimizer: {kind: adam, rate: 0.05, steps: 25}\n"
        "data:\n  teacher:\n    parameters: {rest: [1.2, 1.1]}\n"
        "    input: {amplitude: 0.5, band: [0.05, 0.3], tones: 5, seed: 3}\n"
        "    samples: 60\n    spacing: 0.3\n    sequences: 1\n    test_sequences: 0\n  substeps: 3\n"
    )
    losses = session.start(load_experiment(file), tmp_path / "runs", lambda published: None).losses
    assert losses[-1] < 0.1 * losses[0]


def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="rounds must be 1 or more"):
        replace(Agnostic(), rounds=0)
