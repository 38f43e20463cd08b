"""Random Duffing rigs that show only some of their positions, and hosts whose model of them is wrong by known amounts.

docs/what-physics-allows.md quotes them; benchmarks/partly_read.py makes the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labrhel.arrays import Array
from labrhel.executor import execute
from labrhel.frozen import FrozenArray
from labrhel.learning.gradient import Gradient
from labrhel.learning.readings import Masks
from labrhel.learning.rules import Rule
from labrhel.model.locality import oscillators_of
from labrhel.rig.capabilities import Capabilities, Kind
from simbackend.dynamics.adjoint import exact_gradient
from simbackend.imperfections import Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import OSCILLATORS, STEP, ReferenceTask, lossy_rig
from simbackend.rigs.simulated import SimulatedRig

NAMES = ("mass", "stiffness", "cubic", "coupling", "friction", "input")


def showing(rig: Capabilities, oscillators: Sequence[int]) -> Capabilities:
    """The same rig with channels for the positions of these oscillators alone, and no sums."""
    names = [rig.channels_of(Kind.POSITION)[index] for index in oscillators]
    return replace(
        rig,
        channels=tuple(rig.channel(name) for name in names),
        position_matrix=FrozenArray(rig.position_matrix.values[list(oscillators)]),
        velocity_matrix=FrozenArray(np.zeros((0, rig.size))),
        accumulates=frozenset(),
        knobs=(),
    )


@dataclass(frozen=True, slots=True)
class PartlyRead:
    """A rig of `truth` that shows the oscillators `read`, and a host that believes `reference.theta`."""

    reference: ReferenceTask
    truth: dict[str, Array]
    read: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters whose gradient is asked for: friction of a rig that has some, and else masses.

        A mass that starts with a momentum under friction needs the end state, which these rigs do not read.
        """
        left_out = "mass" if self.truth["friction"].any() else "friction"
        return tuple(name for name in NAMES if name != left_out)

    def exact(self) -> dict[str, Array]:
        """The gradient of the rig as it is."""
        reference = self.reference
        task = replace(reference.task, model=reference.rig.model)
        return exact_gradient(task, reference.sequences, self.truth)[1]

    def local(self, name: str) -> NDArray[np.bool_]:
        """Entries of a parameter that act at oscillators that are read."""
        unread = [index for index in range(OSCILLATORS) if index not in self.read]
        model = self.reference.rig.model
        return np.asarray(~oscillators_of(model, self.truth, name)[..., unread].any(axis=-1))

    def gradient(
        self, rule: Rule, names: Sequence[str] = (), *, whole: bool = False, trained: Masks | None = None
    ) -> Gradient:
        """Measure it, of the `trained` entries; of the `whole` rig with the positions of all oscillators."""
        reference = self.reference
        if whole:
            task = replace(reference.task, capabilities=showing(reference.rig.capabilities, range(OSCILLATORS)))
            reference = replace(reference, task=task)
        request = replace(reference.request(names or self.names), trained=trained or {})
        return execute(rule.gradient(request), reference.handler())


def partly_read_rig(
    seed: int,
    *,
    folds: float = 0.0,
    stiffness: float = 0.05,
    others: float = 0.2,
    steps: int = 300,
    noise: float = 1e-3,
) -> PartlyRead:
    """Two to four of six positions read, the read-out among them; lossy by `folds` e-folds of energy a pass.

    The host's springs are wrong by `stiffness`, its cubic terms and friction by `others`, each entry up or down.
    """
    random = np.random.default_rng(seed)
    drawn = lossy_rig(random)
    truth = {name: np.array(value) for name, value in drawn.theta.items()} | {"quadratic": np.zeros(OSCILLATORS)}
    lost = np.mean(np.diag(truth["friction"]) / truth["mass"]) * steps * STEP
    truth["friction"] *= folds / lost
    nominal = {name: truth[name] for name in drawn.model.parameters}
    model = OscillatorNetwork(OSCILLATORS, coupling="all", inputs=drawn.model.inputs, nominal=nominal)
    rig = SimulatedRig(model, imperfections=Imperfections(seed=seed, noise=noise))
    others_read = random.permutation([0, 2, 4, 5])[: random.integers(0, 3)]
    read = (1, 3, *(int(index) for index in sorted(others_read)))
    capabilities = replace(showing(rig.capabilities, read), reads_state=False)
    wrong = {
        name: truth[name] * (1 + off * random.choice([-1, 1], size=np.shape(truth[name]) if name != "friction" else ()))
        for name, off in (("stiffness", stiffness), ("coupling", stiffness), ("cubic", others), ("friction", others))
    }
    sequences = tuple(
        replace(item, target=item.target[:, :steps], weight=item.weight[:steps]) for item in drawn.sequences
    )
    task = replace(drawn.task, model=model, capabilities=capabilities)
    return PartlyRead(ReferenceTask(model, rig, task, sequences, {**truth, **wrong}), truth, read)
