"""When things really happen: the host's clock against the rig's, and the trigger.

The rig's own time is the truth.  Sample k of an output leaves at (1 + skew) t_k, and sample k of a reading is taken
at (1 + skew + apart) t_k, both later by that trigger's jitter; each pass is triggered anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from simbackend.imperfections.draws import stream
from simbackend.imperfections.imperfection import Acting, Imperfection, Place, acting


@dataclass(frozen=True, slots=True)
class ClockErrors(Imperfection):
    """`skew`: rate error of the host's clock [1]; `jitter`: rms of each trigger [time]; 0: off.

    `apart`: what the clock of the readings is slow by against that of the outputs [1].  Outputs and readings have a
    trigger each; every pass of every shot draws both.
    """

    skew: float = 0.0
    jitter: float = 0.0
    apart: float = 0.0

    def acts(self) -> Acting:
        return acting(
            ("clock_skew", self.skew, Place.CLOCK),
            ("clock_apart", self.apart, Place.CLOCK),
            ("jitter", self.jitter, Place.TRIGGERS),
        )

    def late(self, trigger: str, seed: int, shot: int, pass_index: int) -> float:
        """How late the trigger of that name comes, in one pass of one shot [time]."""
        if not self.jitter:
            return 0.0
        return self.jitter * float(stream(seed, "jitter", trigger, shot, pass_index).standard_normal())


@dataclass(frozen=True, slots=True)
class ReplayErrors(Imperfection):
    """What only the replay in the echo gets wrong: `gain` minus 1 [1] and `delay` [time] of the inputs; 0: off."""

    gain: float = 0.0
    delay: float = 0.0

    def acts(self) -> Acting:
        return acting(
            ("replay_gain", self.gain, Place.ECHO),
            ("replay_delay", self.delay, Place.ECHO),
        )
