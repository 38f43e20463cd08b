"""The part of an error bar that comes from the calibration, and is the same in every repeat.

With b the beliefs of the host and s_j the standard error of the j-th,

    error^2 = sum_j (g(b + s_j) - g(b))^2,

g being all of the procedure on the nominal model (`protocols.forward.nominal`): compensation, preparation and lock run
again with each belief, since a wrong one is in all of them.  (Moving the rig in place of the belief would move the true
gradient as well.)  Values count as independent: a calibration holds standard errors, and no covariances.

Source: linear propagation of errors; tested in this project on rigs with gains of their own (docs/rules.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.gradient import NudgeRecord
from labrhel.learning.rules import GradientRequest
from protocols.echoes.beliefs import TRUE, Belief, Inherited, beliefs
from protocols.echoes.measurement import Measurement
from protocols.echoes.options import EchoOptions
from protocols.forward.nominal import NominalRig, idealised


def inherited(options: EchoOptions, asked: GradientRequest, eps: float) -> Inherited:
    """Of one gradient with these options at the nudge `eps`; takes no shot.

    Raises DivergedError where the nominal model has no bounded motion.
    """
    task = asked.task
    doubted = list(beliefs(task, asked.theta))
    if not doubted:
        return Inherited({})
    once = replace(options, eps=eps, response=None)
    rig = idealised(task.capabilities)
    plain = replace(task, capabilities=rig, calibration=TRUE)

    def gradient(belief: Belief) -> dict[str, Array]:
        world = NominalRig(task.model, asked.theta, rig, belief.wires, task.flip)
        believed = replace(plain, flip=task.flip if belief.flip is None else belief.flip)
        run = Measurement(
            once,
            replace(asked, task=believed, theta=belief.theta or asked.theta, previous=NudgeRecord(eps, 0.0)),
        )
        world.carry_out(run.first_block())
        block = run.blocks[0]
        return {**block.reading.terms, **{name: block.batch.direct[name] for name in run.plan.wanted.direct}}

    here = gradient(Belief("none"))
    squares = {name: np.zeros_like(term) for name, term in here.items()}
    shares: dict[str, float] = {}
    for belief in doubted:
        moved = {name: np.square(term - here[name]) for name, term in gradient(belief).items()}
        squares = {name: total + moved[name] for name, total in squares.items()}
        shares[belief.name] = sum(float(np.sum(term)) for name, term in moved.items() if name in task.model.parameters)
    worst = max(shares, key=lambda name: shares[name])
    errors = {name: np.sqrt(total) for name, total in squares.items()}
    total = sum(shares.values())
    size = sum(float(np.sum(np.square(term))) for name, term in here.items() if name in task.model.parameters)
    return Inherited(errors, worst, shares[worst] / (total or 1.0), float(np.sqrt(total / size)) if size > 0 else 0.0)
