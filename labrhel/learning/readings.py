"""What a partly read rig can be asked: which entries of parameters act at oscillators that no channel shows.

A gradient by echoes needs, of a parameter, readings of the oscillators that it acts at (`labrhel.model.locality`), and
no more.  The echo itself needs, whatever is asked, the motion of oscillators whose friction it compensates, and of both
ends of directed couplings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from labrhel.arrays import Arrays
from labrhel.learning.readout import READOUT
from labrhel.learning.task import STATE, Task
from labrhel.model.interface import Model
from labrhel.model.locality import oscillators_of
from labrhel.model.motion import antisymmetry_along, is_directed
from labrhel.rig.capabilities import Capabilities, Reversal

Masks = Mapping[str, NDArray[np.bool_]]
"""By parameter, the entries that are meant; all of one that is not named."""


@lru_cache(maxsize=16)  # asked in every gradient of a run
def unread_oscillators(rig: Capabilities) -> tuple[int, ...]:
    """Oscillators whose positions do not follow from what the channels show."""
    sees = rig.position_matrix.values
    told = np.diag(np.linalg.pinv(sees) @ sees) if sees.size else np.zeros(rig.size)
    return tuple(int(index) for index in np.flatnonzero(told < 1 - 1e-9))


def unread_entries(task: Task, theta: Arrays, wanted: Sequence[str], trained: Masks) -> dict[str, NDArray[np.bool_]]:
    """By parameter among `wanted`, the entries that act at an oscillator that is not read; those with none left out.

    Sums that the rig accumulates need no channel, the initial state is read at the end of an echo, and the read-out is
    the host's.
    """
    hidden = list(unread_oscillators(task.capabilities))
    found: dict[str, NDArray[np.bool_]] = {}
    if not hidden:
        return found
    for name in wanted:
        if name in READOUT or name in STATE or name in task.capabilities.accumulates:
            continue
        unread = np.asarray(oscillators_of(task.model, theta, name)[..., hidden].any(axis=-1))
        unread &= trained.get(name, True)
        if unread.any():
            found[name] = unread
    return found


def named(entries: Masks) -> str:
    """Entries as words, such as `stiffness[2], coupling[0]`."""
    return ", ".join(
        f"{name}[{','.join(map(str, index))}]" for name, mask in entries.items() for index in np.argwhere(mask)
    )


def unread_objections(task: Task, theta: Arrays, wanted: Sequence[str], trained: Masks) -> Iterator[str]:
    """What this rig does not show and a gradient by echoes needs, a sentence part each."""
    rig, model = task.capabilities, task.model
    hidden = list(unread_oscillators(rig))
    if not hidden:
        return
    entries = unread_entries(task, theta, wanted, trained)
    if entries:
        yield f"{named(entries)}: no channel shows oscillator {_counted(hidden)}, which they act at{_REMEDY}"
    lossy = [j for j in hidden if model.friction(theta)[:, j].any()]
    if lossy:
        yield (
            f"the friction that the motion of oscillator {_counted(lossy)} makes is compensated, and no channel shows "
            f"it{_REMEDY}"
        )
    turned = [j for j in hidden if is_directed(model, theta) and _acts_one_way(model, theta)[j]]
    if turned:
        yield f"no channel shows oscillator {_counted(turned)}, an end of directed couplings{_REMEDY}"
    if rig.reversals == {Reversal.BY_DRIVE}:
        yield f"its state is reversed by drive, and no channel shows where oscillator {_counted(hidden)} ends{_REMEDY}"


_REMEDY = " (unread: smoothed lets the model say it, with its error)"


def _acts_one_way(model: Model, theta: Arrays) -> NDArray[np.bool_]:
    """Oscillators (n,) at either end of a directed coupling."""
    path = np.random.default_rng(0).standard_normal((model.size, 2))
    return np.abs(antisymmetry_along(model, theta, path)).max(axis=0).any(axis=0)


def _counted(oscillators: Sequence[int]) -> str:
    return ", ".join(str(index + 1) for index in oscillators)
