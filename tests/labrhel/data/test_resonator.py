"""The first guess of a resonator is right where it must be, and harmless where there is none."""

import numpy as np
import pytest

from labrhel.data.resonator import resonator

RANDOM = np.random.default_rng(4)


def driven(k: float, c: float, b: float, interval: float, count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """A multisine and what a resonator makes of it, exactly, in the middle of its motion."""
    w = 2 * np.pi * np.arange(1, 60) / (1.37 * count * interval)
    phase = RANDOM.uniform(0, 2 * np.pi, w.size)
    t = interval * np.arange(count)[:, None]
    answer = b / (k - w**2 + 1j * c * w)
    return np.cos(w * t + phase).sum(1), np.real(answer * np.exp(1j * (w * t + phase))).sum(1)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e7])
def test_stiffness_friction_and_gain_are_found_under_noise_and_offsets_at_any_scale(scale: float) -> None:
    k, c, b = 1.3, 0.2, -0.7
    drive, output = driven(k / scale**2, c / scale, b / scale**2, 0.08 * scale)
    noisy = output + 0.05 * output.std() * RANDOM.standard_normal(output.size) + 5.0
    found = resonator(noisy, 0.08 * scale, drive - 2.0)
    np.testing.assert_allclose(
        [found.stiffness * scale**2, found.friction * scale, found.gain * scale**2], [k, c, b], 0.05
    )


def test_a_ring_down_has_no_gain_and_needs_no_input() -> None:
    t = 0.1 * np.arange(2000)
    found = resonator(2 + np.exp(-0.02 * t) * np.cos(0.9 * t + 1) + 0.01 * RANDOM.standard_normal(2000), 0.1)
    assert found.frequency == pytest.approx(0.9, rel=0.01)
    assert found.friction == pytest.approx(0.04, rel=0.1)
    assert found.gain == 0


@pytest.mark.parametrize(
    "output", [np.zeros(50), RANDOM.standard_normal(50), np.arange(50.0), np.r_[1.0, np.zeros(49)]]
)
def test_what_is_no_resonance_gives_a_stable_one(output: np.ndarray) -> None:
    found = resonator(output, 0.1, RANDOM.standard_normal(50))
    assert np.isfinite(found).all()
    assert found.stiffness > 0
    assert found.friction > 0
