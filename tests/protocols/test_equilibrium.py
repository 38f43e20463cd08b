"""Equilibrium propagation on rigs that settle, and what it says of rigs that do not."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, ProgramError
from labrhel.learning.checking import compare
from labrhel.learning.needs import objections
from labrhel.learning.rules import Rule
from labrhel.shots.waveform import Waveform
from protocols.differences import FiniteDifferences
from protocols.equilibrium import AsymmetricEquilibrium, Equilibrium, asymmetry_of
from simbackend.imperfections.reciprocity import NonReciprocity
from simbackend.rigs.reference import STEP, STEPS, ReferenceTask, reference_rig, relaxing_rig

KNOWN = ("stiffness", "cubic", "input")  # whose effect on the force a rig that is not reciprocal shares with the model
BOTH: tuple[Rule, ...] = (Equilibrium(), AsymmetricEquilibrium())


def relaxing(drawn: int = 0, **imperfections: object) -> ReferenceTask:
    return relaxing_rig(np.random.default_rng(drawn), **imperfections)


def measured(reference: ReferenceTask) -> np.ndarray:
    """Central differences on the rig."""
    coarse, fine = (reference.gradient(FiniteDifferences(step=step), KNOWN).values for step in (2e-4, 1e-4))
    return np.concatenate([np.ravel((4 * fine[name] - coarse[name]) / 3) for name in KNOWN])


def found(reference: ReferenceTask, rule: Rule) -> np.ndarray:
    values = reference.gradient(rule, KNOWN).values
    return np.concatenate([np.ravel(values[name]) for name in KNOWN])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", BOTH)
def test_the_gradient_of_a_rig_that_settles_is_that_of_reverse_mode_through_the_whole_transient(
    rule: Rule, seed: int
) -> None:
    reference = relaxing(seed)
    gradient, exact = reference.gradient(rule), reference.exact()[1]
    assert set(gradient.values) == {*reference.model.parameters, "readout", "readout_offset"}
    largest = max(np.abs(value).max() for value in exact.values())
    for name, value in gradient.values.items():
        np.testing.assert_allclose(value, exact[name], atol=3e-6 * largest, err_msg=name)


def test_the_bias_falls_with_the_square_of_the_push() -> None:
    reference = relaxing(1)
    errors = [reference.compare(reference.gradient(Equilibrium(response=size)))[1] for size in (0.04, 0.02)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("spread", [0.5, 1.0])
def test_without_reciprocity_only_the_asymmetric_rule_is_right(spread: float) -> None:
    reference = relaxing(2, seed=2, reciprocity=NonReciprocity(spread))
    truth = measured(reference)
    assert compare(found(reference, Equilibrium()), truth)[1] > 0.1
    assert compare(found(reference, AsymmetricEquilibrium()), truth)[1] < 1e-5


def test_the_asymmetry_is_measured() -> None:
    skew = relaxing(2, seed=2, reciprocity=NonReciprocity(1.0)).gradient(AsymmetricEquilibrium(), KNOWN)
    assert skew.measured["asymmetry"] == pytest.approx(0.362, abs=0.01)
    assert relaxing(2).gradient(AsymmetricEquilibrium(), KNOWN).measured["asymmetry"] < 1e-6
    rotation = np.array([[-1.0, 0.5], [-0.5, -1.0]])
    assert asymmetry_of(rotation) == pytest.approx(0.5)


def test_it_costs_three_shots_and_the_asymmetric_one_two_more_for_each_oscillator() -> None:
    assert [relaxing().gradient(rule, KNOWN).shots for rule in BOTH] == [3, 3 + 2 * 6]


@pytest.mark.parametrize("rule", BOTH)
def test_noise_leaves_the_gradient_near_the_truth(rule: Rule) -> None:
    reference = relaxing(0, seed=1, noise=1e-4)
    cosine, error = compare(found(reference, rule), found(relaxing(0), rule))
    assert cosine > 0.99 and error < 0.15


def test_a_rig_that_still_moves_is_refused_with_how_far() -> None:
    reference = relaxing(0)
    (sequence,) = reference.sequences
    short = {name: Waveform.of(np.full(40, 1.0), STEP) for name in sequence.inputs}
    target, weight = sequence.target[:, :40], np.eye(40)[-1]
    brief = replace(reference, sequences=(replace(sequence, inputs=short, target=target, weight=weight),))
    with pytest.raises(ProgramError, match=r"has not settled.*make the sequence longer"):
        brief.gradient(Equilibrium(), KNOWN)


def test_rigs_and_tasks_that_do_not_settle_are_refused_in_advance() -> None:
    lossless, settling = reference_rig(), relaxing()
    assert not objections(Equilibrium.needs, settling.task, settling.sequences, settling.theta, KNOWN)
    (words, *_) = objections(Equilibrium.needs, lossless.task, lossless.sequences, lossless.theta, KNOWN)
    assert "too few to settle" in words
    (sequence,) = settling.sequences
    moving = replace(sequence, inputs={"u1": Waveform.of(np.sin(np.arange(STEPS)), STEP), "u2": sequence.inputs["u2"]})
    (words,) = objections(Equilibrium.needs, settling.task, [moving], settling.theta, KNOWN)
    assert "still changes" in words
    early = replace(sequence, weight=np.ones(STEPS))
    (words,) = objections(Equilibrium.needs, settling.task, [early], settling.theta, KNOWN)
    assert "before the last tenth" in words


@pytest.mark.parametrize("rule", [Equilibrium, AsymmetricEquilibrium])
def test_a_response_must_be_positive(rule: type[Equilibrium]) -> None:
    with pytest.raises(ConfigurationError, match="positive"):
        rule(response=0.0)
