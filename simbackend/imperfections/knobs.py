"""Knobs that stick and that settle: what a parameter is, after it was set.

Hysteresis is backlash of width w: the real value follows a knob that is turned one way at a distance w/2, and stays
put until a knob that is turned back has crossed the slack.  Settling is exponential in the number of shots fired
since the knob was turned: the first one still finds exp(-1/settling) of the step to come.  The set value is what a
read-back answers; where the knob really is shows in the motion alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from simbackend.imperfections.imperfection import Acting, Imperfection, Place, acting


@dataclass(frozen=True, slots=True)
class KnobErrors(Imperfection):
    """Both 0: off.

    `hysteresis`: width of the backlash [1], relative to the knob's largest nominal entry (to 1 model unit if that
    is 0).  `settling`: time constant [shots].
    """

    hysteresis: float = 0.0
    settling: float = 0.0

    def acts(self) -> Acting:
        return acting(
            ("hysteresis", self.hysteresis, Place.KNOBS),
            ("settling", self.settling, Place.SETTLING),
        )


class Knobs:
    """All knobs of one device: set values, and the real ones behind them."""

    def __init__(self, errors: KnobErrors, nominal: Arrays) -> None:
        self._errors = errors
        self._width = {
            name: errors.hysteresis * (float(np.max(np.abs(value), initial=0.0)) or 1.0)
            for name, value in nominal.items()
        }
        self.settings: dict[str, Array] = dict(nominal)
        self._goal: dict[str, Array] = dict(nominal)
        self._came_from: dict[str, Array] = dict(nominal)
        self._turned = 0

    def turn(self, settings: Arrays, shot: int) -> None:
        """Set knobs, the next shot being number `shot` of the device's life."""
        self._came_from = self._at(shot - self._turned)
        self._turned = shot
        for name, value in settings.items():
            slack = self._width[name] / 2
            self._goal[name] = np.clip(self._goal[name], value - slack, value + slack) if slack else value
            self.settings[name] = value

    def real(self, shot: int) -> dict[str, Array]:
        """The values that shot number `shot` finds."""
        return self._at(shot - self._turned + 1)

    def _at(self, elapsed: int) -> dict[str, Array]:
        if not self._errors.settling:
            return dict(self._goal)
        left = np.exp(-elapsed / self._errors.settling)
        return {name: goal + left * (self._came_from[name] - goal) for name, goal in self._goal.items()}
