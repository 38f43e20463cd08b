import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labrhel.errors import ProgramError
from labrhel.shots.waveform import Interpolation, Waveform

samples = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3))
kinds = st.sampled_from(list(Interpolation))


@given(samples, st.floats(1e-3, 10), kinds, st.floats(0, 100))
def test_a_reversed_waveform_reversed_again_is_the_original(
    values: np.ndarray, dt: float, kind: Interpolation, duration: float
) -> None:
    wave = Waveform.of(values, dt, interpolation=kind)
    assert wave.reversed(duration).reversed(duration) == wave
    assert wave.reversed(duration) != wave
    assert wave.reversed(duration).samples is wave.samples


@given(samples, kinds, st.integers(1, 60), st.floats(0.05, 3))
def test_the_mirror_image_on_the_grid_is_the_samples_read_backwards(
    values: np.ndarray, kind: Interpolation, count: int, step: float
) -> None:
    wave = Waveform.of(values, 0.7, interpolation=kind)
    forward = wave.on_grid(step, count)
    assert np.array_equal(wave.reversed((count - 1) * step).on_grid(step, count), forward[::-1])


@given(samples, kinds, st.floats(0.05, 3), st.floats(-2, 5))
def test_the_mirror_image_off_the_grid_is_the_function_at_the_mirrored_times(
    values: np.ndarray, kind: Interpolation, step: float, start: float
) -> None:
    if kind is Interpolation.HOLD:
        return  # a jump that falls on a grid time goes to either side by rounding
    wave = Waveform.of(values, 0.7, interpolation=kind)
    mirrored = wave.reversed(4.3).on_grid(step, 9, start)
    expected = [wave.on_grid(step, 1, 4.3 - start - step * k)[0] for k in range(9)]
    tolerance = 1e-6 * (1 + np.abs(values).max())
    inside = [0 < 4.3 - start - step * k < 0.7 * (len(values) - 1) for k in range(9)]  # at an end the value jumps
    assert np.allclose(mirrored[inside], np.array(expected)[inside], atol=tolerance)


@given(samples, kinds)
def test_every_interpolation_passes_through_the_samples(values: np.ndarray, kind: Interpolation) -> None:
    wave = Waveform.of(values, 0.3, t0=0.6, interpolation=kind)
    assert np.allclose(wave.on_grid(0.3, len(values), 0.6), values, atol=1e-9 * (1 + np.abs(values).max()))


@pytest.mark.parametrize(("kind", "before", "after"), [("hold", 0.0, 1.0), ("linear", 0.5, 0.5), ("cubic", 0.5, 0.5)])
def test_outside_its_samples_a_waveform_is_zero_but_for_the_last_sample_held(
    kind: str, before: float, after: float
) -> None:
    wave = Waveform.of(np.ones(50), 1.0, interpolation=Interpolation(kind))
    assert not wave.on_grid(0.01, 100, -before - 1.005).any()
    assert wave.on_grid(0.01, 5000, -before + 0.005).all()
    assert wave.on_grid(0.01, 100, 49 + after - 1.005).all()
    assert not wave.on_grid(0.01, 100, 49 + after + 0.005).any()


def test_far_outside_its_samples_a_band_limited_waveform_is_zero() -> None:
    wave = Waveform.of(np.ones(50), 1.0, interpolation=Interpolation.BAND_LIMITED)
    assert not wave.on_grid(1.0, 2, -40.0).any()
    assert not wave.on_grid(1.0, 2, 90.0).any()


def test_hold_changes_at_the_samples_and_linear_is_half_way_between_them() -> None:
    values = [1.0, 3.0, -1.0]
    assert list(Waveform.of(values, 1.0, interpolation=Interpolation.HOLD).on_grid(0.5, 6)) == [1, 1, 3, 3, -1, -1]
    assert list(Waveform.of(values, 1.0).on_grid(0.5, 5)) == [1, 2, 3, 1, -1]


@pytest.mark.parametrize(
    ("kind", "order"), [(Interpolation.HOLD, 1), (Interpolation.LINEAR, 2), (Interpolation.CUBIC, 4)]
)
def test_the_error_between_samples_falls_with_the_order_of_the_interpolation(kind: Interpolation, order: int) -> None:
    def error(dt: float) -> float:
        wave = Waveform.of(np.sin(dt * np.arange(int(12 / dt))), dt, interpolation=kind)
        times = 3 + 0.0137 * np.arange(300)
        return float(np.abs(wave.on_grid(0.0137, 300, 3.0) - np.sin(times)).max())

    assert np.log2(error(0.2) / error(0.1)) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("frequency", [0.1, 0.5, 0.8])
def test_band_limited_interpolation_is_good_to_2e_4_up_to_four_fifths_of_nyquist(frequency: float) -> None:
    wave = Waveform.of(np.sin(np.pi * frequency * np.arange(200)), 1.0, interpolation=Interpolation.BAND_LIMITED)
    times = 60 + 0.037 * np.arange(1000)
    assert np.abs(wave.on_grid(0.037, 1000, 60.0) - np.sin(np.pi * frequency * times)).max() < 2e-4


@pytest.mark.parametrize("kind", list(Interpolation))
def test_a_complex_waveform_is_its_real_and_imaginary_part_side_by_side(kind: Interpolation) -> None:
    real, imaginary = np.random.default_rng(1).normal(size=(2, 30))
    parts = [Waveform.of(part, 1.0, interpolation=kind).on_grid(0.3, 80) for part in (real, imaginary)]
    wave = Waveform.of(real + 1j * imaginary, 1.0, interpolation=kind)
    assert wave.is_complex
    assert np.allclose(wave.on_grid(0.3, 80), parts[0] + 1j * parts[1], atol=1e-13)


def test_a_grid_time_that_misses_a_sample_by_rounding_only_reads_that_sample() -> None:
    values = np.arange(1000.0)
    for kind in Interpolation:
        wave = Waveform.of(values, 0.1, interpolation=kind)
        times_by_sum = np.concatenate([[0.0], np.cumsum(np.full(999, 0.1))])  # 1e-12 away from k * 0.1
        read = [wave.on_grid(0.1, 1, time)[0] for time in times_by_sum[1::97]]
        assert np.allclose(read, values[1::97], atol=1e-6)


def test_a_value_once_read_cannot_be_changed_from_outside() -> None:
    wave = Waveform.of([0.0, 1.0, 2.0], 1.0)
    for count, step in ((3, 1.0), (5, 0.5)):
        with pytest.raises(ValueError, match="read-only"):
            wave.on_grid(step, count)[0] = 9


@pytest.mark.parametrize("bad", [[], [[1.0, 2.0]], [1.0, np.nan], [np.inf]])
def test_samples_that_cannot_be_played_are_refused(bad: list) -> None:
    with pytest.raises(ProgramError):
        Waveform.of(bad, 1.0)


def test_a_bad_sample_is_named_by_its_index() -> None:
    with pytest.raises(ProgramError, match="sample 2 of a waveform"):
        Waveform.of([0.0, 1.0, np.nan], 1.0)


@pytest.mark.parametrize("dt", [0.0, -1.0, np.nan])
def test_a_spacing_that_is_not_positive_is_refused(dt: float) -> None:
    with pytest.raises(ProgramError, match="spacing"):
        Waveform.of([1.0], dt)


def test_a_waveform_cannot_be_mirrored_at_two_places() -> None:
    with pytest.raises(ProgramError, match="reversed about"):
        Waveform.of([1.0], 1.0).reversed(3.0).reversed(4.0)
