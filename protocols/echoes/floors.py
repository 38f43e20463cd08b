"""What repeats cannot show: the rounding of converters whose noise is below their smallest step.

Readings of the same motion are then the same codes again and again, and their spread is zero.  Where the steps lie is
chance, so they are laid elsewhere: with s the smoothed readings, and u a draw for each channel, uniform over its step,

    error_k = round(s_k + u) - (s_k + u)            in steps

is what rounding of this motion may as well have been: uniform, and as alike from kick to kick, and from echo to echo,
as the readings are.  Such draws are put on top of the readings, echoes and forward record alike, and the gradient is
read again; their rms is one standard error that no repeat lessens.  The error e of the loss comes from rounded
readings, too: what a wrong e does to the gradient is linear in it, and the model says it along the path.

Source: Widrow & Kollar, Quantization Noise (2008), for rounding as a random error; tested in this project
(docs/rules.md): independent errors, for which slow motion is not random enough, held 83 % of the entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from labrhel.arrays import Array
from labrhel.learning.task import TrialSequence
from labrhel.model.motion import respond
from labrhel.rig.capabilities import Capabilities
from labrhel.shots.capture import Capture, PassCapture, Trace
from protocols.echoes.blocks import Block
from protocols.echoes.plan import EchoPlan
from protocols.forward.forward import ForwardBatch, ForwardPass
from protocols.inference.record import low_pass
from protocols.twin import backwards

MOST_BLOCKS = 5
"""As many repeats as have nudges of their own (`protocols.echoes.measurement`); the rest is rounded as these are."""

_DITHER = 0.5  # noise in steps of the converter from which the spread of repeats shows its rounding
_DRAWS = 16  # an error bar of 8 held 3 % less of the entries


def steps_of(rig: Capabilities) -> dict[str, float]:
    """By channel, the step [unit] of a converter that the declared noise does not dither."""
    found = {}
    for channel in rig.channels:
        if channel.converter is not None and channel.noise < _DITHER * channel.converter.lsb:
            found[channel.name] = channel.converter.lsb
    return found


def of_rounding(plan: EchoPlan, sequences: Sequence[TrialSequence], blocks: Sequence[Block]) -> dict[str, Array]:
    """Standard error by parameter, of the mean gradient of `blocks`; empty without rounding.

    Blocks of different nudges are rounded differently, so their mean is better than one of them, if not by the root.
    """
    steps = steps_of(plan.task.capabilities)
    if not steps:
        return {}
    random = np.random.default_rng(0)
    width = low_pass(plan.task.model, plan.theta, plan.task.step)[0]
    used = blocks[:MOST_BLOCKS]
    undrawn = [plan.read(block.batch.passes, block.captures, block.eps).terms for block in used]
    squares: dict[str, Array] = {}
    for _ in range(_DRAWS):
        grid = _Grid({name: (lsb, lsb * random.uniform(-0.5, 0.5)) for name, lsb in steps.items()}, width)
        off = _through_the_loss(plan, sequences, used[0].batch, grid, tuple(used[0].reading.terms))
        for block, here in zip(used, undrawn, strict=True):
            moved = [_moved(plan, item, grid) for item in block.batch.passes]
            drawn = plan.read(moved, [_drawn(item, grid) for item in block.captures], block.eps).terms
            for name, term in drawn.items():
                off[name] = off[name] + (term - here[name]) / len(used)
        for name, term in off.items():
            squares[name] = squares.get(name, np.zeros_like(term)) + np.square(term)
    return {name: np.sqrt(total / _DRAWS) for name, total in squares.items()}


@dataclass(frozen=True, slots=True)
class _Grid:
    """Converters whose steps lie elsewhere: by channel the step and where it lies; `width` [kicks] of the smoothing."""

    steps: Mapping[str, tuple[float, float]]
    width: float

    def error(self, name: str, values: Array) -> Array:
        """What the rounding of these readings (..., kicks) may as well have been."""
        if name not in self.steps:
            return np.zeros_like(values)
        lsb, offset = self.steps[name]
        smooth = gaussian_filter1d(values, self.width, mode="nearest") + offset
        return lsb * np.rint(smooth / lsb) - smooth


def _drawn(capture: Capture, grid: _Grid) -> Capture:
    """The capture with rounding errors on top of its last pass."""
    traces = {
        name: replace(trace, values=trace.values + grid.error(name, trace.values))
        for name, trace in capture.last.traces.items()
    }
    return replace(capture, passes=(*capture.passes[:-1], replace(capture.last, traces=traces)))


def _moved(plan: EchoPlan, item: ForwardPass, grid: _Grid) -> ForwardPass:
    """A forward pass with rounding errors on top of its record."""
    errors = {name: grid.error(name, values) for name, values in plan.geometry.shown(item.q, item.v).items()}
    added = PassCapture({name: Trace(error[None], "", 0.0, plan.task.step) for name, error in errors.items()})
    v = plan.geometry.state(added, plan.task.step)[1]
    return replace(item, v=item.v + v)  # no term asks for the positions of the record


def _through_the_loss(
    plan: EchoPlan, sequences: Sequence[TrialSequence], batch: ForwardBatch, grid: _Grid, names: Sequence[str]
) -> dict[str, Array]:
    """What rounding errors of the record do to the gradient through the error of the loss, by the model."""
    effects: dict[str, Array] = {}
    for item, sequence, slopes in zip(batch.passes, sequences, batch.slopes, strict=True):
        shown = plan.geometry.shown(item.q, item.v)
        off = np.stack([grid.error(name, shown[name]) for name in plan.task.channels])
        error, direct = _error_at(plan, sequences, sequence, slopes, off)
        back = backwards(plan.task.model, plan.theta, replace(item, error=error), plan.task.step)
        _add(effects, back.gradients(_modelled(plan, names)) | direct)
    return effects


def of_inputs(plan: EchoPlan, sequences: Sequence[TrialSequence], batch: ForwardBatch) -> dict[str, Array]:
    """By parameter, what it does that the ports did not play the inputs as they were wanted, by the model.

    A converter rounds an input the same way in every repeat, so the whole forward path is another one: with x the
    answer of the model to what was left out, g(path + x) - g(path).
    """
    model, theta, step, names = plan.task.model, plan.theta, plan.task.step, plan.wanted
    wanted = (*names.summed, *names.traced, *names.friction, *names.one_way, *names.state, *names.direct)
    effects: dict[str, Array] = {}
    for item, sequence, slopes in zip(batch.passes, sequences, batch.slopes, strict=True):
        silence = np.zeros(item.steps)
        given = [sequence.inputs[name].on_grid(step, item.steps) if name in sequence.inputs else silence
                 for name in model.inputs]  # fmt: skip
        lacking = model.input_force(np.stack(given), theta) - model.input_force(item.u, theta)
        x = respond(model, theta, item.q, lacking, step).q
        shown = plan.geometry.shown(x, np.zeros_like(x))
        error, direct = _error_at(plan, sequences, sequence, slopes, np.stack([shown[n] for n in plan.task.channels]))
        # No term asks for the velocities of the record: the model has its own.
        there = replace(item, q=item.q + x, u=np.stack(given), error=item.error + error)
        ends = [backwards(model, theta, each, step).gradients(_modelled(plan, wanted)) for each in (there, item)]
        _add(effects, {name: ends[0][name] - ends[1][name] for name in ends[0]} | direct)
    return effects


def _error_at(
    plan: EchoPlan,
    sequences: Sequence[TrialSequence],
    sequence: TrialSequence,
    slopes: tuple[Array, Array],
    off: Array,
) -> tuple[Array, dict[str, Array]]:
    """How the error (n, kicks), and the direct terms, change where the channels of the task show `off` more."""
    task, (rho, x) = plan.task, slopes
    readout, loss, every = task.readout(plan.theta), task.loss(sequences), task.every
    moved = x + off[:, ::every]
    slope = loss.slope(readout.outputs(moved), sequence.target, sequence.weight) - rho
    error = np.zeros((task.model.size, off.shape[1]))
    error[:, ::every] = plan.geometry.on_oscillators(task.channels, readout.error(slope))
    here, there = readout.gradients(x, rho), readout.gradients(moved, rho + slope)
    return error, {name: there[name] - here[name] for name in here}


def _modelled(plan: EchoPlan, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in plan.task.model.parameters]


def _add(total: dict[str, Array], terms: Mapping[str, Array]) -> None:
    for name, term in terms.items():
        total[name] = total[name] + term if name in total else np.asarray(term)
