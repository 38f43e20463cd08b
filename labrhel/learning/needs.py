"""What a learning rule needs of a rig and a task, and what is missing: asked before anything moves.

A rule declares its `Needs` as data.  `objections` compares them with what the rig declares and the nominal model says;
what only a measurement can tell (whether the rig is reciprocal, whether friction is what it seems) is the business of
`labrhel audit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.learning.readings import Masks, unread_objections
from labrhel.learning.readout import READOUT
from labrhel.learning.task import STATE, Task, TrialSequence
from labrhel.model.interface import SelfAdjusting
from labrhel.model.motion import is_directed
from labrhel.model.rotating import as_real, is_rotating
from labrhel.rig.capabilities import Capabilities

PLAIN_BELOW = 0.05
"""e-folds of energy in a pass up to which a rig counts as lossless."""

SETTLED_FROM = 10.0
"""e-folds of energy in a pass from which it is worth asking whether the rig has settled."""

_STILL = 1e-6  # of its size, that an input may move by and stand still


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be there.

    `reversal` of the state; `positions` of all oscillators, or, if they need be `local` ones alone, of those that the
    trained entries act at and the echo compensates; `drive` of those that are read out; `lossy_drive` of those
    that lose energy; `drive_all`; a `linear` or `lossless` rig; a loss at the last sample only (`final`); a rig that
    `settles` under inputs that stand still, with a loss at its end; parameters that are `knobs` of the rig, or its
    initial state; parameters that are `slow` variables of the rig; a `reciprocal` rig, by its model.
    `ends`: a reading of the state at the end of an echo where the initial state is learned.
    `rotates`: the rule also knows amplitudes in the rotating frame, with their two quadratures in place of positions.
    `or_state`: a rig that can be started in any state needs neither `reversal` nor `drive`.
    """

    reversal: bool = False
    positions: bool = False
    local: bool = False
    drive: bool = False
    lossy_drive: bool = False
    drive_all: bool = False
    linear: bool = False
    lossless: bool = False
    final: bool = False
    settles: bool = False
    slow: bool = False
    knobs: bool = False
    reciprocal: bool = False
    or_state: bool = False
    ends: bool = False
    rotates: bool = False


def objections(
    needs: Needs,
    task: Task,
    sequences: Sequence[TrialSequence],
    theta: Arrays,
    wanted: Sequence[str],
    trained: Masks | None = None,
) -> tuple[str, ...]:
    """Why the rule does not apply, a sentence part each; empty if it does, as far as can be known.

    `trained`: by parameter among `wanted`, the entries that are asked for; all of one that is not named.
    """
    rig, model = task.capabilities, task.model
    found = []
    rotating = is_rotating(model)
    if rotating and not needs.rotates:
        return ("it knows positions and momenta, and the rig has amplitudes in the rotating frame",)
    started = needs.or_state and "state" in rig.prepares
    beside = ", and cannot be started in any state" if needs.or_state else ""
    if needs.reversal and not rig.reversals and not started:
        found.append(f"the rig offers no way to reverse its state{beside}")
    if rotating and (needs.positions or needs.local or needs.reversal):
        if np.linalg.matrix_rank(as_real(rig.position_matrix.values.T)) < 2 * rig.size:
            found.append(f"it needs both quadratures of all {rig.size} modes, and the rig shows fewer")
    elif needs.positions and not needs.local and np.linalg.matrix_rank(rig.position_matrix.values) < rig.size:
        found.append(f"it needs the positions of all {rig.size} oscillators, and the rig shows fewer")
    if needs.local and not rotating:
        found += unread_objections(task, theta, wanted, trained or {})
    if needs.drive and not started:
        deaf = unreached_channels(task)
        if deaf:
            found.append(f"no drive port reaches what channel {', '.join(deaf)} reads{beside}")
    lossy = np.flatnonzero(np.diag(model.friction(theta)) > 0)
    if needs.lossy_drive:
        sides = (1.0, 1.0j) if rotating else (1.0,)
        each = np.eye(rig.size)
        deaf = [str(index + 1) for index in lossy if not all(_reaches(rig, side * each[index]) for side in sides)]
        if deaf:
            found.append(f"no drive port reaches oscillator {', '.join(deaf)}, which loses energy")
    if needs.drive_all and np.linalg.matrix_rank(as_real(rig.drive_matrix.values)) < rig.size * (1 + rotating):
        found.append("some oscillators have no drive port")
    starts = [name for name in wanted if name in STATE]
    if needs.ends and starts and not rig.reads_state:
        found.append(f"{', '.join(starts)}: learned from the state at the end of an echo, which the rig cannot read")
    if needs.linear and not model.is_linear(theta):
        found.append("the rig is not linear")
    if needs.reciprocal and is_directed(model, theta) and not rotating:  # of an array the flux is turned round
        found.append(
            "couplings of the model are directed or gyroscopic, and what it sends through the rig obeys their transpose"
        )
    folds = folds_lost(task, sequences, theta)
    if needs.lossless and folds > PLAIN_BELOW and not rotating:  # an array is given what it loses
        found.append(f"the rig loses {folds:.2g} e-folds of energy in a pass")
    if needs.final and any(sequence.weight[:-1].any() for sequence in sequences):
        found.append("the loss counts samples before the last one")
    if needs.settles:
        found += _unsettled(task, sequences, folds)
    if needs.slow and not isinstance(model, SelfAdjusting):
        found.append("no parameter of the rig moves by itself")
    if needs.knobs:
        fixed = out_of_reach(rig, wanted)
        if fixed:
            found.append(f"{', '.join(fixed)} cannot be set on the rig")
    return tuple(found)


def out_of_reach(rig: Capabilities, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the parameters that nothing sets on the rig: no knob, no preparation, and not the host's read-out."""
    states = STATE if "state" in rig.prepares else ()
    settable = {*(knob.name for knob in rig.knobs), *states, *READOUT}
    return tuple(name for name in names if name not in settable)


def _unsettled(task: Task, sequences: Sequence[TrialSequence], folds: float) -> list[str]:
    found = []
    if folds < SETTLED_FROM:
        found.append(f"the rig loses {folds:.2g} e-folds of energy in a pass, too few to settle")
    for sequence in sequences:
        steps = task.steps(sequence)
        late = [waveform.on_grid(task.step, steps)[steps // 2 :] for waveform in sequence.inputs.values()]
        if any(np.ptp(values) > _STILL * np.abs(values).max() for values in late):
            found.append(f"an input of {sequence.name} still changes in the second half of the pass")
            break
    if any(sequence.weight[: -max(1, sequence.samples // 10)].any() for sequence in sequences):
        found.append("the loss counts samples before the last tenth of the pass")
    return found


def folds_lost(task: Task, sequences: Sequence[TrialSequence], theta: Arrays) -> float:
    """e-folds of energy lost in the longest pass: trace(G M^-1)/n times its duration."""
    longest = max(task.steps(sequence) for sequence in sequences) * task.step
    return float(np.mean(np.diag(task.model.friction(theta)) / task.model.mass(theta))) * longest


def unreached_channels(task: Task) -> list[str]:
    """The channels of the read-out whose oscillators no drive port reaches."""
    rig = task.capabilities
    return [name for name in task.channels if not _reaches_channel(rig, name)]


def _seen_by(rig: Capabilities, channel: str) -> Array:
    return rig.position_matrix.values[rig.places.index(channel)].conj()


@lru_cache(maxsize=256)  # asked in every gradient of a run, of each channel
def _reaches_channel(rig: Capabilities, channel: str) -> bool:
    return _reaches(rig, _seen_by(rig, channel))


def _reaches(rig: Capabilities, force: Array) -> bool:
    drives = as_real(rig.drive_matrix.values)
    if not drives.size:
        return False
    wanted = np.concatenate([np.real(force), np.imag(force)]) if len(drives) > len(force) else force
    values, *_ = np.linalg.lstsq(drives, wanted, rcond=None)
    return bool(np.allclose(drives @ values, wanted))
