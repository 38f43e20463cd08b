"""Pause, resume and stop without broker or socket: every order of commands ends in the state that the last names."""

import threading

import pytest

from labrhel.safety.control import Control
from labrhel.safety.lifecycle import Event, Lifecycle, State
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


# -- a pause that ends with its reason ---------------------------------------------------------------------------------


class Hasty(Lifecycle):
    """Waits for nothing, and knows how long it was to."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        for event in (Event.ARM, Event.START):
            self.on(event)

    def wait_while(self, state: State, patience: float) -> bool:
        self.waits.append(patience)
        return super().wait_while(state, 0.0)


@pytest.mark.parametrize(("every", "waited"), [(3.0, 3.0), (0.0, 0.01)])
def test_a_run_is_held_until_the_reason_is_gone_which_is_asked_in_between(every: float, waited: float) -> None:
    life, told = Hasty(), []
    answers = iter([False, False, True])
    Control(life).hold_until(lambda: next(answers), every, lambda held: told.append((held, life.state)))
    assert told == [("paused", State.PAUSED), ("continued", State.RUNNING)]
    assert life.waits == [waited] * 4 and next(answers, None) is None


@pytest.mark.parametrize("command", ["resume", "stop"])
def test_a_held_run_obeys_a_command_though_the_reason_stays(command: str) -> None:
    control, told = Control(Hasty()), []

    def gone() -> bool:
        control.ask(command)
        return False

    if command == "stop":
        with pytest.raises(KeyboardInterrupt, match="stopped by a command"):
            control.hold_until(gone, 1.0, told.append)
    else:
        control.hold_until(gone, 1.0, told.append)
    assert control.life.state is State.RUNNING
    assert told == ["paused", "continued"][: 2 if command == "resume" else 1]


def test_a_command_that_comes_while_the_reason_goes_is_enough() -> None:
    control = Control(Hasty())
    control.hold_until(lambda: control.ask("resume")[0], 1.0)
    assert control.life.state is State.RUNNING


def test_a_run_that_was_asked_to_pause_goes_on_when_it_is_told_to_and_not_with_the_reason() -> None:
    control, looks = Control(Hasty()), []
    control.ask("pause")

    def gone() -> bool:
        looks.append(control.life.state)
        if len(looks) == 3:
            control.ask("resume")
        return True

    control.hold_until(gone, 1.0)
    assert looks == [State.PAUSED] * 3 and control.life.state is State.RUNNING


def test_a_run_that_is_to_stop_is_not_held() -> None:
    control = Control(Hasty())
    control.ask("stop")
    with pytest.raises(KeyboardInterrupt):
        control.hold_until(lambda: pytest.fail("was asked"), 1.0)


def test_a_pause_is_told_when_it_begins_and_when_it_ends() -> None:
    control, told = Control(Hasty()), []
    control.ask("pause")

    def hear(held: str) -> None:
        told.append((held, control.life.state))
        if held == "paused":
            control.ask("resume")

    control.hold(hear)
    assert told == [("paused", State.PAUSED), ("continued", State.RUNNING)]


def test_a_pause_that_ends_with_a_stop_is_not_told_to_go_on() -> None:
    control, told = Control(Hasty()), []
    control.ask("pause")

    def hear(held: str) -> None:
        told.append(held)
        control.ask("stop")

    with pytest.raises(KeyboardInterrupt):
        control.hold(hear)
    assert told == ["paused"]


def test_the_state_may_be_asked_for_at_any_time() -> None:
    control = running()
    assert control.ask("state") == (True, "running")
    control.ask("stop")
    assert control.ask("state") == (True, "running")
    assert Control().ask("state") == (True, "idle")
