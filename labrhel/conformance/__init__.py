"""Does a rig keep its contract?  A public kit that any rig must pass, yours included.

    with Subject(open_my_rig, model, step=0.1) as subject:
        for result in judge(subject):
            print(result)

`labrhel conformance URL` does the same; `labrhel.conformance.suite` makes a pytest suite of it (docs/conformance.md).
"""

from labrhel.conformance.check import Check
from labrhel.conformance.checks import CHECKS
from labrhel.conformance.finding import Finding, NotApplicable, Outcome, Result
from labrhel.conformance.judging import chosen, judge, summary
from labrhel.conformance.opening import subject_of
from labrhel.conformance.subject import Subject

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "NotApplicable",
    "Outcome",
    "Result",
    "Subject",
    "chosen",
    "judge",
    "subject_of",
    "summary",
]
