"""Segments that begin in the middle of a motion are said to, when too few samples are skipped."""

from pathlib import Path

import numpy as np
import pytest

from labrhel.experiment import load_experiment
from labrhel.experiment.doubts import doubts

CONFIG = """
model:
  oscillators: 1
  units: {time: ms, position: V, input: V}
  parameters: {stiffness: {value: 0.2, train: true}, friction: FRICTION}
  readout: {channels: [q1]}
protocol: {rule: rhel, echo: driven}
data:
  file: lab.npz
  input: u
  target: y
  rate: 1000
  train: {start: 0, stop: 100}
  test: {late: {start: 100, stop: 200}}
  skip: 20
"""


@pytest.mark.parametrize(("friction", "said"), [("0.1", ["late: begins", "37%", "skip 47 or more"]), ("0.3", [])])
def test_a_ring_down_that_is_longer_than_what_is_skipped_is_said(
    friction: str, said: list[str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "lab.npz", u=np.sin(np.arange(200.0)), y=np.cos(np.arange(200.0)))
    (tmp_path / "a.yaml").write_text(CONFIG.replace("FRICTION", friction))
    experiment = load_experiment(tmp_path / "a.yaml")
    try:
        words = doubts(experiment)
    finally:
        experiment.rig.close()
    assert len(words) == (1 if said else 0)
    assert all(word in words[0] for word in said)
