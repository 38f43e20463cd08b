"""The splitting step of the Kerr array as a numba kernel; its equations are in `simbackend.models.kerr_array`."""

from __future__ import annotations

import numpy as np

from simbackend.kernels.compiling import compiled


@compiled
def _local(a, half, frequency, kerr, sum_frequency, sum_kerr):
    for i in range(len(a)):
        power = a[i].real ** 2 + a[i].imag ** 2
        sum_frequency[i] += half * power
        sum_kerr[i] += half * power * power / 2
        a[i] *= np.exp(-1j * half * (frequency[i] + kerr[i] * power))


@compiled
def _hop(a, half, i, j, hopping):
    """Couple one pair for the time `half`; returns the time integral of 2 Re(a_i* a_j), which stays constant."""
    cosine, sine = np.cos(half * hopping), np.sin(half * hopping)
    left, right = a[i], a[j]
    a[i] = cosine * left - 1j * sine * right
    a[j] = cosine * right - 1j * sine * left
    return 2 * half * (left.real * right.real + left.imag * right.imag)


@compiled
def propagate(
    a,  # (n,) complex amplitudes, in: start, out: end
    kicks,  # (n, steps) complex, added to the amplitudes
    step,
    frequency,  # (n,)
    kerr,  # (n,)
    hopping,  # (edges,)
    edges,  # (edges, 2)
    amplitude,  # out (n, steps): the mean of before and after each kick
    sum_frequency,  # (n,) sum d |a|^2, added to
    sum_kerr,  # (n,) sum d |a|^4/2
    sum_hopping,  # (edges,) sum d 2 Re(a_i* a_j)
):
    """Run `kicks.shape[1]` steps; `propagate.py_func` is the same with plain Python loops."""
    half, count = 0.5 * step, len(hopping)
    for k in range(kicks.shape[1]):
        _local(a, half, frequency, kerr, sum_frequency, sum_kerr)
        for e in range(count):
            sum_hopping[e] += _hop(a, half, edges[e, 0], edges[e, 1], hopping[e])
        for i in range(len(a)):
            amplitude[i, k] = a[i] + 0.5 * kicks[i, k]
            a[i] += kicks[i, k]
        for e in range(count - 1, -1, -1):
            sum_hopping[e] += _hop(a, half, edges[e, 0], edges[e, 1], hopping[e])
        _local(a, half, frequency, kerr, sum_frequency, sum_kerr)
