"""The kit finds what drivers really get wrong: one bug each, in an otherwise healthy driver."""

import re

import pytest

from labrhel.conformance import Outcome, judge
from simbackend.testing.seeded_drivers import BUGS, Bug, subject


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_the_kit_finds(bug: Bug) -> None:
    with subject(bug.driver) as opened:
        failed = [item for item in judge(opened) if item.outcome is Outcome.FAILED]
    finders = [item for item in failed if re.search(bug.found_by, item.name)]
    print(f"{bug!s:32} {len(failed):3} checks failed, such as: {finders[0] if finders else failed[:1]}")
    assert finders, [str(item) for item in failed]
