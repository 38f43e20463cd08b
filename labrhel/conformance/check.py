"""What a check is, what it answers with, and how a rig is judged by it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labrhel.conformance.finding import Finding, NotApplicable, Outcome, Result
from labrhel.errors import InterlockError, LabrhelError, TransportError

if TYPE_CHECKING:
    from labrhel.conformance.subject import Subject


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
