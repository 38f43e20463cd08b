"""Crossed answers of reciprocal rigs differ where springs bend, which is no sign of directed couplings."""

from pathlib import Path

from calibration.testing import measured
from labrhel.experiment import load_experiment

CHAIN = """\
model:
  oscillators: 3
  coupling: chain
  units: {time: us, position: V, input: V}
  parameters:
    friction: 0.01
    cubic: 0.2
    coupling: {value: 0.15, train: true, bounds: [0.02, 0.6]}
    input: [[1.0], [0.0], [0.0]]
  readout: {channels: [q3], gain: 1.0}
protocol: {rule: rhel}
data:
  teacher:
    parameters: {coupling: 0.2}
    input: {amplitude: 0.5, band: [0.1, 0.25], tones: 8, seed: 3}
    samples: 200
    spacing: 0.1
    sequences: 1
    test_sequences: 0
imperfections: {seed: 4}
"""


def test_springs_that_bend_are_not_taken_for_directed_couplings(tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text(CHAIN)
    _, done = measured(load_experiment(file, rig_url=f"sim:{file}"), "reciprocity")
    assert done["reciprocity"].shots == 3
    assert done["reciprocity"].finding.values["reciprocity.asymmetry"].value < 1e-6
    assert done["reciprocity"].doubt == ""
