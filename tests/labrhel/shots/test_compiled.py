"""Compiled shots: what makes two of them the same, and how many of their passes have to be run."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Reversal
from labrhel.shots.compiled import CompiledPass, CompiledShot, Played
from labrhel.shots.program import Acquire, GivenState, Hold, Pass, Rest, ShotProgram

PLAYED = Played(FrozenArray([1.0, 2.0]), 0.1, 0.25, 0.5, FrozenArray([1.0, 1.5]))
ITEM = CompiledPass(2, {"u1": PLAYED}, {"u1": FrozenArray([1.0, 2.0])}, Acquire(("q1",)), None, False)


def shot(*passes: CompiledPass, **program: Any) -> CompiledShot:
    asked = ShotProgram(0.1, Rest(), tuple(Pass(2) for _ in passes))
    return CompiledShot(replace(asked, **program), "bench", "", passes)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"steps": 3}, True),
        ({"achieved": {"u1": FrozenArray([1.0, 3.0])}}, True),
        ({"acquire": Acquire(("q2",))}, True),
        ({"keep": True}, True),
        ({"played": {"u1": replace(PLAYED, delivered=FrozenArray([0.0, 0.0]))}}, True),
        ({"played": {"u1": replace(PLAYED, t0=0.5)}}, False),
        ({"played": {"u1": replace(PLAYED, dt=0.2)}}, False),
        ({"played": {"u2": PLAYED}}, False),
        ({"reversal": Reversal.MOMENTUM_FLIP}, False),
    ],
)
def test_two_passes_are_the_same_if_the_same_is_sent(changes: dict[str, Any], *, same: bool) -> None:
    changed = replace(ITEM, **changes)
    assert (changed == ITEM) is same
    assert (shot(changed).state_key(0) == shot(ITEM).state_key(0)) is (same and "steps" not in changes)


def test_a_state_is_known_by_all_that_came_before_it_and_by_nothing_after() -> None:
    echo = replace(ITEM, reversal=Reversal.MOMENTUM_FLIP)
    whole = shot(ITEM, echo, ITEM)
    assert whole.state_key(0) == shot(ITEM).state_key(0) == shot(ITEM, ITEM).state_key(0)
    assert whole.state_key(1) == shot(ITEM, echo).state_key(1) != shot(ITEM, ITEM).state_key(1)
    assert len({whole.state_key(index) for index in range(3)}) == 3
    given = GivenState(FrozenArray([0.1]), FrozenArray([0.0]))
    assert len({shot(ITEM, **facts).state_key(0) for facts in ({}, {"dt": 0.2}, {"prepare": given})}) == 3


READ, UNREAD = ITEM, replace(ITEM, acquire=Acquire())
RESTORED = replace(UNREAD, reversal=Reversal.STATE_RESTORE)


@pytest.mark.parametrize(
    ("passes", "prepare", "planned"),
    [
        ((UNREAD, RESTORED), Rest(), 1),
        ((READ, RESTORED), Rest(), 2),
        ((UNREAD, UNREAD, RESTORED, RESTORED), Rest(), 1),
        ((UNREAD, RESTORED, READ, RESTORED), Rest(), 3),
        ((UNREAD, RESTORED), Hold(), 2),
        ((UNREAD, UNREAD), Rest(), 2),
    ],
)
def test_passes_before_a_state_that_is_stored_need_not_run_unless_they_are_read(
    passes: tuple[CompiledPass, ...], prepare: Any, planned: int
) -> None:
    assert shot(*passes, prepare=prepare).planned_passes == planned


def test_a_waveform_is_that_of_the_last_pass_unless_another_is_named_and_zero_where_nothing_drives() -> None:
    later = replace(ITEM, steps=3, achieved={"u1": FrozenArray([3.0, 4.0, 5.0])})
    both = shot(ITEM, later, repeats=7)
    assert both.achieved("u1").tolist() == [3.0, 4.0, 5.0] and both.achieved("u1", 0).tolist() == [1.0, 2.0]
    assert np.array_equal(both.achieved("u2"), np.zeros(3)) and np.array_equal(both.achieved("u2", 0), np.zeros(2))
    assert (both.repeats, both.dt, both.prepare) == (7, 0.1, Rest())
