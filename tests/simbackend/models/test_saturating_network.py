"""Oscillators with a force that saturates: in floating point, and by the table of a board."""

from pathlib import Path

import numpy as np
import pytest

from labrhel import plugins
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.experiment import Experiment, load_experiment
from labrhel.learning.checking import check_gradient
from labrhel.learning.rules import GradientRequest
from labrhel.wire.board import Build
from labrhel.wire.fixed_point import Format
from labrhel.wire.tanh_table import points, reach_of, shift_of
from simbackend.fixed_point import FixedPointRig
from simbackend.models.saturating_network import SaturatingNetwork

CONFIG = """
model:
  kind: saturating_network
  oscillators: 3
  coupling: chain
  parameters:
    stiffness: 0.4
    saturation: {value: [0.8, 1.0, 1.2], train: true}
    coupling: {value: 0.15, train: true}
    input: [[1.0], [0.0], [0.0]]
  readout: {channels: [q3]}
rig: "sim:"
protocol: {rule: rhel, record: none}
optimizer: {kind: adam, steps: 3}
data:
  teacher:
    parameters: {saturation: 1.4}
    input: {amplitude: 1.5, band: [0.08, 0.35], tones: 8, seed: 3}
    samples: 60
    spacing: 0.2
    sequences: 2
"""


def experiment(folder: Path, rig: str = "sim:") -> Experiment:
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return load_experiment(folder / "config.yaml", rig_url=rig)


def test_its_gradient_by_echoes_is_the_exact_one_and_that_of_differences(tmp_path: Path) -> None:
    found = experiment(tmp_path)
    report = check_gradient(found.problem, found.executor(), plugins.exact_gradient("saturating_network"))
    assert {row.parameter for row in report.rows} >= {"saturation", "coupling"}
    assert all(row.passes(1e-6) for row in report.rows)


@pytest.mark.parametrize(
    ("word", "response", "table", "error"),
    [(16, 0.05, 256, 0.2), (24, 5e-3, 1024, 1e-2), (32, 1e-3, 1024, 1e-3), (32, 1e-3, 16384, 1e-4)],
)
def test_the_gradient_on_a_board_approaches_it_as_words_and_tables_grow(
    tmp_path: Path, word: int, response: float, table: int, error: float
) -> None:
    from dataclasses import replace

    from labrhel.executor import execute
    from protocols.rhel import RHEL

    found = experiment(tmp_path)
    problem, step = found.problem, found.task.step
    assert isinstance(problem.task.model, SaturatingNetwork)
    rig = FixedPointRig(problem.task.model, step, Format(word, word - 5), Format(32, 30), table=table)
    task = replace(problem.task, capabilities=rig.capabilities)
    theta = problem.theta(problem.parameters.flat())
    program = RHEL(response=response).gradient(GradientRequest(task, problem.train, theta, ("saturation", "coupling")))
    gradient = execute(program, replace(found, rig=rig).executor())
    _, exact = plugins.exact_gradient("saturating_network")(problem.task, problem.train, theta)
    for name in ("saturation", "coupling"):
        miss = np.linalg.norm(gradient.values[name] - exact[name]) / np.linalg.norm(exact[name])
        print(f"{word} bits, {table} intervals: {name} is off by {miss:.1e}")
        assert miss < error


@pytest.mark.parametrize("intervals", [16, 256, 1024, 4096])
def test_the_table_is_as_good_as_it_says(intervals: int) -> None:
    form = Format(32, 26)
    table, shift, reach = points(form, intervals), shift_of(form, intervals), reach_of(form)
    codes = np.random.default_rng(1).integers(-2 * reach, 2 * reach, 20_000)
    cut = np.clip(codes, -reach, reach - 1)
    place, rest = (cut >> shift) + intervals // 2, cut & ((1 << shift) - 1)
    found = table[place] + (table[place + 1] - table[place]) * rest / 2**shift
    error = np.abs(found / 2.0**form.fraction - np.tanh(codes / 2.0**form.fraction)).max()
    assert error < 0.0963 * (16 / intervals) ** 2 + 2.3e-7 + 1e-8


def test_what_a_board_cannot_do_is_said() -> None:
    model, forms = SaturatingNetwork(2, nominal={"saturation": 1.0}), (Format(32, 26), Format(32, 28))
    with pytest.raises(ProgramError, match="no table of tanh"):
        FixedPointRig(model, 0.2, *forms)
    FixedPointRig(SaturatingNetwork(2), 0.2, *forms)
    for intervals in (8, 100, 1 << 31):
        with pytest.raises(ConfigurationError, match="power of two of intervals"):
            Build(table=intervals)
    assert Build().gateware != Build(table=1024).gateware
