"""Pause, resume and stop without a broker: every order of commands ends in the state that the last one names."""

import threading
import time

import pytest

from labrhel.telemetry.control import Control


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
    control = Control()
    assert [control.ask(command)[1] for command in commands] == words


def test_nothing_holds_a_run_that_was_not_asked() -> None:
    control = Control()
    control.hold()
    control.ask("pause")
    control.ask("resume")
    control.hold()


def test_a_stop_is_not_taken_back() -> None:
    control = Control()
    control.ask("stop")
    assert [control.ask(command)[0] for command in ("resume", "pause", "stop")] == [False, False, True]
    with pytest.raises(KeyboardInterrupt):
        control.hold()


@pytest.mark.parametrize("last", ["resume", "stop"])
def test_a_paused_run_waits_for_the_next_command(last: str) -> None:
    control, ended = Control(), []

    def run() -> None:
        try:
            control.hold()
            ended.append("resume")
        except KeyboardInterrupt:
            ended.append("stop")

    control.ask("pause")
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not control.paused and time.monotonic() < until:
        time.sleep(0.001)
    assert control.ask("pause")[1] == "already paused"
    assert not ended
    control.ask(last)
    thread.join(10)
    assert ended == [last]
    assert not control.paused
