"""`-v` and `--log FILE`: what went to the rig, step by step, and how it ended."""

import re
from pathlib import Path

import pytest

from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import SMALL

RIG = "sim:small.yaml?noise=1mV&seed=3"


def lines(file: str) -> list[str]:
    """Levels and words; each line begins with its time."""
    found = Path(file).read_text(encoding="utf-8").splitlines()
    matches = [re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} (\w+) +(.*)", line) for line in found]
    return [f"{match[1]} {match[2]}" for match in matches if match]


def test_a_log_holds_each_step_setting_and_shot_and_is_added_to(shell: Shell) -> None:
    shell.write(SMALL)
    assert shell("run", "small.yaml", "--steps", "2", "--log", "logs/run.log")[0] == 0
    told = lines("logs/run.log")
    assert told[0] == "INFO run small.yaml --steps 2 --log logs/run.log"
    assert told[-1] == "INFO exit status 0"
    assert sum(line.startswith("INFO step ") and "loss 0." in line for line in told) == 2
    assert any(re.match(r"INFO knobs set to .*coupling .* in .* ms", line) for line in told)
    assert any(re.match(r"DEBUG \d+ shots, \d+ passes in .* ms", line) for line in told)
    shell("check", "small.yaml", "--log", "logs/run.log")
    assert lines("logs/run.log")[: len(told)] == told
    assert any(line.startswith("INFO check small.yaml") for line in lines("logs/run.log"))


def test_verbose_tells_steps_and_twice_verbose_shots_on_standard_error(shell: Shell) -> None:
    shell.write(SMALL)
    _, out, errors = shell("run", "small.yaml", "--steps", "1", "-v", "--dry-run")
    assert "INFO    run small.yaml" in errors
    assert "INFO" not in out
    _, _, once = shell("check", "small.yaml", "-v")
    _, _, twice = shell("check", "small.yaml", "-vv")
    assert " knobs set to " in once
    assert " shots, " not in once
    assert " shots, " in twice
    _, _, quiet = shell("check", "small.yaml")
    assert quiet == "", "a command listens for itself alone"


def test_the_log_of_a_failure_says_where_it_was(shell: Shell) -> None:
    shell.write(SMALL.replace("steps: 12", "steps: no"))
    assert shell("check", "small.yaml", "--log", "it.log")[0] == 2
    told = lines("it.log")
    assert any(line.startswith("ERROR small.yaml:13: optimizer.steps: ") for line in told)
    assert told[-1] == "INFO exit status 2"
    assert "Traceback" in Path("it.log").read_text()


@pytest.mark.parametrize("words", [("calibrate", RIG, "noise", "--config", "small.yaml"), ("audit", "small.yaml")])
def test_every_command_that_drives_a_rig_can_be_followed(words: tuple[str, ...], shell: Shell) -> None:
    shell.write(SMALL)
    shell(*words, "--log", "it.log")
    assert any(" shots, " in line for line in lines("it.log"))


def test_a_log_that_cannot_be_written_is_one_sentence(shell: Shell) -> None:
    shell.write(SMALL)
    status, _, errors = shell("check", "small.yaml", "--log", ".")
    assert status == 3
    assert "Is a directory" in errors
