"""What engines refuse, in one clear sentence."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.learning.units import UnitState
from simbackend.recurrent.engines.adjoint import AdjointEngine
from simbackend.recurrent.engines.echoes import EchoEngine
from simbackend.recurrent.engines.reference import ReferenceEngine
from simbackend.testing.units import Case, case


def without(unit: Case, name: str) -> Case:
    return replace(unit, theta={key: value for key, value in unit.theta.items() if key != name})


def given(unit: Case, **values: Any) -> Case:
    return replace(unit, theta={**unit.theta, **values})


WRONG: list[tuple[Any, str]] = [
    (lambda unit: without(unit, "A"), "parameter A is missing; the nonlinear HRU has: d, A, B"),
    (lambda unit: given(unit, gain=np.ones(7)), "unknown parameter 'gain'"),
    (lambda unit: given(unit, d=np.ones((7, 1))), r"d of the nonlinear HRU has shape \(7, 1\); expected \(n,\)"),
    (lambda unit: given(unit, c=np.ones(5)), r"c .* has shape \(5,\); expected \(n,\) with n = 7"),
    (lambda unit: given(unit, b=np.full(7, np.nan)), "b of the nonlinear HRU holds a value that is not a finite"),
    (lambda unit: replace(unit, inputs=unit.inputs[0]), r"inputs have shape \(75, 3\); expected \(batch, steps, 3\)"),
    (lambda unit: replace(unit, inputs=unit.inputs[:, :, :2].copy()), r"inputs have shape \(3, 75, 2\)"),
    (lambda unit: replace(unit, inputs=unit.inputs[:, :0]), "at least one step"),
    (lambda unit: replace(unit, inputs=unit.inputs[:0]), "the batch is empty"),
    (lambda unit: replace(unit, inputs=np.full_like(unit.inputs, np.nan)), "the inputs hold a value that is not a fin"),
    (lambda unit: replace(unit, start=UnitState(np.ones((3, 7)), np.full((3, 7), np.inf))), "start momenta hold a"),
    (lambda unit: replace(unit, inputs=unit.inputs.astype(int)), "float32 or float64, not int64"),
    (lambda unit: replace(unit, start=UnitState(np.ones((2, 7)), np.ones((3, 7)))), r"start positions have shape"),
    (lambda unit: replace(unit, cotangent=unit.cotangent[:, 1:]), "the cotangent has shape"),
    (lambda unit: replace(unit, cotangent=unit.cotangent.astype(np.float32)), "use one type"),
    (lambda unit: replace(unit, cotangent=np.full_like(unit.cotangent, np.inf)), "look at the loss"),
    (lambda unit: given(unit, d=np.full(7, 3.0)), "diverged; the leapfrog needs d"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_what_cannot_run_is_refused(change: Any, words: str) -> None:
    unit = change(case("nonlinear", steps=75))
    if "diverged" in words:
        unit = replace(unit, inputs=np.ones((3, 3000, 3)), cotangent=np.ones((3, 3000, 2)))
    with pytest.raises(ConfigurationError, match=words):
        unit.gradient(AdjointEngine(unit.model))


@pytest.mark.parametrize("eps", [0.0, -1e-3, float("nan"), float("inf")])
def test_eps_must_be_positive(eps: float) -> None:
    with pytest.raises(ConfigurationError, match="eps must be a positive number"):
        EchoEngine(case("linear").model, eps=eps)


def test_a_method_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown method 'magic'"):
        ReferenceEngine(case("linear").model, "magic")  # pyright: ignore[reportArgumentType]


def test_inputs_of_any_memory_layout_give_the_same() -> None:
    unit = case("nonlinear")
    expected = unit.gradient(AdjointEngine(unit.model))
    strange = np.asfortranarray(unit.inputs)
    strange.setflags(write=False)
    found = replace(unit, inputs=strange).gradient(AdjointEngine(unit.model))
    assert np.array_equal(found.parameters["B"], expected.parameters["B"])
