"""One gradient while it is measured: what is told as it was seen, and what the next step starts from."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.executor import execute
from labrhel.learning.gradient import NudgeRecord
from labrhel.rig.capabilities import Reversal
from labrhel.shots.operations import Operation, RunShots
from protocols.echoes.measurement import Measurement
from protocols.rhel import RHEL
from simbackend.imperfections import Imperfections
from simbackend.imperfections.paths import PathErrors
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig
from simbackend.testing.small_rig import small_rig

BY_DRIVE = frozenset({Reversal.BY_DRIVE})


def jittery(jitter: float = 0.01) -> ReferenceTask:
    """The small rig, prepared by drive, with gains that differ from shot to shot."""
    rig = small_rig()
    shaken = SimulatedRig(rig.model, imperfections=Imperfections(seed=3, ports=PathErrors(jitter=jitter)))
    return replace(rig, rig=shaken).declaring(reversals=BY_DRIVE, accumulates=frozenset())


class Keeping:
    """Keeps the captures of the last shots."""

    def __init__(self, rig: ReferenceTask) -> None:
        self._inner, self.last = rig.handler(), []

    def do(self, operation: Operation) -> Any:
        answer = self._inner.do(operation)
        if isinstance(operation, RunShots):
            self.last = answer
        return answer


def test_what_the_echoes_missed_is_told_as_it_was_seen_and_their_terms_at_common_gains() -> None:
    rig = jittery()
    handler = Keeping(rig)
    run = Measurement(RHEL(eps=0.05, lock=1), rig.request(("stiffness",)))
    execute(run.first_block(), handler)
    (block,) = run.blocks
    seen = run.plan.read(block.batch.passes, handler.last, block.eps)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(block.reading.miss, seen.miss, strict=True))
    assert not np.allclose(block.reading.terms["stiffness"], seen.terms["stiffness"], rtol=1e-3)
    assert 0.002 < block.jitter < 0.05


def test_what_was_learned_of_the_rig_is_believed_with_a_lock_alone() -> None:
    rig = small_rig()
    moved = NudgeRecord(0.01, 0.01, {"stiffness": np.array([0.1, -0.2, 0.3])}, {"s0": np.ones((3, 39))})
    asked = rig.request(("stiffness",), moved)
    with_lock, without = (Measurement(RHEL(lock=lock), asked) for lock in (2, 0))
    assert np.allclose(with_lock.plan.theta["stiffness"], np.array([1.0, 1.6, 0.8]) + [0.1, -0.2, 0.3])  # noqa: RUF005
    assert np.allclose(without.plan.theta["stiffness"], [1.0, 1.6, 0.8])
    assert list(with_lock.learned) == ["s0"] and not without.learned and not without.deviations


def test_a_lock_that_was_learned_for_all_sequences_is_not_done_again() -> None:
    rig = small_rig()
    first = Measurement(RHEL(eps=1e-3, lock=2), rig.request(("stiffness",)))
    execute(first.first_block(), rig.handler())
    assert first.locked is not None and set(first.learned) == {"s0", "s1"}
    known = NudgeRecord(1e-3, 0.01, first.deviations, first.learned)
    again = Measurement(RHEL(eps=1e-3, lock=2), rig.request(("stiffness",), known))
    execute(again.first_block(), rig.handler())
    assert again.locked is None and again.shots == 2 * 3
    half = NudgeRecord(1e-3, 0.01, first.deviations, {"s0": first.learned["s0"]})
    partly = Measurement(RHEL(eps=1e-3, lock=2), rig.request(("stiffness",), half))
    execute(partly.first_block(), rig.handler())
    assert partly.locked is not None


def test_an_echo_that_did_not_retrace_is_locked_again_and_fired_again() -> None:
    rig = small_rig()
    wrong = NudgeRecord(1e-3, 0.01, {}, {"s0": 0.5 * np.ones((3, 39)), "s1": np.zeros((3, 39))})
    run = Measurement(RHEL(eps=1e-3, lock=4), rig.request(("stiffness",), wrong))
    execute(run.first_block(), rig.handler())
    assert run.locked is not None
    assert run.blocks[0].retrace_error < 1e-3
    assert run.shots == 2 + 4 + run.locked.shots + 4


@pytest.mark.parametrize("repeats", [2, 3])
def test_every_block_has_a_forward_pass_of_its_own_and_a_preparation_of_its_own_as_long_as_the_first(
    repeats: int,
) -> None:
    rig = jittery()
    run = Measurement(RHEL(eps=0.05, lock=1, repeats=repeats), rig.request(("stiffness",)))
    handler = rig.handler()
    execute(run.first_block(), handler)
    while not run.is_precise:
        execute(run.another_block(), handler)
    assert len(run.blocks) == repeats
    first, last = run.blocks[0].drives[0], run.blocks[-1].drives[0]
    # A preparation that is frozen to the first record keeps its noise out of the spread of the blocks.
    assert not np.array_equal(first.preparation_force, last.preparation_force)
    assert np.allclose(first.preparation_force, last.preparation_force, rtol=0.2, atol=0.2)
    assert first.prepared == last.prepared > 0
    assert run.blocks[0].batch is not run.blocks[-1].batch
