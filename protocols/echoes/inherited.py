"""The part of an error bar that comes from the calibration, and is the same in every repeat.

With b the beliefs of the host, s_j the standard error of the j-th, and r_jk how the errors of two are correlated,

    m_j = g(b + s_j) - g(b),        error^2 = sum_jk r_jk m_j m_k,

g being all of the procedure on the nominal model (`protocols.forward.nominal`): compensation, preparation and lock run
again with each belief, since a wrong one is in all of them.  (Moving the rig in place of the belief would move the true
gradient as well.)

Source: linear propagation of errors; tested in this project on rigs with gains of their own (docs/rules.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import LabrhelError
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.rules import GradientRequest
from labrhel.shots import operations
from protocols.echoes.beliefs import TRUE, Belief, Inherited, beliefs
from protocols.echoes.doubts import of_calibration
from protocols.echoes.measurement import Measurement
from protocols.echoes.options import EchoOptions
from protocols.forward.nominal import NominalRig, idealised


class Procedure(Protocol):
    """What measures a gradient, as every rule does."""

    def gradient(self, asked: GradientRequest) -> operations.Protocol[Gradient]:
        """The gradient that is asked for."""
        ...


def inherited(options: EchoOptions, asked: GradientRequest, eps: float) -> Inherited:
    """Of one gradient by echoes with these options at the nudge `eps`; takes no shot.

    Raises DivergedError where the nominal model has no bounded motion.
    """
    once = replace(options, eps=eps, response=None)

    def by_echoes(world: NominalRig, believed: GradientRequest) -> dict[str, Array]:
        run = Measurement(once, replace(believed, previous=NudgeRecord(eps, 0.0)))
        if run.asymmetric is not None:  # what a rig with noise does not tell, this one without noise would
            run.asymmetric.believes = True
        world.carry_out(run.first_block())
        block = run.blocks[0]
        return {**block.reading.terms, **{name: block.batch.direct[name] for name in run.plan.wanted.direct}}

    return _propagated(asked, by_echoes)


def inherited_by(rule: Procedure, asked: GradientRequest) -> Inherited:
    """Of one gradient by a `rule` that is none of echoes, run as it is, once; takes no shot.

    Raises DivergedError where the nominal model has no bounded motion.
    """

    def by_rule(world: NominalRig, believed: GradientRequest) -> dict[str, Array]:
        return dict(world.carry_out(rule.gradient(replace(believed, previous=None))).values)

    return _propagated(asked, by_rule)


def with_inherited(gradient: Gradient, rule: Procedure, asked: GradientRequest) -> Gradient:
    """A gradient of a rule that is none of echoes, with what the calibration adds to its error bar."""
    try:
        passed_on = inherited_by(rule, asked)
    except LabrhelError as error:  # of the nominal model; the rig has answered
        words = f"what the calibration knows only to an uncertainty is in no error bar of this gradient: {error}"
        return replace(gradient, warnings=(*gradient.warnings, words))
    if not passed_on.errors:
        return gradient
    return replace(
        gradient,
        calibration_error={name: term for name, term in passed_on.errors.items() if name in gradient.values},
        measured={**gradient.measured, "calibration_error": passed_on.relative},
        warnings=(*gradient.warnings, *of_calibration(passed_on, gradient.values)),
    )


def _propagated(
    asked: GradientRequest, procedure: Callable[[NominalRig, GradientRequest], dict[str, Array]]
) -> Inherited:
    task = asked.task
    doubted = list(beliefs(task, asked.theta))
    if not doubted:
        return Inherited({})
    rig = idealised(task.capabilities)
    plain = replace(task, capabilities=rig, calibration=TRUE)

    def gradient(belief: Belief) -> dict[str, Array]:
        becomes = partial(belief.becomes, asked.theta)
        world = NominalRig(task.model, asked.theta, rig, belief.wires, task.flip, becomes)
        believed = replace(plain, flip=task.flip if belief.flip is None else belief.flip)
        return procedure(world, replace(asked, task=believed, theta=belief.theta or asked.theta))

    here = gradient(Belief("none"))
    moved = [gradient(belief) for belief in doubted]
    names = [belief.name for belief in doubted]
    alike = np.array([[task.calibration.correlation(one, other) for other in names] for one in names])
    errors: dict[str, Array] = {}
    shares = np.zeros(len(names))
    for name, term in here.items():
        m = np.stack([item[name] - term for item in moved])
        parts = m * np.tensordot(alike, m, 1)  # by value, with what others share of its error
        errors[name] = np.sqrt(np.maximum(parts.sum(axis=0), 0.0))
        if name in task.model.parameters:
            shares += parts.reshape(len(names), -1).sum(axis=1)
    worst, total = int(np.argmax(shares)), max(float(shares.sum()), 0.0)
    size = sum(float(np.sum(np.square(term))) for name, term in here.items() if name in task.model.parameters)
    share = min(1.0, float(shares[worst]) / (total or 1.0))
    return Inherited(errors, names[worst], share, float(np.sqrt(total / size)) if size > 0 else 0.0)
