"""What routines work on: a rig with its nominal model, the shots that excite it, and what is known of it so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from calibration.path_model import BenchModel, Record
from calibration.unknowns import Reference, force_columns
from labrhel.arrays import Array, Arrays
from labrhel.learning.rules import Rule
from labrhel.learning.task import Task, TrialSequence
from labrhel.model.motion import run
from labrhel.rig.capabilities import Capabilities, Kind, Reversal
from labrhel.shots.capture import Capture, PassCapture
from labrhel.shots.operations import Protocol, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform

TONES = 14
REACH, RANGE = 0.8, 0.6
"""Of what a port reaches, and of a channel's range, that excitation takes at most."""

_BAND = (0.4, 1.3)  # of the slowest and the fastest mode
_SEED = 20261


@dataclass(frozen=True, slots=True)
class Bench:
    """The rig of a task at the parameters `theta`, as they were set.

    `ports` and `channels` are those that still take part; `values` and `errors` what was measured so far, by name, and
    `noise` [unit] of every channel; `clock` is the host's [s].
    """

    task: Task
    theta: Arrays
    sequences: tuple[TrialSequence, ...]
    rule: Rule
    wanted: tuple[str, ...]
    reference: Reference = Reference.MASSES
    ports: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    noise: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(
        cls, task: Task, theta: Arrays, sequences: Sequence[TrialSequence], rule: Rule, wanted: Sequence[str]
    ) -> Bench:
        """With all ports that push and all channels that see a position; what they declare of their noise."""
        rig = task.capabilities
        channels = rig.channels_of(Kind.POSITION)
        noise = {}
        for name in channels:
            channel = rig.channel(name)
            rounding = 0.0 if channel.converter is None else channel.converter.lsb / np.sqrt(12)
            noise[name] = float(np.hypot(channel.noise, rounding))
        settled = {**theta, "initial_position": np.zeros(rig.size), "initial_momentum": np.zeros(rig.size)}
        ports = (*rig.ports_of(Kind.INPUT), *rig.ports_of(Kind.FORCE))
        return cls(task, settled, tuple(sequences), rule, tuple(wanted), ports=ports, channels=channels, noise=noise)

    @property
    def rig(self) -> Capabilities:
        """What it declares."""
        return self.task.capabilities

    @property
    def step(self) -> float:
        """Model time between kicks."""
        return self.task.step

    @property
    def steps(self) -> int:
        """Kicks in a shot: those of the first sequence."""
        return self.task.steps(self.sequences[0])

    @property
    def model(self) -> BenchModel:
        """The nominal model behind the wires, at what was set."""
        return BenchModel(self.task.model, self.theta, self.rig, self.step)

    @property
    def can_flip(self) -> bool:
        """Whether the rig reverses a state by itself."""
        return bool(self.rig.reversals & {Reversal.MOMENTUM_FLIP, Reversal.STATE_RESTORE})

    @property
    def typical(self) -> float:
        """Rms of the positions in the first sequence, by the nominal model: how far the rig is going to move."""
        sequence = self.sequences[0]
        u = np.stack([
            sequence.inputs[name].on_grid(self.step, self.steps) if name in sequence.inputs else np.zeros(self.steps)
            for name in self.task.model.inputs
        ])  # fmt: skip
        moves = self._moves(self.task.model.input_force(u, self.theta))
        return max(float(np.sqrt(np.mean(moves**2, axis=1)).max()), 1e-12)

    def size(self, name: str) -> float:
        """Typical value at a port or channel: what moves the rig by `typical`, and `typical` itself."""
        return self.amplitude(name) if name in self.ports else self.typical

    def amplitude(self, port: str, share: float = 1.0) -> float:
        """Of a multisine at a port that moves the rig by `share` of the typical position, within what ports reach."""
        wave = self.multisine(0)
        force = force_columns(self.task.model, self.theta, self.rig)[port][:, None] * wave
        # A small push, scaled: the nominal model is linear there, and safe.
        small = 1e-3
        moves = np.sqrt(np.mean(self._moves(small * force) ** 2, axis=1)).max() / small
        wanted = share * self.typical / max(float(moves), 1e-300)
        port_ = self.rig.port(port)
        highest = min(abs(port_.limits.low), abs(port_.limits.high))
        if port_.converter is not None:
            highest = min(highest, abs(port_.converter.low), abs(port_.converter.high))
        seen = [self.rig.channel(name).converter for name in self.channels]
        ranges = [min(abs(item.low), abs(item.high)) for item in seen if item is not None]
        peak = 3.0 * share * self.typical
        if ranges and peak > RANGE * min(ranges):
            wanted *= RANGE * min(ranges) / peak
        return float(min(wanted, REACH * highest / np.abs(wave).max()))

    def multisine(self, number: int, steps: int | None = None) -> Array:
        """Tones over the modes (steps,), rms 1, rising and falling smoothly; each `number` has phases of its own.

        As long as the first sequence, unless `steps` are given.
        """
        steps = self.steps if steps is None else steps
        model = self.task.model
        root = 1 / np.sqrt(model.mass(self.theta))
        stiffness = self.model_stiffness * root[:, None] * root
        modes = np.sqrt(np.clip(np.linalg.eigvalsh(stiffness), 1e-12, None))
        slowest = max(float(modes[0]), 2 * np.pi / (steps * self.step))
        random = np.random.default_rng([_SEED, number])
        tones = np.geomspace(_BAND[0] * slowest, _BAND[1] * float(modes[-1]), TONES)
        at = self.step * np.arange(steps)
        wave = np.sum(np.sin(tones[:, None] * at + random.uniform(0, 2 * np.pi, (TONES, 1))), axis=0)
        ends = np.clip(np.minimum(np.arange(steps), np.arange(steps)[::-1]) / (0.03 * steps), 0, 1)
        wave = wave * ends
        return wave / np.sqrt(np.mean(wave**2))

    @property
    def model_stiffness(self) -> Array:
        """V'' (n, n) at the origin."""
        h = 1e-6
        eye = h * np.eye(self.rig.size)
        return -(self.task.model.force(eye, self.theta) - self.task.model.force(-eye, self.theta)) / (2 * h)

    def shot(self, played: Mapping[str, Array], *, flip: bool = False) -> ShotProgram:
        """From rest, all channels read; with `flip` the momenta are reversed at the end and it runs on undriven."""
        acquire = Acquire(self.channels)
        drives = tuple(Drive(port, Waveform.of(wave, self.step), Role.INPUT) for port, wave in played.items())
        steps = max((len(wave) for wave in played.values()), default=self.steps)
        passes = (Pass(steps, drives, acquire),)
        if flip:
            passes += (Pass(steps, (), acquire, echo=True),)
        return ShotProgram(self.step, Rest(), passes)

    def fire(self, played: Sequence[Mapping[str, Array]], *, flip: bool = False) -> Protocol[list[Record]]:
        """Run the shots, in this order."""
        programs = tuple(self.shot(item, flip=flip) for item in played)
        captures: list[Capture] = yield RunShots(programs, order="fixed")
        found = []
        for item, capture in zip(played, captures, strict=True):
            over = {
                name: sum(part.traces[name].over_range for part in capture.passes) for name in self.channels
            }  # fmt: skip
            shown = self._shown(capture.passes[0])
            found.append(Record(item, shown, flip, self._shown(capture.last) if flip else None, over))
        return found

    def knowing(self, values: Mapping[str, float], errors: Mapping[str, float]) -> Bench:
        """The same bench, of which more is known."""
        return replace(self, values={**self.values, **values}, errors={**self.errors, **errors})

    def without(self, bad: Sequence[str]) -> Bench:
        """The same bench without some of its ports and channels."""
        return replace(
            self,
            ports=tuple(name for name in self.ports if name not in bad),
            channels=tuple(name for name in self.channels if name not in bad),
        )

    def _shown(self, read: PassCapture) -> dict[str, Array]:
        return {name: read.traces[name].values[0] for name in self.channels}

    def _moves(self, forces: Array) -> Array:
        rest = np.zeros((1, self.rig.size))
        return run(self.task.model, self.theta, forces, self.step, rest, rest).q[0]
