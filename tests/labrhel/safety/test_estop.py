"""The emergency stop: latched, out of band, and over all programs of a machine."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from labrhel.errors import InstrumentError
from labrhel.safety import estop, processes
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


def command(*words: str, state: Path, **more: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LABRHEL_STATE": str(state)}
    return subprocess.run(
        [sys.executable, "-m", "labrhel", *words], capture_output=True, text=True, env=environment, check=False, **more
    )  # pyright: ignore[reportCallIssue]


@pytest.mark.slow
def test_a_run_is_stopped_by_another_process_and_none_begins_until_reset(tmp_path: Path) -> None:
    state, runs = tmp_path / "state", tmp_path / "runs"
    environment = os.environ | {"LABRHEL_STATE": str(state)}
    words = [sys.executable, "-m", "labrhel", "run", "coupled_oscillators", "--out", str(runs), "--steps", "100000"]
    training = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    wait_for(lambda: list((state / "rigs").glob("*.json")), "the run")
    pressed = command("estop", state=state)
    assert pressed.returncode == 0, pressed.stderr
    assert "safe after" in pressed.stdout
    _, said = training.communicate(timeout=60)
    assert training.returncode == 3
    assert "emergency stop" in said and "labrhel reset" in said
    again = command("run", "coupled_oscillators", "--out", str(runs), "--steps", "2", state=state)
    assert again.returncode == 3 and "emergency stop" in again.stderr
    assert command("reset", state=state).returncode == 0
    assert command("run", "coupled_oscillators", "--out", str(runs), "--steps", "2", state=state).returncode == 0


def test_a_latch_says_since_when_also_if_its_file_is_damaged(tmp_path: Path) -> None:
    estop.press(tmp_path)
    since = time.strftime("%Y-%m-%dT")
    assert f"latched since {since}" in estop.latched(tmp_path)
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
