"""A configuration small enough to be trained in a fraction of a second, for tests of runs as a whole."""

from __future__ import annotations

SMALL = """\
model:
  oscillators: 2
  coupling: all
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: [1.0, 1.4]
    cubic: 0.2
    friction: 0.05
    coupling: {value: 0.1, train: true, bounds: [0, 2]}
    input: {value: [[1.0], [0.0]], train: [[true], [false]]}
  readout: {channels: [q2], gain: 1.0, offset: {value: 0.1, train: true}}
protocol: {record: every 3}
optimizer: {kind: adam, rate: 0.05, steps: 12, seed: 5}
data:
  teacher:
    parameters: {coupling: 0.35}
    input: {amplitude: 0.5, band: [0.05, 0.3], tones: 5, seed: 3}
    samples: 60
    spacing: 0.3
    sequences: 4
    test_sequences: 1
  substeps: 1
  skip: 5
  batch: 2
"""


def small(**replacements: str) -> str:
    """The small configuration with some of its text replaced; a text that is not there is an error."""
    text = SMALL
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    return text
