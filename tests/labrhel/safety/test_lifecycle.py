"""The table of states: what is allowed, what is not, and that nothing can be left half way."""

import threading

import pytest

from labrhel.safety.lifecycle import TABLE, Event, Lifecycle, State, StateError


def reached(*events: Event) -> Lifecycle:
    life = Lifecycle()
    for event in events:
        life.on(event)
    return life


def test_a_run_goes_from_idle_to_done() -> None:
    assert reached(Event.ARM, Event.START, Event.FINISH).state is State.DONE


def test_a_pause_is_a_state_from_which_it_goes_on() -> None:
    paused = reached(Event.ARM, Event.START, Event.PAUSE, Event.HOLD)
    assert paused.state is State.PAUSED
    assert paused.on(Event.RESUME) is State.RUNNING


@pytest.mark.parametrize(
    ("events", "event"),
    [
        ((), Event.START),
        ((Event.ARM,), Event.PAUSE),
        ((Event.ARM, Event.START), Event.HOLD),
        ((Event.ARM, Event.START, Event.FINISH), Event.START),
        ((Event.ARM, Event.START, Event.ESTOP), Event.START),
        ((Event.ARM, Event.START, Event.ESTOP), Event.RESUME),
        ((Event.ARM, Event.START, Event.ABORT), Event.RESUME),
    ],
)
def test_what_the_table_has_no_place_for_is_refused_and_changes_nothing(
    events: tuple[Event, ...], event: Event
) -> None:
    life = reached(*events)
    before = life.state
    with pytest.raises(StateError, match=f"a run that is {before} cannot {event}"):
        life.on(event)
    assert life.state is before


def test_every_state_has_a_row_and_can_be_reached() -> None:
    assert set(TABLE) == set(State)
    found, new = {State.IDLE}, {State.IDLE}
    while new:
        new = {after for state in new for after in TABLE[state].values()} - found
        found |= new
    assert found == set(State)


def test_whatever_can_move_something_can_be_stopped_and_can_fail() -> None:
    for state in (State.ARMED, State.RUNNING, State.PAUSING, State.PAUSED, State.ABORTING):
        assert TABLE[state][Event.ESTOP] is State.ESTOPPED
        assert TABLE[state][Event.FAIL] is State.FAILED


def test_an_emergency_stop_is_left_only_by_a_reset() -> None:
    assert TABLE[State.ESTOPPED] == {Event.RESET: State.IDLE}


def test_what_a_state_allows_is_what_the_table_has_and_nothing_waits_for_a_state_that_is_another() -> None:
    life = reached(Event.ARM, Event.START)
    assert [event for event in Event if life.allows(event)] == [
        event for event in Event if event in TABLE[State.RUNNING]
    ]
    assert life.wait_while(State.PAUSED, 0.0)
    assert not life.wait_while(State.RUNNING, 0.01)


def test_who_waits_is_woken_when_the_state_changes() -> None:
    life, woken = reached(Event.ARM, Event.START, Event.PAUSE, Event.HOLD), threading.Event()

    def wait() -> None:
        if life.wait_while(State.PAUSED, 60.0):
            woken.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert life.on(Event.RESUME) is State.RUNNING
    assert woken.wait(10)
    thread.join(10)


def test_a_refusal_names_what_is_allowed() -> None:
    with pytest.raises(StateError, match="a run that is idle cannot start; it can: arm"):
        reached().on(Event.START)
    with pytest.raises(StateError, match="it can: nothing"):
        reached(Event.ARM, Event.START, Event.FINISH).on(Event.START)
