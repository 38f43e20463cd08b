"""Forward passes of recurrent units over whole sequences, stretch by stretch; the arguments stand at `hru_backward`."""

from __future__ import annotations

from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels.chunks import STRETCH, gather, spread
from simbackend.recurrent.kernels.dense import dense_advance
from simbackend.recurrent.kernels.hru import advance
from simbackend.recurrent.kernels.workspace import CACHE_LINE, part_of, tables


@compiled
def forward(
    q, p, inputs, into, bias, gain, coupling, uncoupled, units, readout, across, outputs, tape, quick, lost, damped,
    record,
):  # fmt: skip
    """Run every sequence; q, p (rows, 1, row) in: start, out: end; tape (rows, 2 steps, row) and record
    (rows, steps, row), or None.
    """
    row, size, steps = q.shape[2], into.shape[1], inputs.shape[1]
    items = row // size
    work = tables(2, STRETCH, row + CACHE_LINE // q.itemsize, q)
    drive, seen = work[0], work[1]
    for group in range(q.shape[0]):
        last = min(items, inputs.shape[0] - group * items)
        drive[:] = 0.0  # places that no sequence takes stay at rest
        for first in range(0, steps, STRETCH):
            count = min(STRETCH, steps - first)
            for item in range(last):
                spread(into, bias, inputs[group * items + item], first, 0, count, drive, item * size)
            if uncoupled is not None:
                advance(
                    q[group], p[group], gain, units, drive, count, seen, part_of(tape, group), first, quick,
                    part_of(lost, group), damped, part_of(record, group),
                )  # fmt: skip
            if coupling is not None:
                dense_advance(
                    q[group], p[group], coupling, units, drive, count, seen, part_of(tape, group), first,
                    part_of(lost, group),
                )  # fmt: skip
            for item in range(last):
                gather(readout, across, seen, item * size, count, outputs[group * items + item], first)
