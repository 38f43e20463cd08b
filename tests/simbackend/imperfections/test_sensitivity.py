"""What each imperfection costs a gradient: medians over 20 devices; benchmarks/sensitivity.py has the whole table."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sensitivity import ROWS, device, gradient_error, measure
from protocols.rhel import RHEL
from simbackend.imperfections import ForceNoise, Mismatch, PathErrors
from simbackend.rigs.reference import reference_rig

DEVICES = int(os.environ.get("LABRHEL_DEVICES", "7"))
"""Of each row; `make targets` takes 20 of all."""
SCATTERED = {"delay of all ports 1 sample", "port gain 1 % rms"}  # whose median of a few is not that of the table
BY_NAME = {row.name: row for row in ROWS}
# Bounds of the median [%], linear: a factor of 2 about the table of docs/sensitivity.md; "free" rows cost nothing.
LINEAR = {
    "flip gain 5 %": (2.5, 10),
    "flip offset 0.01": (0.7, 3),
    "input replay gain 5 %": (3.5, 14),
    "input replay delay 1 sample": (3.2, 13),
    "nudge delay 1 sample": (5, 22),
    "drift 1e-5 per shot, r = 1e-3": (8, 35),
    "random walk 1e-5 per shot, r = 1e-3": (8, 35),
    "hidden uniform friction, 0.1 e-folds": (1.2, 5),
    "hidden friction of the slowest mode, 0.6 e-folds": (2.4, 10),
    "non-reciprocity 1 %": (0.7, 3),
    "delay of all ports 1 sample": (9, 38),
    "port skew 1 sample rms": (5, 23),
    "port gain 1 % rms": (0.4, 1.7),
    "port AC coupling, a tenth of the slowest tone": (13, 55),
    "clock skew 100 ppm": (1.7, 8),
    "delay of all channels 1 sample": (5, 24),
    "channel skew 1 sample rms": (3.5, 15),
    "channel gain 1 % rms": (1.2, 5.2),
    "channel offset 0.05 rms": (0.3, 1.7),
    "channel AC coupling, a tenth of the slowest tone": (9, 38),
    "jitter 0.01 samples": (0.09, 0.4),
    "force noise 1e-3": (1.4, 6),
    "read-out noise 1e-2": (0.5, 2),
    "ADC 12 bits over +-10": (0.07, 0.3),
    "ADC 8 bits over +-10": (0.9, 4.2),
    "ADC 12 bits over +-1, which clips": (35, 100),
    "DAC 12 bits over +-10": (0.19, 0.8),
}
FREE = ("everything off", "mismatch 20 %", "input offset 0.05", "knobs turned by 5 %, hysteresis 1 %")


def median(name: str, *, cubic: float = 0.0, drive: float = 1.0) -> float:
    devices = max(DEVICES, 20) if name in SCATTERED else DEVICES
    return 100 * float(np.median(measure(BY_NAME[name], devices, cubic=cubic, drive=drive).errors))


@pytest.mark.parametrize("name", list(LINEAR))
def test_on_linear_rigs_the_median_error_is_that_of_the_table(name: str) -> None:
    low, high = LINEAR[name]
    assert low < median(name) < high


@pytest.mark.parametrize("name", FREE)
def test_what_the_echo_measures_in_place_costs_nothing(name: str) -> None:
    assert median(name) < 1e-6
    assert median(name, cubic=0.2, drive=0.5) < 1e-3  # the error of order eps^2 at r = 1e-3


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("flip gain 5 %", 4, 18),
        ("input replay gain 5 %", 5, 30),
        ("input replay delay 1 sample", 4, 18),
        ("nudge delay 1 sample", 7, 28),
        ("read-out delay 0.5 samples, lossy rigs", 2, 12),
    ],
)
def test_on_duffing_rigs_the_median_error_is_that_of_the_table(name: str, low: float, high: float) -> None:
    assert low < median(name, cubic=0.2, drive=0.5) < high


def test_ten_times_the_drift_costs_ten_times_the_error() -> None:
    ratio = median("drift 1e-4 per shot, r = 1e-3") / median("drift 1e-5 per shot, r = 1e-3")
    assert ratio == pytest.approx(10, rel=0.3)


def test_a_delay_costs_in_proportion_to_its_length() -> None:
    errors = []
    for delay in (0.01, 0.02):
        late = device(reference_rig(cubic=0.0), 1, ports=PathErrors(exact={"force.delay": delay}))
        errors.append(gradient_error(late, 1e-3)[1])
    assert errors[1] == pytest.approx(2 * errors[0], rel=0.1)


def test_repeats_differ_by_the_noise_so_the_error_bar_shrinks_with_their_number() -> None:
    bars = []
    for repeats in (8, 72):
        noisy = device(reference_rig(cubic=0.0), 1, force=ForceNoise(1e-3), mismatch=Mismatch(0.1))
        gradient = noisy.gradient(RHEL(response=0.3, repeats=repeats), ("coupling",))
        assert gradient.standard_error is not None
        bars.append(float(np.median(gradient.standard_error["coupling"])))
    assert bars[0] / bars[1] == pytest.approx(3, rel=0.5)


def test_the_published_table_has_a_line_for_every_row() -> None:
    published = (Path(__file__).parents[3] / "docs" / "sensitivity.md").read_text(encoding="utf-8")
    missing = [row.name for row in ROWS if f"| {row.name} |" not in published]
    assert missing == []
