"""Is everything connected, and the right way round?  One push at every port, compared with the nominal model.

What does not answer, answers upside down, or clips, drops out by name; the rest is calibrated all the same.
"""

from __future__ import annotations

import numpy as np

from calibration.finding import Finding
from calibration.subject import Bench
from labrhel.arrays import Array
from labrhel.shots.operations import Protocol

SHARE = 0.5
"""Of the typical motion, that a push causes."""

_HEARD, _SILENT, _CLIPPED = 40.0, 0.1, 0.02  # a likeness is then known to 1/40
_LOUD, _ALIKE = 5.0, 0.6  # noise and chance stay below: of the noise, and as a correlation
_EARLY = 0.25  # of the pass: later a model that is a few per cent off has slipped out of phase


class Signs:
    """Dead and saturated channels, disconnected ports, wrong polarities."""

    name, title, needs, lifetime = "signs", "connections and polarity", ("noise",), 24.0

    def shots(self, bench: Bench) -> int:
        """One shot a port."""
        return len(bench.ports)

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Find the ports and channels that drop out, and say why."""
        waves = [{port: bench.amplitude(port, SHARE) * bench.multisine(0)} for port in bench.ports]
        records = yield from bench.fire(waves)
        early = max(12, int(_EARLY * bench.steps))
        model = bench.model
        likeness = np.full((len(bench.ports), len(bench.channels)), np.nan)
        late = np.zeros_like(likeness)
        clipped = {name: sum(record.over_range.get(name, 0) for record in records) for name in bench.channels}
        for row, record in enumerate(records):
            predicted, _ = model.shows(record, {}, bench.channels, bench.steps)
            for column, name in enumerate(bench.channels):
                shown = record.shown[name] - record.shown[name][0]
                sigma = bench.noise[name]
                expected = predicted[column] - predicted[column][0]
                if np.std(expected[:early]) > _HEARD * max(sigma, 1e-12) / np.sqrt(early):
                    likeness[row, column] = _slope(shown[:early], expected[:early])
                    if abs(likeness[row, column]) < _SILENT and np.std(shown) > _LOUD * sigma:
                        late[row, column] = _delay(shown, expected)
        bad = {}
        for column, name in enumerate(bench.channels):
            asked = ~np.isnan(likeness[:, column])
            if clipped[name] > _CLIPPED * bench.steps * len(records):
                bad[name] = f"clips in {clipped[name]} of {bench.steps * len(records)} samples: widen its range"
            elif asked.any() and np.nanmax(np.abs(likeness[:, column])) < _SILENT and not late[:, column].any():
                bad[name] = "does not answer to any push: is it dead, or its cable out?"
        alive = [column for column, name in enumerate(bench.channels) if name not in bad]
        flipped_channels = _upside_down(likeness, alive)
        for column in flipped_channels:
            bad[bench.channels[column]] = "answers upside down to every push: reverse its polarity in the map"
        for row, port in enumerate(bench.ports):
            heard = [likeness[row, column] for column in alive if not np.isnan(likeness[row, column])]
            if heard and np.max(np.abs(heard)) < _SILENT and not late[row].any():
                bad[port] = "moves nothing: is it switched off, or its cable out?"
            elif heard:
                signs = [
                    np.sign(likeness[row, column]) * (-1 if column in flipped_channels else 1)
                    for column in alive
                    if abs(np.nan_to_num(likeness[row, column])) > 0.3
                ]
                if signs and np.mean(signs) < -0.5:
                    bad[port] = "pushes the wrong way: reverse its polarity in the map"
        if len(bad) == len(bench.channels) + len(bench.ports) or not alive:
            return Finding(bad=bad, failed="no channel answers to any port: is the rig switched on?")
        behind = sorted({(bench.channels[column], int(late[row, column])) for row, column in np.argwhere(late > 0)})
        words = [
            f"channel {name} answers {samples} samples late: tell the rig of its delay" for name, samples in behind
        ]
        return Finding(bad=bad, words=tuple(words))


def _delay(shown: Array, expected: Array) -> float:
    """By how many samples what is shown comes after what is expected, up to three quarters of the pass; 0: never."""
    count = len(shown)
    lags = np.arange(count - count // 4)
    size = 2 * count
    crossed = np.fft.irfft(np.fft.rfft(shown, size) * np.conj(np.fft.rfft(expected, size)), size)[lags]
    mine = np.cumsum(shown[::-1] ** 2)[::-1][lags]  # of what is shown from the lag on
    model = np.cumsum(expected**2)[count - 1 - lags]  # of what is expected up to the end of the overlap
    alike = np.abs(crossed) / np.sqrt(np.maximum(mine * model, 1e-300))
    best = int(np.argmax(alike))
    return float(best) if alike[best] > _ALIKE else 0.0


def _slope(shown: Array, expected: Array) -> float:
    return float(np.dot(shown, expected) / max(np.dot(expected, expected), 1e-300))


def _upside_down(likeness: Array, alive: list[int]) -> list[int]:
    """Channels against which all ports speak, while they agree with the other channels."""
    found = []
    for column in alive:
        clear = [value for value in likeness[:, column] if abs(np.nan_to_num(value)) > 0.3]
        if len(clear) > 1 and max(clear) < 0:
            found.append(column)
    return found if len(found) < max(2, len(alive)) else []
