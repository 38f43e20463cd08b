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


# -- what the host looks at, and when ----------------------------------------------------------------------------------


def measured(rule: RHEL, rig: ReferenceTask, previous: NudgeRecord | None = None, **wrong: float) -> Measurement:
    """A first block by a host that takes these parameters for so many times what they are."""
    theta = {**rig.theta, **{name: factor * np.asarray(rig.theta[name]) for name, factor in wrong.items()}}
    run = Measurement(rule, replace(rig.request(("stiffness",), previous), theta=theta))
    execute(run.first_block(), rig.handler())
    return run


def test_rounding_is_forecast_for_a_first_gradient_and_for_a_later_one_that_is_in_doubt() -> None:
    rig, rule = small_rig(), RHEL(eps=1e-4)
    first = measured(rule, rig)
    assert 1e-16 < first.amplified < 1e-12
    later = NudgeRecord(1e-4, first.blocks[0].response_ratio)
    calm, doubtful = measured(rule, rig, later), measured(rule, rig, later, friction=0.5)
    assert calm.amplified == 0.0
    assert doubtful.amplified == pytest.approx(measured(rule, rig, friction=0.5).amplified)
    noisy = measured(rule, small_rig(1e-6), later, friction=0.5)
    assert noisy.amplified == 0.0  # whatever it missed, rounding is not it


def test_what_an_echo_missed_beside_the_one_that_locked_it_is_not_expected() -> None:
    run = measured(RHEL(eps=1e-4, lock=1), small_rig(), friction=0.8)
    (block,) = run.blocks
    locked = run.locked
    assert locked is not None and len(locked.misses) == 1
    assert block.retrace_error == pytest.approx(locked.misses[0], rel=1e-3)  # one round, and its drive was not changed
    assert run._sample(block).miss < 1e-3 * block.retrace_error
    off = sum(np.sum((a - b) ** 2) for a, b in zip(block.reading.miss, locked.missed, strict=True))
    assert run._sample(block).miss == pytest.approx(np.sqrt(off / block.batch.size), rel=1e-9)
    for place in range(2):  # another drive, of whatever sequence, was never fired without a nudge
        drives = [replace(drive) if place == index else drive for index, drive in enumerate(block.drives)]
        other = replace(block, drives=tuple(drives))
        assert run._sample(other).miss == pytest.approx(block.retrace_error)


def test_a_fit_moves_parameters_of_the_model_by_what_it_found() -> None:
    rig = small_rig()
    run = measured(RHEL(eps=1e-3, lock=1), rig, friction=0.8)
    assert set(run.deviations) <= set(rig.model.parameters)
    assert np.allclose(run.deviations["friction"], 0.2 * np.asarray(rig.theta["friction"]), atol=1e-3)
    assert np.allclose(run.plan.theta["friction"], rig.theta["friction"], atol=1e-3)
    assert np.array_equal(run.plan.theta["readout"], rig.theta["readout"])


def test_the_slope_of_a_sample_is_the_gradient_of_all_parameters_as_one_vector() -> None:
    rig = small_rig()
    run = Measurement(RHEL(eps=1e-3), rig.request(("stiffness", "friction", "readout")))
    execute(run.first_block(), rig.handler())
    (block,) = run.blocks
    sample = run._sample(block)
    assert np.array_equal(sample.slope, np.concatenate([np.ravel(term) for term in block.reading.terms.values()]))
    assert sample.slope.shape == (3 + 9,)
    assert (sample.asked, sample.eps, sample.response) == (1e-3, block.eps, block.response_ratio)
    direct = Measurement(RHEL(eps=1e-3), rig.request(("readout",)))
    execute(direct.first_block(), rig.handler())
    assert direct._sample(direct.blocks[0]).slope.shape == (0,)
