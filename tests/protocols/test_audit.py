"""The audit: a right gradient passes, a wrong one is found, and no parameter stays where the audit moved it."""

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.executor import execute
from labrhel.learning.gradient import Gradient
from protocols.audit import Audit, Verdict
from protocols.forward.moving import MovedLoss
from protocols.rhel import RHEL
from protocols.twin import FittedTwin
from simbackend.imperfections import Imperfections
from simbackend.imperfections.friction import HiddenFriction
from simbackend.rigs.reference import ReferenceTask, lossy_rig
from simbackend.rigs.simulated import SimulatedRig

COUNT = int(os.environ.get("LABRHEL_AUDITS", "6"))
NAMES = ("coupling", "stiffness", "friction")


def noisy(seed: int, share: float) -> ReferenceTask:
    """A rig whose loss has a noise of `share` from shot to shot."""
    reference = lossy_rig(np.random.default_rng(seed))

    def on(noise: float) -> ReferenceTask:
        rig = SimulatedRig(reference.model, imperfections=Imperfections(seed=seed, noise=noise))
        return replace(reference, rig=rig, task=replace(reference.task, capabilities=rig.capabilities))

    tried = on(0.05)
    moved = MovedLoss(tried.task, tried.sequences, tried.theta)
    losses = [execute(moved.at({}), tried.handler()) for _ in range(60)]
    return on(0.05 * share / float(np.std(losses) / np.mean(losses)))


def exact(reference: ReferenceTask) -> Gradient:
    """Of the rig without noise, by a twin that is the rig."""
    quiet = lossy_rig(np.random.default_rng(0))
    return replace(quiet, model=reference.model, rig=SimulatedRig(reference.model), sequences=reference.sequences,
                   task=replace(reference.task, capabilities=SimulatedRig(reference.model).capabilities),
                   theta=reference.theta).gradient(FittedTwin(refit=False), NAMES)  # fmt: skip


def audited(reference: ReferenceTask, gradient: Gradient, seed: int = 0) -> Verdict:
    program = Audit(seed=seed).of(reference.task, reference.sequences, reference.theta, gradient)
    return execute(program, reference.handler())


def scaled(gradient: Gradient, factor: float) -> Gradient:
    return replace(gradient, values={name: factor * np.asarray(value) for name, value in gradient.values.items()})


@pytest.mark.slow
@pytest.mark.parametrize("share", [1e-6, 1e-3, 1e-2])
def test_a_right_gradient_is_hardly_ever_called_wrong(share: float) -> None:
    verdicts = [audited(rig, exact(rig), seed) for seed in range(COUNT) for rig in [noisy(seed, share)]]
    assert sum(verdict.right is False for verdict in verdicts) <= max(1, 0.01 * COUNT + 3 * np.sqrt(0.01 * COUNT))
    assert sum(verdict.right is True for verdict in verdicts) >= 0.6 * COUNT
    assert all(verdict.shots <= 200 for verdict in verdicts)


@pytest.mark.slow
def test_a_gradient_that_is_five_percent_too_long_is_found_at_one_percent_noise_per_shot() -> None:
    found = [audited(rig, scaled(exact(rig), 1.05), seed) for seed in range(COUNT) for rig in [noisy(seed, 0.01)]]
    assert not any(verdict.right for verdict in found)
    assert np.mean([verdict.right is False for verdict in found]) >= 0.7
    assert np.median([verdict.shots for verdict in found]) <= 100


@pytest.mark.parametrize(
    "spoil",
    [
        lambda values: {name: -value for name, value in values.items()},
        lambda values: {name: value / 2 for name, value in values.items()},
        lambda values: values | {"stiffness": np.roll(values["stiffness"], 1)},
        lambda values: values | {"coupling": 2 * values["coupling"]},
    ],
    ids=["a sign", "a factor", "a wrong order", "a doubled part"],
)
def test_the_classic_mistakes_are_found(spoil: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> None:
    rig = noisy(3, 1e-3)
    gradient = exact(rig)
    verdict = audited(rig, replace(gradient, values=spoil({**gradient.values})))
    assert verdict.right is False
    assert "WRONG" in str(verdict)


def test_an_echo_that_retraces_with_the_wrong_physics_is_found() -> None:
    # Friction that the host does not know flips no sign here, but a plain echo does not compensate it.
    reference = lossy_rig(np.random.default_rng(3))
    hidden = Imperfections(friction=HiddenFriction(uniform=0.05))
    rig = SimulatedRig(reference.model, imperfections=hidden)
    lossy = replace(reference, rig=rig, task=replace(reference.task, capabilities=rig.capabilities))
    assert audited(lossy, lossy.gradient(RHEL(), NAMES)).right is False
    assert audited(lossy, lossy.gradient(RHEL(lock=6), NAMES)).right is True


def test_the_parameters_are_put_back() -> None:
    rig = noisy(1, 1e-3)
    audited(rig, exact(rig))
    for name in NAMES:
        assert np.array_equal(rig.rig.read([name])[name], rig.theta[name])


def test_what_cannot_be_audited_is_refused() -> None:
    rig = noisy(1, 1e-3)
    gradient = exact(rig)
    with pytest.raises(ConfigurationError, match="nothing to audit"):
        audited(rig, scaled(gradient, 0.0))
    with pytest.raises(ConfigurationError, match="cannot be asked"):
        audited(rig.declaring(knobs=()), gradient)
    with pytest.raises(ConfigurationError, match="tolerance"):
        Audit(tolerance=1.0)
    with pytest.raises(ConfigurationError, match="more shots"):
        Audit(most=5)
