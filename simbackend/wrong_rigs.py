"""Random lossy rigs that the host does not know well: the figures of the echo lock are measured on them.

docs/echo-lock.md quotes them; benchmarks/locked_echoes.py makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array
from labrhel.executor import execute
from labrhel.gradient import Gradient
from labrhel.learning.checking import compare
from labrhel.learning.rules import Rule
from labrhel.program import Reversal
from simbackend.imperfections import IDEAL, Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.models.saturating_network import SaturatingNetwork
from simbackend.reference import STEP, STEPS, ReferenceTask, lossy_rig
from simbackend.rig import SimulatedRig
from simbackend.separable_adjoint import exact_gradient as separable_gradient


@dataclass(frozen=True, slots=True)
class WrongRig:
    """A rig, and a host (`reference.theta`) that believes other parameters than the `truth`.

    `folds`: e-folds of energy lost in a pass.
    """

    reference: ReferenceTask
    truth: dict[str, Array]
    folds: float

    def exact(self) -> dict[str, Array]:
        """The gradient of the rig as it is."""
        task = replace(self.reference.task, model=self.reference.rig.model)
        return separable_gradient(task, self.reference.sequences, self.truth)[1]

    def gradient(self, rule: Rule, wanted: tuple[str, ...] = ()) -> Gradient:
        """By echoes."""
        reference = self.reference
        names = wanted or tuple(reference.model.parameters)
        program = rule.gradient(reference.task, reference.sequences, reference.theta, names)
        return execute(program, reference.handler())

    def compare(self, gradient: Gradient) -> tuple[float, float]:
        """Cosine and relative error, all parameters as one vector."""
        exact = self.exact()
        flat = [np.concatenate([np.ravel(side[name]) for name in gradient.values]) for side in (gradient.values, exact)]
        return compare(flat[0], flat[1])


def wrong_rig(
    seed: int,
    *,
    friction: float = 0.2,
    stiffness: float = 0.05,
    offers: frozenset[Reversal] | None = None,
    imperfections: Imperfections = IDEAL,
) -> WrongRig:
    """0.1 to 10 e-folds of energy a pass, friction wrong by one factor, every spring by one of its own."""
    random = np.random.default_rng(seed)
    drawn = lossy_rig(random)
    lost = np.mean(np.diag(drawn.theta["friction"]) / drawn.theta["mass"]) * STEPS * STEP
    folds = float(10 ** random.uniform(-1, 1))
    truth = dict(drawn.theta) | {"friction": drawn.theta["friction"] * folds / lost}
    nominal = {name: truth[name] for name in drawn.model.parameters}
    model = OscillatorNetwork(drawn.model.size, coupling="all", inputs=drawn.model.inputs, nominal=nominal)
    rig = SimulatedRig(model, offers=offers, imperfections=imperfections)
    task = replace(drawn.task, model=model, capabilities=replace(rig.capabilities, knobs=()))
    factors = 1 + friction * random.choice([-1, 1]), 1 + stiffness * random.choice([-1, 1], size=model.size)
    believed = truth | {"friction": truth["friction"] * factors[0], "stiffness": truth["stiffness"] * factors[1]}
    return WrongRig(ReferenceTask(model, rig, task, drawn.sequences, believed), truth, folds)


def saturating_rig(seed: int, saturation: float = 0.3) -> WrongRig:
    """A rig without flip whose springs saturate, which the host's model, a network of powers, has no word for."""
    known = wrong_rig(seed, friction=0.0, stiffness=0.0)
    reference = known.reference
    model = SaturatingNetwork(
        reference.model.size,
        coupling="all",
        inputs=reference.model.inputs,
        nominal={**{name: known.truth[name] for name in reference.model.parameters}, "saturation": saturation},
    )
    rig = SimulatedRig(model, offers=frozenset({Reversal.BY_DRIVE}))
    task = replace(reference.task, capabilities=replace(rig.capabilities, knobs=()))
    truth = known.truth | {"saturation": model.parameters["saturation"].nominal}
    return WrongRig(replace(reference, rig=rig, task=task), truth, known.folds)
