"""A task: sequences of inputs and targets, on a rig of which a nominal model is known.

It builds forward programs and turns captures into read-outs, the part that every learning rule and every test
shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.frozen import FrozenArray
from labrhel.learning.readout import Readout, SquaredError
from labrhel.model.interface import Model
from labrhel.rig.calibration import CalibrationSet
from labrhel.rig.capabilities import Capabilities, Kind
from labrhel.shots.capture import Capture
from labrhel.shots.program import Acquire, Drive, GivenState, Pass, Prepare, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform

STATE = ("initial_position", "initial_momentum")
"""Parameters of the model that a shot is prepared in, on a rig that can be."""


@dataclass(frozen=True, slots=True)
class TrialSequence:
    """One input/target pair: waveforms by port, `target` (outputs, samples), `weight` (samples,) of each sample.

    `start`: positions (n,) that the rig starts at, beside those that the parameters name; None: no others.
    """

    name: str
    inputs: Mapping[str, Waveform]
    target: Array
    weight: Array
    start: Array | None = None

    def __post_init__(self) -> None:
        if self.weight.shape != self.target.shape[1:]:
            raise ConfigurationError(
                f"{self.name}: {self.target.shape[1]} target samples but {self.weight.shape[0]} weights"
            )
        for what, array in (("target", self.target), ("weight", self.weight), ("start", self.start)):
            if array is not None and not np.isfinite(array).all():
                raise ConfigurationError(f"{self.name}: the {what} holds a sample that is not a number; clean the data")
        if not self.weight.any():
            raise ConfigurationError(f"{self.name}: no sample counts; skip fewer samples than the sequence has")

    @property
    def samples(self) -> int:
        """Number of target samples."""
        return self.target.shape[1]


@dataclass(frozen=True, slots=True)
class Flip:
    """How a rig reverses its momenta, as calibrated: p -> -gain p + offset (n,)."""

    gain: float
    offset: Array


@dataclass(frozen=True, slots=True)
class Task:
    """Step d and `every` (kicks per sample), the channels that are read out, and the normalisation of the loss.

    Kick k*every is sample k, so a sequence of n samples takes (n - 1)*every + 1 kicks.  `variance` is that of the
    training targets: the loss is 1 for a read-out stuck at their mean.  `flip`: that of the rig, where it is known.
    `calibration`: what shots are compiled with; error bars ask how well each value is known.
    """

    model: Model
    capabilities: Capabilities
    step: float
    every: int
    channels: tuple[str, ...]
    variance: float
    flip: Flip | None = None
    calibration: CalibrationSet = field(default_factory=CalibrationSet)

    def __post_init__(self) -> None:
        for name in self.channels:
            if self.capabilities.channel(name).kind is Kind.VELOCITY:
                offered = ", ".join(self.capabilities.channels_of(Kind.POSITION))
                raise ConfigurationError(f"channel {name} sees a velocity; read out positions: {offered}")

    def steps(self, sequence: TrialSequence) -> int:
        """Kicks in a pass over `sequence`."""
        return (sequence.samples - 1) * self.every + 1

    def check_step(self, theta: Arrays) -> None:
        """Refuse a step beyond the stability limit of the model's linear part."""
        largest = self.model.largest_step(theta)
        if not self.step < largest:
            raise ConfigurationError(
                f"the integrator step {self.step:.4g} is unstable for this model: it must stay below {largest:.4g} "
                "(2/omega_max); raise data.substeps or lower the stiffness"
            )

    def rig_parameters(self, theta: Arrays) -> dict[str, Array]:
        """Those of `theta` that are knobs of the rig; the rest belongs to the host."""
        knobs = {knob.name for knob in self.capabilities.knobs}
        return {name: np.asarray(value) for name, value in theta.items() if name in knobs}

    def begun(self, theta: Arrays, sequence: TrialSequence) -> Arrays:
        """`theta` with the initial position that a pass over `sequence` has."""
        if sequence.start is None:
            return theta
        name = STATE[0]
        return {**theta, name: theta.get(name, self.model.parameters[name].nominal) + sequence.start}

    def prepare(self, theta: Arrays, sequence: TrialSequence) -> Prepare:
        """From rest, or from the initial state that `theta`, the model or the sequence name."""
        state, theta = [], self.begun(theta, sequence)
        for name in STATE:
            nominal = self.model.parameters[name].nominal
            state.append(np.asarray(theta.get(name, nominal), float))
        if not any(part.any() for part in state):
            return Rest()
        return GivenState(FrozenArray(state[0]), FrozenArray(state[1]))

    def inputs(self, sequence: TrialSequence) -> tuple[Drive, ...]:
        """The input waveforms as drives."""
        return tuple(Drive(port, waveform, Role.INPUT) for port, waveform in sequence.inputs.items())

    def forward(
        self,
        sequence: TrialSequence,
        theta: Arrays,
        channels: Sequence[str],
        *,
        every: int = 1,
        keep: bool = False,
        ends: bool = False,
    ) -> ShotProgram:
        """The forward pass over a sequence, reading `channels` at every `every`-th kick, and the state it `ends` in."""
        acquire = Acquire(tuple(channels), every, end_state=ends)
        forward = Pass(self.steps(sequence), self.inputs(sequence), acquire, keep=keep)
        return ShotProgram(self.step, self.prepare(theta, sequence), (forward,))

    def captured(self, capture: Capture, pass_index: int = 0, repeat: int = 0) -> Array:
        """Captured read-out channels (channels, samples), at the samples of the target."""
        item = capture.passes[pass_index]
        stride = self.every // capture.shot.passes[pass_index].acquire.every
        return item.stack(self.channels, repeat)[:, ::stride]

    def readout(self, theta: Arrays) -> Readout:
        """The host-side read-out at these parameters."""
        return Readout(np.asarray(theta["readout"], float), np.asarray(theta["readout_offset"], float))

    def loss(self, sequences: Sequence[TrialSequence]) -> SquaredError:
        """The loss of a batch, normalised by the variance of the training targets."""
        outputs = sequences[0].target.shape[0]
        weight = sum(float(sequence.weight.sum()) for sequence in sequences) * outputs
        if not self.variance > 0:
            raise ProgramError("the training targets are constant: there is nothing to learn")
        return SquaredError(weight * self.variance)
