"""Axes of pictures say plain numbers in units that fit them."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from labrhel import session
from labrhel.experiment import load_experiment
from labrhel.records import style
from labrhel.records.plots import draw
from labrhel.store import RunReader
from labrhel.testing.configurations import SMALL


def axes_of(*values: float) -> Axes:
    axes = Figure().subplots()
    axes.plot(values)
    return axes


def numbers(axes: Axes) -> list[str]:
    """What stands on the vertical axis, within its limits."""
    low, high = axes.get_ylim()
    ticks = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    return [label.get_text() for at, label in ticks if low <= at <= high and label.get_text()]


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.02, "0.02"), (1e-5, "10⁻⁵"), (2e-5, "2·10⁻⁵"), (1e6, "10⁶"), (3.0, "3"), (0.0, "0"), (1.5e-12, "1.5·10⁻¹²")],
)
def test_a_number_has_a_power_of_ten_where_it_is_far_from_one(value: float, words: str) -> None:
    assert style.power_of_ten(value) == words


@pytest.mark.parametrize(
    "values",
    [
        (0.43, 0.11),
        (1e-5, 3e-10),
        (2.8e-4, 1.4e-4),
        (1.01, 2.99),
        (2.1, 9.9),
        (1.1, 13.0),
        (1.0, 1.02),
        (5.0, 5.0),
        (40.0, 3.0),
    ],
)
def test_a_logarithmic_scale_has_at_least_two_numbers_and_no_mathematics(values: tuple[float, ...]) -> None:
    axes = axes_of(*values)
    with style.plain_text():
        style.logarithmic(axes)
        found = numbers(axes)
    assert len(found) >= 2 and len(set(found)) == len(found)
    assert not [words for words in found if re.search(r"[${\\]", words)]


def test_what_has_no_value_above_zero_stays_on_a_linear_scale() -> None:
    axes = axes_of(0.0, -1.0, np.nan)
    style.logarithmic(axes)
    assert axes.get_yscale() == "linear"


def test_traces_are_in_the_unit_that_fits_the_largest_of_them() -> None:
    assert style.scaled("V", np.array([1e-6, np.nan]), np.array([-2.7e-5])) == (pytest.approx(1e6), "µV")
    assert style.scaled("V/ms^2", np.array([1.5e-5])) == (pytest.approx(1e6), "µV/ms²")
    assert style.scaled("mV", np.array([2000.0])) == (pytest.approx(1e-3), "V")
    assert style.scaled("1/ms^2", np.array([1e-9])) == (1.0, "1/ms²")
    assert style.scaled("V", np.zeros(3)) == style.scaled("V") == (1.0, "V")


def test_no_text_of_a_runs_picture_is_mathematics_and_no_scale_has_a_factor_aside(tmp_path: Path) -> None:
    (tmp_path / "a $x$ run.yaml").write_text(SMALL)
    experiment = load_experiment(tmp_path / "a $x$ run.yaml", steps=3)
    figure = draw(RunReader(session.start(experiment, tmp_path / "runs", lambda _: None).folder))
    assert "a $x$ run" in figure.get_suptitle()
    for axes in figure.axes:
        found = [label.get_text() for label in (*axes.get_xticklabels(), *axes.get_yticklabels(which="both"))]
        assert not [words for words in found if re.search(r"[${\\]", words)], axes.get_title()
        figure.canvas.draw()
        assert axes.yaxis.get_offset_text().get_text() == "", axes.get_title()


def test_units_are_printed_as_people_write_them() -> None:
    assert [style.printed(unit) for unit in ("us", "mV/us^2", "1/ms^-1", "turns", "u", "uV")] == [
        "µs", "mV/µs²", "1/ms⁻¹", "turns", "u", "µV",
    ]  # fmt: skip


@pytest.mark.parametrize("steps", [0, 1])
def test_a_run_of_one_gradient_or_none_is_drawn_with_its_parameters(tmp_path: Path, steps: int) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    experiment = load_experiment(tmp_path / "small.yaml", steps=steps)
    figure = draw(RunReader(session.start(experiment, tmp_path / "runs", lambda _: None).folder))
    drawn = {axes.get_title(): axes for axes in figure.axes}
    assert ("Loss" in drawn) == (steps == 1)
    assert all(line.get_marker() == "." for line in drawn["Parameters"].get_lines())
    low, high = drawn["Parameters"].get_xlim()
    assert high - low >= 1


@pytest.mark.parametrize("span", [(62956.0, 63611.0), (0.0, 14000.0), (-120000.0, 120000.0), (0.0, 150.0)])
def test_numbers_below_a_panel_do_not_touch_however_late_a_recording_is(span: tuple[float, float]) -> None:
    figure = Figure(figsize=(3.4, 2.3))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot(span, (0.0, 1.0))
    style.keep_apart(axes)
    renderer = FigureCanvasAgg(figure).get_renderer()
    low, high = axes.get_xlim()
    ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    boxes = [label.get_window_extent(renderer) for at, label in ticks if low <= at <= high]
    assert len(boxes) > 2
    assert all(left.x1 + 3 < right.x0 for left, right in pairwise(boxes))
