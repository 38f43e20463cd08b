"""A gradient, with what is needed to decide whether to trust it."""

from __future__ import annotations

from dataclasses import dataclass, field

from labrhel.arrays import Arrays


@dataclass(frozen=True, slots=True)
class NudgeRecord:
    """How strongly the last gradient nudged and how the rig responded: where the next one starts from."""

    eps: float
    response_ratio: float


@dataclass(frozen=True, slots=True)
class Gradient:
    """dL/dtheta by parameter name [loss unit / parameter unit], and how it was obtained.

    `standard_error` and `bias_bound` have the shapes of `values`; None where the rule does not know them (a single
    repeat has no standard error).  `eps` is the achieved nudge strength, `response_ratio` r the rms of the nudge
    response over the rms of the state, `retrace_error` the relative rms distance of the mean echo from the reversed
    forward path.  `loss` is that of the forward pass.  `shots` and `passes` are what it cost.
    """

    values: Arrays
    loss: float
    rule: str
    eps: float
    response_ratio: float
    retrace_error: float
    shots: int
    passes: int
    calibration: str = ""
    standard_error: Arrays | None = None
    bias_bound: Arrays | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def nudge(self) -> NudgeRecord:
        """What the next gradient needs to choose its eps."""
        return NudgeRecord(self.eps, self.response_ratio)
