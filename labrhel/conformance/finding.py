"""What a conformance check finds, and what it may say of a rig."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, in words, and how large: it passes while `error` is no larger than `allowed`."""

    words: str
    error: float = 0.0
    allowed: float = 0.0

    @property
    def passed(self) -> bool:
        """True if the error is allowed; NaN is not."""
        return self.error <= self.allowed

    @property
    def severity(self) -> float:
        """The error in units of what is allowed."""
        if self.passed:
            return self.error / self.allowed if self.allowed else 0.0
        return self.error / self.allowed if self.allowed and not math.isnan(self.error) else math.inf


class NotApplicable(Exception):  # noqa: N818, no error: the rig lacks what the check is about
    """Raised by a check whose subject the rig does not have; its words are the reason."""


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Result:
    """A check, judged."""

    theme: str
    name: str
    outcome: Outcome
    found: str
    error: float = 0.0
    allowed: float = 0.0

    def __str__(self) -> str:
        size = f" ({self.error:.3g}; allowed {self.allowed:.3g})" if self.error or self.allowed else ""
        return f"{self.outcome}: {self.name}: {self.found}{size}"


def worst(findings: Iterable[Finding], nothing: str) -> Finding:
    """The finding furthest beyond, or nearest to, what is allowed; with none, not applicable for the reason given."""
    known = list(findings)
    if not known:
        raise NotApplicable(nothing)
    return max(known, key=lambda finding: finding.severity)


def holds(problems: Iterable[str], good: str) -> Finding:
    """A finding that passes if there are no problems."""
    known = list(problems)
    return Finding("; ".join(known) or good, float(len(known)))
