"""Pause, resume and stop: asked by one thread, obeyed by another between two steps.

A pause is a state.  The thread that drives the run waits in `hold`, every output at its idle value since each
waveform is a finite burst, every knob where it was set.  A stop is what Ctrl-C is, at a better moment.
"""

from __future__ import annotations

import threading

_COMMANDS = ("pause", "resume", "stop")
_PATIENCE = 0.2  # s; Windows hears Ctrl-C only between two waits
_LONGEST = 60  # characters of an unknown command that are repeated


class Control:
    """What a run was asked to do; `paused` is whether it waits now."""

    def __init__(self) -> None:
        self.paused = False
        self._wish = ""
        self._free = threading.Event()

    def ask(self, command: str) -> tuple[bool, str]:
        """Take a command; whether it is one that can be obeyed, and a sentence about it."""
        if command not in _COMMANDS:
            known = ", ".join(_COMMANDS)
            return False, f"unknown command {command[:_LONGEST]!r}; known are: {known}"
        if self._wish == "stop":
            return command == "stop", "the run is about to stop"
        before, self._wish = self._wish, "" if command == "resume" else command
        if command == "pause":
            self._free.clear()
            return True, "already paused" if self.paused else "pauses when the step that is running is done"
        self._free.set()
        if command == "resume":
            return True, "goes on" if before else "was not paused"
        return True, "stops when the step that is running is done; `labrhel resume` goes on"

    def hold(self) -> None:
        """Between two steps: wait while paused; KeyboardInterrupt if the run is to stop."""
        if not self._wish:
            return
        try:
            while self._wish == "pause":
                self.paused = True
                self._free.wait(_PATIENCE)
        finally:
            self.paused = False
        if self._wish == "stop":
            raise KeyboardInterrupt("stopped by a command over MQTT")
