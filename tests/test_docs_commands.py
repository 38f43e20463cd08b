"""The commands that docs/records.md and docs/calibration.md show do what the pages say, in their order."""

import re
import shlex
from pathlib import Path

import pytest

from labrhel.testing.command_line import called

DOCS = Path(__file__).parent.parent / "docs"
CONFIG = """\
model:
  oscillators: 3
  coupling: all
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: [1.0, 1.3, 0.8]
    cubic: 0.2
    coupling: {value: 0.15, train: true, bounds: [0, 2]}
    input: [[1.0], [0.0], [0.0]]
  readout: {channels: [q3], gain: 1.0}
protocol: {rule: rhel, record: all}
optimizer: {kind: adam, rate: 0.01, steps: 3}
data:
  teacher:
    parameters: {coupling: [0.3, 0.05, 0.22]}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 10, seed: 3}
    samples: 120
    spacing: 0.2
    sequences: 4
    test_sequences: 1
  substeps: 1
  skip: 10
"""
RIG = "sim:o.yaml?noise=2mV&seed=3&friction=20/s&channel_gain=2%"
ELSEWHERE = ("bench up", "bench:station.yaml", "twin CONFIG")
"""What other tests run: virtual benches, and the measured recording."""


def commands(page: str) -> list[str]:
    """Lines of indented blocks that begin with labrhel, without their comments."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    found = [match[1] for line in lines if (match := re.match(r"    (?:\$ )?(labrhel .*)", line))]
    return [line.partition("  #")[0].strip() for line in found if not any(word in line for word in ELSEWHERE)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration, a recorded run, and a calibrated rig."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "o.yaml").write_text(CONFIG)
    assert called(folder, "run", "o.yaml", "--rig", RIG).returncode == 0
    done = called(folder, "calibrate", RIG, "noise", "signs", "--config", "o.yaml", "--accept")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", ["records.md", "calibration.md"])
def test_the_commands_of_a_page_work(page: str, lab: Path) -> None:
    run = next(path.name for path in (lab / "runs").iterdir() if path.is_dir())
    log = called(lab, "calibration", "log", RIG).stdout
    entry = next(match[1] for line in log.splitlines() if (match := re.match(r"│ ([0-9a-f]{8}) │", line)))
    listed = commands(page)
    assert len(listed) >= 4
    for line in listed:
        text = re.sub(r"\b(2c414f|a6dae2|RUN)\b", run, line)
        text = re.sub(r"\bID\b", entry, text).replace(" URL", f" {RIG}")
        done = called(lab, *shlex.split(text)[1:])
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
