"""Why a gradient by echoes may be wrong, in words: looked for in what came back, not in what was declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Arrays
from labrhel.learning.needs import PLAIN_BELOW
from protocols.echoes.aim import GOOD, POOR, Aim
from protocols.echoes.beliefs import Inherited
from protocols.echoes.blocks import Block, norm_of, relative_error
from protocols.echoes.causes import cause_of_miss
from protocols.echoes.directed import DOUBTFUL, FLUTTERS, Asymmetric
from protocols.echoes.lock import Locked
from protocols.echoes.options import EchoOptions
from protocols.echoes.plan import EchoPlan
from protocols.echoes.unmodelled import Unmodelled
from protocols.inference.record import Found, Record

LARGEST_RESPONSE, SMALLEST_RESPONSE, LARGEST_MISS = 0.1, 1e-9, 0.01
"""Beyond these the gradient comes with a warning: response ratio of a nonlinear rig, of any, and retrace error."""

MISFIT = 3.0
"""Times the noise of readings: a fitted model that misses them by more lacks something that the rig has."""

_TAMER = "shorten the pass, or lower the drive"


def of_aim(aim: Aim | None, shots: int) -> Iterator[str]:
    """About what was measured of the nudge, where that took shots of its own."""
    if aim is not None and aim.error > POOR / 2:  # an estimate from a few echoes may be off by a factor of two
        yield f"{_off(aim, shots)}: {_remedies(aim)}"
    elif aim is not None and aim.pairs > 1:
        yield (
            f"this rig is noisier than it declares: each gradient is the mean of {aim.pairs} sets of echoes at "
            f"response ratio {aim.response:.2g} (found in {shots} shots), and good to {aim.error:.2g} of its size"
        )


def refusal(aim: Aim, shots: int) -> str:
    """Why there is no gradient."""
    return f"{_off(aim, shots)}, which no training should follow: {_remedies(aim)}; response: R takes it as it is"


def of_growth(amplified: float, ratio: float) -> Iterator[str]:
    """About rounding that has grown to `amplified`, relative to the motion, beside the response `ratio` to a nudge."""
    if ratio > 0 and amplified > GOOD * ratio:
        yield (
            f"by the nominal model rounding grows to {amplified:.1g} of the motion in an echo, where the nudge moves "
            f"it by {ratio:.2g}: the gradient may be wrong; {_TAMER}"
        )


def refusal_of_growth(amplified: float) -> str:
    """Why no echo was fired."""
    return (
        f"by the nominal model rounding grows to {min(amplified, 1e99):.1g} of the motion in an echo of this rig, and "
        f"no nudge is seen behind it: {_TAMER}; response: R fires all the same"
    )


def _off(aim: Aim, shots: int) -> str:
    size = f"about {aim.error:.2g} of its size" if np.isfinite(aim.error) else "more than its size"
    return (
        f"at the best nudge found in {shots} shots (response ratio {aim.response:.2g}) a gradient is off by {size}, "
        f"most of it by {aim.worst}"
    )


def _remedies(aim: Aim) -> str:
    if "noise" in aim.worst:
        return "repeats: R averages it by the root of R; or shorten the pass, or drive the rig harder"
    if "nudge" in aim.worst:
        return f"the rig amplifies it: {_TAMER}"
    return "give the drive ports a smaller range, or more bits"


def of_record(record: Record | None, options: EchoOptions, *, told: bool = False) -> Iterator[str]:
    """About what the forward record says of the rig, and a lock that would hide what it cannot say.

    Where the answers to the nudge have `told` of directed couplings, they say more than the record alone.
    """
    if record is not None:
        yield from (replace(record, onesided=Found(0.0, 0.0)) if told else record).words
    if options.lock and (record is None or record.is_vague):
        yield (
            "this record is too short or too noisy to show delays, or friction that is not linear in the velocity, and "
            "a locked echo hides them: labrhel audit tells what they do to the gradient"
        )


def of_echoes(
    plan: EchoPlan,
    options: EchoOptions,
    blocks: Sequence[Block],
    ratio: float,
    retrace: float,
    jitter: float,
    *,
    missed: bool,
) -> Iterator[str]:
    """About the echoes themselves: compensation, retrace, strength of the nudge.

    `missed`: those of the gradient before missed as well, which has told why; to look for it takes longer than a step.
    """
    task, batch = plan.task, blocks[0].batch
    longest = max(item.steps for item in batch.passes) * task.step
    lost = float(np.mean(np.diag(task.model.friction(plan.theta)) / task.model.mass(plan.theta))) * longest
    if not batch.has_error:
        yield "the error is zero everywhere, and so is this gradient"
    if not plan.friction.any() and lost > PLAIN_BELOW:
        yield (
            f"plain echo on a rig that loses {lost:.2g} e-folds of energy a pass: "
            "the gradient is biased; use echo: driven"
        )
    if retrace > LARGEST_MISS:
        yield (
            f"the echo misses the forward path by {retrace:.2g} of its size"
            + ("" if missed else f"; {cause_of_miss(plan, blocks)}")
            + (f" (gains differ by {jitter:.1g} from shot to shot, which is taken off)" if jitter else "")
        )
    if ratio > LARGEST_RESPONSE and not task.model.is_linear(plan.theta):
        remedy = "give response: 0.03, or shorten the pass" if options.is_automatic else "lower eps"
        yield f"response ratio {ratio:.2g} is large for a nonlinear rig: {remedy}"
    if batch.has_error and ratio < SMALLEST_RESPONSE:
        yield f"response ratio {ratio:.2g} is close to rounding: raise eps"


def of_one_sided(found: Unmodelled, *, begins: bool, calibrated: bool) -> Iterator[str]:
    """About couplings that are directed otherwise than the model has them, which no pair of echoes corrects for."""
    if not found.told and begins and not calibrated:
        yield (
            "whether couplings are directed otherwise than in the model is not known: the motion is too short or too "
            "noisy to show it, so they are taken to be those of the model, and what an error of them does is in no "
            "figure here: calibrate them (labrhel calibrate, paths), or labrhel audit"
        )
    if found.share > DOUBTFUL:
        yield (
            f"couplings pull one way beyond what the model says, {_between(found.where[0])}: this gradient is "
            f"corrected for it, by {found.share:.2g} of its size, but not what a parameter of such a coupling does to "
            "this rig: calibrate them (labrhel calibrate, paths)"
        )
    if found.unsure > DOUBTFUL:
        yield (
            f"couplings pull one way beyond what the model says, {_between(found.where[1])}, or masses or channels "
            "differ from it, which no answer to these nudges tells apart: that may put this gradient off by "
            f"{found.unsure:.2g} of its size: calibrate them (labrhel calibrate, paths), or labrhel audit"
        )


def of_reciprocal(found: Unmodelled | None) -> Iterator[str]:
    """About a rig with directed couplings, of a model that has none: the echo retraces, and is not the adjoint."""
    if found is None or not found.told:
        return
    share, where = max((found.share, found.where[0]), (found.unsure, found.where[1]))
    if share > DOUBTFUL:
        yield (
            f"the answers to the nudge say that couplings pull one way, {_between(where)}, or that masses or "
            f"channels are other ones than the model's: if couplings do, this gradient is off by {share:.2g} of "
            "its size, which no retrace shows: give the model directed couplings (coupling: {springs: ..., directed: "
            "...}), calibrate it, or labrhel audit"
        )


def _between(places: tuple[int, int]) -> str:
    return "those of oscillators {} and {} most of all".format(*(place + 1 for place in places))


def of_directed(found: Asymmetric | None, flutter: float, uncorrected: float) -> Iterator[str]:
    """About a rig with directed couplings: how far it runs its transpose, and what stands in the way."""
    if found is None and uncorrected > DOUBTFUL:
        yield (
            f"couplings are directed, and directed: 0 nudges as if they were not: by the model this gradient is off by "
            f"{uncorrected:.2g} of its size; leave directed out"
        )
    if flutter > FLUTTERS:
        yield (
            f"by the model the directed couplings make a mode grow by {flutter:.2g} e-folds in a pass (flutter): "
            f"corrections may grow before they fall; {_TAMER}"
        )
    if found is not None and found.remaining > DOUBTFUL and not found.ended_at_floor:
        yield (
            f"after {len(found.changes)} pairs of echoes the correction for directed couplings leaves about "
            f"{found.remaining:.2g} of the gradient's size: give directed more pairs, improve the model, or {_TAMER}"
        )
    if found is not None and found.unplayed:
        share = norm_of(found.unplayed) / (norm_of(found.terms[-1]) or 1.0)
        if share > DOUBTFUL / 2:
            yield (
                "drive ports that are missing, or round, leave part of the nudge for directed couplings to the model, "
                f"which may put this gradient off by {share:.2g} of its size: give them ports, or more bits"
            )


def refusal_of_transposing(changes: Sequence[float], flutter: float) -> str:
    """Why there is no gradient of a rig with directed couplings."""
    told = ", ".join(f"{change:.2g}" for change in changes[-3:])
    grows = f" (by it a mode grows by {flutter:.2g} e-folds in a pass)" if flutter > FLUTTERS else ""
    return (
        f"the correction for directed couplings does not converge: the last pairs of echoes changed the adjoint by "
        f"{told} of its size, so the model is too far from this rig{grows}: {_TAMER}, calibrate the model, or give "
        "lock: 6, which fits it; directed: N takes the gradient of N pairs as it is"
    )


def of_distortion(blocks: Sequence[Block]) -> Iterator[str]:
    """About the nudge that was asked for, and the one that the converters made of it."""
    distortion = max(block.distortion for block in blocks)
    if distortion > POOR:
        yield (
            "the converters of the drive ports change the nudge so that the gradient is off by about "
            f"{distortion:.2g} of its size: raise the response, or give the drive ports a smaller range, or more bits"
        )


def of_effort(options: EchoOptions, locked: Locked | None, blocks: Sequence[Block], floor: Arrays) -> Iterator[str]:
    """About what was asked for and not reached: the lock, and the precision after so many repeats."""
    if locked is not None and locked.refused:
        yield f"the echo lock took what drive there is, and stopped at a miss of {min(locked.misses):.2g}"
    if options.precision is not None and len(blocks) >= options.most_repeats:
        yield (
            f"{options.most_repeats} repeats reached a precision of {relative_error(blocks, floor):.2g}, not "
            f"{options.precision:g}; raise eps or most_repeats"
        )


def of_bias(measured: Mapping[str, float]) -> Iterator[str]:
    """About the bias that the nominal model predicts."""
    bias = measured.get("predicted_bias", 0.0)
    if bias > LARGEST_MISS:
        yield (
            f"lossy oscillators without a drive port bias this gradient by {bias:.2g} of its size, by the nominal "
            "model: give them a port, or take rule: twin"
        )


def of_unread(measured: Mapping[str, float]) -> Iterator[str]:
    """About what the model said in place of readings."""
    error = measured.get("unread_error", 0.0)
    if error > POOR:
        yield (
            f"what no channel shows was said by the fitted model, which puts this gradient off by about {error:.2g} of "
            "its size: read more positions, or calibrate the model"
        )
    misfit = measured.get("unread_misfit", 0.0)
    if misfit > MISFIT:
        yield (
            f"the model, fitted to what is read, misses it by {misfit:.2g} times its noise, so it is not this rig, and "
            "what it says where no channel shows anything may be wrong by more than the error bar: calibrate it, or "
            "read more positions"
        )


def of_calibration(passed_on: Inherited, values: Arrays) -> Iterator[str]:
    """About what the calibration knows only to an uncertainty."""
    names = [name for name in passed_on.errors if name in values]
    size = norm_of({name: values[name] for name in names})
    error = norm_of({name: passed_on.errors[name] for name in names})
    if error > POOR * size > 0:
        yield (
            f"what the calibration knows only to an uncertainty puts this gradient off by about {error / size:.2g} of "
            f"its size, {100 * passed_on.share:.0f} % of that through {passed_on.worst}: calibrate again, with more "
            "shots or harder driven"
        )
