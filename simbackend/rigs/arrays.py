"""Random lossy Kerr arrays that figures are quoted on: tasks in the rotating frame, each with its exact gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.waveform import Waveform
from simbackend.dynamics.rotating_adjoint import exact_gradient
from simbackend.imperfections import IDEAL, Imperfections
from simbackend.models.kerr_array import KerrArray
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig

STEP = 0.05  # [model time]; frequencies are of order one


@dataclass(frozen=True, slots=True)
class ArrayTask(ReferenceTask):
    """A `simbackend.rigs.reference.ReferenceTask` of an array."""

    def exact(self) -> tuple[float, dict[str, Array]]:
        """Loss and exact gradient, by reverse mode through the mid-point rule."""
        return exact_gradient(self.task, self.sequences, self.theta)


def random_array(
    random: np.random.Generator,
    size: int,
    lost: float = 10.0,
    steps: int = 400,
    *,
    imperfections: Imperfections = IDEAL,
    **changes: Any,
) -> ArrayTask:
    """An array with all pairs coupled, which loses `lost` e-folds of energy in a pass of `steps` kicks.

    Neutral in nothing: loss is shared between modes, two I/Q inputs drive all of them by a real map, it starts in
    motion, and two modes are read in mixed quadratures.  `changes` replaces parameters of the model.
    """
    n, pairs = size, size * (size - 1) // 2
    root = random.normal(size=(n, n))
    loss = np.diag(random.uniform(0.5, 1.5, n)) + root @ root.T / n / 4
    facts = {
        "detuning": random.normal(size=n),
        "coupling": random.normal(size=pairs) / np.sqrt(n),
        "kerr": random.uniform(-0.3, 0.3, n),
        "loss": loss * lost / (np.trace(loss) / n * steps * STEP),
        "input": random.normal(size=(n, 2)) / 2,
        "initial_position": random.normal(size=n) / 2,
        "initial_momentum": random.normal(size=n) / 2,
    }
    model = KerrArray(n, coupling="all", inputs=("u1", "u2"), nominal=facts | changes)
    rig = SimulatedRig(model, imperfections=imperfections)
    times = STEP * np.arange(steps)
    rates, phases = random.uniform(-1.5, 1.5, (2, 4)), random.uniform(0, 6, (2, 4))
    inputs = {}
    for index, name in enumerate(model.ports):
        wave = np.sum(np.exp(1j * (rates[index][:, None] * times + phases[index][:, None])), axis=0) / 2
        inputs |= {f"{name}_i": Waveform.of(wave.real, STEP), f"{name}_q": Waveform.of(wave.imag, STEP)}
    last = n
    channels = ("a1_i", f"a{last}_q", f"a{last}_i")
    target = random.normal(size=(2, steps))
    task = Task(model, rig.capabilities, STEP, 1, channels, float(target.var()))
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    theta |= {"readout": random.normal(size=(2, 3)), "readout_offset": np.zeros(2)}
    return ArrayTask(model, rig, task, (TrialSequence("array", inputs, target, np.ones(steps)),), theta)
