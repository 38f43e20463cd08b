"""A shot in device units, ready to be sent, with what the rig will really play.

`played` is in device units on the device's own sample grid; `achieved` is what reaches the model's ports at the
kick times after resampling, delay correction, quantization and range.  Gradients use the achieved nudge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from labrhel.arrays import Array
from labrhel.frozen import Digested, FrozenArray, digest_of
from labrhel.rig.capabilities import Reversal
from labrhel.shots.program import Acquire, Hold, Prepare, ShotProgram


@dataclass(frozen=True, slots=True, eq=False)
class Played(Digested):
    """Device samples of one port [device unit], `dt` apart [model time], the first at `t0`; idles at the safe state.

    `delivered`: the same samples as they leave the wire of the port [model unit], before any calibration is counted;
    None if the wire changes nothing.
    """

    tag = "Played"
    inlined = True

    samples: FrozenArray
    dt: float
    t0: float
    lsb: float | None = None
    delivered: FrozenArray | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPass(Digested):
    """One pass: what each port plays and achieves, what is read, and how the state before it is reversed."""

    tag = "CompiledPass"
    inlined = True

    steps: int = field(compare=False)
    played: Mapping[str, Played]
    achieved: Mapping[str, FrozenArray] = field(compare=False)
    acquire: Acquire = field(compare=False)
    reversal: Reversal | None
    keep: bool = field(compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledShot(Digested):
    """A program compiled for one rig under one calibration.

    Its digest covers what is sent; what follows from program, rig and calibration takes no part in it.
    """

    tag = "CompiledShot"
    program: ShotProgram
    rig: str
    calibration: str
    passes: tuple[CompiledPass, ...]

    @property
    def prepare(self) -> Prepare:
        """How the shot begins."""
        return self.program.prepare

    @property
    def dt(self) -> float:
        """Step between kicks [model time]."""
        return self.program.dt

    @property
    def repeats(self) -> int:
        """How often the shot is run."""
        return self.program.repeats

    @property
    def planned_passes(self) -> int:
        """Passes of free running, if stored states are there to be restored; a pass that is read always runs."""
        begin = 0
        if not isinstance(self.prepare, Hold):
            for index, item in enumerate(self.passes):
                if item.reversal is Reversal.STATE_RESTORE:
                    begin = index
                if item.acquire.reads:
                    break
        return len(self.passes) - begin

    def state_key(self, index: int) -> str:
        """Name of the state after pass `index`: a digest of all that determines it, and of nothing else.

        Two shots that share a beginning share this key, so a rig that stored the state once can restore it.
        """
        history = tuple((item.steps, item.played, item.reversal) for item in self.passes[: index + 1])
        return digest_of((self.prepare, self.dt, history))

    def achieved(self, port: str, index: int = -1) -> Array:
        """Model-unit waveform (steps,) that reaches `port` in a pass; zeros for a port that is not driven."""
        item = self.passes[index]
        known = item.achieved.get(port)
        return np.zeros(item.steps) if known is None else known.values
