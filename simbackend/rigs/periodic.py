"""Random damped linear rigs under inputs that repeat, with the exact gradient of their steady state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.waveform import Waveform
from simbackend.imperfections import Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig

SAMPLES, STEP, EVERY = 40, 0.1, 2
"""Samples in a period, the step between kicks [model time], and kicks in a sample."""

PERIOD = SAMPLES * STEP * EVERY
"""[model time]"""


def periodic_rig(
    seed: int = 0, n: int = 3, *, periods: int = 40, silent: int = 20, noise: float = 0.0, **nominal: Any
) -> ReferenceTask:
    """A random rig under two tones of its period; the loss counts what is steady by then.

    Its exact gradient is that of a long pass from rest, of `periods`: the first `silent` ones, in which transients die
    out, do not count.
    """
    random = np.random.default_rng(seed)
    root = random.normal(size=(n, n))
    facts: dict[str, Any] = {
        "mass": random.uniform(0.8, 1.2, n),
        "stiffness": random.uniform(0.5, 2.0, n),
        "coupling": random.uniform(0.1, 0.5, n * (n - 1) // 2),
        "friction": np.diag(random.uniform(0.3, 0.6, n)) + 0.1 * root @ root.T,
        "input": random.normal(size=(n, 1)),
    }
    model = OscillatorNetwork(n, coupling="all", nominal=facts | nominal)
    simulated = SimulatedRig(model, imperfections=Imperfections(seed=seed, noise=noise))
    samples = periods * SAMPLES
    phase = 2 * np.pi * np.arange(samples) / SAMPLES
    u = np.sin(phase + random.uniform(0, 6)) + 0.7 * np.cos(3 * phase + random.uniform(0, 6))
    target = np.stack([np.cos(phase + angle) for angle in random.uniform(0, 6, 2)])
    weight = np.where(np.arange(samples) < silent * SAMPLES, 0.0, 1.0)
    wave = Waveform.of(np.append(u, u[0]), STEP * EVERY)  # the first sample again after the last, to read between them
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    theta |= {"readout": random.normal(size=(2, 2)), "readout_offset": np.array([0.1, -0.2])}
    task = Task(model, simulated.capabilities, STEP, EVERY, ("q1", f"q{n}"), 1.0)
    return ReferenceTask(model, simulated, task, (TrialSequence("tones", {"u1": wave}, target, weight),), theta)


def two_periods(task: ReferenceTask) -> ReferenceTask:
    """The same with two periods of data, both of which count."""
    item = task.sequences[0]
    cut = replace(item, target=item.target[:, : 2 * SAMPLES], weight=np.ones(2 * SAMPLES))
    return replace(task, sequences=(cut,))
