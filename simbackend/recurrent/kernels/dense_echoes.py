"""Two physical echoes of densely coupled oscillators side by side, over a stretch of steps.

The sums are those of `simbackend.recurrent.kernels.hru_echoes`, with q^4/4 in place of the gain: its difference over D
is m (m^2 + h^2), h half of D.  The sums of products D m^T over the stretch are left to the caller, who finds -D in
`slope` and 2 m in `twice_middle`.
"""

from __future__ import annotations

from simbackend.kernels.compiling import compiled, inlined
from simbackend.recurrent.kernels.dense import couple
from simbackend.recurrent.kernels.hru import CUBIC_ROW, PAIRED, STEP_ROW, STIFFNESS_ROW, WEIGHT_ROW
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES, load, store
from simbackend.recurrent.kernels.workspace import tables


@compiled
def dense_echo_stretch(
    pair, coupling, units, drive, nudge, count, upper, lower, sums, slope, twice_mean, twice_middle
):  # fmt: skip
    """A stretch of two echoes of one row, latest step first; `pair` holds q, p of one and q, p of the other.

    The drift after a kick, the nudge and the drift before the next kick are one pass over the state.
    """
    width, row = PAIRED * REGISTER_BYTES // pair.itemsize, pair.shape[1]
    work = tables(2, 2, row, pair)
    middle, pull, vectors = work[0], work[1], 2 * row // (coupling.shape[0] * coupling.shape[2])
    for i in range(0, row, width):
        half = load(units, STEP_ROW, i, PAIRED) * 0.5
        qa, qb = load(pair, 0, i, PAIRED), load(pair, 2, i, PAIRED)
        pa, pb = load(pair, 1, i, PAIRED), load(pair, 3, i, PAIRED)
        _drift(pair, middle, nudge, twice_mean, count - 1, i, half, upper, lower, qa, pa, qb, pb)
    for step in range(count - 1, 0, -1):
        couple(coupling, middle, pull, vectors)
        for i in range(0, row, width):
            half, qa, pa, qb, pb = _kick(pair, middle, pull, units, drive, step, i, sums, slope, twice_middle)
            _drift(pair, middle, nudge, twice_mean, step - 1, i, half, upper, lower, qa, pa, qb, pb)
    couple(coupling, middle, pull, vectors)
    for i in range(0, row, width):
        _, qa, pa, qb, pb = _kick(pair, middle, pull, units, drive, 0, i, sums, slope, twice_middle)
        store(pair, 0, i, qa)
        store(pair, 1, i, pa)
        store(pair, 2, i, qb)
        store(pair, 3, i, pb)


@inlined
def _drift(pair, middle, nudge, twice_mean, step, i, half, upper, lower, qa, pa, qb, pb):
    """The nudge of a step, and the drift to its kick."""
    e = load(nudge, step, i, PAIRED)
    pa, pb = pa + e * upper, pb + e * lower
    store(twice_mean, step, i, qa + qb)
    store(pair, 1, i, pa)
    store(pair, 3, i, pb)
    store(middle, 0, i, qa + half * pa)
    store(middle, 1, i, qb + half * pb)


@inlined
def _kick(pair, middle, pull, units, drive, step, i, sums, slope, twice_middle):
    """The kick of a step and what it adds to the sums; half a step, and both echoes at its end."""
    d, k, b = load(units, STEP_ROW, i, PAIRED), load(units, STIFFNESS_ROW, i, PAIRED), load(
        units, CUBIC_ROW, i, PAIRED
    )  # fmt: skip
    driven = load(units, WEIGHT_ROW, i, PAIRED) * load(drive, step, i, PAIRED)
    qa, pa = load(middle, 0, i, PAIRED), load(pair, 1, i, PAIRED)
    qb, pb = load(middle, 1, i, PAIRED), load(pair, 3, i, PAIRED)
    difference, twice = qa - qb, qa + qb
    ra = pa + d * (driven + load(pull, 0, i, PAIRED) - (k + b * (qa * qa)) * qa)
    rb = pb + d * (driven + load(pull, 1, i, PAIRED) - (k + b * (qb * qb)) * qb)
    product = difference * twice
    store(slope, step, i, -difference)
    store(twice_middle, step, i, twice)
    # (a^4 - b^4)/4 = (a - b)(a + b)(a^2 + b^2)/4, and row 0 is halved in the end.
    store(sums, 0, i, load(sums, 0, i, PAIRED) + product * (qa * qa + qb * qb) * 0.5)
    store(sums, 1, i, load(sums, 1, i, PAIRED) + product)
    kinetic = load(sums, 3, i, PAIRED) + (pa + pb) * (pa - pb)
    store(sums, 3, i, kinetic + (ra + rb) * (ra - rb))
    half = d * 0.5
    return half, qa + half * ra, ra, qb + half * rb, rb
