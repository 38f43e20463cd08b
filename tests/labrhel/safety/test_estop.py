"""The emergency stop: latched, out of band, and over all programs of a machine."""

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from labrhel.errors import InstrumentError
from labrhel.safety import estop, places, processes
from labrhel.testing.command_line import called
from labrhel.testing.waiting import wait_for


def test_a_press_makes_every_listening_rig_safe_and_latches(tmp_path: Path) -> None:
    safe = []
    with (
        processes.listening("sim:one", lambda: safe.append("one"), tmp_path),
        processes.listening("sim:two", lambda: safe.append("two"), tmp_path),
    ):
        answers = estop.press(tmp_path).answers
    assert sorted(safe) == ["one", "two"]
    assert sorted(answer.rig for answer in answers) == ["sim:one", "sim:two"]
    assert all(answer.seconds is not None and answer.seconds < 1 for answer in answers)
    assert "labrhel reset" in estop.latched(tmp_path)
    assert estop.reset(tmp_path)
    assert not estop.latched(tmp_path)
    assert not estop.reset(tmp_path)


def test_nobody_is_called_after_the_block_and_no_thread_is_left(tmp_path: Path) -> None:
    before = threading.active_count()
    with processes.listening("sim:", lambda: None, tmp_path):
        pass
    assert threading.active_count() == before
    assert estop.press(tmp_path).answers == ()


def test_a_rig_that_cannot_be_made_safe_says_so(tmp_path: Path) -> None:
    def fails() -> None:
        raise InstrumentError("output 2 is stuck: pull its cable")

    with processes.listening("bench:", fails, tmp_path):
        (answer,) = estop.press(tmp_path).answers
    assert answer.seconds is None
    assert answer.problem == "output 2 is stuck: pull its cable"


def test_a_caller_without_the_word_is_ignored(tmp_path: Path) -> None:
    import json
    import socket

    safe = []
    with processes.listening("sim:", lambda: safe.append(1), tmp_path):
        (place,) = (tmp_path / "rigs").glob("*.json")
        port = json.loads(place.read_text())["port"]
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"stop")
            assert stranger.recv(10) == b""
        assert not safe


class Rig:
    """Can be made safe; notes how."""

    def __init__(self) -> None:
        self.calls: list[float | None] = []

    def make_safe(self) -> None:
        self.calls.append(None)


class RampingRig(Rig):
    """Ramps its levels when it is made safe."""

    def make_safe_within(self, seconds: float) -> None:
        self.calls.append(seconds)


def test_in_an_emergency_a_rig_that_ramps_is_given_little_time_and_another_is_made_safe() -> None:
    for rig, calls in ((Rig(), [None]), (RampingRig(), [estop.RAMP])):
        estop.emergency(rig)()
        assert rig.calls == calls


def test_whoever_asks_before_every_shot_hears_of_the_latch_while_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "temporary_folder", lambda: tmp_path / "temporary")
    asked = estop.watch(tmp_path / "state")
    assert asked() == ""
    for folder in places.folders(tmp_path / "state"):
        folder.mkdir(parents=True)
        (folder / "estop.json").write_text('{"since": "noon"}')
        assert asked() == "the emergency stop is latched since noon; look at the bench, then run `labrhel reset`"
        (folder / "estop.json").unlink()
        assert asked() == ""
    with processes.listening("sim:", lambda: None, tmp_path / "state"):
        programs = processes.programs(tmp_path / "state")
        programs[0].ask(processes.SAFE)
        assert "the emergency stop is latched since 20" in asked()  # in memory alone
        assert estop.reset(tmp_path / "state") is False
        assert asked() == ""


def test_programs_are_called_before_the_latch_is_written_and_those_that_begin_meanwhile_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe, order = threading.Event(), []

    def kept(name: str, text: str, folder: Path) -> Path:
        order.append("safe before" if safe.wait(5) else "not called")
        begun.enter_context(processes.listening("sim:late", lambda: order.append("late"), folder))
        return places.kept(name, text, folder)

    monkeypatch.setattr(estop, "kept", kept)
    with processes.listening("sim:early", safe.set, tmp_path), ExitStack() as begun:
        pressed = estop.press(tmp_path)
    assert order == ["safe before", "late"]
    assert [answer.problem for answer in pressed.answers] == ["", ""]
    assert pressed.latch == tmp_path / "estop.json" and pressed.problem == ""


def test_where_nothing_can_be_written_programs_are_called_and_the_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([OSError(28, "No space left", "/state"), OSError("nothing known")])

    def kept(*_: object) -> Path:
        raise next(errors)

    monkeypatch.setattr(estop, "kept", kept)
    with processes.listening("sim:", lambda: None, tmp_path):
        for problem in ("/state: No space left", "the state folder: nothing known"):
            pressed = estop.press(tmp_path)
            assert (pressed.latch, pressed.problem) == (None, problem)
            assert [answer.rig for answer in pressed.answers] == ["sim:"]


def test_where_no_thread_is_to_be_had_programs_are_called_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe: list[str] = []

    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with (
        processes.listening("sim:one", lambda: safe.append("one"), tmp_path),
        processes.listening("sim:two", lambda: safe.append("two"), tmp_path),
        monkeypatch.context() as patch,
    ):
        patch.setattr(estop.threading, "Thread", NoThread)
        answers = estop.press(tmp_path).answers
    assert sorted(safe) == ["one", "two"]
    assert [answer.problem for answer in answers] == ["", ""]


def test_what_cannot_be_read_is_a_rig_that_nobody_could_call(tmp_path: Path) -> None:
    (tmp_path / "rigs").mkdir()
    (tmp_path / "rigs" / "1.json").write_text("{")
    (answer,) = estop.press(tmp_path).answers
    assert answer == estop.Answer(
        str(tmp_path / "rigs" / "1.json"), 0, None, "cannot be read, so nobody could be called"
    )


def test_what_a_killed_program_left_is_cleared_away(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from labrhel.safety import processes\n"
        "with processes.listening('sim:', lambda: None, pathlib.Path(sys.argv[1])):\n"
        "    print('up', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    assert len(list((tmp_path / "rigs").iterdir())) == 1
    assert estop.press(tmp_path).answers == ()
    assert not list((tmp_path / "rigs").iterdir())


@pytest.mark.slow
def test_a_run_is_stopped_by_another_process_and_none_begins_until_reset(tmp_path: Path) -> None:
    state, runs = tmp_path / "state", tmp_path / "runs"
    environment = os.environ | {"LABRHEL_STATE": str(state)}
    words = [sys.executable, "-m", "labrhel", "run", "coupled_oscillators", "--out", str(runs), "--steps", "100000"]
    training = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    wait_for(lambda: list((state / "rigs").glob("*.json")), "the run")
    pressed = called(tmp_path, "estop")
    assert pressed.returncode == 0, pressed.stderr
    assert "safe after" in pressed.stdout
    _, said = training.communicate(timeout=60)
    assert training.returncode == 3
    assert "emergency stop" in said and "labrhel reset" in said
    again = called(tmp_path, "run", "coupled_oscillators", "--out", runs, "--steps", "2")
    assert again.returncode == 3 and "emergency stop" in again.stderr
    assert called(tmp_path, "reset").returncode == 0
    assert called(tmp_path, "run", "coupled_oscillators", "--out", runs, "--steps", "2").returncode == 0


def test_a_latch_says_since_when_also_if_its_file_is_damaged(tmp_path: Path) -> None:
    estop.press(tmp_path)
    since = time.strftime("%Y-%m-%dT")
    assert re.search(rf"latched since {since}\d\d:\d\d:\d\d[+-]\d\d:\d\d; look", estop.latched(tmp_path))
    (tmp_path / "estop.json").write_text("{")
    assert "latched since an unknown time; look at the bench" in estop.latched(tmp_path)


def test_a_program_that_ends_while_it_is_asked_counts_as_safe_and_one_that_stays_does_not(tmp_path: Path) -> None:
    import json
    import socket

    (tmp_path / "rigs").mkdir()
    for ends in (True, False):
        with socket.create_server(("127.0.0.1", 0)) as server:
            place = tmp_path / "rigs" / "1.json"
            about = {"port": server.getsockname()[1], "word": "w", "rig": "sim:", "pid": 7, "run": ""}
            place.write_text(json.dumps(about))

            def hang_up(place: Path = place, server: socket.socket = server, ends: bool = ends) -> None:  # noqa: FBT001
                caller, _ = server.accept()
                caller.recv(100)
                if ends:
                    place.unlink()
                caller.close()

            thread = threading.Thread(target=hang_up)
            thread.start()
            (answer,) = estop.press(tmp_path).answers
            thread.join()
        assert (answer.rig, answer.pid) == ("sim:", 7)
        assert (answer.seconds is not None) is ends
        assert answer.problem == ("" if ends else "ended before it answered: look at its outputs")


def test_a_program_that_does_not_answer_is_to_be_switched_off_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json
    import socket

    monkeypatch.setattr(processes, "PATIENCE", 0.05)
    (tmp_path / "rigs").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        about = {"port": silent.getsockname()[1], "word": "w", "rig": "sim:", "pid": 7, "run": ""}
        (tmp_path / "rigs" / "1.json").write_text(json.dumps(about))
        (answer,) = estop.press(tmp_path).answers
    assert answer.seconds is None
    assert answer.problem.endswith("switch its outputs off by hand")
