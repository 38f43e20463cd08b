"""What no echo shows is read off the forward record: delays, one-sided couplings, friction that is not linear."""

from typing import Any

import numpy as np
import pytest

from benchmarks.honesty import NAMES, STEP, Sizes, undeclared_rig
from benchmarks.odd_rigs import odd
from labrhel.executor import execute
from protocols.forward.forward import run_forward
from protocols.inference.record import Record, of_record
from protocols.rhel import RHEL
from simbackend.imperfections import HiddenFriction, Imperfections, NonReciprocity, PathErrors
from simbackend.rigs.reference import ReferenceTask


def record(rig: ReferenceTask) -> Record:
    batch = execute(run_forward(rig.request(NAMES)), rig.handler()).batch
    found = of_record(rig.model, rig.theta, batch.passes, rig.task.step)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wrong", [{}, {"noise": 1e-3}, {"friction": HiddenFriction(uniform=0.02)}])
def test_the_record_of_an_ordinary_rig_says_nothing(seed: int, wrong: dict[str, Any]) -> None:
    assert list(record(undeclared_rig(seed, wrong)).words) == []


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_couplings_that_pull_one_way_are_told_and_nothing_else(seed: int) -> None:
    found = record(undeclared_rig(seed, {"reciprocity": NonReciprocity(0.05)}))
    (words,) = found.words
    assert "harder one way" in words
    assert 0.02 < found.onesided.value < 0.1


@pytest.mark.parametrize("where", ["ports", "channels"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_delay_is_told_with_its_size(where: str, seed: int) -> None:
    found = record(undeclared_rig(seed, {where: PathErrors(delay=0.5 * STEP)}))
    assert any("kicks after the inputs" in words for words in found.words)
    assert 0.2 < found.delay.value < 0.6


@pytest.mark.parametrize(("drag", "dry", "name"), [(0.1, 0.0, "(drag)"), (0.0, 0.02, "(dry friction)")])
@pytest.mark.parametrize("seed", [0, 1])
def test_friction_that_is_not_linear_is_told_from_friction_that_is(
    drag: float, dry: float, name: str, seed: int
) -> None:
    found = record(odd(undeclared_rig(seed, {}), drag, dry))
    (words,) = found.words
    assert name in words and "labrhel audit" in words


def test_a_locked_gradient_says_what_the_lock_hides() -> None:
    rig = odd(undeclared_rig(1, {}), drag=0.05)
    found = rig.gradient(RHEL(lock=3), NAMES)
    assert found.retrace_error is not None and found.retrace_error < 0.01
    assert any("(drag)" in words for words in found.warnings)


def test_errors_of_a_noisy_record_are_the_spread_of_what_it_says() -> None:
    rig = undeclared_rig(1, {})
    found = [record(odd(rig, dry=0.02, wrong=Imperfections(seed=seed, noise=1e-3))) for seed in range(8)]
    for name in ("delay", "dry"):
        values, errors = ([getattr(getattr(one, name), part) for one in found] for part in ("value", "error"))
        # By their size alone the residuals would say five times the spread, and hide what they tell.
        assert 0.3 * np.std(values) < np.mean(errors) < 3.5 * np.std(values), name


@pytest.mark.parametrize("noise", [1e-3, 3e-3])
def test_a_locked_gradient_of_a_record_that_cannot_exclude_dry_friction_says_so(noise: float) -> None:
    rig = odd(undeclared_rig(3, {}), dry=0.02, wrong=Imperfections(seed=3, noise=noise))
    found = rig.gradient(RHEL(lock=3), ("stiffness",))
    assert any("dry friction" in words or "friction that is not linear" in words for words in found.warnings)


def test_a_record_too_short_for_its_columns_says_nothing() -> None:
    rig = undeclared_rig(1, {}, Sizes(steps=60))
    batch = execute(run_forward(rig.request(NAMES)), rig.handler()).batch
    assert of_record(rig.model, rig.theta, batch.passes, rig.task.step) is None
