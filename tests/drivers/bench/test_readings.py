"""From the samples of a digitizer to readings at the kicks."""

import numpy as np
import pytest

from drivers.bench.readings import FIT_NOISE, at_kicks
from drivers.roles import Record
from labrhel.errors import InstrumentError

STEP = 2e-4


def record(volts: np.ndarray, dt: float, t0: float) -> Record:
    scale = 1e-9
    return Record(np.round(volts / scale).astype(np.int64).astype(np.int32), scale, 0.0, t0, dt)


def signal(t: np.ndarray) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * 250 * t) + 0.1 * np.cos(2 * np.pi * 100 * t)


@pytest.mark.parametrize(("dt", "t0"), [(5e-5, -4e-4), (3.3e-5, -3.91e-4), (1.7e-5, -4.02e-4)])
def test_readings_are_the_signal_at_the_kicks_however_the_grids_lie(dt: float, t0: float) -> None:
    kicks = STEP * (np.arange(150) + 0.5)
    samples = t0 + dt * np.arange(int((kicks[-1] + 4e-4 - t0) / dt))
    found = at_kicks(record(signal(samples), dt, t0), kicks, STEP)
    assert np.abs(found - signal(kicks)).max() < 1.5e-3 * 0.4  # (w step)^4/280 of a fit that is cubic at best
    assert np.abs(at_kicks(record(samples**2, dt, t0), kicks, STEP) - kicks**2).max() < 1e-8


def test_noise_falls_with_the_samples_in_a_step() -> None:
    random, n = np.random.default_rng(0), 40
    dt, kicks = STEP / n, STEP * (np.arange(2000) + 2.5)
    noise = 0.01 * random.normal(size=int(2010 * n))
    found = at_kicks(record(noise, dt, 0.0), kicks, STEP)
    assert found.std() == pytest.approx(0.01 * FIT_NOISE / np.sqrt(n), rel=0.1)


def test_the_ends_of_a_record_are_fitted_from_one_side() -> None:
    kicks = STEP * (np.arange(20) + 0.5)
    samples = 5e-5 * np.arange(int(20 * STEP / 5e-5))
    assert np.abs(at_kicks(record(samples, 5e-5, 0.0), kicks, STEP) - kicks).max() < 1e-8


def test_a_record_of_another_time_is_refused() -> None:
    kicks = STEP * (np.arange(20) + 0.5)
    late = record(np.zeros(200), 5e-5, 1.0)
    with pytest.raises(InstrumentError, match="triggered by this shot"):
        at_kicks(late, kicks, STEP)
    with pytest.raises(InstrumentError, match="sample faster"):
        at_kicks(record(np.zeros(200), 1e-4, 0.0), kicks, STEP)
