"""A gradient, with what is needed to decide whether to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.notebook import line, listed, table

_SMALLEST_SHARE = 1e-3  # of the repeats in an error bar; Student's law is then the normal one to the last digit


@dataclass(frozen=True, slots=True)
class NudgeRecord:
    """How strongly the last gradient nudged and how the rig responded: where the next one starts from.

    `deviations`: by parameter, how far the rig was found from what it is set to.  `corrections`: by name of the
    sequence, what the echo lock added to the drive of its echo (n, kicks) [force].  `aim`: the response ratio that a
    search found best on this rig, None where none was needed; `doubt`: miss over response, as it is usual here;
    `pairs`: how many sets of echoes a gradient is the mean of; `missed`: the retrace error.
    """

    eps: float
    response_ratio: float
    deviations: Arrays = field(default_factory=dict)
    corrections: Arrays = field(default_factory=dict)
    aim: float | None = None
    doubt: float = 0.0
    pairs: int = 1
    missed: float = 0.0


@dataclass(frozen=True, slots=True, repr=False)
class Gradient:
    """dL/dtheta by parameter name [loss unit / parameter unit], and how it was obtained.

    `standard_error` and `bias_bound` have the shapes of `values`; None where the rule does not know them (a single
    repeat has no standard error); the first is that of the mean of `repeats` independent measurements.  `floor`: by
    name, the standard error that no repeat shows or lessens, as of converters that round; `calibration_error` the one
    by what the calibration knows only to an uncertainty.  `loss` is that of the forward pass.  `shots` and `passes` are
    what it cost.  `eps` is the achieved nudge strength, `response_ratio` r the rms of the nudge response over the rms
    of the state, `retrace_error` the relative rms distance of the mean echo from the reversed forward path; each is
    None of a rule that does not nudge, or lets nothing retrace.
    `deviations`, `corrections`, `aim`, `doubt` and `pairs` are for the `NudgeRecord`; `measured` is what else the rule
    found out, such as the `lock_rounds` of an echo lock (un-nudged echoes of every sequence), and is published with the
    step.
    """

    values: Arrays
    loss: float
    rule: str
    shots: int
    passes: int
    eps: float | None = None
    response_ratio: float | None = None
    retrace_error: float | None = None
    calibration: str = ""
    standard_error: Arrays | None = None
    bias_bound: Arrays | None = None
    floor: Arrays = field(default_factory=dict)
    calibration_error: Arrays = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=())
    repeats: int = 1
    deviations: Arrays = field(default_factory=dict)
    corrections: Arrays = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    aim: float | None = None
    doubt: float = 0.0
    pairs: int = 1

    def interval(self, level: float = 0.95) -> dict[str, tuple[Array, Array]]:
        """Confidence intervals (low, high) by parameter: Student's t times the standard error, and the bias bound.

        The standard error is that of repeats, floor and calibration together, with the degrees of freedom after Welch
        and Satterthwaite: the last two count as known.

        Raises ConfigurationError for a gradient of one repeat, which does not know its spread.
        """
        from scipy.special import stdtrit  # scipy.stats takes half a second to import

        if self.standard_error is None:
            raise ConfigurationError("a gradient of one repeat has no error bar; set protocol.repeats to 2 or more")
        found = {}
        for name, value in self.values.items():
            spread, total = self.standard_error[name], self.uncertainty[name]
            share = np.divide(spread, total, out=np.ones_like(total), where=total > 0)
            freedom = (self.repeats - 1) / np.maximum(share, _SMALLEST_SHARE) ** 4
            width = stdtrit(freedom, (1 + level) / 2) * total
            width = width if self.bias_bound is None else width + self.bias_bound[name]
            found[name] = (value - width, value + width)
        return found

    @property
    def uncertainty(self) -> dict[str, Array]:
        """Standard error by parameter, of repeats, floor and calibration together; empty where none is known."""
        parts = (self.standard_error or {}, self.floor, self.calibration_error)
        found: dict[str, Array] = {}
        for name, value in self.values.items():
            known = [np.square(part[name]) for part in parts if name in part]
            if known:
                found[name] = np.broadcast_to(np.sqrt(sum(known)), np.shape(value))
        return found

    @property
    def health(self) -> str:
        """Nudge strength, response ratio and retrace error as a line of words begins; empty if there are none."""
        known = (("eps", self.eps, ".3g"), ("r", self.response_ratio, ".2g"), ("retrace", self.retrace_error, ".2g"))
        return "".join(f"{name} {value:{form}}, " for name, value, form in known if value is not None)

    @property
    def nudge(self) -> NudgeRecord | None:
        """What the next gradient needs to choose its eps, and its drive; None of a rule that does not nudge."""
        if self.eps is None or self.response_ratio is None:
            return None
        return NudgeRecord(
            self.eps, self.response_ratio, self.deviations, self.corrections, self.aim, self.doubt, self.pairs,
            self.retrace_error or 0.0,
        )  # fmt: skip

    def __repr__(self) -> str:
        sizes = listed(f"|dL/d{name}| = {_size(value)}" for name, value in self.values.items())
        warned = f"; {len(self.warnings)} warnings" if self.warnings else ""
        return line(f"<Gradient by {self.rule}: loss {self.loss:.6g}, {self.shots} shots; {sizes}{warned}>")

    def _repr_html_(self) -> str:
        errors = self.standard_error or {}
        rows = [
            (name, np.shape(value), _size(value), _size(errors[name]) if name in errors else "")
            for name, value in self.values.items()
        ]
        words = "".join(f"<p>warning: {escape(text)}</p>" for text in self.warnings)
        caption = f"gradient by {self.rule}: loss {self.loss:.6g}, {self.shots} shots, {self.passes} passes"
        return table(caption, rows, ("parameter", "shape", "norm", "norm of the standard error")) + words


def _size(value: Array) -> str:
    return f"{np.linalg.norm(value):.4g}"
