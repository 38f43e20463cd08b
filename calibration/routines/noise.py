"""Noise floor, spectrum and resting offset of every channel, from shots in which nothing is played."""

from __future__ import annotations

import numpy as np

from calibration.finding import Curve, Finding, Measured
from calibration.subject import Bench
from labrhel.shots.operations import Protocol

SHOTS = 2
_QUIETEST = 1e-6  # of the typical motion: a simulated rig may have no noise at all, and a fit wants some


class Noise:
    """Noise of a channel: rms about its mean; a channel whose noise is ten times what it declares is named."""

    name, title, needs, lifetime = "noise", "noise floor and spectrum", (), 7 * 24.0

    def shots(self, bench: Bench) -> int:
        """Number of shots that the routine fires."""
        return SHOTS

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Rms [unit] of every channel, and where it rests."""
        records = yield from bench.fire([{}] * SHOTS)
        values, noise, words = {}, {}, []
        spectra = {}
        for name in bench.channels:
            # The first half may still ring from whatever was before; offsets of ports start a motion that never dies.
            shown = np.stack([record.shown[name] for record in records])
            half = np.diff(shown, axis=0)[0] / np.sqrt(2)  # what both shots share is no noise
            rms = float(np.sqrt(np.mean(half**2)))
            declared = bench.noise[name]
            noise[name] = max(rms, declared, _QUIETEST * bench.typical)
            error, converter = rms / np.sqrt(2 * half.size), bench.rig.channel(name).converter
            unit = bench.rig.channel(name).unit or "1"
            if converter is not None and rms < converter.lsb / np.sqrt(12):
                # Repeats of a quiet signal give the same codes, and say nothing of what is below them.
                rms = error = converter.lsb / np.sqrt(12)
                words.append(f"channel {name}: its noise is below LSB/sqrt(12), {rms:.2g} {unit}")
            values[f"{name}.noise"] = Measured(rms, error, unit)
            if declared and rms > 10 * declared:
                words.append(f"channel {name} is {rms / declared:.0f} times noisier than it declares")
            window = np.hanning(half.size)
            power = np.abs(np.fft.rfft(half * window)) ** 2 * 2 / np.sum(window**2)
            spectra[name] = np.sqrt(np.maximum(power, 1e-300) * bench.step * bench.rig.time_unit)
        period = bench.steps * bench.step * bench.rig.time_unit
        axis = np.arange(len(next(iter(spectra.values())))) / period if spectra else np.zeros(0)
        curve = Curve("noise", "frequency [Hz]", "amplitude per root Hz", axis, spectra, logarithmic=True)
        return Finding(values, noise, words=tuple(words), curves=(curve,))
