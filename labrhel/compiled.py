"""A shot in device units, ready to be sent, with what the rig will really play.

`played` is in device units on the device's own sample grid; `achieved` is what reaches the model's ports at the
kick times after resampling, delay correction, quantization and range.  Gradients use the achieved nudge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from labrhel.frozen import Digested, FrozenArray, digest_of
from labrhel.program import Acquire, Hold, Prepare, Reversal, ShotProgram


@dataclass(frozen=True, slots=True, eq=False)
class Played(Digested):
    """Device samples of one port [device unit], `dt` apart [model time], the first at `t0`; idles at the safe state."""

    samples: FrozenArray
    dt: float
    t0: float
    lsb: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPass(Digested):
    """One pass: what each port plays and achieves, what is read, and how the state before it is reversed."""

    steps: int
    played: Mapping[str, Played]
    achieved: Mapping[str, FrozenArray]
    acquire: Acquire
    reversal: Reversal | None
    keep: bool


@dataclass(frozen=True, slots=True, eq=False)
class CompiledShot(Digested):
    """A program compiled for one rig under one calibration."""

    program: ShotProgram
    rig: str
    calibration: str
    prepare: Prepare
    dt: float
    passes: tuple[CompiledPass, ...]
    repeats: int

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
