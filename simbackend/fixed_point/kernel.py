"""The integer leapfrog as a numba kernel; the arithmetic is defined, and explained, in `reference`."""

from __future__ import annotations

from simbackend.kernels.compiling import compiled


@compiled
def _near(x, shift):
    return (x + ((1 << shift) >> 1)) >> shift  # >> of an int64 is arithmetic


@compiled
def _odd(x, shift):
    return _near(x, shift) if x >= 0 else -_near(-x, shift)


@compiled
def _wrap(x, half):
    return ((x + half) & (2 * half - 1)) - half


@compiled
def _lost(x, half):
    return 1 if x >= half or x <= -half else 0


@compiled
def run_steps(
    q,  # (n,) int64 codes, in: start, out: end
    p,  # (n,) likewise
    drive,  # (ports, steps) codes
    kicks,  # (n, steps) codes added to the momenta as they are, or (n, 0) for none
    state_word,
    state_fraction,
    factor_word,
    factor_fraction,
    drift,  # (n,) codes of d/(2 m)
    stiffness,  # (n,) codes of d k
    cubic,  # (n,) codes of d b
    edges,  # (edges, 2)
    coupling,  # (edges,) codes of d K
    ports_to_force,  # (n, ports) codes
    saturation,  # (n,) codes of d s, or (0,) for none
    tanh,  # (intervals + 1,) codes of tanh, or (0,)
    tanh_shift,  # bits of a word below its interval
    tanh_reach,  # [codes]
    push,  # (n,) work space
    trace_q,  # (n, steps) positions at the kicks, or (n, 0) to keep none
    trace_p,  # (n, steps + 1) momenta before, between and after the kicks, or (n, 0)
):
    """Run `drive.shape[1]` steps and return the number of words that did not fit."""
    n, ports, steps = len(q), drive.shape[0], drive.shape[1]
    f, F = state_fraction, factor_fraction
    half, factor_half = 1 << (state_word - 1), 1 << (factor_word - 1)
    keep, kicked = trace_q.shape[1] > 0, kicks.shape[1] > 0
    bounded, tanh_half = len(saturation) > 0, (len(tanh) - 1) // 2
    overflows = 0
    for k in range(steps):
        for i in range(n):
            if keep:
                trace_p[i, k] = p[i]
            if p[i] != -half:
                moved = _odd(drift[i] * p[i], F)
                reached = q[i] + _wrap(moved, half)
                overflows += _lost(moved, half) + _lost(reached, half)
                q[i] = _wrap(reached, half)
            if keep:
                trace_q[i, k] = q[i]
        for i in range(n):
            square = _near(q[i] * q[i], f)
            bent = _near(cubic[i] * _wrap(square, half), f)
            slope = stiffness[i] + _wrap(bent, factor_half)
            term = _near(_wrap(slope, factor_half) * q[i], F)
            push[i] = p[i] - _wrap(term, half)
            if kicked:
                push[i] += kicks[i, k]
            overflows += _lost(square, half) + _lost(bent, factor_half) + _lost(slope, factor_half) + _lost(term, half)
            if bounded:
                cut = max(-tanh_reach, min(q[i], tanh_reach - 1))
                place = (cut >> tanh_shift) + tanh_half
                rise = (tanh[place + 1] - tanh[place]) * (cut & ((1 << tanh_shift) - 1))
                looked = _near(rise + (tanh[place] << tanh_shift), tanh_shift)
                term = _near(saturation[i] * _wrap(looked, half), F)
                push[i] -= _wrap(term, half)
                overflows += _lost(looked, half) + _lost(term, half)
            for port in range(ports):
                term = _near(ports_to_force[i, port] * drive[port, k], F)
                push[i] += _wrap(term, half)
                overflows += _lost(term, half)
        for e in range(len(coupling)):
            i, j = edges[e, 0], edges[e, 1]
            term = _near(coupling[e] * (q[j] - q[i]), F)
            push[i] += _wrap(term, half)
            push[j] -= _wrap(term, half)
            overflows += _lost(term, half)
        for i in range(n):
            overflows += _lost(push[i], half)
            p[i] = _wrap(push[i], half)
            if p[i] != -half:
                moved = _odd(drift[i] * p[i], F)
                reached = q[i] + _wrap(moved, half)
                overflows += _lost(moved, half) + _lost(reached, half)
                q[i] = _wrap(reached, half)
    if keep:
        for i in range(n):
            trace_p[i, steps] = p[i]
    return overflows
