"""Counts and their products are looked at before anything is made of them: one sentence, at once."""

from pathlib import Path

import numpy as np
import pytest

from labrhel.config import load
from labrhel.config.stack import load_stack
from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment

TAUGHT = """
model:
  oscillators: 2
  coupling: chain
  parameters: {coupling: {value: 0.1, train: true}}
  readout: {channels: [q2]}
protocol: {repeats: 1}
optimizer: {kind: lbfgs, memory: 5}
data:
  teacher:
    parameters: {coupling: 0.4}
    input: {amplitude: 0.3, band: [0.1, 0.3], tones: 5}
    samples: 80
    spacing: 0.25
    sequences: 2
    test_sequences: 1
  substeps: 2
"""


def problem_of(folder: Path, text: str) -> ConfigurationError:
    (folder / "a.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_experiment(folder / "a.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("before", "after", "key", "words"),
    [
        ("sequences: 2\n", "sequences: 1000000000\n", "data.teacher.sequences", "= 1.6e+11 numbers, and"),
        ("test_sequences: 1", "test_sequences: 900000000", "data.teacher.test_sequences", "900000000 test sequences"),
        ("samples: 80", "samples: 1000000000", "data.teacher.samples", "1000000000 samples"),
        ("substeps: 2", "substeps: 1000000000", "data.substeps", "80 samples x 1000000000 substeps x 2 oscillators"),
        ("tones: 5", "tones: 1000000000", "data.teacher.input.tones", "must be <= 10000"),
        ("samples: 80", "samples: 40000000", "data.teacher.samples", "40000000 samples"),
        ("oscillators: 2", "oscillators: 1000000000", "model.oscillators", "must be <= 4096"),
        ("repeats: 1", "repeats: 1000000000", "protocol.repeats", "must be <= 10000"),
        ("repeats: 1", "most_repeats: 1000000000", "protocol.most_repeats", "must be <= 10000"),
        ("repeats: 1", "lock: 1000000000", "protocol.lock", "must be <= 10000"),
        ("{repeats: 1}", "{rule: spsa, directions: 1000000000}", "protocol.directions", "must be <= 10000"),
        ("memory: 5", "memory: 1000000000", "optimizer.memory", "must be <= 10000"),
    ],
)
def test_a_count_that_no_computer_can_hold_is_named_at_once(
    tmp_path: Path, before: str, after: str, key: str, words: str
) -> None:
    assert before in TAUGHT
    found = problem_of(tmp_path, TAUGHT.replace(before, after))
    assert words in found.problem
    assert found.key == key


def test_counts_that_are_each_in_their_range_are_counted_together(tmp_path: Path) -> None:
    text = TAUGHT.replace("repeats: 1", "repeats: 9999").replace("samples: 80", "samples: 8000")
    found = problem_of(tmp_path, text)
    assert "9999 repeats x 3 passes x 8000 samples x 2 substeps x 2 oscillators" in found.problem
    assert found.key == "protocol.repeats"


def test_segments_that_overlap_are_counted_by_what_they_would_hold(tmp_path: Path) -> None:
    np.savez(tmp_path / "lab.npz", u=np.zeros(100_000), y=np.zeros(100_000))
    starts = list(range(2000))
    data = f"{{file: lab.npz, input: u, target: y, rate: 4, train: {{starts: {starts}, length: 90000}}}}"
    found = problem_of(tmp_path, TAUGHT.partition("data:")[0] + f"data: {data}\n")
    assert "2000 segments x 90000 samples x 2 columns = 3.6e+08 numbers" in found.problem
    assert found.key == "data.train"


def test_a_stack_that_no_computer_can_hold_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "model: {kind: hssm, blocks: 999, hidden: 4000, state: 4000}\ndata: {file: a.npz}\n"
    )
    with pytest.raises(ConfigurationError, match=r"model: 999 blocks of 4000 features .* give fewer"):
        load_stack(tmp_path / "s.yaml")


def test_a_few_lines_that_stand_for_billions_of_values_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    (tmp_path / "laughs.yaml").write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigurationError, match="stands for more than 300,000 values"):
        load(tmp_path / "laughs.yaml")


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null"])
def test_what_is_no_file_is_no_configuration(place: str) -> None:
    with pytest.raises(
        ConfigurationError, match="the configuration cannot be read: it is a folder, a pipe or a device"
    ):
        load(Path(place))
