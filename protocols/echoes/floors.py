"""What repeats cannot show: the rounding of converters whose noise is below their smallest step.

Readings of the same motion are then the same codes again and again, and their spread is zero.  The error of a reading
is as good as uniform over one step, so draws of it are put on top of the readings, echoes and forward record alike, and
the gradient is read again; their rms is one standard error that no repeat lessens.  The error e of the loss comes from
rounded readings, too: what a wrong e does to the gradient is linear in it, and the model says it along the path.

Source: Widrow & Kollar, Quantization Noise (2008), for the uniform error; tested in this project (docs/rules.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.task import TrialSequence
from labrhel.rig.capabilities import Capabilities
from labrhel.shots.capture import Capture, PassCapture, Trace
from protocols.echoes.plan import EchoPlan
from protocols.forward.forward import ForwardBatch, ForwardPass
from protocols.twin import backwards

_DITHER = 0.5  # noise in steps of the converter from which the spread of repeats shows its rounding
_DRAWS = 8


def steps_of(rig: Capabilities) -> dict[str, float]:
    """By channel, the step [unit] of a converter that the declared noise does not dither."""
    found = {}
    for channel in rig.channels:
        if channel.converter is not None and channel.noise < _DITHER * channel.converter.lsb:
            found[channel.name] = channel.converter.lsb
    return found


def of_rounding(
    plan: EchoPlan, sequences: Sequence[TrialSequence], batch: ForwardBatch, captures: Sequence[Capture], eps: float
) -> dict[str, Array]:
    """Standard error by parameter, of a gradient read from `captures` at the achieved `eps`; empty without rounding."""
    steps = steps_of(plan.task.capabilities)
    if not steps:
        return {}
    random = np.random.default_rng(0)
    base = {**plan.read(batch.passes, captures, eps).terms, **batch.direct}
    squares = {name: np.zeros_like(term) for name, term in base.items()}
    for _ in range(_DRAWS):
        moved, effects = _forward(plan, sequences, batch, steps, random, tuple(base))
        drawn = plan.read(moved, [_drawn(item, steps, random) for item in captures], eps).terms
        for name, term in base.items():
            off = effects.get(name, 0.0) + (drawn[name] - term if name in drawn else 0.0)
            squares[name] += np.square(off)
    return {name: np.sqrt(total / _DRAWS) for name, total in squares.items()}


def _drawn(capture: Capture, steps: Mapping[str, float], random: np.random.Generator) -> Capture:
    """The capture with rounding errors on top of its last pass."""
    added = _rounding(capture.last, steps, random)
    traces = {
        name: replace(trace, values=trace.values + added.traces[name].values)
        for name, trace in capture.last.traces.items()
    }
    return replace(capture, passes=(*capture.passes[:-1], replace(capture.last, traces=traces)))


def _rounding(item: PassCapture, steps: Mapping[str, float], random: np.random.Generator) -> PassCapture:
    traces: dict[str, Trace] = {}
    for name, trace in item.traces.items():
        half = steps.get(name, 0.0) / 2
        traces[name] = replace(trace, values=random.uniform(-half, half, trace.values.shape), codes=None)
    return PassCapture(traces)


def _forward(
    plan: EchoPlan,
    sequences: Sequence[TrialSequence],
    batch: ForwardBatch,
    steps: Mapping[str, float],
    random: np.random.Generator,
    names: Sequence[str],
) -> tuple[list[ForwardPass], dict[str, Array]]:
    """Forward passes with rounding errors, and what those do to the gradient through the error of the loss."""
    task, geometry = plan.task, plan.geometry
    readout, loss = task.readout(plan.theta), task.loss(sequences)
    moved, effects = [], dict[str, Array]()
    for item, sequence, (rho, x) in zip(batch.passes, sequences, batch.slopes, strict=True):
        blank = {name: Trace(np.zeros((1, item.steps)), "", 0.0, task.step) for name in geometry.channels}
        added = _rounding(PassCapture(blank), steps, random)
        q, v = geometry.state(added, task.step)
        moved.append(replace(item, q=item.q + q, v=item.v + v))
        off = added.stack(task.channels)[:, :: task.every]
        slope = loss.slope(readout.outputs(x + off), sequence.target, sequence.weight) - rho
        error = np.zeros_like(q)
        error[:, :: task.every] = geometry.on_oscillators(task.channels, readout.error(slope))
        back = backwards(task.model, plan.theta, replace(item, error=error), task.step)
        terms = back.gradients([name for name in names if name in task.model.parameters])
        here, there = readout.gradients(x, rho), readout.gradients(x + off, rho + slope)
        terms |= {name: there[name] - here[name] for name in here}
        for name, term in terms.items():
            effects[name] = effects[name] + term if name in effects else term
    return moved, effects
