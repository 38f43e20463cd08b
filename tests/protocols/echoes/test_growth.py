"""Rounding that a rig amplifies is forecast before an echo is fired, and said beside the gradient."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.honesty import CHAOTIC, NAMES, Sizes, undeclared_rig
from labrhel.errors import ProgramError
from labrhel.executor import execute
from labrhel.model.leapfrog import leapfrog
from protocols.echoes.growth import displaced, growth_of_rounding
from protocols.echoes.measurement import Measurement
from protocols.forward.forward import ForwardPass
from protocols.rhel import RHEL
from simbackend.rigs.reference import ReferenceTask


def forward(rig: ReferenceTask) -> ForwardPass:
    run = Measurement(RHEL(response=1e-5), rig.request(NAMES))
    execute(run.first_block(), rig.handler())
    return run.blocks[0].batch.passes[0]


@pytest.mark.parametrize("kicks", [1, 2, 3, 127, 128, 129, 130, 257, 400])
def test_a_small_mistake_runs_as_the_difference_of_two_motions_does(kicks: int) -> None:
    rig = undeclared_rig(3, {})
    model, theta, step, n = rig.model, rig.theta, rig.task.step, rig.model.size
    random = np.random.default_rng(kicks)
    drive, tiny, still = random.normal(size=(n, kicks)), 1e-5, np.zeros(n)
    mistakes = np.zeros((n, kicks))
    mistakes[:, 0] = random.normal(size=n)

    def motion(sign: int) -> np.ndarray:
        """From a displaced start; the kick at which it counts is half a step on, in a drift without momentum."""
        start = still + sign * tiny * mistakes[:, 0]
        ran = leapfrog(
            lambda q: model.force(q, theta), model.mass(theta), model.friction(theta), drive, step, start, still
        )  # fmt: skip
        return ran.q

    expected = (motion(1) - motion(-1)) / (2 * tiny)
    if kicks > 1:
        # A start at rest is displaced at the kick before the first, too: what that adds to the second.
        push = np.linalg.inv(np.diag(model.mass(theta)) + step / 2 * model.friction(theta))
        earlier = push @ (np.diag(model.mass(theta)) - step / 2 * model.friction(theta))
        mistakes[:, 1] = -earlier @ mistakes[:, 0]
    found = displaced(model, theta, motion(0), step, mistakes)
    assert np.abs(found - expected).max() < 1e-7 * np.abs(expected).max()


def test_a_tame_rig_lets_rounding_grow_as_the_root_of_the_kicks_and_little_more() -> None:
    for seed in range(4):
        rig = undeclared_rig(seed, {})
        assert 1 < growth_of_rounding(rig.model, rig.theta, [forward(rig)], rig.task.step) < 1e4


@pytest.mark.parametrize("seed", [1, 3])
def test_a_rig_behind_whose_rounding_no_nudge_is_seen_is_refused_before_an_echo(seed: int) -> None:
    rig = undeclared_rig(seed, {}, CHAOTIC)
    run = Measurement(RHEL(), rig.request(NAMES))
    with pytest.raises(ProgramError, match=r"rounding grows to .*shorten the pass, or lower the drive; response: R"):
        execute(run.first_block(), rig.handler())
    assert run.shots == 1


@pytest.mark.parametrize("seed", [4, 22, 37])
def test_what_rounding_may_have_spoilt_is_said(seed: int) -> None:
    rig = undeclared_rig(seed, {}, CHAOTIC)
    found = rig.gradient(RHEL(), NAMES)
    assert any("rounding grows to" in words for words in found.warnings)
    fixed = rig.gradient(RHEL(response=1e-5), NAMES)
    assert rig.compare(fixed)[1] > 0.05
    assert any("rounding grows to" in words for words in fixed.warnings)


def test_growth_is_looked_at_again_where_the_echoes_ask_for_it() -> None:
    tame, chaotic = undeclared_rig(3, {}), undeclared_rig(22, {}, CHAOTIC)
    before = tame.gradient(RHEL(), NAMES)
    after = execute(RHEL().gradient(chaotic.request(NAMES, before.nudge)), chaotic.handler())
    assert any("rounding grows to" in words for words in after.warnings)


def test_of_a_linear_rig_rounding_grows_by_the_same_factor_however_small_its_motion() -> None:
    rig = undeclared_rig(3, {}, Sizes(cubic=(0.0, 0.0), steps=60))
    item = forward(rig)
    found = [
        growth_of_rounding(rig.model, rig.theta, [replace(item, q=size * item.q)] * 2, rig.task.step)
        for size in (1.0, 1e-6)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-6) and found[0] > 1.5
