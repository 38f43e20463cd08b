"""Pause, resume and stop: asked by one thread, obeyed by another between two steps.

The words come from the command line (`labrhel pause`, over the run's own socket) or over MQTT; both end here, and in
the states of `labrhel.safety.lifecycle`.  A stop is what Ctrl-C is, at a better moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from labrhel.safety.lifecycle import Event, Lifecycle, State

Held = Literal["paused", "continued"]

COMMANDS = ("pause", "resume", "stop")
"""What a run can be asked to do."""

STATE = "state"
"""Asked: nothing changes.  Answered: the state the run is in."""

_PATIENCE = 0.2  # s; Windows hears Ctrl-C only between two waits
_LEAST = 0.01  # s between two looks whether the reason of a pause is gone
_LONGEST = 60  # characters of an unknown command that are repeated


class Control:
    """Takes commands for the run whose life this is."""

    def __init__(self, life: Lifecycle | None = None) -> None:
        self.life = Lifecycle() if life is None else life
        self._stopping = False

    def ask(self, command: str) -> tuple[bool, str]:
        """Take a command; whether it is one that can be obeyed, and a sentence about it."""
        if command == STATE:
            return True, str(self.life.state)
        if command not in COMMANDS:
            known = ", ".join(COMMANDS)
            return False, f"unknown command {command[:_LONGEST]!r}; known are: {known}"
        if self._stopping:
            return command == "stop", "the run is about to stop"
        state = self.life.state
        if command == "pause":
            if state is State.PAUSED:
                return True, "already paused"
            if state is not State.PAUSING:
                if not self.life.allows(Event.PAUSE):
                    return False, f"the run is {state} and cannot be paused"
                self.life.on(Event.PAUSE)
            return True, "pauses when the step that is running is done"
        if command == "resume":
            if not self.life.allows(Event.RESUME):
                return True, "was not paused"
            self.life.on(Event.RESUME)
            return True, "goes on"
        self._stopping = True
        if self.life.allows(Event.RESUME):
            self.life.on(Event.RESUME)  # wakes it up, to find that it is to stop
        return True, "stops when the step that is running is done; `labrhel resume` goes on"

    def hold_until(
        self, gone: Callable[[], bool], every: float, told: Callable[[Held], None] = lambda held: None
    ) -> None:
        """Wait, paused, until `gone()`, which is asked every `every` [s]; KeyboardInterrupt if the run is to stop.

        Whoever lets a paused run go on lets this one go on at once; one that was asked to pause waits for that.
        """
        asked = self.life.state is State.PAUSING
        if not asked:
            self.life.on(Event.PAUSE)
        self.life.on(Event.HOLD)
        told("paused")
        while not self._stopping and not self.life.wait_while(State.PAUSED, max(every, _LEAST)):
            if gone() and not asked and self.life.allows(Event.RESUME):
                self.life.on(Event.RESUME)
        if self._stopping:
            raise KeyboardInterrupt("stopped by a command")
        told("continued")

    def hold(self, told: Callable[[Held], None] = lambda held: None) -> None:
        """Between two steps: wait while paused; KeyboardInterrupt if the run is to stop.

        `told` hears that it waits, and that it goes on.
        """
        if self.life.state is State.PAUSING and not self._stopping:
            self.life.on(Event.HOLD)
            told("paused")
            while not self.life.wait_while(State.PAUSED, _PATIENCE):
                pass
            if self.life.state is State.RUNNING and not self._stopping:
                told("continued")
        if self._stopping:
            raise KeyboardInterrupt("stopped by a command")
