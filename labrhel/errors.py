"""Errors, sorted by who must act.

Every message says what was asked, what is allowed, and what to do.  The class says whose turn it is, and
`exit_status` is what the command line returns for it (0 good, 1 a check failed, 2 bad input, 3 device or run
failure, 130 interrupted).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class LabrhelError(Exception):
    """Base of every error that labrhel raises on purpose; catch it to catch them all."""

    exit_status = 3


class ConfigurationError(LabrhelError):
    """The user's file or command line is wrong: fix it and start again.  Nothing has been touched."""

    exit_status = 2

    def __init__(self, problem: str, *, file: Path | None = None, line: int | None = None, key: str = "") -> None:
        self.problem, self.file, self.line, self.key = problem, file, line, key
        place = f"{file}:{line}" if file and line else str(file) if file else ""
        super().__init__(": ".join(part for part in (place, key, problem) if part))


class ProgramError(LabrhelError):
    """The rig cannot do what the shot program asks; found while compiling, before anything moves."""

    exit_status = 2


class NotFiniteError(ProgramError):
    """A number to be sent is none: of data that are not clean, or of a motion that has diverged."""


class LimitError(LabrhelError):
    """A value lies outside the safe range; nothing was sent."""

    exit_status = 3


class TrainingError(LabrhelError):
    """The training has left the range of numbers; what was recorded stands."""


class TransportError(LabrhelError):
    """The link is out of step, lost, or silent.  `raw` holds the bytes that were read, if any."""

    def __init__(self, problem: str, *, raw: bytes = b"") -> None:
        self.raw = raw
        super().__init__(problem)


class InstrumentError(LabrhelError):
    """The device refused, or answered nonsense.  `answer` holds what it said."""

    def __init__(self, problem: str, *, answer: str = "") -> None:
        self.answer = answer
        super().__init__(problem)


class DivergedError(InstrumentError):
    """The motion left the range of numbers at these parameters; a training backs off, everything else ends here."""


class DeadlineError(LabrhelError):
    """A shot would have been late.  A late shot is an error, never silently late."""


class InterlockError(LabrhelError):
    """A watched condition forbids the next shot; the rig has been made safe."""


class ConditionError(InterlockError):
    """What must hold before a shot does not, such as a reading in its range: it may hold again.  `name` says which."""

    def __init__(self, problem: str, name: str = "") -> None:
        self.name = name
        super().__init__(problem)


class NotSafeError(LabrhelError):
    """Outputs could not be made safe, and may be on.  `outputs`: terminals, with the level [V] of those that have one.

    The sentence begins with what matters; `why` is the first thing that went wrong.
    """

    def __init__(self, outputs: Mapping[str, float | None], why: str) -> None:
        self.outputs, self.why = dict(outputs), why
        levels = {
            name: "at an unknown level" if volts is None else f"at {volts:.4g} V" for name, volts in outputs.items()
        }
        listed = ", ".join(f"{name} {words}" for name, words in levels.items())
        super().__init__(f"OUTPUTS MAY STILL BE ON: {listed}: {why}")

    def after(self, first: BaseException) -> NotSafeError:
        """The same, where something had gone wrong before: that is the cause."""
        if isinstance(first, NotSafeError):
            return NotSafeError(self.outputs, first.why)
        return NotSafeError(self.outputs, f"{str(first) or type(first).__name__}; then, making safe: {self.why}")


class RecordError(LabrhelError):
    """The record of a run cannot be written or read."""
