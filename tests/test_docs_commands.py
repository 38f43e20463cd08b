"""Every command that README and docs print can be typed, and what needs no hardware does what its page says."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from labrhel.cli import recorded, rig_commands
from labrhel.cli.app import app
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
ROOT = DOCS.parent
PAGES = [ROOT / "README.md", *sorted({*DOCS.rglob("*.md")} - {*DOCS.glob("decisions/*"), *DOCS.glob("_build/**/*")})]
ELSEWHERE = ("bench up", "bench:station.yaml", "twin CONFIG")
"""What other tests run: virtual benches, and the measured recording."""

NOT_HERE = re.compile(r"bench up|mqtt://|daylight|conformance")
"""Virtual benches have tests of their own, as have brokers, the imperfection that a page adds, and conformance."""


_COMMAND = re.compile(r"(?:    \s*(?:\$ )?(?:\w+=\S+ )?|!)(labrhel .*)")
"""In an indented block, or in a cell of a notebook."""


def commands(page: str) -> list[str]:
    """Lines of indented blocks that begin with labrhel, without their comments."""
    return [line for line in printed(DOCS / page) if not any(word in line for word in ELSEWHERE)]


def printed(page: Path) -> list[str]:
    """Every command that a page shows on a line of its own."""
    lines = page.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    found = [match[1] for line in lines if (match := _COMMAND.match(line))]
    return [line.partition("  #")[0].strip() for line in found]


def told(page: Path) -> list[str]:
    """Every command that a page speaks of, in a sentence or a table: `labrhel estop`."""
    return [match[1] for match in re.finditer(r"`(labrhel [^`\n]+)`", page.read_text(encoding="utf-8"))]


@cache
def commands_of_all() -> Any:
    """What typer makes of the command line."""
    assert recorded.app is app and rig_commands.app is app  # importing them has added their commands
    return get_command(app)


def require_known(line: str) -> None:
    """Look up the command and its options, and run nothing; AssertionError for what does not exist."""
    command = commands_of_all()
    words = shlex.split(line.replace("[", " ").replace("]", " ").partition(" > ")[0])[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{line}: there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    options = {name for item in command.params for name in (*item.opts, *item.secondary_opts)} | {"--help"}
    unknown = {word.partition("=")[0] for word in words if re.match("-+[a-z]", word)} - options
    assert not unknown, f"{line}: there is no option {', '.join(unknown)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    for line in (*printed(page), *told(page)):
        if "COMMAND" not in line:
            require_known(line)


def test_a_command_that_does_not_exist_is_found_out() -> None:
    for line in ("labrhel rnu CONFIG", "labrhel bench down", "labrhel run CONFIG --stesp 4"):
        with pytest.raises(AssertionError, match="there is no"):
            require_known(line)


def test_what_the_pages_show_of_the_examples_runs_as_printed(tmp_path: Path) -> None:
    lines = [
        line for page in PAGES for line in printed(page) if "coupled_oscillators" in line and not NOT_HERE.search(line)
    ]
    assert len(lines) >= 5
    for line in dict.fromkeys(lines):
        words = shlex.split(line.partition(" > ")[0])[1:]
        quick = ["--dry-run"] if words[0] in ("run", "sweep") else []  # which checks all, and moves nothing
        done = called(tmp_path, *words, *quick)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


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
    named = (re.sub(r"\b(2c414f|a6dae2|RUN)\b", run, line) for line in listed)
    for text in dict.fromkeys(re.sub(r"\bID\b", entry, line).replace(" URL", f" {RIG}") for line in named):
        done = called(lab, *shlex.split(text)[1:])
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
