"""`labrhel inspect` prints what a recording holds, and a section that a configuration can begin with."""

import json
from pathlib import Path

import numpy as np
import pytest

from labrhel.cli import looking
from labrhel.config import load
from labrhel.data.recording import open_recording
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
