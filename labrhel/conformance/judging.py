"""Running the checks, all or some, and what came of them in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from labrhel.conformance.check import Check
from labrhel.conformance.checks import CHECKS
from labrhel.conformance.finding import Outcome, Result
from labrhel.conformance.subject import Subject
from labrhel.errors import ConfigurationError


def chosen(word: str = "") -> tuple[Check, ...]:
    """The checks that have `word` in their theme or name; raises ConfigurationError if none has."""
    checks = tuple(item for item in CHECKS if word.lower() in str(item).lower())
    if not checks:
        themes = ", ".join(dict.fromkeys(item.theme for item in CHECKS))
        raise ConfigurationError(f"no check has {word!r} in its name; the themes are: {themes}")
    return checks


def judge(subject: Subject, checks: Sequence[Check] = CHECKS) -> Iterator[Result]:
    """Judge the rig by one check after the other; raises TransportError when it cannot be reached."""
    for item in checks:
        yield item.judge(subject)


def summary(results: Sequence[Result]) -> str:
    """Such as `63 checks: 58 passed, 5 not applicable`."""
    counts = Counter(result.outcome for result in results)
    return f"{len(results)} checks: " + ", ".join(f"{counts[item]} {item}" for item in Outcome if counts[item])
