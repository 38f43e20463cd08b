"""What state a run is in, and what may happen next: one table, and nothing outside it.

    idle --arm--> armed --start--> running --finish--> done
                                   running --pause--> pausing --hold--> paused --resume--> running
                  armed, running, pausing, paused --abort--> aborting --safe--> idle
                  any that can move something --fail--> failed, --estop--> estopped --reset--> idle

`armed`: compiled, checked and recorded, nothing has moved.  `pausing`: the step that runs is finished first.  `paused`:
every output idles, since each waveform is a finite burst, and every knob is where it was set.  `aborting`: the outputs
are being made safe.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Mapping

from labrhel.errors import LabrhelError


class State(enum.StrEnum):
    """The states of a run."""

    IDLE = "idle"
    ARMED = "armed"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    ABORTING = "aborting"
    DONE = "done"
    FAILED = "failed"
    ESTOPPED = "estopped"


class Event(enum.StrEnum):
    """The events that move a run from state to state."""

    ARM = "arm"
    START = "start"
    PAUSE = "pause"
    HOLD = "hold"
    RESUME = "resume"
    FINISH = "finish"
    ABORT = "abort"
    SAFE = "safe"
    FAIL = "fail"
    ESTOP = "estop"
    RESET = "reset"


_MAY_END = {Event.ABORT: State.ABORTING, Event.FAIL: State.FAILED, Event.ESTOP: State.ESTOPPED}

TABLE: Mapping[State, Mapping[Event, State]] = {
    State.IDLE: {Event.ARM: State.ARMED},
    State.ARMED: {Event.START: State.RUNNING, **_MAY_END},
    State.RUNNING: {Event.PAUSE: State.PAUSING, Event.FINISH: State.DONE, **_MAY_END},
    State.PAUSING: {
        Event.HOLD: State.PAUSED,
        Event.RESUME: State.RUNNING,
        Event.FINISH: State.DONE,
        **_MAY_END,
    },
    State.PAUSED: {Event.RESUME: State.RUNNING, **_MAY_END},
    State.ABORTING: {Event.SAFE: State.IDLE, Event.FAIL: State.FAILED, Event.ESTOP: State.ESTOPPED},
    State.DONE: {},
    State.FAILED: {},
    State.ESTOPPED: {Event.RESET: State.IDLE},
}


class StateError(LabrhelError):
    """Something was asked of a run that its state does not allow; nothing was changed."""


class Lifecycle:
    """The state of one run; any thread may look, and ask."""

    def __init__(self) -> None:
        self._state = State.IDLE
        self._changed = threading.Condition()

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    def allows(self, event: Event) -> bool:
        """Whether `on` would take the event."""
        return event in TABLE[self._state]

    def on(self, event: Event) -> State:
        """Take an event; StateError, naming what is allowed, where the table has no place for it."""
        with self._changed:
            allowed = TABLE[self._state]
            if event not in allowed:
                known = ", ".join(allowed) or "nothing"
                raise StateError(f"a run that is {self._state} cannot {event}; it can: {known}")
            self._state = allowed[event]
            self._changed.notify_all()
            return self._state

    def wait_while(self, state: State, patience: float) -> bool:
        """Wait until the state is another; False if that took longer than `patience` [s]."""
        with self._changed:
            return self._changed.wait_for(lambda: self._state is not state, patience)
