"""Echo lock of an array: what an un-nudged echo misses, as the field that would explain it, taken off its drive.

With c the reversed record, b the echo and x = b - c what it missed, by the nominal model linearised along c,

    f_missing = i x' - H x - g (2 |c|^2 x + c^2 x*),        drive <- drive - f_missing

Loss, detuning and input that are not the model's are learned so, and so are gains and phases of the drive's
quadratures, as far as they repeat from shot to shot; a wrong start is made good within the first kicks.

Source: iterative learning control with the model's inverse (docs/echo-lock.md is that of oscillators).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labrhel.arrays import Array
from labrhel.model.rotating import Amplitudes, as_real
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Protocol
from protocols.forward.forward import ForwardBatch, ForwardPass
from protocols.rotating.plan import ConjugationPlan

LOCKED = 1e-4
"""Retrace error at which an echo counts as locked."""

_GAIN = 0.8  # of a round that brings nothing: the noise of the readings is reached

Fire = Callable[[dict[str, Array]], Protocol[list[Capture]]]


def locked_drive(
    plan: ConjugationPlan, batch: ForwardBatch, fire: Fire, rounds: int
) -> Protocol[tuple[dict[str, Array], int]]:
    """What to add to the drive of each sequence, (2 n, steps), real parts above imaginary ones; and rounds taken.

    `fire` runs an un-nudged echo of every sequence with what is added.  Ends when locked, when a round brings nothing,
    or after `rounds`; the best drive is kept.
    """
    more = {item.name: np.zeros(as_real(item.q).shape) for item in batch.passes}
    best, least = more, float("inf")
    for count in range(1, rounds + 1):
        captures = yield from fire(more)
        missed = [_missed(plan, item, capture) for item, capture in zip(batch.passes, captures, strict=True)]
        error = float(np.sqrt(sum(np.sum(np.abs(x) ** 2) for x in missed) / batch.size))
        if error < least:
            best = more
        if error < LOCKED or error > _GAIN * least:
            return best, count
        least = error
        more = {
            item.name: more[item.name] - as_real(_explaining(plan, item, x))
            for item, x in zip(batch.passes, missed, strict=True)
        }
    return more, rounds


def _missed(plan: ConjugationPlan, item: ForwardPass, capture: Capture) -> Amplitudes:
    return plan.geometry.state(capture.last, plan.task.step)[0] - np.conj(item.q)[:, ::-1]


def _explaining(plan: ConjugationPlan, item: ForwardPass, x: Amplitudes) -> Amplitudes:
    """The field (n, steps) by which the model would explain a miss x, which begins at nothing."""
    echoing = plan.model.matrix({**plan.theta, **plan.turned})
    c, g = np.conj(item.q)[:, ::-1], plan.model.kerr(plan.theta)[:, None]
    speed = np.gradient(np.pad(x, ((0, 0), (1, 0))), plan.task.step, axis=1)[:, 1:]
    return 1j * speed - echoing @ x - g * (2 * np.abs(c) ** 2 * x + c**2 * np.conj(x))
