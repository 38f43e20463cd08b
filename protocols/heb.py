"""Hamiltonian Echo Backpropagation: a loss at the end of the pass, one kick, and a free echo.

Flip the end state, kick the momenta once with +-eps dL/dq, and let the rig echo without nudging it any more; the
difference is read as in `protocols.rhel`, of which this is the case of an error at the last sample alone.  It asks the
least of a bench: beside the input no waveform but a pulse is played while the rig echoes.

A rig that can be started in any state, as analog computers can, needs neither a reversal nor a drive port: the state
that the forward pass ended in, reversed and kicked, is where the echo starts,

    q(0) = q_T - (d/2) M^-1 k,     p(0) = -p_T + k,      k = +-eps dL/dq

(the drift of half a step to the kick gives the position back).

Source: Lopez-Pastor & Marquardt, Phys. Rev. X 13, 031020 (2023).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from labrhel.errors import ProgramError
from labrhel.learning.estimator import Estimator
from labrhel.learning.gradient import Gradient
from labrhel.learning.needs import Needs
from labrhel.learning.rules import GradientRequest
from labrhel.model.rotating import is_rotating
from labrhel.shots.operations import Protocol
from protocols.echoes.options import Echo
from protocols.rhel import RHEL


class _Kicked(RHEL):
    """Echoes that may begin in a state that was prepared."""

    by_state = True


@dataclass(frozen=True, slots=True)
class HEB:
    """The rule; options as those of RHEL."""

    estimator: Estimator = Estimator.SYMMETRIC
    eps: float | None = None
    response: float | None = None
    repeats: int = 1

    needs: ClassVar[Needs] = Needs(
        reversal=True,
        positions=True,
        drive=True,
        lossless=True,
        final=True,
        reciprocal=True,
        or_state=True,
        ends=True,
        rotates=True,
    )

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """Gradient of the loss at the last sample; raises ProgramError if other samples count."""
        early = [sequence.name for sequence in asked.sequences if sequence.weight[:-1].any()]
        if early:
            raise ProgramError(
                f"HEB knows a loss at the last sample only, and {early[0]} counts others; skip all but the last, "
                "or take rule: rhel"
            )
        # An array's loss is made good by drive, in which the kick is played anyhow.
        drive = Echo.AUTO if is_rotating(asked.task.model) else Echo.PLAIN
        echo = _Kicked(self.estimator, drive, self.eps, self.response, repeats=self.repeats)
        gradient = yield from echo.gradient(asked)
        return replace(gradient, rule=f"heb/{self.estimator}")
