"""Which part of the model is missing, where a fit leaves more than the noise: each suspect asked by its own signature.

The residual r, in units of the noise, is regressed on what a suspect would add, after what the fitted unknowns can do
about it (the columns of J) has been taken off both; what is shown is taken from the fitted model:

    share = |P r|^2 / |r|^2,        P on the span of (1 - J J^+) c,     c the columns of the suspect

    AC coupling     the integral of what a channel shows                      a column for each shot and channel
    jitter          its slope                                                 a column for each shot
    gain jitter     what is shown                                             a column for each shot
    asymmetry       the answer to -q_j on i and q_i on j                      a column for each pair

The most likely is named with its share if that is above `NAMED` and above that of the others; else none is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from calibration.identify import Identified
from calibration.path_model import Record
from calibration.subject import Bench
from labrhel.arrays import Array

NAMED = 0.5
"""Share of the residual from which a suspect is named."""

_MOST_PAIRS = 45  # of asymmetry; a run of the model for each shot

AC, JITTER, GAIN, ASYMMETRY = (
    "paths that are AC-coupled, and lose what is slow",
    "shots that do not start at the same time (jitter of the trigger)",
    "gains that change from shot to shot",
    "couplings that are not reciprocal",
)


def missing_part(bench: Bench, found: Identified, records: Sequence[Record]) -> str:
    """The suspect in words, with its share; or that none is like the residual."""
    shares = shares_of(bench, found, records)
    if shares:
        likeliest = max(shares, key=lambda name: shares[name])
        if shares[likeliest] > NAMED:
            return f"{likeliest} ({100 * shares[likeliest]:.0f} % of what is left looks so)"
    return "what, is not known"


def shares_of(bench: Bench, found: Identified, records: Sequence[Record]) -> dict[str, float]:
    """By suspect, the share of the residual that it explains; empty where the fit has no slopes to go by."""
    residual = np.concatenate([item.ravel() for item in found.residual])
    if found.slopes is None or len(found.slopes) != len(residual) or not np.isfinite(residual).all():
        return {}
    basis, _ = np.linalg.qr(found.slopes)

    def beyond(columns: Array) -> Array:
        return columns - basis @ (basis.T @ columns)

    left, shares = beyond(residual[:, None])[:, 0], {}
    for name, columns in _suspects(bench, found, records).items():
        if not columns:
            continue
        stack = np.stack(columns, axis=1)
        size = np.linalg.norm(stack, axis=0)
        seen = beyond(stack[:, size > 0] / size[size > 0])
        fitted, *_ = np.linalg.lstsq(seen, left, rcond=1e-6)
        shares[name] = 1 - float(np.sum((left - seen @ fitted) ** 2) / max(np.sum(left**2), 1e-300))
    return shares


def _suspects(bench: Bench, found: Identified, records: Sequence[Record]) -> Mapping[str, list[Array]]:
    sigma = np.array([bench.noise[name] for name in bench.channels])[:, None]
    shown, places, start = [], [], 0
    for record, item in zip(records, found.residual, strict=True):
        parts = [np.stack([record.shown[name] for name in bench.channels])]
        if record.echo is not None:
            parts.append(np.stack([record.echo[name] for name in bench.channels]))
        width = item.shape[1] // len(parts)
        scale = np.sqrt(record.repeats) / sigma
        parts = [part[:, : width + record.skip] * scale for part in parts]
        for number, part in enumerate(parts):  # what the model says: the residual must not be asked to explain itself
            part[:, record.skip :] -= item[:, number * width : (number + 1) * width]
        shown.append(parts)
        places.append(slice(start, start + item.size))
        start += item.size

    def column(which: int, parts: Sequence[Array]) -> Array:
        full = np.zeros(start)
        full[places[which]] = np.concatenate([part[:, records[which].skip :] for part in parts], axis=1).ravel()
        return full

    suspects: dict[str, list[Array]] = {name: [] for name in (AC, JITTER, GAIN, ASYMMETRY)}
    for which, parts in enumerate(shown):
        slopes = [np.gradient(part, axis=1) for part in parts]
        suspects[JITTER].append(column(which, slopes))
        suspects[GAIN].append(column(which, parts))
        for row in range(len(bench.channels)):
            only = np.zeros((len(bench.channels), 1))
            only[row] = 1.0
            suspects[AC].append(column(which, [only * np.cumsum(part, axis=1) for part in parts]))
    pairs = [(i, j) for i in range(bench.rig.size) for j in range(i)]
    if len(pairs) <= _MOST_PAIRS and not any(record.flipped for record in records[:1]):
        forward = [which for which, record in enumerate(records) if not record.flipped]
        for pair in pairs:
            full = np.zeros(start)
            for which in forward:
                answer = bench.model.answer_to_asymmetry(records[which], found.by_name, bench.channels, pair)
                scale = np.sqrt(records[which].repeats) / sigma
                full += column(which, [answer[:, : shown[which][0].shape[1]] * scale])
            suspects[ASYMMETRY].append(full)
    return suspects
