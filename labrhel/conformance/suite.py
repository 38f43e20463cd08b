"""The kit as a pytest suite, for the tests of a rig of one's own.

    from labrhel.conformance import Subject
    from labrhel.conformance.suite import RigConformance

    class TestMyRig(RigConformance):
        @classmethod
        def open(cls) -> Subject:
            return Subject(lambda: MyRig("/dev/ttyUSB0"), model, step=0.1)

Each check is a test by its name; what the rig lacks is skipped with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labrhel.conformance.check import Check
from labrhel.conformance.checks import CHECKS
from labrhel.conformance.finding import Outcome
from labrhel.conformance.subject import Subject


class RigConformance:
    """Inherit, and override `open`; the rig is opened once for all checks, and closed after them."""

    @classmethod
    def open(cls) -> Subject:
        """The rig under test."""
        raise NotImplementedError("override open() to return a labrhel.conformance.Subject")

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Iterator[Subject]:
        """The rig, open."""
        with cls.open() as subject:
            yield subject

    @pytest.mark.parametrize("check", CHECKS, ids=str)
    def test_the_rig_conforms(self, check: Check, subject: Subject) -> None:
        """Run one check on the rig."""
        result = check.judge(subject)
        if result.outcome is Outcome.NOT_APPLICABLE:
            pytest.skip(result.found)
        assert result.outcome is Outcome.PASSED, str(result)
