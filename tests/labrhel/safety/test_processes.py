"""Programs that listen: who may speak to them, what they answer, and what they leave behind."""

import json
import os
import socket
from pathlib import Path

import pytest

from labrhel.errors import InstrumentError, TransportError
from labrhel.safety import processes
from labrhel.safety.processes import SAFE, Program, listening, programs


def test_a_listening_program_is_found_with_its_rig_and_run_and_gone_afterwards(tmp_path: Path) -> None:
    with listening("sim:one", lambda: None, tmp_path, run="r1"):
        (found,) = programs(tmp_path)
        assert (found.rig, found.run, found.pid) == ("sim:one", "r1", os.getpid())
        assert not found.is_gone
        assert len(found.word) == 16
        assert not list((tmp_path / "rigs").glob("*.tmp"))
    assert found.is_gone
    assert programs(tmp_path) == []


def test_asked_to_be_safe_it_is_and_every_other_request_is_its_own_business(tmp_path: Path) -> None:
    log = []
    with listening("sim:", lambda: log.append("safe"), tmp_path, answer=lambda request: f"heard {request}"):
        (found,) = programs(tmp_path)
        assert found.ask("pause now") == "heard pause now"
        assert not log
        assert [found.ask(SAFE) for _ in range(2)] == [SAFE, SAFE]
    assert log == ["safe", "safe"]


def test_a_program_that_takes_nothing_else_says_so(tmp_path: Path) -> None:
    with listening("sim:", lambda: None, tmp_path):
        assert programs(tmp_path)[0].ask("fly") == "this program cannot fly"


def test_a_rig_that_could_not_be_made_safe_answers_with_the_reason(tmp_path: Path) -> None:
    def stuck() -> None:
        raise InstrumentError("output 2 is stuck")

    with listening("sim:", stuck, tmp_path):
        assert programs(tmp_path)[0].ask(SAFE) == "output 2 is stuck"


def test_a_wrong_word_is_not_answered_and_makes_nothing_safe(tmp_path: Path) -> None:
    safe = []
    with listening("sim:", lambda: safe.append(1), tmp_path):
        (found,) = programs(tmp_path)
        stranger = Program(found.place, found.rig, found.pid, found.port, "0" * 16, found.run)
        assert stranger.ask(SAFE) == ""
        assert not safe
        assert found.ask(SAFE) == SAFE  # a stranger has not ended it


def test_a_dead_program_refuses_and_a_silent_one_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        program = Program(tmp_path / "x.json", "sim:", 1234, port, "w", "")
        with pytest.raises(TransportError, match="process 1234 does not answer"):
            program.ask(SAFE)
    with pytest.raises(ConnectionRefusedError):
        program.ask(SAFE)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", json.dumps({"rig": "r", "pid": "x", "port": 1, "word": "w", "run": ""})]
)
def test_a_file_that_says_nothing_sensible_is_passed_over(tmp_path: Path, text: str) -> None:
    with listening("sim:", lambda: None, tmp_path):
        (tmp_path / "rigs" / "0.json").write_text(text)
        assert [item.rig for item in programs(tmp_path)] == ["sim:"]
