"""Make a recording like the Silverbox benchmark: a damped Duffing circuit, driven and sampled.

    q'' + g q' + k q + a q^2 + b q^3 = w u(t),      y = q + y0 + noise

The input is band-limited (a spline through its samples); the equation is integrated by an adaptive method of order 8
to 1e-9, which shares nothing with the integrator of labrhel.  Layout of the file as in the benchmark: `u`, `y` [V],
`fs` [Hz]; an arrow head (noise of growing amplitude), then multisine blocks, with silence between them.

    python examples/make_recording.py [--out FILE] [--seed N]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

RATE = 610.35  # [Hz]
TRUTH = {"k": 0.185, "g": 0.042, "a": -0.018, "b": 0.72, "w": 0.186, "y0": -0.0055}  # time in ms, V
BLOCK, GAP, BLOCKS = 2000, 70, 2  # samples
BAND = 200.0  # [Hz]
LOUDEST = 0.15  # [V] amplitude of the arrow head at its end
LOUDNESS = 0.022  # [V] rms of the multisine
NOISE = 1e-4  # [V] rms


def make(seed: int) -> dict[str, NDArray[np.float64]]:
    """The arrays of the recording."""
    generator = np.random.default_rng(seed)
    silence = np.zeros(GAP)
    parts = [_arrow_head(generator), silence]
    for _ in range(BLOCKS):
        parts += [_multisine(generator), silence]
    u = np.concatenate(parts)
    y = _response(u) + TRUTH["y0"] + NOISE * generator.standard_normal(len(u))
    return {"u": u, "y": y, "fs": np.array(RATE)}


def _arrow_head(generator: np.random.Generator) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(generator.standard_normal(BLOCK))
    spectrum[np.fft.rfftfreq(BLOCK, 1 / RATE) > BAND] = 0.0
    noise = np.fft.irfft(spectrum, BLOCK)
    return np.linspace(0, LOUDEST, BLOCK) * noise / np.abs(noise).max()


def _multisine(generator: np.random.Generator) -> NDArray[np.float64]:
    frequencies = np.fft.rfftfreq(BLOCK, 1 / RATE)
    odd = (np.arange(len(frequencies)) % 2 == 1) & (frequencies <= BAND)
    phases = generator.uniform(0, 2 * np.pi, len(frequencies))
    wave = np.fft.irfft(np.where(odd, np.exp(1j * phases), 0.0), BLOCK)
    return LOUDNESS * wave / wave.std()


def _response(u: NDArray[np.float64]) -> NDArray[np.float64]:
    times = np.arange(len(u)) * 1e3 / RATE
    drive = CubicSpline(times, u)
    k, g, a, b, w = (TRUTH[name] for name in "kgabw")

    def slope(t: float, state: NDArray[np.float64]) -> list[float]:
        q, v = state
        return [v, w * float(drive(t)) - g * v - q * (k + q * (a + q * b))]

    span = (0.0, float(times[-1]))
    return solve_ivp(slope, span, [0.0, 0.0], method="DOP853", t_eval=times, rtol=1e-9, atol=1e-12).y[0]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description="Make a recording of a driven Duffing circuit.")
    beside = Path(__file__).with_name("recording.npz")
    parser.add_argument("--out", type=Path, default=beside, help="file to write (default: beside this script)")
    parser.add_argument("--seed", type=int, default=0, help="seed of input and noise")
    options = parser.parse_args()
    recording = make(options.seed)
    np.savez_compressed(options.out, u=recording["u"], y=recording["y"], fs=recording["fs"])
    print(options.out)


if __name__ == "__main__":
    main()
