"""Pause, resume and stop without broker or socket: every order of commands ends in the state that the last names."""

import threading

import pytest

from labrhel.safety.control import Control
from labrhel.safety.lifecycle import Event, State
from labrhel.testing.control import running
from labrhel.testing.waiting import PATIENCE, wait_for


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        (["resume"], ["was not paused"]),
        (["pause", "resume"], ["pauses when the step that is running is done", "goes on"]),
        (["stop", "pause"], ["stops when the step that is running is done; `labrhel resume` goes on",
                             "the run is about to stop"]),
        (["fly"], ["unknown command 'fly'; known are: pause, resume, stop"]),
        ([""], ["unknown command ''; known are: pause, resume, stop"]),
    ],
)  # fmt: skip
def test_every_command_gets_one_sentence(commands: list[str], words: list[str]) -> None:
    control = running()
    assert [control.ask(command)[1] for command in commands] == words


def test_what_is_so_already_is_obeyed_and_what_cannot_be_is_refused() -> None:
    control = running()
    control.ask("pause")
    assert control.ask("pause") == (True, "pauses when the step that is running is done")
    control.life.on(Event.HOLD)
    assert control.ask("pause") == (True, "already paused")
    assert control.ask("resume") == (True, "goes on")
    assert control.ask("resume") == (True, "was not paused")
    control.life.on(Event.FINISH)
    assert control.ask("pause") == (False, "the run is done and cannot be paused")
    assert control.ask("fly" * 30) == (False, f"unknown command {'fly' * 20!r}; known are: pause, resume, stop")


def test_nothing_holds_a_run_that_was_not_asked() -> None:
    control = running()
    control.hold()
    control.ask("pause")
    control.ask("resume")
    control.hold()
    assert control.life.state is State.RUNNING


def test_a_stop_is_not_taken_back() -> None:
    control = running()
    control.ask("stop")
    assert [control.ask(command)[0] for command in ("resume", "pause", "stop")] == [False, False, True]
    with pytest.raises(KeyboardInterrupt):
        control.hold()


@pytest.mark.parametrize("last", ["resume", "stop"])
def test_a_paused_run_waits_for_the_next_command(last: str) -> None:
    control, ended = running(), []

    def run() -> None:
        try:
            control.hold()
            ended.append("resume")
        except KeyboardInterrupt:
            ended.append("stop")

    control.ask("pause")
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(lambda: control.life.state is State.PAUSED, "the pause")
    assert control.ask("pause")[1] == "already paused"
    assert not ended
    control.ask(last)
    thread.join(PATIENCE)
    assert ended == [last]
    assert control.life.state is not State.PAUSED


def test_a_run_that_has_not_begun_cannot_be_paused() -> None:
    assert Control().ask("pause") == (False, "the run is idle and cannot be paused")


def test_a_pause_that_meets_no_other_step_does_not_keep_the_run_from_its_end() -> None:
    control = running()
    control.ask("pause")
    assert control.life.on(Event.FINISH) is State.DONE


def test_what_is_asked_and_whether_it_can_be_obeyed() -> None:
    control = running()
    assert control.ask("resume") == (True, "was not paused")
    assert control.ask("pause")[0] and control.life.state is State.PAUSING
    assert control.ask("pause") == (True, "pauses when the step that is running is done")
    assert control.ask("resume") == (True, "goes on") and control.life.state is State.RUNNING
    assert control.ask("stop")[0]
    assert control.ask("stop") == (True, "the run is about to stop")
    assert control.ask("pause") == (False, "the run is about to stop")


def test_a_stop_takes_back_a_pause_that_was_asked_for() -> None:
    control = running()
    control.ask("pause")
    control.ask("stop")
    assert control.life.state is State.RUNNING
    with pytest.raises(KeyboardInterrupt, match="stopped by a command"):
        control.hold()
    assert control.life.state is State.RUNNING


def test_of_a_long_unknown_command_the_beginning_is_repeated() -> None:
    understood, words = running().ask("x" * 61)
    assert not understood
    assert words == f"unknown command {'x' * 60!r}; known are: pause, resume, stop"


def test_a_control_has_a_life_of_its_own_or_that_of_its_run() -> None:
    life = running().life
    assert Control(life).life is life
    assert Control().life.state is State.IDLE
