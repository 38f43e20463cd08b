"""`--json`: one object on standard output, whatever becomes of the command, and the exit status that it has without."""

import enum
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.cli.answers import plain
from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import SMALL

RIG = "sim:small.yaml?noise=1mV&seed=3"
KEYS = {
    "check": {"rule", "loss", "shots", "values", "warnings", "parameters", "tolerance"},
    "audit": {"rule", "verdict", "words", "alpha"},
    "runs": {"runs", "recorded", "bytes"},
    "show": {"id", "folder", "status", "tests", "parameters", "events", "last_loss"},
    "verify": {"runs"},
    "validate": {"files"},
    "devices": {"devices"},
    "calibrate": {"routines", "shots", "rig_time_s"},
    "card": {"verdicts", "values", "page", "dominant_error"},
}


def asked(shell: Shell, *words: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, the one object, and what a person would read; NaN and infinity are no JSON."""
    status, out, errors = shell(*words, "--json")
    return status, json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")), errors


@pytest.fixture
def recorded(shell: Shell) -> Shell:
    shell.write(SMALL)
    assert shell("run", "small.yaml", "--steps", "2")[0] == 0
    return shell


def test_every_command_that_answers_in_json_prints_its_object_and_nothing_else(recorded: Shell) -> None:
    (run,) = (path.name for path in Path("runs").iterdir() if path.is_dir())
    arguments = {
        "check": ("small.yaml",),
        "audit": ("small.yaml", "--rig", RIG, "--shots", "60"),
        "runs": (),
        "show": (),
        "verify": (run,),
        "validate": ("small.yaml",),
        "devices": ("--ask", "TCPIP::127.0.0.1::1::SOCKET", "--timeout", "0.2"),
        "calibrate": (RIG, "noise", "--config", "small.yaml", "--accept"),
        "card": (RIG, "--config", "small.yaml"),
    }
    found = {}
    for command, words in arguments.items():
        status, found[command], errors = asked(recorded, command, *words)
        assert found[command]["good"] is (status == 0), errors
        assert status == (1 if command == "devices" else 0)
        assert found[command].keys() > KEYS[command]
        assert errors, "what a person reads is on standard error"
    assert found["check"]["parameters"][0]["passes"] is True
    assert found["audit"]["verdict"]["right"] is True
    (row,) = found["runs"]["runs"]
    assert (row["id"], row["status"], row["gradients"]) == (run, "done", 2)
    shown = found["show"]
    assert shown["tests"][0]["unit"] == "V"
    assert shown["parameters"][0].keys() == {"name", "start", "end", "unit"}
    assert row["test_error"] == shown["tests"][0]["after"]
    assert datetime.fromisoformat(shown["events"][0]["time"]).tzinfo is not None
    assert found["verify"]["runs"] == [{"run": run, "sound": True, "damage": []}]
    assert found["devices"]["devices"][0]["state"] == "faulty"
    noise = found["calibrate"]["routines"][0]["values"]
    assert all(item.keys() == {"value", "error", "unit", "correlations"} for item in noise.values())
    assert found["calibrate"]["accepted"] == ["noise"]
    assert Path(found["card"]["page"]).is_file()


def test_a_mistake_is_an_object_too_and_the_status_is_what_it_was(shell: Shell) -> None:
    shell.write(SMALL.replace("steps: 12", "steps: no"))
    status, answer, _ = asked(shell, "validate", "small.yaml")
    assert status == 1
    (file,) = answer["files"]
    assert (file["right"], file["line"], file["key"]) == (False, 13, "optimizer.steps")
    status, answer, errors = asked(shell, "check", "small.yaml")
    assert status == 2
    assert "small.yaml:13: optimizer.steps: " in answer["error"]
    assert f"error: {answer['error']}" in errors
    status, answer, _ = asked(shell, "show")
    assert status == 2
    assert "holds no runs" in answer["error"]


def test_a_check_that_fails_says_so_in_the_object_and_by_its_status(shell: Shell) -> None:
    shell.write(SMALL)
    status, answer, _ = asked(shell, "check", "small.yaml", "--tolerance", "1e-30")
    assert status == 1
    assert answer["good"] is False
    assert not any(row["passes"] for row in answer["parameters"])


def test_what_json_does_not_know_becomes_what_it_does() -> None:
    class Colour(enum.Enum):
        RED = "red"

    values = {"a": np.array([1.0, np.nan]), 2: np.float32(0.5), "c": Colour.RED, "d": Path("x"), "e": {"k": np.inf}}
    assert plain(values) == {"a": [1.0, None], "2": 0.5, "c": "red", "d": "x", "e": {"k": None}}
    assert plain(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00+00:00"
    with pytest.raises(TypeError, match="holds no function"):
        plain(plain)
