"""What a check is, what it answers with, and how a rig is judged by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from labrhel.errors import InterlockError, LabrhelError, TransportError

if TYPE_CHECKING:
    from labrhel.conformance.subject import Subject


class NotApplicable(Exception):  # noqa: N818, no error: the rig lacks what the check is about
    """Raised by a check whose subject the rig does not have; its words are the reason."""


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


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


@dataclass(frozen=True, slots=True)
class Check:
    """One sentence about every rig, and the function that finds out whether it holds of this one."""

    name: str
    theme: str
    find: Callable[[Subject], Finding]

    def __str__(self) -> str:
        return f"{self.theme}: {self.name}"

    def judge(self, subject: Subject) -> Result:
        """Whether it holds.

        An error that the rig raises unasked is a failure of the check, but a TransportError and an InterlockError go
        through: a rig that cannot be reached, or must not move, cannot be judged.
        """
        try:
            finding = self.find(subject)
        except NotApplicable as reason:
            return Result(self.theme, self.name, Outcome.NOT_APPLICABLE, str(reason))
        except (InterlockError, TransportError):
            raise
        except LabrhelError as error:
            return Result(self.theme, self.name, Outcome.FAILED, f"{type(error).__name__}: {error}", math.inf)
        except Exception as error:  # whatever a driver lets through is a finding, and the other checks still run
            words = f"{type(error).__name__} is not one of labrhel.errors: {error}"
            return Result(self.theme, self.name, Outcome.FAILED, words, math.inf)
        outcome = Outcome.PASSED if finding.passed else Outcome.FAILED
        return Result(self.theme, self.name, outcome, finding.words, finding.error, finding.allowed)


def check(name: str) -> Callable[[Callable[[Subject], Finding]], Check]:
    """Make a check of a function; its theme is the name of the module it stands in."""

    def made(find: Callable[[Subject], Finding]) -> Check:
        return Check(name, find.__module__.rpartition(".")[2].replace("_", " "), find)

    return made


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
