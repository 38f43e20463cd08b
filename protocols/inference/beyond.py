"""One-sided couplings that the model does not have, by how the rig was seen to move: at no shot.

A directed rig is nudged on its way to the gradient, so its answers m to known kicks n' are at hand beside the forward
record.  Both are explained row by row, without an assumption on how large anything is:

    r_i              = sum_j (a_ij q_j + g_ij v_j) + mu_i q''_i + b_i q_i^2 + c_i q_i^3 + w_i u_i + h_i
    (L m)_i - n'_i/d = sum_j (a_ij m_j + g_ij m'_j) + mu_i m''_i + 2 b_i q_i m_i + 3 c_i q_i^2 m_i

with r the force that the model lacks and L the model along the echo.  a = K - K_true, so N_true - N = (a^T - a)/2.
Springs, friction, cubic terms and gains of inputs that are wrong are in columns of their own.  A row that was nudged
tells its mass as well; of any other it is believed, since no motion tells it from a coupling that is not reciprocal.

Source: linear regression of the inverse dynamics; tested in this project on rigs with one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.model.motion import quick_hessian_along
from protocols.forward.forward import ForwardPass
from protocols.inference.inverse_dynamics import InverseDynamics
from protocols.inference.record import Row, low_pass
from protocols.inference.unexplained import unexplained

_ENOUGH = 3  # independent kicks for each column
_CERTAIN = 5.0  # standard errors
_PUSHED = 1e-4  # of the largest force: a row below it does not tell its mass
_MOST_WORK = 2e9  # products, at every gradient; larger records are not looked at
_OFF = 0.3  # of a mass: beyond it the fit explains noise, which is most of an acceleration that is read too often


@dataclass(frozen=True, slots=True)
class Beyond:
    """N_true - N (n, n), antisymmetric, and the standard errors of its entries.

    `sure` (n, n): where both oscillators were nudged; of others a wrong mass looks the same.
    """

    value: Array
    error: Array
    sure: Array

    @property
    def is_certain(self) -> bool:
        """True if it is far from zero as a whole."""
        return float(np.linalg.norm(self.value)) > _CERTAIN * float(np.linalg.norm(self.error))


def beyond_model(
    model: Model,
    theta: Arrays,
    passes: Sequence[ForwardPass],
    paths: Sequence[Array],
    answers: Sequence[Array],
    step: float,
    weight: float,
    *,
    exact: bool,
) -> Beyond | None:
    """Of passes whose `error` is the kicks as played, and the answers (n, steps) to them about the `paths` that
    the echoes took without them, both in the order of the passes.

    `weight`: size of the unit of an answer beside that of a reading, as far as noise goes.  `exact`: readings without
    noise, of which every kick counts.  None of motions too short, or too noisy, to say it.
    """
    n = model.size
    width, edge = (1.0, 1) if exact else low_pass(model, theta, step)
    inverse = InverseDynamics(model, theta, step)
    found: list[Array] = []

    def passed(rows: Array) -> None:
        if rows.shape[1] > 2 * edge + 1:
            filtered = rows if exact else gaussian_filter1d(rows, width, axis=1)
            found.append(filtered[:, edge : rows.shape[1] - edge])

    for item, echoed, m in zip(passes, paths, answers, strict=True):
        v, bent = _moving(item.q, step)
        played = model.input_force(item.u, theta)
        ones = np.ones((1, item.steps))
        passed(
            np.concatenate(
                [item.q, v, bent, item.q**2, item.q**3, played, ones, 0 * played, unexplained(model, theta, item, step)]
            )
        )
        # The answer runs in the order of the echo, so that its velocities are those of that order.
        path, back = echoed[:, ::-1], m[:, ::-1]
        v, bent = _moving(back, step)
        kicks = item.error[:, ::-1] / step
        lacking = inverse.inertia(back, np.zeros(n)) - kicks
        lacking += np.einsum("kij,jk->ik", quick_hessian_along(model, theta, path), back)
        passed(
            weight
            * np.concatenate([back, v, bent, 2 * path * back, 3 * path**2 * back, 0 * kicks, 0 * ones, kicks, lacking])
        )
    if not found:
        return None
    rows = np.concatenate(found, axis=1)
    count, wide = rows.shape[1], 2 * n + 5
    if count < _ENOUGH * (1.0 if exact else width) * wide or n * count * wide**2 > _MOST_WORK:
        return None
    shared, own, offset = rows[: 2 * n], rows[2 * n : 6 * n].reshape(4, n, -1), rows[6 * n : 6 * n + 1]
    kicked, lacking = rows[6 * n + 1 :].reshape(2, n, -1)
    pushed = np.linalg.norm(kicked, axis=1) > _PUSHED * np.linalg.norm(kicked)
    lags = 1.0 if exact else max(1.0, 2 * np.sqrt(np.pi) * width)
    each = [
        Row.of(np.concatenate([shared, own[0 if pushed[i] else 1 :, i], offset]), lacking[i], lags) for i in range(n)
    ]
    mass = model.mass(theta)
    if any(pushed[i] and abs(each[i].value[2 * n]) > _OFF * mass[i] for i in range(n)):
        return None
    a, error = (
        np.stack([part[:n] for part in parts]) for parts in zip(*((row.value, row.error) for row in each), strict=True)
    )
    apart = ~np.eye(n, dtype=bool)
    return Beyond((a.T - a) / 2, np.hypot(error, error.T) * apart / 2, np.outer(pushed, pushed) & apart)


def _moving(path: Array, step: float) -> tuple[Array, Array]:
    """Velocities and accelerations (n, steps) as the leapfrog has them; of the first and the last kick they are not."""
    v, bent = np.zeros_like(path), np.zeros_like(path)
    v[:, 1:-1] = (path[:, 2:] - path[:, :-2]) / (2 * step)
    bent[:, 1:-1] = (path[:, 2:] - 2 * path[:, 1:-1] + path[:, :-2]) / step**2
    return v, bent
