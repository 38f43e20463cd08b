"""The accuracy targets of the project at reduced counts; benchmarks/gradient_accuracy.py has the full ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import gradient_accuracy as accuracy
from labrhel.learning.estimator import Estimator
from simbackend.rigs import reference


@pytest.mark.parametrize(
    "make",
    [
        accuracy.symmetric_error,
        lambda: accuracy.slope_figure(Estimator.SYMMETRIC, 2.0, 0.05),
        lambda: accuracy.slope_figure(Estimator.FOUR_POINT, 4.0, 0.2),
        accuracy.linear_error,
        accuracy.retrace,
    ],
    ids=["symmetric_error", "symmetric_slope", "four_point_slope", "linear_error", "retrace"],
)
def test_the_reference_rig_meets_its_target(make: Callable[[], accuracy.Figure]) -> None:
    figure = make()
    assert figure.met, f"{figure.target}: {figure.value}"


def test_the_driven_echo_is_right_on_every_lossy_rig_where_the_plain_one_is_wrong_and_says_so() -> None:
    for figure in accuracy.lossy(8):
        assert figure.met, f"{figure.target}: {figure.value}"


def test_the_one_sided_estimator_has_slope_one() -> None:
    found, points = accuracy.slope(accuracy.reference_rig(), Estimator.ONE_SIDED)
    assert found == pytest.approx(1.0, abs=0.05)
    assert points >= 4


@pytest.mark.parametrize("missed", [0, 1])
def test_the_table_is_printed_and_its_exit_status_is_the_verdict(
    missed: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = [accuracy.symmetric_error(), *([accuracy.Figure("one that is missed", "0", False)] if missed else [])]
    asked: list[int] = []
    monkeypatch.setattr(accuracy, "targets", lambda rigs: (asked.append(rigs), figures)[1])
    assert accuracy.main(["--rigs", "1"]) == missed
    lines = capsys.readouterr().out.splitlines()
    assert asked == [1] and len(lines) == 1 + len(figures)
    assert lines[0].split() == ["target", "figure", "met"]
    assert [line.split()[-1] for line in lines[1:]] == ["yes", "NO"][: len(figures)]


@pytest.mark.parametrize("name", ["MASS", "STIFFNESS", "COUPLING", "START"])
def test_the_published_parameters_are_those_of_the_code(name: str) -> None:
    published = (Path(__file__).parents[2] / "docs" / "reference-rig.md").read_text(encoding="utf-8")
    assert f"| {', '.join(str(value) for value in getattr(reference, name))} |" in published
