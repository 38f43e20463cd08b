"""Programs that listen: who may speak to them, what they answer, and what they leave behind."""

import json
import os
import re
import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from labrhel.errors import InstrumentError, TransportError
from labrhel.safety import processes
from labrhel.safety.processes import GO, SAFE, Program, held_back, listening, programs, unreachable


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


def test_an_answer_is_cut_where_it_becomes_too_long_and_none_at_all_is_said_to_be_none(tmp_path: Path) -> None:
    said = iter(["x" * 100_000, "", "ä" * 3000])
    with listening("sim:", lambda: None, tmp_path, answer=lambda _: next(said)):
        (found,) = programs(tmp_path)
        assert found.ask("talk") == "x" * 4096
        assert found.ask("talk") == "no answer"
        assert found.ask("talk") == "ä" * 2048


def test_a_stranger_who_never_stops_talking_is_not_listened_to_for_ever(tmp_path: Path) -> None:
    def talk(server: socket.socket) -> None:
        caller, _ = server.accept()
        with caller, suppress(OSError):
            while True:
                caller.sendall(b"x" * 1000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=talk, args=(server,))
        thread.start()
        assert Program(tmp_path, "sim:", 1, server.getsockname()[1], "w", "").ask("talk") == "x" * 4096
        thread.join()


def test_a_program_is_held_back_from_the_first_request_until_it_is_told_to_go_or_drives_nothing(tmp_path: Path) -> None:
    with listening("sim:one", lambda: None, tmp_path):
        with listening("sim:two", lambda: None, tmp_path):
            assert held_back() == ""
            one, two = sorted(programs(tmp_path), key=lambda program: program.rig)
            for program in (one, two):
                program.ask(SAFE)
                assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", held_back())
            assert two.ask(GO) == GO and held_back() == ""
            two.ask(SAFE)
        assert held_back() != ""  # the other rig is still driven
        assert [thread.name for thread in threading.enumerate()].count("listening") == 1
    assert held_back() == ""


def test_a_block_ends_when_its_thread_has_and_every_caller_has_one_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening("sim:", lambda: None, tmp_path, answer=lambda _: threading.current_thread().name):
        assert programs(tmp_path)[0].ask("who") == "caller"
    order: list[str] = []

    def serve(*given: object) -> None:
        ended = given[-1]
        assert isinstance(ended, threading.Event)
        ended.wait(60)
        time.sleep(0.05)
        order.append("thread")

    monkeypatch.setattr(processes, "_serve", serve)
    with listening("sim:", lambda: None, tmp_path):
        pass
    assert [*order, "block"] == ["thread", "block"]


def test_where_no_thread_is_to_be_had_callers_are_served_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with listening("sim:", lambda: None, tmp_path), monkeypatch.context() as patch:
        patch.setattr(processes.threading, "Thread", NoThread)
        assert [programs(tmp_path)[0].ask(SAFE) for _ in range(2)] == [SAFE, SAFE]


def test_a_caller_who_says_nothing_is_given_up_and_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    with listening("sim:", lambda: None, tmp_path):
        (found,) = programs(tmp_path)
        with socket.create_connection(("127.0.0.1", found.port), 30) as idle:
            assert found.ask(SAFE, 30) == SAFE
            assert idle.recv(10) == b""
        assert found.ask(SAFE, 30) == SAFE  # and is forgotten


WAITING = Path("/proc/sys/net/core/somaxconn")


@pytest.mark.skipif(not WAITING.exists() or int(WAITING.read_text()) < 200, reason="this system lets few callers wait")
def test_two_hundred_callers_may_wait_while_the_program_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_serve", lambda *given: given[-1].wait(60))
    with listening("sim:", lambda: None, tmp_path), ExitStack() as callers:
        port = programs(tmp_path)[0].port
        for _ in range(200):
            callers.enter_context(socket.create_connection(("127.0.0.1", port), 10))


def test_whatever_is_raised_is_an_answer_and_its_kind_where_it_has_no_words(tmp_path: Path) -> None:
    errors = iter([SystemExit("over"), KeyError()])

    def answer(_: str) -> str:
        raise next(errors)

    with listening("sim:", lambda: None, tmp_path, answer=answer):
        assert [programs(tmp_path)[0].ask("x") for _ in range(2)] == ["over", "KeyError"]


def test_files_of_other_users_and_damaged_ones_are_told_from_those_that_were_cleared_away(tmp_path: Path) -> None:
    about = {"rig": "r", "pid": 3, "port": 1, "word": "w", "run": "run7"}
    (tmp_path / "rigs").mkdir()
    for name, port in (("0", 0), ("1", 1), ("2", 65535), ("3", 65536), ("4", -1)):
        (tmp_path / "rigs" / f"{name}.json").write_text(json.dumps(about | {"port": port}))
    assert [(program.pid, program.port, program.word, program.run) for program in programs(tmp_path)] == [
        (3, 1, "w", "run7"),
        (3, 65535, "w", "run7"),
    ]
    assert [place.name for place in unreachable(tmp_path)] == ["0.json", "3.json", "4.json"]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "rigs").symlink_to("rigs")  # to itself: nobody can list it
    assert unreachable(tmp_path / "more") == [tmp_path / "more" / "rigs"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", json.dumps({"rig": "r", "pid": "x", "port": 1, "word": "w", "run": ""})]
)
def test_a_file_that_says_nothing_sensible_is_passed_over(tmp_path: Path, text: str) -> None:
    with listening("sim:", lambda: None, tmp_path):
        (tmp_path / "rigs" / "0.json").write_text(text)
        assert [item.rig for item in programs(tmp_path)] == ["sim:"]
