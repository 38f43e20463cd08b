"""The emergency stop where things are bad: no place for its latch, idle callers, programs that fail in any way."""

import json
import os
import resource
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from labrhel.safety import estop, processes
from labrhel.safety.places import folders, found, kept

NOWHERE = Path("/proc/labrhel")  # no user can make a folder there, not even root

on_posix = pytest.mark.skipif(os.name != "posix", reason="full disks are limits of a process here")


def port_of(folder: Path) -> int:
    (place,) = (folder / "rigs").glob("*.json")
    return json.loads(place.read_text())["port"]


def press_on_a_full_disk(state: Path) -> subprocess.CompletedProcess[str]:
    """`labrhel estop` where not one byte can be written to any file."""
    return subprocess.run(
        [sys.executable, "-m", "labrhel", "estop"], capture_output=True, text=True, check=False,
        env=os.environ | {"LABRHEL_STATE": str(state)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )  # fmt: skip


@on_posix
def test_on_a_full_disk_programs_are_called_and_held_back_in_memory_and_the_missing_latch_is_said(
    tmp_path: Path,
) -> None:
    safe: list[str] = []
    with processes.listening("bench:one", lambda: safe.append("one"), tmp_path):
        pressed = press_on_a_full_disk(tmp_path)
        assert (safe, pressed.returncode) == (["one"], 3), pressed.stdout + pressed.stderr
        assert "bench:one" in pressed.stdout and "safe after" in pressed.stdout
        assert "NOT LATCHED" in pressed.stdout and "Traceback" not in pressed.stderr
        assert not (tmp_path / "estop.json").exists()
        assert "latched" in estop.latched(tmp_path)
        assert "latched" in estop.watch(tmp_path)()
        estop.reset(tmp_path)
        assert estop.watch(tmp_path)() == ""


@on_posix
def test_a_state_folder_that_nobody_can_write_has_a_second_one_for_programs_and_latch() -> None:
    safe: list[str] = []
    watch = estop.watch(NOWHERE)
    with processes.listening("bench:one", lambda: safe.append("one"), NOWHERE):
        assert watch() == ""
        pressed = estop.press(NOWHERE)
    try:
        assert safe == ["one"]
        assert [answer.problem for answer in pressed.answers] == [""]
        assert pressed.latch is not None and pressed.latch.parent == folders(NOWHERE)[1]
        assert "labrhel reset" in watch()
    finally:
        assert estop.reset(NOWHERE)
    assert watch() == ""


@on_posix
def test_a_second_folder_that_somebody_else_has_made_is_neither_written_nor_believed(tmp_path: Path) -> None:
    second = folders(NOWHERE)[1]
    second.unlink(missing_ok=True) if second.is_symlink() else None
    if second.exists():
        second.rename(second.with_name(f"{second.name}.aside"))
    second.symlink_to(tmp_path)
    try:
        (tmp_path / "estop.json").write_text("{}")
        assert found("estop.json", NOWHERE) == []
        with pytest.raises(OSError, match=str(NOWHERE)):
            kept("estop.json", "{}", NOWHERE)
        pressed = estop.press(NOWHERE)
        assert pressed.latch is None and str(NOWHERE) in pressed.problem
    finally:
        second.unlink()
        if (aside := second.with_name(f"{second.name}.aside")).exists():
            aside.rename(second)


@pytest.mark.parametrize("many", [10, 100])
def test_idle_callers_keep_no_stop_waiting(tmp_path: Path, many: int) -> None:
    safe: list[int] = []
    with processes.listening("bench:", lambda: safe.append(1), tmp_path), ExitStack() as idle:
        port = port_of(tmp_path)
        for _ in range(many):
            idle.enter_context(socket.create_connection(("127.0.0.1", port)))
        (answer,) = estop.press(tmp_path).answers
    assert safe
    assert answer.seconds is not None and answer.seconds < 0.5 * processes.PATIENCE


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit])
def test_whatever_is_raised_when_a_rig_is_made_safe_is_answered_and_the_next_caller_is_served(
    tmp_path: Path, kind: type[BaseException]
) -> None:
    def fails() -> None:
        raise kind("a wire has burned")

    with processes.listening("bench:", fails, tmp_path):
        for _ in range(2):
            (answer,) = estop.press(tmp_path).answers
            assert answer.seconds is None
            assert answer.problem == "a wire has burned"
        assert estop.latched(tmp_path)


@on_posix
def test_the_secret_word_lies_in_a_file_of_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with processes.listening("bench:", lambda: None, tmp_path / "state"):
            (place,) = (tmp_path / "state" / "rigs").glob("*.json")
            assert place.stat().st_mode & 0o777 == 0o600
            assert place.parent.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"port": 99999, "word": "w", "rig": "bench:", "pid": 7, "run": ""}', "\x00"]
)
def test_a_program_whose_file_is_damaged_counts_as_not_reached_and_hides_no_other(tmp_path: Path, text: str) -> None:
    safe: list[int] = []
    with processes.listening("bench:good", lambda: safe.append(1), tmp_path):
        (tmp_path / "rigs" / "1.json").write_text(text)
        answers = estop.press(tmp_path).answers
    assert safe
    assert sorted(answer.seconds is None for answer in answers) == [False, True]
    assert all(answer.problem for answer in answers if answer.seconds is None)
