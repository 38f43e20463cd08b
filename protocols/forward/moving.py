"""The loss of a rig whose parameters are moved, and moved back however it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Configure, Protocol, RunShots

R = TypeVar("R")


class MovedLoss:
    """Measures the loss of a batch at parameters near `theta`, and counts what it took."""

    def __init__(self, task: Task, sequences: Sequence[TrialSequence], theta: Arrays) -> None:
        self.task, self.sequences, self.theta = task, sequences, theta
        self.shots = self.passes = 0
        self.calibration = ""
        self.reached: dict[str, Array] = {}  # knobs that were moved last, as the rig achieved them
        self._moved: set[str] = set()

    def at(self, shifted: Arrays) -> Protocol[float]:
        """The loss with the parameters `shifted` in place of those in theta."""
        knobs = self.task.rig_parameters(shifted)
        # Of knobs that were moved before, those that stay put this time go back.
        back = {name: np.asarray(self.theta[name]) for name in self._moved - knobs.keys()}
        self._moved |= knobs.keys()
        achieved = (yield Configure(knobs | back)) if knobs | back else {}
        self.reached = {name: np.asarray(achieved.get(name, value), float) for name, value in knobs.items()}
        now = {**self.theta, **shifted, **achieved}
        return self.of((yield from self.captures(now)), now)

    def captures(self, theta: Arrays) -> Protocol[Sequence[Capture]]:
        """One forward pass over every sequence, of the read-out alone."""
        task = self.task
        programs = tuple(task.forward(item, theta, task.channels, every=task.every) for item in self.sequences)
        captures = yield RunShots(programs, order="fixed")
        self.shots += len(captures)
        self.passes += sum(capture.passes_run for capture in captures)
        self.calibration = captures[0].shot.calibration
        return captures

    def of(self, captures: Sequence[Capture], theta: Arrays) -> float:
        """The loss of captures taken at `theta`."""
        readout, loss = self.task.readout(theta), self.task.loss(self.sequences)
        return sum(
            loss.value(readout.outputs(self.task.captured(capture)), item.target, item.weight)
            for item, capture in zip(self.sequences, captures, strict=True)
        )

    def direct(self, captures: Sequence[Capture], theta: Arrays) -> dict[str, Array]:
        """The gradient by read-out gain and offset, which takes no more than the captures."""
        readout, loss = self.task.readout(theta), self.task.loss(self.sequences)
        found = {"readout": np.zeros_like(readout.gain), "readout_offset": np.zeros_like(readout.offset)}
        for item, capture in zip(self.sequences, captures, strict=True):
            x = self.task.captured(capture)
            for name, term in readout.gradients(x, loss.slope(readout.outputs(x), item.target, item.weight)).items():
                found[name] += term
        return found

    def restoring(self, body: Protocol[R]) -> Protocol[R]:
        """Run `body`, and put back what it moved: at its end, and before any error goes on.

        A knob that has a safe state stays where an error left it; it may have been made safe for a reason.
        """
        try:
            result = yield from body
        except GeneratorExit:
            raise
        except BaseException:
            yield from self._put_back(
                {knob.name for knob in self.task.capabilities.knobs if not knob.safe} & self._moved
            )
            raise
        yield from self._put_back(self._moved)
        return result

    def _put_back(self, names: set[str]) -> Protocol[None]:
        values = {name: np.asarray(self.theta[name]) for name in names}
        if values:
            yield Configure(values)
        self._moved -= names
