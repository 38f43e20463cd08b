"""What a forward record says against the nominal model: how an oscillator is really pulled, row by row.

Inverse dynamics of the record is the force that the model lacks, r (n, kicks) (`protocols.inference.correlation`).
What it may be made of is known by form, and each row is explained by least squares,

    r_i = sum_j a_ij q_j + sum_j g_ij v_j + b_i q_i^2 + c_i q_i^3 + m_i v'_i + sum_k (w_ik u_k - w_ik t_k u'_k) + offset
          + d_i |v_i| v_i + s_i v_i/|v_i|

without any assumption on how large they are.  Some of it is what no echo shows: a difference between a_ij and a_ji is a
coupling that is not reciprocal, and d and s are friction that is not linear in the velocity, which retraces as well as
any.  t is a delay between the inputs and the readings.  White noise is far above the motion after two differences, so
all columns pass the same low-pass first.

Source: linear regression of the inverse dynamics; tested in this project on rigs with one of these (docs/rules.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.model.motion import quick_hessian_along
from protocols.forward.forward import ForwardPass
from protocols.inference.unexplained import unexplained

_PASSED = 0.1  # of the fastest period: standard deviation of the low-pass
_WIDEST = 50.0  # kicks; a model without springs has no fastest period
_EDGE = 4  # standard deviations of the filter that are left out at either end
_CERTAIN = 5.0  # standard errors; residuals of a filtered record are not independent
_ONE_SIDED, _LATE, _ODD = 0.02, 0.05, 0.05  # below these a gradient is off by a few per cent at most
_ALIKE = 5.0  # independent kicks over which the residual is asked how alike it is
_HARM_LATE, _HARM_DRAG, _HARM_DRY = 0.3, 0.3, 0.06  # from which locked gradients were off by 5 %
_ENOUGH = 3  # independent kicks for each column
_MOST_WORK = 2e10  # products: seconds; larger records are not looked at


@dataclass(frozen=True, slots=True)
class Found:
    """A number and its standard error."""

    value: float
    error: float

    @property
    def is_certain(self) -> bool:
        """True if it is far from zero."""
        return abs(self.value) > _CERTAIN * self.error


@dataclass(frozen=True, slots=True)
class Record:
    """What the record says: `onesided`: rms of the antisymmetric part of the couplings over that of all of them.

    `delay` [kicks] of the readings against the inputs; `drag` and `dry`: shares of the friction force that go with
    |v| v, and with the sign of v alone.
    """

    onesided: Found
    delay: Found
    drag: Found
    dry: Found

    @property
    def is_vague(self) -> bool:
        """True where a harmful delay, or friction that is not linear, is neither certain nor out of the question."""
        asked = ((self.delay, _HARM_LATE), (self.drag, _HARM_DRAG), (self.dry, _HARM_DRY))
        return any(not found.is_certain and abs(found.value) + 2 * found.error > harm for found, harm in asked)

    @property
    def words(self) -> Iterator[str]:
        """What it says against a gradient by echoes, a sentence each."""
        tells = "labrhel audit tells what it does to the gradient"
        if self.onesided.is_certain and self.onesided.value > _ONE_SIDED:
            yield (
                f"the record says that couplings pull {100 * self.onesided.value:.0f} % harder one way than the "
                f"other beyond what the model says, or that channels differ in gain, which no echo shows: {tells}"
            )
        if self.delay.is_certain and abs(self.delay.value) > _LATE:
            yield (
                f"the record says that readings come {self.delay.value:.2g} kicks after the inputs: calibrate the "
                f"delays of ports and channels; {tells}"
            )
        for found, law in (
            (self.drag, "the square of the velocity (drag)"),
            (self.dry, "its sign alone (dry friction)"),
        ):
            if found.is_certain and found.value > _ODD:
                yield (
                    f"the record says that {100 * found.value:.0f} % of the friction goes with {law}, which an echo "
                    f"retraces as well as any, with a wrong gradient: {tells}"
                )


def of_record(model: Model, theta: Arrays, passes: Sequence[ForwardPass], step: float) -> Record | None:
    """What the records of these passes say; None of records too short to say it."""
    n = model.size
    width, edge = low_pass(model, theta, step)
    columns, rights = [], []
    for item in passes:
        if item.steps <= 2 * edge + 4:
            continue
        kept = slice(edge, item.steps - edge)
        columns.append(gaussian_filter1d(_columns(item, step), width, axis=1)[:, kept])
        rights.append(gaussian_filter1d(unexplained(model, theta, item, step), width, axis=1)[:, kept])
    if not columns:
        return None
    shared, right = np.concatenate(columns, axis=1), np.concatenate(rights, axis=1)
    inputs = len(passes[0].u)
    own = 5  # columns of a row that are its own
    count = shared.shape[1]
    wide = len(shared) - own * (n - 1)
    if count < _ENOUGH * width * wide or n * count * wide**2 > _MOST_WORK:
        return None
    rows = [Row.of(_of_row(shared, i, n, own), right[i], max(1.0, 2 * np.sqrt(np.pi) * width)) for i in range(n)]
    a, a_error = (np.stack([part[:n] for part in parts]) for parts in _both(rows))
    stiffness = -_mean_stiffness(model, theta, passes)
    return Record(
        _onesided(a, a_error, stiffness),
        _delay(rows, model, theta, n, inputs, step),
        *_odd(rows, model, theta, passes, n, inputs),
    )


def low_pass(model: Model, theta: Arrays, step: float) -> tuple[float, int]:
    """Standard deviation [kicks] of the filter, and the kicks at either end that it spoils."""
    width = min(_PASSED * 2 * np.pi * model.largest_step(theta) / (2 * step), _WIDEST)
    return width, int(np.ceil(_EDGE * width)) + 2


def _columns(item: ForwardPass, step: float) -> Array:
    """Of all rows: q, v, u, u', one; then of each oscillator q^2, q^3, v', |v| v and the sign of v."""
    q, v = item.q, item.v
    slope = np.gradient(item.u, step, axis=1)
    speed = np.abs(v).max(axis=1, keepdims=True) + 1e-300
    of_rows = np.stack([q**2, q**3, np.gradient(v, step, axis=1), np.abs(v) * v, np.tanh(v / (0.02 * speed))], axis=1)
    return np.concatenate([q, v, item.u, slope, np.ones((1, item.steps)), of_rows.reshape(-1, item.steps)])


def _of_row(shared: Array, row: int, n: int, own: int) -> Array:
    first = len(shared) - own * n
    return np.concatenate([shared[:first], shared[first + own * row : first + own * (row + 1)]])


@dataclass(frozen=True, slots=True)
class Row:
    """Coefficients of one row, and their standard errors with `width` kicks to an independent one."""

    value: Array
    error: Array

    @classmethod
    def of(cls, columns: Array, right: Array, width: float) -> Row:
        scale = np.sqrt(np.mean(columns**2, axis=1))
        scale[scale == 0] = 1.0
        known = columns / scale[:, None]
        # R of both sides together holds R of the columns and Q^T of the right: what is decomposed is small and square.
        small = np.asarray(np.linalg.qr(np.vstack([known, right]).T, mode="r"))
        u, s, vt = np.linalg.svd(small[:-1, :-1])
        kept = s > 1e-9 * s[0]
        inverse = np.where(kept, 1 / np.where(kept, s, 1.0), 0.0)
        value = vt.T @ (inverse * (u.T @ small[:-1, -1]))
        left = right - known.T @ value
        fewer = max(right.size / width - len(value), 1.0) / (right.size / width)  # than before the fit, independent
        error = np.sqrt(_power(((vt.T * inverse**2) @ vt) @ known, left, _ALIKE * width) / fewer)
        return cls(value / scale, error / scale)


def _power(weights: Array, residual: Array, lags: float) -> Array:
    """Variances of `weights` @ noise that is like the residual (samples,): sum_f |W(f)|^2 S(f).

    Differences and a low-pass leave noise with next to no power where the motion has all of it, so that its size alone
    would say five times too much.  S is the transform of the autocorrelation up to so many lags, under a Parzen window,
    which keeps it positive.
    """
    count = residual.size
    length = 1 << (2 * count - 1).bit_length()  # a transform of 2 * 499 samples takes five times that of 1024
    alike = np.fft.irfft(np.abs(np.fft.rfft(residual, length)) ** 2, length)[:count] / count
    x = np.arange(count) / max(1.0, min(lags, count))
    window = np.where(x < 0.5, 1 - 6 * x**2 * (1 - x), 2 * (1 - np.minimum(x, 1.0)) ** 3)
    alike = alike * window
    gap = np.zeros(length - 2 * count + 1)
    power = np.fft.rfft(np.concatenate([alike, gap, alike[:0:-1]])).real
    seen = np.abs(np.fft.rfft(weights, length, axis=1)) ** 2 * np.maximum(power, 0.0)
    return (2 * seen.sum(axis=1) - seen[:, 0] - seen[:, -1]) / length


def _both(rows: Sequence[Row]) -> tuple[list[Array], list[Array]]:
    return [row.value for row in rows], [row.error for row in rows]


def _mean_stiffness(model: Model, theta: Arrays, passes: Sequence[ForwardPass]) -> Array:
    return np.mean(quick_hessian_along(model, theta, passes[0].q), axis=0)


def _onesided(a: Array, error: Array, stiffness: Array) -> Found:
    """Rms of (a - a^T)/2 off the diagonal, over that of the couplings of the model and what the record adds to them."""
    n = len(a)
    if n == 1:
        return Found(0.0, 0.0)
    off = ~np.eye(n, dtype=bool)
    size = float(np.sqrt(np.mean((stiffness - (a + a.T) / 2)[off] ** 2))) or 1.0
    odd = (a - a.T)[off] / 2
    spread = np.hypot(error, error.T)[off] / 2
    value = float(np.sqrt(np.mean(odd**2)))
    if value == 0:
        return Found(0.0, 0.0)
    return Found(value / size, float(np.sqrt(np.mean((odd * spread) ** 2))) / value / size)


def _delay(rows: Sequence[Row], model: Model, theta: Arrays, n: int, inputs: int, step: float) -> Found:
    """The t that explains the columns u' of all rows best, weighed by their errors [kicks]."""
    weight = model.input_force(np.eye(inputs), theta) - model.input_force(np.zeros((inputs, 1)), theta)
    first = 2 * n + inputs
    seen = np.stack([row.value[first : first + inputs] for row in rows])
    error = np.maximum(np.stack([row.error[first : first + inputs] for row in rows]), 1e-300)
    # What is lacking is W u(t - late) - W u(t) = -late W u': inverse dynamics less W u is that.
    information = float(np.sum((weight / error) ** 2))
    if information == 0 or not np.isfinite(information):
        norm = float(np.sum(weight**2)) or 1.0
        return Found(-float(np.sum(weight * seen)) / norm / step, 0.0)
    return Found(-float(np.sum(weight * seen / error**2)) / information / step, information**-0.5 / step)


def _odd(
    rows: Sequence[Row], model: Model, theta: Arrays, passes: Sequence[ForwardPass], n: int, inputs: int
) -> tuple[Found, Found]:
    """Shares of the friction force."""
    v = np.concatenate([item.v for item in passes], axis=1)
    g = np.stack([row.value[n : 2 * n] for row in rows])
    linear = float(np.sum(((model.friction(theta) - g) @ v) ** 2))
    speed = np.abs(v).max(axis=1, keepdims=True) + 1e-300
    found = []
    for place, shape in ((3, np.abs(v) * v), (4, np.tanh(v / (0.02 * speed)))):
        at = 2 * n + 2 * inputs + 1 + place
        value = np.array([row.value[at] for row in rows])
        error = np.array([row.error[at] for row in rows])
        sizes = np.sum(shape**2, axis=1)
        force = float(np.sqrt(np.sum(value**2 * sizes)))
        spread = float(np.sqrt(np.sum((value * error * sizes) ** 2))) / (force or 1.0)
        whole = float(np.sqrt(linear + force**2)) or 1.0
        found.append(Found(force / whole, spread / whole))
    return found[0], found[1]
