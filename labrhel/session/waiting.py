"""A run that a reading has stopped, and that waits for it to come back: `interlocks.readings.NAME.resume_when`."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from labrhel.config.interlocks import ReadingSection
from labrhel.errors import ConditionError
from labrhel.executor.guards import Reads
from labrhel.safety import estop
from labrhel.safety.control import Control, Held
from labrhel.store import RunWriter


class Back:
    """Whether a reading is back: inside the range to go on at, for as long as it is to stay there.

    Raises the error that stopped the run when it has taken longer than `within`, or the emergency stop is latched.
    """

    def __init__(
        self, section: ReadingSection, rig: Reads, error: ConditionError, clock: Callable[[], float] = time.monotonic
    ) -> None:
        again = section.resume_when
        assert again is not None
        self._low = section.low if again.low is None else again.low
        self._high = section.high if again.high is None else again.high
        self._stays, self._within = again.stays, again.within
        self._rig, self._error, self._clock = rig, error, clock
        self._began, self._since = clock(), np.inf

    def __call__(self) -> bool:
        now = self._clock()
        if estop.latched() or now - self._began > self._within:
            raise self._error
        values = np.ravel(self._rig.read([self._error.name])[self._error.name])
        if not np.all((values >= self._low) & (values <= self._high)):
            self._since = np.inf
            return False
        self._since = min(self._since, now)
        return now - self._since >= self._stays


def wait_out(error: ConditionError, section: ReadingSection, rig: Reads, writer: RunWriter, control: Control) -> None:
    """Pause the run, whose rig is safe, until the reading is back.

    Raises the error if it does not come back in time, and KeyboardInterrupt if the run is to stop.
    """

    def told(held: Held) -> None:
        if held == "paused":
            writer.broken_off(str(error))
        else:
            writer.taken_up(f"{error.name} is back")

    control.hold_until(Back(section, rig, error), section.every, told)
