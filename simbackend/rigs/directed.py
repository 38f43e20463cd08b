"""Random lossy Duffing rigs with directed couplings, and hosts whose model of them is wrong by known amounts.

    S symmetric springs, N antisymmetric, |N| = share |S off its diagonal|, one more parameter for each K_ij

docs/what-physics-allows.md quotes them; benchmarks/directed.py makes the figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array
from labrhel.executor import execute
from labrhel.frozen import FrozenArray
from labrhel.learning.checking import compare
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.rules import Rule
from labrhel.learning.task import Task, TrialSequence
from labrhel.rig.capabilities import Kind
from labrhel.shots.waveform import Waveform
from simbackend.dynamics.adjoint import exact_gradient, tape
from simbackend.imperfections import IDEAL, Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork, links_of
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig

SIZE, STEP = 6, 0.1
NAMES = (
    "mass",
    "stiffness",
    "quadratic",
    "cubic",
    "quartic",
    "coupling",
    "directed",
    "friction",
    "input",
    "input_offset",
)
"""All parameters but the initial state, whose gradient is as wrong as the host's friction."""


@dataclass(frozen=True, slots=True)
class DirectedRig:
    """A rig of `truth`, and a host that believes `reference.theta`, of which only the directed couplings are right."""

    reference: ReferenceTask
    truth: dict[str, Array]

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters but the initial state."""
        return (*NAMES, *(("gyroscopic",) if "gyroscopic" in self.truth else ()))

    def exact(self) -> dict[str, Array]:
        """The gradient of the rig as it is."""
        return exact_gradient(replace(self.reference.task, model=self.reference.rig.model), self.reference.sequences,
                              self.truth)[1]  # fmt: skip

    def gradient(self, rule: Rule, wanted: tuple[str, ...] = (), *, known_drive: bool = True) -> Gradient:
        """Measure it; with a `known_drive` an echo lock has learned before what the friction of the model lacks."""
        reference = self.reference
        previous = self._learned() if known_drive else None
        request = reference.request(wanted or self.names, previous)
        return execute(rule.gradient(request), reference.handler())

    def error(self, gradient: Gradient) -> float:
        """Relative, of all parameters of the rig as one vector."""
        exact = self.exact()
        names = [name for name in gradient.values if name in exact]
        sides = [np.concatenate([np.ravel(side[name]) for name in names]) for side in (gradient.values, exact)]
        return compare(sides[0], sides[1])[1]

    def _learned(self) -> NudgeRecord:
        reference, truth = self.reference, self.truth
        sequence = reference.sequences[0]
        u = np.stack([wave.on_grid(STEP, sequence.samples) for wave in sequence.inputs.values()])
        _, p = tape(reference.model, truth, u, STEP)
        v = (p[:, :-1] + p[:, 1:]) / 2 / truth["mass"][:, None]
        lacking = truth["friction"] - np.asarray(reference.theta["friction"])
        return NudgeRecord(1.0, 0.0, corrections={sequence.name: -2 * lacking @ v[:, ::-1]})


def directed_rig(
    seed: int,
    share: float,
    duration: float = 20.0,
    *,
    stiffness: float = 0.05,
    others: float = 0.2,
    folds: float = 2.0,
    deaf: tuple[int, ...] = (),
    gyroscopic: float = 0.0,
    imperfections: Imperfections = IDEAL,
) -> DirectedRig:
    """Lossy by `folds` e-folds of energy a pass; the host's springs are wrong by `stiffness`, friction and cubic terms
    by `others`, each entry up or down; no port reaches the oscillators `deaf`.  `gyroscopic`: |Omega| over |G|.
    """
    random = np.random.default_rng(seed)
    n, steps = SIZE, round(duration / STEP)
    root = random.normal(size=(n, n))
    mass = random.uniform(0.8, 1.2, n)
    friction = root @ root.T
    friction *= folds / (np.mean(np.diag(friction) / mass) * duration)
    springs = random.uniform(0.0, 0.3, n * (n - 1) // 2)
    drawn = random.normal(size=(n, n))
    skew = drawn - drawn.T
    skew *= share * np.sqrt(2) * np.linalg.norm(springs) / np.linalg.norm(skew)
    links = links_of("all", n)
    truth = {
        "mass": mass,
        "stiffness": random.uniform(0.8, 2.0, n),
        "cubic": random.uniform(0.1, 0.4, n),
        "coupling": springs,
        "directed": skew[links[:, 0], links[:, 1]],
        "friction": friction,
        "input": random.normal(size=(n, 2)),
        "initial_position": random.normal(size=n) * 0.3,
    }
    coupling = {"springs": "all", "directed": "all"}
    if gyroscopic:
        spins = random.normal(size=n * (n - 1) // 2)
        coupling["gyroscopic"] = "all"
        truth["gyroscopic"] = spins * gyroscopic * np.linalg.norm(friction) / np.linalg.norm(spins) / np.sqrt(2)
    model = OscillatorNetwork(n, coupling=coupling, inputs=("u1", "u2"), nominal=truth)
    truth = {name: spec.nominal for name, spec in model.parameters.items()}
    rig = SimulatedRig(model, imperfections=imperfections)
    capabilities = replace(rig.capabilities, knobs=())
    if deaf:
        ports = [
            port for port in rig.capabilities.ports if port.kind is not Kind.FORCE or int(port.name[1:]) - 1 not in deaf
        ]
        matrix = np.delete(rig.capabilities.drive_matrix.values, deaf, axis=1)
        capabilities = replace(capabilities, ports=tuple(ports), drive_matrix=FrozenArray(matrix))
    wrong = {
        name: truth[name] * (1 + off * random.choice([-1, 1], size=np.shape(truth[name]) if name != "friction" else ()))
        for name, off in (("stiffness", stiffness), ("coupling", stiffness), ("cubic", others), ("friction", others))
    }
    time = STEP * np.arange(steps)
    inputs = {
        name: Waveform.of(0.5 * np.sin(frequency * time + phase), STEP)
        for name, frequency, phase in zip(
            model.inputs, random.uniform(0.6, 1.6, 2), random.uniform(0, 6, 2), strict=True
        )
    }
    target = random.normal(size=(2, steps))
    task = Task(model, capabilities, STEP, 1, ("q4", "q2"), float(target.var()))
    sequence = TrialSequence("directed", inputs, target, np.ones(steps))
    truth |= {"readout": random.normal(size=(2, 2)), "readout_offset": np.zeros(2)}
    return DirectedRig(ReferenceTask(model, rig, task, (sequence,), {**truth, **wrong}), truth)
