"""numba kernels of the oscillator network: a batch of passes in one call, without the GIL.

The arithmetic is that of `labrhel.model.leapfrog.leapfrog` with the force of
`simbackend.models.oscillator_network`; only the order of the loops differs.  `fastmath` stays off: two runs on one
machine give the same bits, and the echo retraces to rounding.
"""

from __future__ import annotations

import numpy as np

from simbackend.kernels.compiling import compiled

NO_FRICTION, DIAGONAL_FRICTION, DENSE_FRICTION = 0, 1, 2


def friction_kind(friction):
    """Which of the three loops below a friction matrix (n, n) takes."""
    entries = np.count_nonzero(friction)  # a fit asks thousands of times
    if entries == 0:
        return NO_FRICTION
    return DENSE_FRICTION if entries > np.count_nonzero(friction.diagonal()) else DIAGONAL_FRICTION


@compiled
def run_passes(
    q,  # (batch, n) positions, in: start, out: end
    p,  # (batch, n) momenta, likewise
    drive,  # (batch, ports, steps) port values at the kicks
    ports_to_force,  # (n, ports)
    bias,  # (n,) constant force
    inverse_mass,  # (n,)
    powers,  # (4, n) coefficients of q, q^2, q^3, q^4 in the force
    edges,  # (edges, 2)
    springs,  # (edges,)
    one_sided,  # (n, n) N of an extra force N q that no energy has, or (0, 0) for none
    keep,  # (n, n) A^-1 B
    push,  # (n, n) A^-1
    friction_kind,  # one of the three above
    step,
    every,  # traces are kept at kicks 0, every, 2 every ...
    trace_q,  # (batch, n, kept) or (batch, n, 0) to keep none
    trace_v,  # likewise; velocities at the kicks
    sum_powers,  # (batch, 4, n) sum of q^2 .. q^5, or (batch, 4, 0) for no sums at all
    sum_edges,  # (batch, edges) sum of (q_j - q_i)^2
    sum_p2,  # (batch, n) sum of the mean of p^2 before and after the kick
    sum_qw,  # (batch, n, ports) sum of q_i times port value
    sum_q,  # (batch, n)
):
    """Run every pass of the batch; see the comments for shapes."""
    batch, n = q.shape
    ports, steps = drive.shape[1], drive.shape[2]
    half = 0.5 * step
    keep_q, keep_v = trace_q.shape[2] > 0, trace_v.shape[2] > 0
    accumulate = sum_powers.shape[2] > 0
    pulls_one_sided = one_sided.shape[0] > 0
    kicked = np.empty(n)
    force = np.empty(n)
    for item in range(batch):
        x, y = q[item], p[item]
        for k in range(steps):
            for i in range(n):
                x[i] += half * inverse_mass[i] * y[i]
                s = x[i]
                force[i] = bias[i] - s * (powers[0, i] + s * (powers[1, i] + s * (powers[2, i] + s * powers[3, i])))
            for e in range(len(springs)):
                i, j = edges[e, 0], edges[e, 1]
                pull = springs[e] * (x[j] - x[i])
                force[i] += pull
                force[j] -= pull
            if pulls_one_sided:
                for i in range(n):
                    for j in range(n):
                        force[i] += one_sided[i, j] * x[j]
            for port in range(ports):
                value = drive[item, port, k]
                if value != 0.0:
                    for i in range(n):
                        force[i] += ports_to_force[i, port] * value
            if friction_kind == NO_FRICTION:
                for i in range(n):
                    kicked[i] = y[i] + step * force[i]
            elif friction_kind == DIAGONAL_FRICTION:
                for i in range(n):
                    kicked[i] = keep[i, i] * y[i] + push[i, i] * (step * force[i])
            else:
                for i in range(n):
                    total = 0.0
                    for j in range(n):
                        total += keep[i, j] * y[j] + push[i, j] * (step * force[j])
                    kicked[i] = total
            if keep_q and k % every == 0:
                for i in range(n):
                    trace_q[item, i, k // every] = x[i]
            if keep_v and k % every == 0:
                for i in range(n):
                    trace_v[item, i, k // every] = 0.5 * inverse_mass[i] * (y[i] + kicked[i])
            if accumulate:
                for i in range(n):
                    s = x[i]
                    square = s * s
                    sum_powers[item, 0, i] += square
                    sum_powers[item, 1, i] += square * s
                    sum_powers[item, 2, i] += square * square
                    sum_powers[item, 3, i] += square * square * s
                    sum_p2[item, i] += 0.5 * (y[i] * y[i] + kicked[i] * kicked[i])
                    sum_q[item, i] += s
                    for port in range(ports):
                        sum_qw[item, i, port] += s * drive[item, port, k]
                for e in range(len(springs)):
                    stretch = x[edges[e, 1]] - x[edges[e, 0]]
                    sum_edges[item, e] += stretch * stretch
            for i in range(n):
                y[i] = kicked[i]
                x[i] += half * inverse_mass[i] * y[i]


@compiled
def run_response(
    q,  # (n,) positions, in: start, out: end
    p,  # (n,) momenta, likewise
    path,  # (n, steps) positions at the kicks that the force is linearised at
    drive,  # (n, steps) forces at the kicks
    inverse_mass,  # (n,)
    powers,  # (4, n) coefficients of q, q^2, q^3, q^4 in the force
    edges,  # (edges, 2)
    springs,  # (edges,)
    one_way,  # (n, n) D of forces -D q, or its transpose, or (0, 0) for none
    keep,  # (n, n)
    push,  # (n, n)
    step,
    trace,  # out (n, steps): q at the kicks
):
    """One pass of the network linearised along `path`: the force is that of the drive, less V''(path) q."""
    n, steps = path.shape
    half = 0.5 * step
    force = np.empty(n)
    kicked = np.empty(n)
    for k in range(steps):
        for i in range(n):
            q[i] += half * inverse_mass[i] * p[i]
            trace[i, k] = q[i]
            s = path[i, k]
            slope = powers[0, i] + s * (2 * powers[1, i] + s * (3 * powers[2, i] + s * 4 * powers[3, i]))
            force[i] = drive[i, k] - slope * q[i]
        for e in range(len(springs)):
            i, j = edges[e, 0], edges[e, 1]
            pull = springs[e] * (q[j] - q[i])
            force[i] += pull
            force[j] -= pull
        for i in range(len(one_way)):
            for j in range(n):
                force[i] -= one_way[i, j] * q[j]
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += keep[i, j] * p[j] + push[i, j] * (step * force[j])
            kicked[i] = total
        for i in range(n):
            p[i] = kicked[i]
            q[i] += half * inverse_mass[i] * p[i]


@compiled
def record_tape(q, momenta, positions, drive, inverse_mass, powers, edges, springs, one_way, keep, push, step):
    """One forward pass that keeps positions at the kicks and all momenta; written apart from `run_passes` on purpose.

    The gradient that checks the echo must not share its inner loop.  `one_way`: D (n, n) of forces -D q, or (0, 0).
    """
    n, steps = positions.shape
    force = np.empty(n)
    for k in range(steps):
        for i in range(n):
            q[i] += 0.5 * step * inverse_mass[i] * momenta[i, k]
            positions[i, k] = q[i]
            force[i] = drive[i, k]
            power = 1.0
            for order in range(4):
                power *= q[i]
                force[i] -= powers[order, i] * power
        for e in range(len(springs)):
            pull = springs[e] * (q[edges[e, 1]] - q[edges[e, 0]])
            force[edges[e, 0]] += pull
            force[edges[e, 1]] -= pull
        for i in range(len(one_way)):
            for j in range(n):
                force[i] -= one_way[i, j] * q[j]
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += keep[i, j] * momenta[j, k] + push[i, j] * step * force[j]
            momenta[i, k + 1] = total
            q[i] += 0.5 * step * inverse_mass[i] * total


@compiled
def backpropagate(
    q,  # (n, steps) positions at the kicks of the forward pass: the tape
    p_before,  # (n, steps) momenta before each kick
    p_after,  # (n, steps) momenta after each kick
    error,  # (n, steps) dL/dq at the kicks
    inverse_mass,
    powers,
    edges,
    springs,
    one_way,  # (n, n) D of forces -D q, or (0, 0) for none
    friction,  # (n, n)
    keep,
    push,
    step,
    adjoint,  # out (n, steps): mu_k, with dL/d(force at kick k) = step * mu_k
    inverse_mass_gradient,  # out (n,): dL/d(1/m)
    start_q,  # out (n,): dL/dq(0)
    start_p,  # out (n,): dL/dp(0)
):
    """Exact reverse-mode derivative of the discrete map, over the tape of one forward pass.

    Reversing the three lines of the step, with lambda the adjoints of (q', p'):
        mu = A^-T (lambda_p + (d/2) lambda_q/m)
        lambda_qh = lambda_q + e_k - d J(q_h)^T mu,    lambda_p = B^T mu + (d/2) lambda_qh/m,   lambda_q = lambda_qh
    and J = V'' + D.
    It shares no formula with the echo, so that the two can check each other.
    """
    n, steps = q.shape
    half = 0.5 * step
    lam_q, lam_p = np.zeros(n), np.zeros(n)
    carried, mu, curved = np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(steps - 1, -1, -1):
        for i in range(n):
            carried[i] = lam_p[i] + half * inverse_mass[i] * lam_q[i]
        for i in range(n):
            mu[i] = 0.0
            lam_p[i] = 0.0
            for j in range(n):
                mu[i] += push[j, i] * carried[j]
                lam_p[i] += keep[j, i] * carried[j]  # B^T A^-T = (A^-1 B)^T
        for i in range(n):
            s = q[i, k]
            curved[i] = mu[i] * (powers[0, i] + s * (2 * powers[1, i] + s * (3 * powers[2, i] + s * 4 * powers[3, i])))
        for e in range(len(springs)):
            i, j = edges[e, 0], edges[e, 1]
            pull = springs[e] * (mu[j] - mu[i])
            curved[i] -= pull
            curved[j] += pull
        for i in range(len(one_way)):
            for j in range(n):
                curved[j] += one_way[i, j] * mu[i]
        for i in range(n):
            adjoint[i, k] = mu[i]
            rubbed = 0.0
            for j in range(n):
                rubbed += friction[j, i] * mu[j]
            both = p_before[i, k] + p_after[i, k]
            inverse_mass_gradient[i] += half * (lam_q[i] * p_after[i, k] - rubbed * both)
            lam_q[i] += error[i, k] - step * curved[i]
            inverse_mass_gradient[i] += half * lam_q[i] * p_before[i, k]
            lam_p[i] += half * inverse_mass[i] * lam_q[i]
    for i in range(n):
        start_q[i], start_p[i] = lam_q[i], lam_p[i]
