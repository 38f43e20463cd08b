"""The control of a run, without the run."""

from __future__ import annotations

from labrhel.safety.control import Control
from labrhel.safety.lifecycle import Event


def running() -> Control:
    """The control of a run that is going on."""
    control = Control()
    control.life.on(Event.ARM)
    control.life.on(Event.START)
    return control
