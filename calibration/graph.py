"""Which routine stands on which: a literal list, dependencies first.

    link;  noise -> signs -> paths -> clock, linearity, hysteresis, reciprocity, retrace -> nudge -> gradient;
    signs -> drift

A routine is any object with a `name`, a `title`, what it `needs`, the `lifetime` [h] of what it finds, the number of
`shots` that it takes, and `measure`, a protocol that returns a `Finding`.  Those in `CALIBRATED` work on the rig as the
paths have left it, corrected; the others on the bare rig.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from calibration.finding import Finding
from calibration.routines.clock import Clock
from calibration.routines.drift import Drift
from calibration.routines.gradient import GradientTest
from calibration.routines.hysteresis import Hysteresis
from calibration.routines.linearity import Linearity
from calibration.routines.link import Link
from calibration.routines.noise import Noise
from calibration.routines.nudge import Nudge
from calibration.routines.paths import Paths
from calibration.routines.reciprocity import Reciprocity
from calibration.routines.retrace import Retrace
from calibration.routines.signs import Signs
from calibration.subject import Bench
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from labrhel.shots import operations


class Routine(Protocol):
    """One measurement of a rig."""

    @property
    def name(self) -> str:
        """Name of the routine on the command line and in the record."""
        ...

    @property
    def title(self) -> str:
        """What the routine measures, in words for a person."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Routines that must have been there before."""
        ...

    @property
    def lifetime(self) -> float:
        """Hours for which it is believed."""
        ...

    def shots(self, bench: Bench) -> int:
        """Number of shots that the routine fires."""
        ...

    def measure(self, bench: Bench) -> operations.Protocol[Finding]:
        """Measure and analyse."""
        ...


ROUTINES: tuple[Routine, ...] = (
    Link(), Noise(), Signs(), Drift(), Paths(), Clock(), Linearity(), Hysteresis(), Reciprocity(), Retrace(), Nudge(),
    GradientTest(),
)  # fmt: skip

CALIBRATED = frozenset({"retrace", "nudge", "gradient"})


def chosen(names: Sequence[str], known: Collection[str] = ()) -> list[Routine]:
    """The routines of that name with all they need that is not among the `known`, in order; none named: all."""
    by_name = {routine.name: routine for routine in ROUTINES}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ConfigurationError(f"there is no routine {unknown[0]!r}; {nearest(unknown[0], by_name)}")
    wanted = set(names or by_name)
    for routine in reversed(ROUTINES):
        if routine.name in wanted:
            wanted |= {name for name in routine.needs if name not in known}
    return [routine for routine in ROUTINES if routine.name in wanted]
