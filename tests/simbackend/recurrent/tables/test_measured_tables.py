"""The tables that train nothing: gradients, sensitivity, eps, cost; and the plan of the ablation."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from labrhel.errors import ConfigurationError  # noqa: E402
from labrhel.records.tables import Asked, PlannedTable, Table, write  # noqa: E402
from simbackend.recurrent.tables import cost as costs  # noqa: E402
from simbackend.recurrent.tables.ablation import ablation  # noqa: E402
from simbackend.recurrent.tables.cost import cost, joules_so_far  # noqa: E402
from simbackend.recurrent.tables.eps import GRID, eps  # noqa: E402
from simbackend.recurrent.tables.gradients import gradients  # noqa: E402
from simbackend.recurrent.tables.sensitivity import FRICTION, Fading, sensitivity  # noqa: E402

SMALL = Asked(sets=("BasicMotions",), units=("linear", "damped"), seeds=(0,), shrink=2)


def made(planned: PlannedTable, folder: Path) -> Table:
    """The table, written and drawn; its steps are all told."""
    seen: list[int] = []
    table = planned.make(folder, lambda published: seen.append(published.step))
    assert seen == list(range(planned.steps))
    text, picture = write(table, planned.words, folder / "table")
    assert text.read_text().count("\n") == 1 + len(table.rows)
    assert picture.stat().st_size > 5000
    assert {len(row) for row in table.rows} == {len(table.columns)}
    return table


def column(table: Table, name: str) -> list[Any]:
    index = table.columns.index(name)
    return [row[index] for row in table.rows]


def test_echoes_have_the_gradient_of_bptt_in_every_layer_and_parameter(tmp_path: Path) -> None:
    table = made(gradients(SMALL), tmp_path)
    assert min(column(table, "cosine")) > 1 - 1e-9
    assert max(column(table, "relative error")) < 1e-6
    np.testing.assert_allclose(column(table, "norm / BPTT's"), 1, rtol=1e-6)
    named = set(zip(column(table, "unit"), column(table, "layer"), column(table, "parameter"), strict=True))
    assert {("linear", "block 1", "unit step"), ("damped", "block 2", "unit friction")} < named
    assert {("linear", "encoder", "weight"), ("linear", "head", "linear bias")} < named


def test_sensitivity_fades_by_half_of_the_friction_and_without_friction_not_at_all(tmp_path: Path) -> None:
    asked = Asked(sets=("EthanolConcentration",), units=("linear", "damped"), shrink=4)  # 437 steps, 60 in model time
    table = made(sensitivity(asked), tmp_path)
    assert column(table, "friction g") == [0.0, FRICTION]
    np.testing.assert_allclose(column(table, "rate by echoes"), [0, -FRICTION / 2], atol=0.006)
    np.testing.assert_allclose(column(table, "rate by BPTT"), column(table, "rate by echoes"), atol=1e-9)
    np.testing.assert_allclose(column(table, "correlation"), 1, atol=1e-9)
    np.testing.assert_allclose(column(table, "slope on BPTT"), 1, atol=1e-6)


def test_a_rate_is_that_of_fading_and_not_of_the_rise_before_it() -> None:
    lag = np.arange(200) * 0.1
    risen = (1.001 - np.exp(-3 * lag)) * np.exp(-0.05 * lag)
    assert Fading(lag, {"echoes": risen}).rate("echoes")[0] == pytest.approx(-0.05, abs=1e-4)


def test_an_interrupted_table_says_whether_anything_of_it_is_left() -> None:
    assert "goes on" in ablation(Asked(shrink=50)).left
    for maker in (gradients, sensitivity, eps, cost):
        assert maker(Asked(shrink=50)).left == "nothing is kept of this table; the same command makes it anew"


def test_small_nudges_drown_in_rounding_and_the_rule_is_about_as_good_as_the_best_of_the_grid(tmp_path: Path) -> None:
    table = made(eps(replace(SMALL, units=("linear",))), tmp_path)
    errors = np.reshape(column(table, "relative error"), (-1, len(GRID) + 1))
    assert len(errors) == 2
    assert errors[0, 0] > 0.1  # in float32, at 1e-6
    best = errors[:, :-1].min(axis=1)
    assert (errors[:, 0] > 100 * best).all(), errors
    assert (errors[:, -1] < 30 * best).all(), errors


def test_a_cost_is_measured_apart_and_a_case_that_fails_is_said_and_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    monkeypatch.setattr(costs, "ROUNDS", 1)
    planned = cost(replace(SMALL, units=("linear",), engines=("adjoint",)))
    table = made(planned, tmp_path)
    (seconds,), (peak,) = column(table, "time [s]"), column(table, "peak [GB]")
    assert 0 < seconds < 1000
    assert sys.platform == "win32" or 0 <= peak < 100
    failing = replace(planned, asked=replace(planned.asked, data=tmp_path / "gone", shrink=1))
    table = failing.make(tmp_path, lambda published: None)
    assert column(table, "time [s]") == [None]
    assert "did not come back: labrhel.errors.ConfigurationError: BasicMotions is not in" in table.words[-1]


def test_energy_is_the_sum_of_the_packages_and_nothing_where_it_cannot_be_read(tmp_path: Path) -> None:
    assert joules_so_far(tmp_path) is None
    for name, value in (("intel-rapl:0", 1_500_000), ("intel-rapl:1", 500_000), ("intel-rapl:0:0", 900_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{value}\n")
    assert joules_so_far(tmp_path) == 2.0  # the core inside package 0 is in it already


def test_the_ablation_varies_one_thing_at_a_time_around_the_stack_of_the_paper() -> None:
    table = ablation(Asked(shrink=50))
    assert [line.labels[1:] for line in table.lines] == [
        ("depth", "1 blocks"), ("depth", "2 blocks"), ("depth", "4 blocks"),
        ("width", "8 oscillators"), ("width", "16 oscillators"), ("width", "32 oscillators"),
        ("damping", "linear"), ("damping", "nonlinear"), ("damping", "damped"), ("damping", "damped_nonlinear"),
    ]  # fmt: skip
    assert [(line.source.row.blocks, line.source.row.state) for line in table.lines[:6]] == [
        (1, 16), (2, 16), (4, 16), (2, 8), (2, 16), (2, 32),
    ]  # fmt: skip
    beside = {line.unit: line.beside for line in table.lines[6:]}
    assert beside["linear"] == beside["nonlinear"] == ("spsa",)
    assert beside["damped"] == beside["damped_nonlinear"] == ("pumped", "spsa")
    assert not any(line.beside for line in table.lines[:6])
    assert not any(line.beside for line in ablation(Asked(shrink=50, engines=("echoes",))).lines)
    assert table.steps == (10 * 2 + 6) * 5 * 50


@pytest.mark.parametrize(
    ("maker", "asked", "words"),
    [
        (ablation, Asked(units=("linear",)), "leave out --units"),
        (gradients, Asked(steps=3), "this table has no use for --steps; leave it out"),
        (sensitivity, Asked(engines=("bptt",)), "no use for --engines"),
        (eps, Asked(seeds=(0, 1)), "this table is of one seed; 2 are given by --seeds"),
        (cost, Asked(seeds=(0, 1)), "this table is of one seed"),
        (gradients, Asked(units=("linaer",)), "there is no unit 'linaer'"),
        (cost, Asked(engines=("echo",)), "there is no engine 'echo'"),
        (eps, Asked(sets=("Worms",)), "there is no data set of this table 'Worms'"),
    ],
)
def test_what_a_table_cannot_take_is_one_sentence(
    maker: Callable[[Asked], PlannedTable], asked: Asked, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        maker(asked)
