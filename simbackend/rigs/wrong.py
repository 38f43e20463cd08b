"""Rigs that are not what the host believes: lossy ones, on which the echo lock is measured, and one that starts late.

docs/echo-lock.md quotes them; benchmarks/locked_echoes.py makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array
from labrhel.executor import execute
from labrhel.frozen import FrozenArray
from labrhel.learning.checking import compare
from labrhel.learning.gradient import Gradient
from labrhel.learning.rules import Rule
from labrhel.rig.capabilities import Kind, Reversal, TriggerDomain
from labrhel.shots.capture import Capture
from labrhel.shots.compiled import CompiledShot
from simbackend.dynamics.adjoint import exact_gradient
from simbackend.dynamics.separable_adjoint import exact_gradient as separable_gradient
from simbackend.imperfections import IDEAL, Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.models.saturating_network import SaturatingNetwork
from simbackend.models.simulable import Simulable
from simbackend.rigs.reference import STEP, STEPS, ReferenceTask, lossy_rig
from simbackend.rigs.simulated import SimulatedRig


@dataclass(frozen=True, slots=True)
class WrongRig:
    """A rig, and a host (`reference.theta`) that believes other parameters than the `truth`.

    `folds`: e-folds of energy lost in a pass.
    """

    reference: ReferenceTask
    truth: dict[str, Array]
    folds: float

    def exact(self, jitter: float = 0.0, draws: int = 16) -> dict[str, Array]:
        """The gradient of the rig as it is: the real gains of inputs and read-out channels are in it.

        With a `jitter` of the inputs' gains from shot to shot, of the loss on average over `draws` of them.
        """
        reference, rig = self.reference, self.reference.rig
        task = replace(reference.task, model=rig.model)
        shown = np.array([rig.true_gain(name) for name in task.channels])
        gains = np.array([rig.true_gain(name) for name in rig.model.inputs])
        random = np.random.default_rng(0)
        gradient = separable_gradient if isinstance(rig.model, SaturatingNetwork) else exact_gradient
        total: dict[str, Array] = {}
        count = draws if jitter else 1
        for _ in range(count):
            now = gains * (1 + jitter * random.standard_normal(len(gains)))
            theta = self.truth | {"input": self.truth["input"] * now, "readout": self.truth["readout"] / shown}
            found = gradient(task, reference.sequences, theta)[1]
            found = found | {"input": found["input"] * now}
            total = {name: total.get(name, 0.0) + value / count for name, value in found.items()}
        return total

    def gradient(self, rule: Rule, wanted: tuple[str, ...] = ()) -> Gradient:
        """Measure the gradient by echoes."""
        reference = self.reference
        names = wanted or tuple(reference.model.parameters)
        return execute(rule.gradient(reference.request(names)), reference.handler())

    def compare(self, gradient: Gradient, jitter: float = 0.0) -> tuple[float, float]:
        """Cosine and relative error, all parameters as one vector."""
        exact = self.exact(jitter)
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


def deaf_rig(seed: int, folds: float, deaf: tuple[int, ...] = (0, 5)) -> WrongRig:
    """A rig that the host knows; it loses `folds` e-folds of energy a pass, and no port reaches oscillators `deaf`."""
    drawn = wrong_rig(seed, friction=0.0, stiffness=0.0)
    truth = drawn.truth | {"friction": drawn.truth["friction"] * folds / drawn.folds}
    reference = drawn.reference
    nominal = {name: truth[name] for name in reference.model.parameters}
    model = OscillatorNetwork(reference.model.size, coupling="all", inputs=reference.model.inputs, nominal=nominal)
    rig = SimulatedRig(model)
    offered = rig.capabilities
    names = [name for index, name in enumerate(offered.ports_of(Kind.FORCE)) if index not in deaf]
    capabilities = replace(
        offered,
        knobs=(),
        ports=tuple(port for port in offered.ports if port.kind is not Kind.FORCE or port.name in names),
        drive_matrix=FrozenArray(np.delete(offered.drive_matrix.values, deaf, axis=1)),
    )
    task = replace(reference.task, model=model, capabilities=capabilities)
    return WrongRig(ReferenceTask(model, rig, task, reference.sequences, truth), truth, folds)


def saturating_rig(seed: int, saturation: float = 0.3) -> WrongRig:
    """A rig without flip whose springs saturate, for which the host's model, a network of powers, lacks a term."""
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


class MistimedRig(SimulatedRig):
    """A rig whose shots start `late` [s] after they were planned (before, if negative); it allows `latest` [s]."""

    def __init__(self, model: Simulable, name: str = "mistimed", *, late: float, latest: float = np.inf) -> None:
        super().__init__(model, name)
        self._late = late
        self.capabilities = replace(self.capabilities, triggers=(TriggerDomain("host", latest=latest),))

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """The same shots, started at another time."""
        return [replace(capture, actual_start=capture.planned_start + self._late) for capture in super().run(shots)]
