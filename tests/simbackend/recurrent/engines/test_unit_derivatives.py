"""Engines against central finite differences of the loss: every parameter, the inputs and the start state."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.learning.units import UnitState
from simbackend.recurrent.engines.reference import ReferenceEngine
from simbackend.testing.units import ENGINES, Case, case, everything

STEP = 1e-5


def loss(unit: Case) -> float:
    """A loss that is not linear in the outputs, so that a constant cotangent would not do."""
    outputs = ReferenceEngine(unit.model).forward(unit.theta, unit.inputs, unit.start).outputs
    return float(np.sum(unit.cotangent * np.sin(outputs)))


def moved(unit: Case, name: str, shift: np.ndarray) -> Case:
    assert unit.start is not None
    if name == "u":
        return replace(unit, inputs=unit.inputs + shift)
    if name == "q0":
        return replace(unit, start=UnitState(unit.start.q + shift, unit.start.p))
    if name == "p0":
        return replace(unit, start=UnitState(unit.start.q, unit.start.p + shift))
    return replace(unit, theta={**unit.theta, name: unit.theta[name] + shift})


REFERENCES = ("reference echoes", "reference difference", "reference adjoint", "reference bptt")
# The kernels' friction does not depend on what the force is: the linear damped unit is tried in plain NumPy here, in
# compiled code against the vectors and in stacks.
TRIED = [(name, kind) for kind in ("linear", "nonlinear", "dense", "damped_nonlinear") for name in ENGINES]
TRIED += [(name, kind) for kind in ("damped", "damped_nonlinear") for name in REFERENCES]


@pytest.mark.parametrize(("name", "kind"), TRIED)
def test_every_gradient_is_the_slope_of_the_loss(name: str, kind: str) -> None:
    unit = case(kind, n=4, steps=40)
    way: Any = name.removeprefix("reference ")
    engine: Any = ENGINES[name](unit.model) if way == name else ReferenceEngine(unit.model, way)
    run = engine.forward(unit.theta, unit.inputs, unit.start)
    gradient = everything(engine.backward(run, unit.cotangent * np.cos(run.outputs)))
    random = np.random.default_rng(1)
    for key, value in gradient.items():
        # Along three random directions; every entry weighs in each.
        for _ in range(3):
            direction = random.normal(size=value.shape)
            slope = (loss(moved(unit, key, STEP * direction)) - loss(moved(unit, key, -STEP * direction))) / 2 / STEP
            assert np.sum(value * direction) == pytest.approx(slope, rel=1e-6, abs=1e-6), key
