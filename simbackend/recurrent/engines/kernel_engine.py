"""What the compiled engines share: checks, the forward pass, threads, and the way from sums to gradients."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.data.memory import require_room
from labrhel.errors import ConfigurationError
from labrhel.learning.units import ForwardRun, UnitState
from simbackend.recurrent.engines.checks import checked, checked_cotangent
from simbackend.recurrent.engines.layout import Layout, Tables
from simbackend.recurrent.kernels import hru_backward, hru_echoes, hru_forward, hru_tangent, hru_watch
from simbackend.recurrent.kernels.chunks import STRETCH
from simbackend.recurrent.kernels.workspace import empty, zeros
from simbackend.recurrent.models.recurrent_unit import RecurrentUnit, UnitSums

_WORTH_A_THREAD = 500_000  # oscillator-steps, about 1 ms; below it starting a thread costs more than it saves
_PIECES = 4  # for each thread
_KINETIC = 3  # row of the kernels' sums


@dataclass(frozen=True, slots=True)
class Backward:
    """What one backward pass of a kernel leaves.

    Gradients of the parameters in float64, of the inputs in their type; where the pass ended (4, batch, n), as the
    kernel keeps it; how far apart the echoes were nudged; mean squares of the response over eps and of the positions;
    the peak of the adjoint's growth.
    """

    parameters: dict[str, Array]
    inputs: Array
    ends: Array
    apart: float
    response: float
    position: float
    growth: float

    def missed(self, run: ForwardRun, q: Array, p: Array) -> float:
        """Distance of a flipped end state from the start of the forward pass, relative to the rms position."""
        distance = float(np.mean((q - run.start.q) ** 2.0 + (p + run.start.p) ** 2.0))
        return math.sqrt(distance / self.position) if self.position else 0.0


class KernelEngine:
    """Base of the compiled engines of one model, float32 or float64 as the inputs are.

    `threads` 0 means as many as there are cores to use; the result does not depend on it.  `input_gradient` False
    leaves dL/du away (`BackwardRun.inputs` has no steps), for first layers, which have nobody to hand it to.
    """

    quick: bool | None = None
    """Whether the forward pass takes the quick tanh, as echoes do; None: the one that keeps 1 - tanh^2."""

    def __init__(self, model: RecurrentUnit, *, threads: int = 0, input_gradient: bool = True) -> None:
        self.model = model
        self._threads = threads or _cores()
        self._input_gradient = input_gradient

    def forward(self, theta: Arrays, inputs: Array, start: UnitState | None = None) -> ForwardRun:
        """Run the unit over the inputs, from rest if no start is given.

        Raises ConfigurationError for shapes, types or values that do not fit, and if the unit diverges.
        """
        return self._run(theta, inputs, start, taped=False)

    def _run(self, theta: Arrays, inputs: Array, start: UnitState | None, *, taped: bool) -> ForwardRun:
        inputs, start = checked(self.model, theta, inputs, start)
        batch, steps, _ = inputs.shape
        layout = Layout(batch, start.q.shape[1], inputs.dtype, coupled=self.model.coupled)
        tables = Tables.of(self.model, theta, layout)
        q, p = layout.fold(start.q)[:, None], layout.fold(start.p)[:, None]
        outputs = np.empty((batch, steps, len(tables.readout)), inputs.dtype)
        damped = self.model.damped or None
        _require_room(layout, steps, 2 if taped else 1 if damped else 0)
        tape = empty((layout.rows, 2 * steps, layout.row), inputs.dtype) if taped else None
        lost = None if self.quick else _lost(layout)
        record = empty((layout.rows, steps, layout.row), inputs.dtype) if damped and not taped else None
        # Only nonlinear units have a tanh: for the others a second kernel would be compiled for nothing.
        quick = None if self.model.linear or self.model.coupled else self.quick
        uncoupled = not self.model.coupled or None

        def run(rows: slice, items: slice) -> None:
            hru_forward.forward(
                q[rows], p[rows], inputs[items], tables.into, tables.bias, tables.gain, tables.coupling, uncoupled,
                tables.units, tables.readout, tables.readout_across, outputs[items],
                None if tape is None else tape[rows], quick, None if lost is None else lost[rows], damped,
                None if record is None else record[rows],
            )  # fmt: skip

        self._spread(run, layout, steps)
        if not (np.isfinite(q).all() and np.isfinite(p).all()):
            raise ConfigurationError(
                f"the {self.model.name} diverged; the leapfrog needs d^2 times the stiffness < 4 in every unit: "
                "lower d, the stiffness or the inputs"
            )
        end = UnitState(layout.unfold(q), layout.unfold(p))
        return ForwardRun(theta, inputs, outputs, start, end, tape, record)

    def _back(
        self,
        run: ForwardRun,
        cotangent: Array,
        *,
        levels: tuple[float, float] | None = None,
        eps: float | None = None,
    ) -> Backward:
        """Two echoes at these nudge levels, or mean and scaled difference of echoes at +-eps, or at the limit."""
        cotangent = checked_cotangent(run, cotangent)
        batch, steps, d_in = run.inputs.shape
        layout = Layout(batch, run.end.q.shape[1], run.inputs.dtype, coupled=self.model.coupled)
        number, tape, record = layout.dtype.type, run.tape, run.record
        upper, lower = (None, None) if levels is None else (number(levels[0]), number(levels[1]))
        inverse = None if eps is None else number(1 / eps)
        lost = None if self.quick or tape is not None else _lost(layout)
        uncoupled = not self.model.coupled or None
        # The levels as the kernel has them: rounded to float32 they are others.
        scale = 1.0 if upper is None else 1 / (float(upper) - float(lower))  # pyright: ignore[reportArgumentType]
        tables = Tables.of(self.model, run.theta, layout).scaled(scale)
        state = zeros((layout.rows, 4, layout.row), layout.dtype)
        for copy in range(1 if levels is None else 2):
            state[:, 2 * copy], state[:, 2 * copy + 1] = layout.fold(run.end.q), layout.fold(-run.end.p)
        sums = np.zeros((layout.rows, hru_backward.SUMS, layout.row))
        sums_in = np.zeros((layout.rows, d_in, layout.size))
        sums_out = np.zeros((layout.rows, cotangent.shape[2], layout.size))
        products = np.zeros((layout.rows, layout.n, layout.size)) if self.model.coupled else None
        inputs = np.empty((batch, steps if self._input_gradient else 0, d_in), layout.dtype)
        health = zeros((layout.rows, 4, layout.row), layout.dtype)
        health[:, [hru_watch.GROWN, hru_watch.PEAK]] = 1.0

        def back(rows: slice, items: slice) -> None:
            hru_backward.backward(
                state[rows], run.inputs[items], cotangent[items], tables.into, tables.bias, tables.gain,
                tables.coupling, uncoupled, tables.units, tables.nudging, tables.back, tables.back_across, upper, lower,
                levels is None or None, inverse,
                None if tape is None else tape[rows],  # pyright: ignore[reportIndexIssue]
                None if lost is None else lost[rows], self.model.damped or None,
                None if record is None else record[rows],  # pyright: ignore[reportIndexIssue]
                sums[rows], sums_in[rows], sums_out[rows],
                None if products is None else products[rows], inputs[items], health[rows],
            )  # fmt: skip

        self._spread(back, layout, steps)
        stretches = -(-steps // STRETCH)
        theta = {name: np.asarray(value, float) for name, value in run.theta.items()}
        shares, mean_share = (hru_tangent.SHARES, 1.0) if levels is None else (hru_echoes.SHARES, hru_echoes.MEAN_SHARE)
        ends = np.stack([layout.unfold(state[:, row]) for row in range(4)])
        totals = scale * np.array(shares)[:, None] * layout.total(sums)
        if self.model.damped:
            totals[_KINETIC] += theta["d"] * theta["g"] / 4 * _end_of(ends, scale, paired=levels is not None)
        by_unit = UnitSums(
            *totals,
            slope_input=scale * sums_in.sum(axis=0).T[: layout.n],
            # They hold -D m^T, the positions doubled where the mean is.
            coupling=None if products is None else -scale * mean_share * products.sum(axis=0)[:, : layout.n],
        )
        return Backward(
            parameters={**self.model.gradients(theta, by_unit), "C": mean_share * sums_out.sum(axis=0)[:, : layout.n]},
            inputs=inputs,
            ends=ends,
            apart=1 / scale,
            # The kernels look at the beginning of each stretch; the end is added, for short passes from rest.
            response=_average(layout, health[:, hru_watch.RESPONSE]) / stretches,
            position=(_average(layout, health[:, hru_watch.POSITION]) + _mean_square(run.end.q)) / (stretches + 1),
            growth=float(layout.unfold(health[:, hru_watch.PEAK]).max(initial=1.0)),
        )

    def _spread(self, run: Callable[[slice, slice], None], layout: Layout, steps: int) -> None:
        work = layout.rows * layout.row * steps
        workers = min(self._threads, layout.rows, max(1, work // _WORTH_A_THREAD))
        # More parts than threads: one that is held up by another process leaves its share to the others.
        pieces = min(layout.rows, workers * (_PIECES if workers > 1 else 1))
        bounds = [layout.rows * piece // pieces for piece in range(pieces + 1)]
        parts = [
            (slice(low, high), slice(low * layout.items, min(high * layout.items, layout.batch)))
            for low, high in pairwise(bounds)
        ]
        if workers == 1:
            run(*parts[0])
            return
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda part: run(*part), parts))


def _cores() -> int:
    """Cores that this process may use, which may be fewer than there are."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _lost(layout: Layout) -> Array | None:
    """What rounding leaves out of a path in float32; float64 has digits enough."""
    return zeros((layout.rows, 2, layout.row), layout.dtype) if layout.dtype == np.float32 else None


def _require_room(layout: Layout, steps: int, numbers: int) -> None:
    """That the numbers which are kept for each unit and step can be kept; ConfigurationError if not."""
    require_room(
        float(layout.rows) * layout.row * steps * numbers * layout.dtype.itemsize,
        f"what is kept of {layout.batch} sequences of {steps} steps for the way back",
        "shorten the sequences, or take fewer at a time",
    )


def _end_of(ends: Array, scale: float, *, paired: bool) -> Array:
    """Sum over the batch of p Dp where the echo ends (n,)."""
    first, second = ends[1].astype(float), ends[3].astype(float)
    products = (first + second) / 2 * (first - second) * scale if paired else first * second
    return products.sum(axis=0)


def _average(layout: Layout, sums: Array) -> float:
    values = layout.unfold(sums).astype(float)
    return float(values.mean()) if values.size else 0.0


def _mean_square(values: Array) -> float:
    return float(np.mean(np.square(values, dtype=float))) if values.size else 0.0
