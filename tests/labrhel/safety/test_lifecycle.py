"""The table of states: what is allowed, what is not, and that nothing can be left half way."""

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
