"""Echo lock: from echoes that nothing nudges, learn the drive that takes the rig exactly back along its forward path.

The nominal model is never quite the rig, so neither is the compensation of its friction, nor the preparation.  Fire an
un-nudged echo, and let delta (n, kicks) be what it missed; the nominal model says which force would explain that,

    phi = F(path + x) - F(path),        x the likeliest delta (`protocols.inference.inverse_dynamics`),

which is taken off the drive, and so on: iterative learning control, with the nominal model inverted as its learning
filter.  The miss shrinks at every shot by about the relative error of the nominal model, down to the noise of the
readings; a lock that made things worse is taken back, and half of it is tried.  The same drive then serves all nudged
echoes, and the next gradient starts from what this one has learned.

That an echo is locked does not prove its gradient: friction that is no function of the velocity alone retraces as well.
Source: derived and tested in this project (docs/echo-lock.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import LimitError, ProgramError
from labrhel.shots.operations import Protocol, RunShots
from protocols.echoes.drive import EchoDrive
from protocols.echoes.plan import EchoPlan
from protocols.forward.forward import ForwardPass
from protocols.inference.inverse_dynamics import InverseDynamics

NOISE_FLOOR = 1.5
"""A miss of so many times the noise of record and echo together is not worth another shot."""

_WORSE = 1.2  # factor by which a miss may grow before the lock is taken back
_LEAST_GAIN = 0.1


@dataclass(frozen=True, slots=True)
class Locked:
    """The drives of all sequences, and what it took.

    `misses`: what the un-nudged echoes of every round missed, rms over that of the forward pass; `missed` (n, steps) of
    every sequence: what they did at these drives; `refused`: words of the rig where it would not take a drive.
    """

    drives: tuple[EchoDrive, ...]
    misses: tuple[float, ...]
    shots: int
    passes: int
    missed: tuple[Array, ...] = ()
    refused: str = ""


def lock(
    plan: EchoPlan, passes: Sequence[ForwardPass], drives: Sequence[EchoDrive], tolerance: float, most: int
) -> Protocol[Locked]:
    """Improve `drives` until the echoes miss by less than `tolerance`, or by noise alone, in at most `most` rounds.

    A round is one un-nudged echo of every sequence.
    """
    size = np.sqrt(sum(float(np.sum(item.q**2)) for item in passes)) or 1.0
    floor = noise_floor(plan, passes)
    best, tried = list(drives), list(drives)
    correction: list[Array] = [np.zeros_like(drive.force) for drive in drives]
    misses: list[float] = []
    left: list[Array] = []  # what the best of them missed
    shots, ran, gain = 0, 0, 1.0
    while True:
        try:
            captures = yield RunShots(plan.still_programs(passes, tried))
        except (LimitError, ProgramError) as error:
            # Nothing was sent.  Take as much of the correction as the ports give.
            gain /= 2
            if not misses or gain < _LEAST_GAIN:
                if not misses:
                    raise
                return Locked(tuple(best), tuple(misses), shots, ran, tuple(left), str(error))
            tried = _moved(best, correction, gain)
            continue
        shots += len(captures)
        ran += sum(capture.passes_run for capture in captures)
        missed = [plan.missed(capture, drive.path) for capture, drive in zip(captures, tried, strict=True)]
        echoes = [item[:, drive.prepared :] for item, drive in zip(missed, tried, strict=True)]
        miss = float(np.sqrt(sum(float(np.sum(item**2)) for item in echoes)) / size)
        if misses and not miss <= _WORSE * min(misses):
            gain /= 2
        else:
            best, left, gain = tried, echoes, min(1.0, 2 * gain)
            correction = [learned(plan, drive, item) for drive, item in zip(tried, missed, strict=True)]
        misses.append(miss)
        if min(misses) <= max(tolerance, floor) or len(misses) >= most or gain < _LEAST_GAIN:
            return Locked(tuple(best), tuple(misses), shots, ran, tuple(left))
        tried = _moved(best, correction, gain)


def learned(plan: EchoPlan, drive: EchoDrive, missed: Array) -> Array:
    """What to add to the force of a drive whose echo `missed` its path so (n, kicks)."""
    model, theta, step = plan.task.model, plan.theta, plan.task.step
    inverse = InverseDynamics(model, theta, step)
    x = inverse.smooth(missed, drive.path, np.sqrt(2.0) * plan.geometry.noise)
    still = np.zeros(model.size)
    return plan.geometry.reachable(inverse.force(drive.path, still) - inverse.force(drive.path + x, still))


def warm(drives: Sequence[EchoDrive], names: Sequence[str], corrections: Mapping[str, Array]) -> list[EchoDrive]:
    """Drives with what was learned for the same sequences before, where it has the same length."""
    found = []
    for drive, name in zip(drives, names, strict=True):
        known = corrections.get(name)
        fits = known is not None and known.shape == drive.force.shape
        found.append(replace(drive, force=drive.force + known) if fits else drive)
    return found


def _moved(drives: Sequence[EchoDrive], corrections: Sequence[Array], gain: float) -> list[EchoDrive]:
    return [replace(drive, force=drive.force + gain * item) for drive, item in zip(drives, corrections, strict=True)]


def noise_floor(plan: EchoPlan, passes: Sequence[ForwardPass]) -> float:
    """The relative miss below which there is only the noise of record and echo."""
    squares = sum(float(np.sum(item.q**2)) for item in passes) or 1.0
    steps = sum(item.steps for item in passes)
    return NOISE_FLOOR * float(np.sqrt(2.0 * steps * np.sum(plan.geometry.noise**2) / squares))
