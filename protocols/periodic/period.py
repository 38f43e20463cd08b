"""What a period is: so many samples, so many kicks, and how what is read, asked and played is folded into one.

    folded x_j = mean over the counted periods p of x_(p P + j),        j = 0 .. P - 1

Periods are whole numbers of kicks, so the phase of every reading is the same to rounding in each of them, and noise
falls with the square root of their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.learning.task import Task, TrialSequence

_APART = 1e-6  # of a sample: how near to a whole number of samples a period must be
_REPEATS = 1e-6  # of an input: how far it may be from itself a period later


@dataclass(frozen=True, slots=True)
class Periodic:
    """`period` [model time]; `discard`: periods until the motion is steady; `periods` that are read and averaged."""

    period: float
    discard: int = 10
    periods: int = 8

    def __post_init__(self) -> None:
        if not self.period > 0:
            raise ConfigurationError(f"period must be a positive time, not {self.period}")
        if self.discard < 0 or self.periods < 1:
            raise ConfigurationError(
                f"discard is a number of periods, 0 or more, and periods 1 or more, not {self.discard} and "
                f"{self.periods}"
            )

    @classmethod
    def of(cls, given: Any) -> Periodic | None:
        """Of what a rule was given: nothing, one of these, a mapping, or a section of a configuration."""
        if given is None or isinstance(given, Periodic):
            return given
        return cls(**(given if isinstance(given, Mapping) else given.model_dump()))

    @property
    def all(self) -> int:
        """Periods of a pass."""
        return self.discard + self.periods

    def samples(self, task: Task) -> int:
        """Samples in a period.  Raises ProgramError where they are no whole number: the phase would slip."""
        spacing = task.step * task.every
        count = round(self.period / spacing)
        if count < 1 or abs(self.period / spacing - count) > _APART * max(count, 1):
            raise ProgramError(
                f"a period of {self.period:g} is {self.period / spacing:.6g} samples of {spacing:g}, and must be a "
                f"whole number of them, or the phase slips: give period: {max(count, 1) * spacing:.12g}, or another "
                "spacing"
            )
        return count

    def kicks(self, task: Task) -> int:
        """Kicks in a period."""
        return self.samples(task) * task.every

    def tiled(self, once: Array) -> Array:
        """What is played in a whole pass (rows, kicks) of one period."""
        return np.tile(once, self.all)

    def folded(self, whole: Array) -> Array:
        """The mean of the counted periods (rows, kicks of one) of a whole pass."""
        rows, kicks = whole.shape
        return whole.reshape(rows, self.all, kicks // self.all)[:, self.discard :].mean(axis=1)

    def changing(self, whole: Array) -> float:
        """How far the first counted period is from the last one, relative to its size; 0 of a single one."""
        if self.periods == 1:
            return 0.0
        rows, kicks = whole.shape
        parts = whole.reshape(rows, self.all, kicks // self.all)[:, self.discard :]
        size = float(np.linalg.norm(parts[:, -1]))
        return float(np.linalg.norm(parts[:, 0] - parts[:, -1])) / size if size > 0 else 0.0

    def input_of(self, task: Task, sequence: TrialSequence) -> dict[str, Array]:
        """One period of each input at the kicks (kicks,).

        Raises ProgramError for a sequence that is shorter, and for an input that does not repeat.
        """
        kicks, steps = self.kicks(task), task.steps(sequence)
        if steps <= kicks:
            raise ProgramError(
                f"{sequence.name} has {sequence.samples} samples, and a period has {self.samples(task)}: give it one "
                "period and a sample at least"
            )
        found = {}
        for port, waveform in sequence.inputs.items():
            values = waveform.on_grid(task.step, steps)
            apart = np.abs(values[kicks:] - values[: steps - kicks])
            if apart.max() > _REPEATS * max(float(np.abs(values).max()), 1e-300):
                raise ProgramError(
                    f"input {port} of {sequence.name} does not repeat after {self.period:g}: it is off by "
                    f"{apart.max():.2g} at most; give tones that are multiples of {1 / self.period:.6g}"
                )
            found[port] = values[:kicks]
        return found

    def target_of(self, task: Task, sequence: TrialSequence) -> tuple[Array, Array, float]:
        """Target (outputs, samples of a period), its weights, and the loss that no periodic answer can take away.

        Weighted means over the samples of the sequence at each phase; its first samples may have no weight.
        """
        count = self.samples(task)
        phase = np.arange(sequence.samples) % count
        weight = np.bincount(phase, sequence.weight, count)
        sums = np.stack([np.bincount(phase, sequence.weight * row, count) for row in sequence.target])
        target = sums / np.where(weight > 0, weight, 1.0)
        return target, weight, float(np.sum(sequence.weight * (sequence.target - target[:, phase]) ** 2))


def refuse_periodic(asked: Periodic | None) -> None:
    """Raises ProgramError on arrays in the rotating frame, which have no periodic rules."""
    if asked is not None:
        raise ProgramError("periodic is for oscillators: on arrays in the rotating frame leave it out")
