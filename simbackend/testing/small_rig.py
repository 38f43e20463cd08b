"""A rig small enough for tests of rules, and neutral in nothing: no matrix diagonal, no gain 1, no rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.waveform import Waveform
from simbackend.imperfections import Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig

FRICTION = np.array([[0.2, 0.05, 0.0], [0.05, 0.1, -0.03], [0.0, -0.03, 0.15]])


def small_rig(noise: float = 0.0, **nominal: Any) -> ReferenceTask:
    """Three lossy oscillators, two sequences of 39 kicks, two read-outs at every second kick.

    `noise` [position] is that of a reading, `nominal` replaces parameters of the model.  Takes milliseconds.
    """
    facts = {
        "stiffness": [1.0, 1.6, 0.8], "mass": [1.0, 0.7, 1.3], "cubic": 0.3, "coupling": [0.2, 0.1, 0.3],
        "friction": FRICTION, "input": [[1.0], [0.3], [-0.5]], "initial_position": [0.4, -0.3, 0.2],
        "initial_momentum": [0.1, 0.2, -0.1],
    }  # fmt: skip
    model = OscillatorNetwork(3, coupling="all", nominal=facts | nominal)
    rig = SimulatedRig(model, imperfections=Imperfections(seed=2, noise=noise))
    random = np.random.default_rng(5)
    sequences = tuple(
        TrialSequence(
            f"s{index}", {"u1": Waveform.of(np.sin((0.2 + 0.1 * index) * np.arange(39)), 0.1)},
            random.normal(size=(2, 20)), random.uniform(0.5, 1.5, 20),
        )
        for index in range(2)
    )  # fmt: skip
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    theta |= {"readout": np.array([[1.0, 0.4], [-0.2, 1.5]]), "readout_offset": np.array([0.1, -0.2])}
    return ReferenceTask(model, rig, Task(model, rig.capabilities, 0.1, 2, ("q3", "q1"), 1.0), sequences, theta)
