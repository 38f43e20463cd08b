"""`labrhel inspect` prints what a recording holds, and a section that a configuration can begin with."""

import json
from pathlib import Path

import numpy as np
import pytest

from labrhel.cli import looking
from labrhel.config import load
from labrhel.data.recording import open_recording
from labrhel.errors import ConfigurationError
from labrhel.experiment.dataset import dataset_of
from labrhel.experiment.model import model_of

MODEL = """
model:
  oscillators: 1
  units: {time: ms, position: V, input: V}
  parameters: {stiffness: {value: 0.2, train: true}}
  readout: {channels: [q1]}
"""
U, Y = np.sin(np.arange(80.0)), np.cos(np.arange(80.0))


def printed(file: Path) -> str:
    return "\n".join(looking.lines(open_recording(file), file.name))


def section_of(words: str) -> str:
    return words[words.index("data:") :]


@pytest.mark.parametrize("first", ["Time (ms),In (V),Out (mV)", "t,u,y", '"t","no: 1","2"'])
def test_the_section_that_is_printed_loads(first: str, tmp_path: Path) -> None:
    size = 2.0 if "ms" in first else 2e-3
    rows = [f"{size * i:.4f},{u:.6f},{y:.6f}" for i, (u, y) in enumerate(zip(U, Y, strict=True))]
    (tmp_path / "NEWFILE1.CSV").write_text("\n".join([first, *rows]) + "\n")
    said = printed(tmp_path / "NEWFILE1.CSV")
    section = section_of(said)
    (tmp_path / "a.yaml").write_text(MODEL + section + "\n")
    document = load(tmp_path / "a.yaml")
    data = dataset_of(document, model_of(document), [tmp_path])
    scale = 1e-3 if "mV" in first else 1.0
    assert data.spacing == pytest.approx(2.0)
    np.testing.assert_allclose(data.train[0].target, scale * Y[None, :60], atol=1e-6)
    assert data.tests["rest"][0].samples == 20


def test_names_that_would_move_the_cursor_do_not_and_strange_ones_are_quoted(tmp_path: Path) -> None:
    names = ["a\x1b[2Jb", "x: y"]
    np.savez(tmp_path / "a.npz", **dict.fromkeys(names, U))
    said = printed(tmp_path / "a.npz")
    assert "\x1b" not in said.replace(json.dumps(names[0]), "")
    assert '"x: y"' in said


def test_missing_and_overloaded_values_are_counted_behind_their_array(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t (s),u,y\n0,1 mV,1 V\n1,---,2 V\n2,OL,3 V\n3,4 mV,1 V\n4,5 mV,2 V\n")
    row = next(line for line in printed(tmp_path / "a.csv").splitlines() if line.startswith("  u "))
    assert row.endswith("numbers   mV, 1 missing, 1 overload")
    np.savez(tmp_path / "a.npz", u=[0.0, np.nan, np.inf, np.nan], y=np.arange(4))
    assert "no unit, 2 missing, 1 overload" in printed(tmp_path / "a.npz")


def test_a_series_that_cannot_be_read_is_named_by_its_line_and_not_proposed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t (s),u,y\n0,12 mV,1 V\n1,3 mA,2 V\n2,13 mV,3 V\n3,14 mV,1 V\n")
    with pytest.raises(ConfigurationError, match="line 3: '3 mA' is a current, where other numbers are in mV"):
        printed(tmp_path / "a.csv")


def test_one_that_is_not_proposed_is_noted_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t (s),u,y,z\n0,1 mV,1 V,1 mA\n1,3 mV,2 V,2 V\n2,13 mV,3 V,3 mA\n3,1 mV,1 V,4 mA\n")
    said = printed(tmp_path / "a.csv")
    assert "line 3: '2 V' is a voltage, where other numbers are in mA, under 'z'" in said
    assert 'target: "y"' in said


@pytest.mark.parametrize("unit", ["°C", "dBm"])
def test_a_column_of_numbers_in_an_unknown_unit_is_said_to_be_text_for_that(unit: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t (s),u,y\n" + "".join(f"{i},{i} mV,-{i}.5 {unit}\n" for i in range(9)))
    assert f"note: y is text: the unit {unit} is not known" in printed(tmp_path / "a.csv")
