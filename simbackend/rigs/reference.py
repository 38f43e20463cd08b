"""Rigs that figures are quoted on: the published reference rig, and random lossy ones.

Both are complete tasks (model, rig, input, target, parameters), so that a figure can be made again by anyone in
three lines:

    reference = reference_rig()
    gradient = reference.gradient(RHEL())
    error = reference.compare(gradient)

docs/reference-rig.md prints the parameters and the figures; benchmarks/gradient_accuracy.py makes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from labrhel.arrays import Array
from labrhel.executor import Handler, RigBackend, execute, stack
from labrhel.learning.checking import compare
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.readout import READOUT
from labrhel.learning.rules import GradientRequest, Rule
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.waveform import Waveform
from simbackend.dynamics.adjoint import exact_gradient
from simbackend.imperfections import IDEAL, Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

OSCILLATORS = 6
STEP = 0.1  # [model time]; about 38 kicks in the fastest period of the reference rig
STEPS = 1000
STIFFNESS = (1.0, 1.3, 0.8, 1.1, 1.5, 0.9)
MASS = (1.0, 0.9, 1.1, 1.0, 1.2, 0.8)
CUBIC = 0.2
COUPLING = (0.30, 0.05, 0.22, 0.10, 0.02, 0.25, 0.08, 0.18, 0.12, 0.28, 0.06, 0.20, 0.15, 0.03, 0.24)  # (1,2) (1,3) ..
START = (0.3, -0.2, 0.1, 0.0, -0.1, 0.2)


@dataclass(frozen=True, slots=True)
class ReferenceTask:
    """A task with its simulated rig and the parameters it is differentiated at."""

    model: Any  # an OscillatorNetwork, or the model of a subclass
    rig: SimulatedRig
    task: Task
    sequences: tuple[TrialSequence, ...]
    theta: Mapping[str, Array]

    def handler(self) -> Handler:
        """The executor: compile, check limits, run."""
        return stack(RigBackend(self.rig), self.task.capabilities)

    def declaring(self, **changes: Any) -> Self:
        """The same rig with other `Capabilities` fields: fewer ports or channels, converters, nothing accumulated."""
        return replace(self, task=replace(self.task, capabilities=replace(self.task.capabilities, **changes)))

    def exact(self) -> tuple[float, dict[str, Array]]:
        """Loss and exact gradient, by reverse mode."""
        return exact_gradient(self.task, self.sequences, self.theta)

    def request(
        self, wanted: Sequence[str], previous: NudgeRecord | None = None, sequences: Sequence[TrialSequence] = ()
    ) -> GradientRequest:
        """What a rule is asked, for other sequences than the task's own if there are any."""
        return GradientRequest(self.task, sequences or self.sequences, self.theta, wanted, previous)

    def gradient(self, rule: Rule, wanted: Sequence[str] = ()) -> Gradient:
        """The rule's gradient for the parameters `wanted`; none named: for every parameter of model and read-out."""
        names = wanted or (*self.model.parameters, *READOUT)
        return execute(rule.gradient(self.request(names)), self.handler())

    def compare(self, gradient: Gradient) -> tuple[float, float]:
        """Cosine and relative error against the exact gradient, all of the *rig's* parameters as one vector.

        Read-out gain and offset are left out: their gradient is computed on the host from the forward pass alone,
        exact whatever the echo does, and would only dilute the error.
        """
        exact = self.exact()[1]
        names = [name for name in gradient.values if name in self.model.parameters]
        flat = [np.concatenate([np.ravel(source[name]) for name in names]) for source in (gradient.values, exact)]
        return compare(flat[0], flat[1])


def reference_rig(cubic: float = CUBIC) -> ReferenceTask:
    """The lossless reference rig: six oscillators, drive on 1, read-out on 4; `cubic=0` makes it linear.

    u(t) = 0.8 sin(0.9 t) + 0.5 sin(1.7 t + 1),  target(t) = 0.3 sin(1.1 t) + 0.2 sin(0.6 t + 0.5), every kick counts.
    """
    drive = np.zeros((OSCILLATORS, 1))
    drive[0] = 1.0
    model = OscillatorNetwork(
        OSCILLATORS,
        coupling="all",
        nominal={
            "mass": MASS,
            "stiffness": STIFFNESS,
            "cubic": cubic,
            "coupling": COUPLING,
            "input": drive,
            "initial_position": START,
        },
    )
    time = STEP * np.arange(STEPS)
    inputs = {"u1": Waveform.of(0.8 * np.sin(0.9 * time) + 0.5 * np.sin(1.7 * time + 1), STEP)}
    target = (0.3 * np.sin(1.1 * time) + 0.2 * np.sin(0.6 * time + 0.5))[None]
    return _assembled(model, inputs, target, ("q4",), np.ones((1, 1)))


def lossy_rig(random: np.random.Generator) -> ReferenceTask:
    """A random Duffing rig with a dense symmetric friction matrix that loses 1 to 10 e-folds of energy in a pass.

    Every parameter is drawn, the initial state and a read-out of two channels into two outputs included.
    """
    n = OSCILLATORS
    root = random.normal(size=(n, n))
    friction = root @ root.T
    mass = random.uniform(0.8, 1.2, n)
    friction *= random.uniform(1, 10) / (np.mean(np.diag(friction) / mass) * STEPS * STEP)
    nominal = {
        "mass": mass,
        "stiffness": random.uniform(0.5, 2.0, n),
        "quadratic": random.uniform(-0.05, 0.05, n),
        "cubic": random.uniform(0.1, 0.5, n),
        "coupling": random.uniform(0.0, 0.3, n * (n - 1) // 2),
        "friction": friction,
        "input": random.normal(size=(n, 2)),
        "input_offset": random.normal(size=2) * 0.1,
        "initial_position": random.normal(size=n) * 0.3,
        "initial_momentum": random.normal(size=n) * 0.3,
    }
    model = OscillatorNetwork(n, coupling="all", inputs=("u1", "u2"), nominal=nominal)
    time = STEP * np.arange(STEPS)
    inputs = {
        name: Waveform.of(0.5 * np.sin(frequency * time + phase), STEP)
        for name, frequency, phase in zip(
            model.inputs, random.uniform(0.6, 1.6, 2), random.uniform(0, 6, 2), strict=True
        )
    }
    target = random.normal(size=(2, STEPS))
    return _assembled(model, inputs, target, ("q4", "q2"), random.normal(size=(2, 2)))


def relaxing_rig(random: np.random.Generator, **imperfections: Any) -> ReferenceTask:
    """A random Duffing rig, overdamped, that settles under steady inputs; the loss counts its last sample.

    `imperfections` are those of `simbackend.imperfections.Imperfections`.
    """
    n = OSCILLATORS
    root = random.normal(size=(n, n))
    nominal = {
        "mass": random.uniform(0.8, 1.2, n),
        "stiffness": random.uniform(1.0, 2.0, n),
        "quadratic": random.uniform(-0.05, 0.05, n),
        "cubic": random.uniform(0.1, 0.5, n),
        "coupling": random.uniform(0.1, 0.5, n * (n - 1) // 2),
        "friction": np.diag(random.uniform(3, 4, n)) + 0.1 * root @ root.T,
        "input": random.normal(size=(n, 2)),
    }
    model = OscillatorNetwork(n, coupling="all", inputs=("u1", "u2"), nominal=nominal)
    inputs = {name: Waveform.of(np.full(STEPS, random.normal()), STEP) for name in model.inputs}
    gain, target = random.normal(size=(2, 2)), random.normal(size=(2, 1)) * np.ones(STEPS)
    made = _assembled(model, inputs, target, ("q4", "q2"), gain, Imperfections(**imperfections))
    last = np.zeros(STEPS)
    last[-1] = 1.0
    return replace(made, sequences=tuple(replace(item, weight=last) for item in made.sequences))


def _assembled(
    model: OscillatorNetwork,
    inputs: Mapping[str, Waveform],
    target: Array,
    channels: tuple[str, ...],
    gain: Array,
    imperfections: Imperfections = IDEAL,
) -> ReferenceTask:
    rig = SimulatedRig(model, imperfections=imperfections)
    task = Task(model, rig.capabilities, STEP, 1, channels, float(target.var()))
    sequence = TrialSequence("reference", inputs, target, np.ones(target.shape[1]))
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    theta |= {"readout": gain, "readout_offset": np.zeros(len(target))}
    return ReferenceTask(model, rig, task, (sequence,), theta)
