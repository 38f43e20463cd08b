"""What a fit says with errors carried over from its covariance: its unknowns, and the modes of the rig."""

from __future__ import annotations

import numpy as np

from calibration.finding import Measured
from calibration.identify import Identified
from calibration.subject import Bench
from calibration.unknowns import moved
from labrhel.arrays import Array

_UNTOLD = ("shot[", "clock.")
_SHARED = 0.01  # correlation of two errors from which it is told


def told_by(bench: Bench, found: Identified) -> dict[str, Measured]:
    """Values with their errors, and what these share; where the data say no more than was plausible there is none.

    What is of one shot, and clocks, are left out.  Where nothing flips only sums of a port's and a channel's delay
    show: they are counted from the first channel's.
    """
    names = [item.name for item in found.unknowns]
    rows = np.eye(len(names))
    delays = {
        index
        for index, item in enumerate(found.unknowns)
        if item.quantity == "delay" and not item.name.startswith(_UNTOLD)
    }
    relative = set() if bench.can_flip else delays  # a flip comes at a time of its own, and tells the rest
    for index in relative:
        sign = 1.0 if found.unknowns[index].subject in bench.ports else -1.0
        rows[index, names.index(f"{bench.channels[0]}.delay")] += sign
    rows[list(delays)] *= bench.rig.time_unit
    told, covariance = rows @ found.values, rows @ found.covariance @ rows.T
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    kept = [
        index
        for index, item in enumerate(found.unknowns)
        if not item.name.startswith(_UNTOLD) and (index in relative or found.errors[index] <= item.spread / 2)
    ]
    alike = covariance / np.maximum(np.outer(errors, errors), 1e-300)
    values = {}
    for place, index in enumerate(kept):
        shared = {
            names[j]: round(float(alike[index, j]), 3) for j in kept[place + 1 :] if abs(alike[index, j]) > _SHARED
        }
        values[names[index]] = Measured(float(told[index]), float(errors[index]), found.unknowns[index].unit, shared)
    return values


def modes_of(bench: Bench, found: Identified) -> dict[str, Measured]:
    """Frequency [Hz] and rate of energy loss [1/s] of every mode, with errors carried over from the fit."""
    model, names = bench.task.model, [item.name for item in found.unknowns]

    def of(x: Array) -> Array:
        theta = moved(model, bench.theta, dict(zip(names, x, strict=True)))
        n, mass = model.size, model.mass(theta)
        h = 1e-6 * bench.typical
        eye = h * np.eye(n)
        stiffness = -(model.force(eye, theta) - model.force(-eye, theta)) / (2 * h)
        state = np.block([
            [np.zeros((n, n)), np.eye(n)],
            [-stiffness / mass[:, None], -model.friction(theta) / mass[:, None]],
        ])  # fmt: skip
        rates = np.linalg.eigvals(state)
        rates = rates[np.imag(rates) > 0]
        rates = rates[np.argsort(np.imag(rates))]
        full = np.full(2 * n, np.nan)
        full[: len(rates)], full[n : n + len(rates)] = np.imag(rates) / (2 * np.pi), -2 * np.real(rates)
        return full / bench.rig.time_unit

    here = of(found.values)
    slopes = np.empty((len(here), len(found.values)))
    for index, error in enumerate(found.errors):
        shifted = found.values.copy()
        shifted[index] += 0.1 * error
        slopes[:, index] = (of(shifted) - here) / (0.1 * error)
    spread = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slopes, found.covariance, slopes), 0.0))
    n, values = model.size, {}
    for mode in range(n):
        if np.isfinite(here[mode]):
            values[f"mode[{mode}].frequency"] = Measured(float(here[mode]), float(spread[mode]), "Hz")
            values[f"mode[{mode}].loss"] = Measured(float(here[n + mode]), float(spread[n + mode]), "1/s")
    return values
