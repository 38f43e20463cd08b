"""The mid-point step of the Kerr array as a numba kernel; its equations are in `labrhel.model.rotating`."""

from __future__ import annotations

import numpy as np

from simbackend.kernels.compiling import compiled

_MOST = 200  # rounds of a step; each brings a digit or more unless g |a|^2 d is of order one
_STILL = 2e-16  # of the largest amplitude


@compiled
def propagate(
    a,  # (n,) complex amplitudes, in: start, out: end
    fields,  # (n, steps) complex f
    step,
    solved,  # (n, n) complex (1 + i d H/2)^-1
    kerr,  # (n,)
    amplitude,  # out (n, steps): the mean of before and after each kick
):
    """Run `fields.shape[1]` steps; `propagate.py_func` is the same with plain Python loops.

    m = S (a - i d/2 (f + g |m|^2 m)) by iteration from the term of the step before; not a number where it fails.
    """
    n, half = len(a), 0.5j * step
    right, m, base = np.empty(n, np.complex128), np.empty(n, np.complex128), np.empty(n, np.complex128)
    bent = np.zeros(n, np.complex128)
    anharmonic = False
    for i in range(n):
        anharmonic = anharmonic or kerr[i] != 0.0
    if anharmonic:
        for i in range(n):
            bent[i] = kerr[i] * (a[i].real ** 2 + a[i].imag ** 2) * a[i]
    for k in range(fields.shape[1]):
        for i in range(n):
            base[i] = a[i] - half * fields[i, k]
        for count in range(_MOST):
            for i in range(n):
                right[i] = base[i] - half * bent[i]
            change = size = 0.0
            for i in range(n):
                total = 0j
                for j in range(n):
                    total += solved[i, j] * right[j]
                if count > 0:
                    change = max(change, abs(total - m[i]))
                size = max(size, abs(total))
                m[i] = total
            if not anharmonic:
                break
            for i in range(n):
                bent[i] = kerr[i] * (m[i].real ** 2 + m[i].imag ** 2) * m[i]
            if count > 0 and change <= _STILL * size:
                break
            if count == _MOST - 1 and not change <= 1e-14 * size:
                m[:] = np.nan
        for i in range(n):
            amplitude[i, k] = m[i]
            a[i] = 2 * m[i] - a[i]
