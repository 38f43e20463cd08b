"""Does i move j as much as j moves i?  The same gentle push at every oscillator in turn, and the answers compared.

From rest, and while it is linear, a reciprocal rig with any symmetric friction gives q_j(push at i) = q_i(push at j).
What the fitted model says of their difference is taken off (delays, springs that bend, directed couplings it has), so
that what is left is what it lacks; and all that is shown, less what a model with directed couplings says, is asked for
the antisymmetric part of every pair,

    q(shown) - q(model) = sum over pairs N_ij dq/dN_ij + noise,        force -N_ij q_j on i, N_ij q_i on j
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.finding import Finding, Measured
from calibration.path_model import Record
from calibration.subject import Bench
from calibration.unknowns import moved
from labrhel.arrays import Array
from labrhel.model.motion import antisymmetry_along
from labrhel.rig.capabilities import Kind
from labrhel.shots.operations import Protocol

GENTLE = 0.1
"""Of the typical motion: anharmonic terms are a hundredth of what they are there."""

FAILS = 0.03
"""Asymmetry from which rules that send the error through the rig are off by several per cent."""

MOST_PAIRS = 45
"""That are asked for one by one: a run of the model for each of them and each shot."""


class Reciprocity:
    """Asymmetry of the rig: of the worst pair, how far its crossed answers differ, over their size, without noise."""

    name, title, needs, lifetime = "reciprocity", "reciprocity", ("paths",), 30 * 24.0

    def shots(self, bench: Bench) -> int:
        """One a force port whose oscillator is seen; none for a single oscillator."""
        return len(self._pairs(bench)) if bench.rig.size > 1 else 0

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Measure one number and its standard error."""
        if bench.rig.size < 2:
            return Finding(words=("a single oscillator is reciprocal",))
        pairs = self._pairs(bench)
        if len(pairs) < 2:
            return Finding(failed="fewer than two oscillators are both pushed and seen")
        amplitude = min(bench.amplitude(port, GENTLE) for port, _ in pairs)
        wave = amplitude * bench.multisine(0)
        waves = [{port: wave / bench.values.get(f"{port}.gain", 1.0)} for port, _ in pairs]
        records = yield from bench.fire(waves)
        worst, named = _worst(bench, pairs, records)
        directed = any(spec.kind == "directed" for spec in bench.task.model.parameters.values())
        doubt = ""
        if _fails(worst):
            doubt = (
                f"couplings are not reciprocal: {named} differ by {100 * worst.value:.0f} % in what they make of each "
                "other, and gradients by echoes are biased by as much"
            )
        words = [doubt] if doubt else []
        if doubt and not directed:
            links = ", ".join(f"[{j}, {i}]" for i in range(bench.rig.size) for j in range(i))
            words.append(
                "rhel takes directed couplings into account that the model has: give it those that there may be "
                f"(coupling: {{springs: all, directed: [{links}]}}), and calibrate again"
            )
        parts = _antisymmetric(bench, records) if directed else {}
        return Finding({"reciprocity.asymmetry": worst, **parts}, words=tuple(words), doubt=doubt)

    def _pairs(self, bench: Bench) -> list[tuple[str, str]]:
        """Force ports with the channel that sees what they push."""
        rig, found = bench.rig, []
        for index, port in enumerate(rig.ports_of(Kind.FORCE)):
            for row, channel in enumerate(rig.channels_of(Kind.POSITION)):
                alone = np.count_nonzero(rig.position_matrix.values[row]) == 1
                pushes = rig.drive_matrix.values[:, index]
                same = np.array_equal(np.flatnonzero(pushes), np.flatnonzero(rig.position_matrix.values[row]))
                if alone and same and port in bench.ports and channel in bench.channels:
                    found.append((port, channel))
        return found


def _fails(asymmetry: Measured) -> bool:
    return asymmetry.value > FAILS + 3 * asymmetry.error


def _worst(bench: Bench, pairs: Sequence[tuple[str, str]], records: Sequence[Record]) -> tuple[Measured, str]:
    """Of all pairs the largest asymmetry beyond its error, and the names of the two channels."""
    worst, named = Measured(0.0, np.inf), ""
    for i, (_, seen_i) in enumerate(pairs):
        for j in range(i):
            crossed = ((records[j], seen_i), (records[i], pairs[j][1]))
            (shown_i, said_i), (shown_j, said_j) = (_answer(bench, record, name) for record, name in crossed)
            gains = [bench.values.get(f"{name}.gain", 1.0) * bench.noise[name] for _, name in crossed]
            noise = sum(gain**2 for gain in gains) * bench.steps
            above = float(np.sum((shown_i - shown_j - (said_i - said_j)) ** 2))
            below = max(float(np.sum(shown_i**2 + shown_j**2)) / 2, 1e-300)
            asymmetry = float(np.sqrt(max(above - noise, 0.0) / below))
            # What is left of the squares scatters by noise sqrt(2/steps), and a root turns small scatter into more.
            scatter = noise / below * np.sqrt(2 / bench.steps)
            jitter = _of_jitter(bench, (shown_i, shown_j))
            error = float(np.hypot(scatter / max(2 * asymmetry, np.sqrt(scatter)), jitter))
            if not named or asymmetry - 3 * error > worst.value - 3 * worst.error:
                worst, named = Measured(asymmetry, error), f"{pairs[j][1]} and {seen_i}"
    return worst, named


def _answer(bench: Bench, record: Record, channel: str) -> tuple[Array, Array]:
    """What a channel showed of a shot, as the model means it, less what it shows at rest; and what the model says.

    The model knows what makes crossed answers differ on a reciprocal rig: delays of the paths, springs that bend.
    """
    gain = bench.values.get(f"{channel}.gain", 1.0)
    (rest,), _ = bench.model.shows(Record({}, {}), bench.values, (channel,), bench.steps)
    (says,), _ = bench.model.shows(record, bench.values, (channel,), bench.steps)
    return gain * (record.shown[channel] - rest), gain * (says - rest)


def _antisymmetric(bench: Bench, records: Sequence[Record]) -> dict[str, Measured]:
    """N_ij of every pair i < j with standard errors: that of the model, and what was shown beyond it."""
    model, names, n = bench.model, bench.channels, bench.rig.size
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    if len(pairs) > MOST_PAIRS:
        return {}
    sigma = np.array([bench.noise[name] for name in names])[:, None]
    columns: list[list[Array]] = [[] for _ in pairs]
    left = []
    for record in records:
        shown = np.stack([record.shown[name] for name in names])
        said, _ = model.shows(record, bench.values, names, shown.shape[1])
        left.append(((shown - said) / sigma)[:, record.skip :].ravel())
        for column, pair in zip(columns, pairs, strict=True):
            answer = model.answer_to_asymmetry(record, bench.values, names, pair)[:, : shown.shape[1]]
            column.append((answer / sigma)[:, record.skip :].ravel())
    matrix, right = np.stack([np.concatenate(column) for column in columns], axis=1), np.concatenate(left)
    value, *_ = np.linalg.lstsq(matrix, right, rcond=None)
    spread = max(1.0, float(np.sqrt(np.mean((right - matrix @ value) ** 2))))
    errors = spread * np.sqrt(np.diag(np.linalg.pinv(matrix.T @ matrix)))
    known = moved(bench.task.model, bench.theta, bench.values)
    twice = antisymmetry_along(bench.task.model, known, np.zeros((n, 1)))[0]
    unit = bench.task.model.parameters["coupling"].unit if "coupling" in bench.task.model.parameters else "1"
    return {
        f"reciprocity[{i},{j}].antisymmetry": Measured(float(twice[i, j] / 2 + part), float(error), unit)
        for (i, j), part, error in zip(pairs, value, errors, strict=True)
    }


def _of_jitter(bench: Bench, crossed: Sequence[Array]) -> float:
    """How far two answers (steps,) differ, over their size, by gains and triggers that were other ones in each shot."""
    late = bench.values.get("trigger.jitter", 0.0) / (bench.step * bench.rig.time_unit)
    sizes = [float(np.sum(row**2)) or 1e-300 for row in crossed]
    moved = [late**2 * float(np.sum(np.gradient(row) ** 2)) / size for row, size in zip(crossed, sizes, strict=True)]
    return float(np.sqrt(2 * bench.values.get("gain.jitter", 0.0) ** 2 + sum(moved)))
