"""The compiled engines against the readable ones, and both against vectors made by other people's code.

Most of the time goes into compiling: LABRHEL_UNITS=1 (`make targets`) tries every engine in either precision, and the
damped linear unit in compiled code, too.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.learning.estimator import Estimator
from labrhel.learning.units import UnitState
from simbackend.recurrent.engines.echoes import EchoEngine
from simbackend.recurrent.engines.reference import ReferenceEngine
from simbackend.testing.units import ENGINES, MODELS, case, errors, everything

EVERY = bool(os.environ.get("LABRHEL_UNITS"))
KINDS = ("linear", "nonlinear", "dense")
# A unit alone, a batch that does not fill its rows, more units than a vector, and enough outputs for the other product.
SHAPES: list[dict[str, int]] = [
    {},
    {"n": 1, "d_in": 1, "d_out": 1, "batch": 1, "steps": 1},
    {"n": 33, "d_in": 5, "d_out": 1, "batch": 4, "steps": 64},
    {"n": 40, "d_in": 37, "d_out": 34, "batch": 1, "steps": 300},
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_forward_pass_is_that_of_the_reference(kind: str, shape: dict[str, int]) -> None:
    unit = case(kind, **shape)
    run = ENGINES["echoes"](unit.model).forward(unit.theta, unit.inputs, unit.start)
    expected = ReferenceEngine(unit.model).forward(unit.theta, unit.inputs, unit.start)
    for mine, theirs in (
        (run.outputs, expected.outputs), (run.end.q, expected.end.q), (run.end.p, expected.end.p)
    ):  # fmt: skip
        assert mine.shape == theirs.shape
        assert np.abs(mine - theirs).max() < 1e-12


# The same eps for both.  The mid-point forms differ from the literal observables, and the slope between the echoes
# from that at their mean, at order eps^2; the literal sums lose digits as 1e-16/eps.
TOLERANCES = {"echoes": 1e-7, "difference": 1e-10, "adjoint": 1e-11, "bptt": 1e-11}
EPS = {"echoes": {"eps": 2e-7}, "difference": {"eps": 1e-9}}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ENGINES)
def test_every_gradient_is_that_of_the_reference(name: str, kind: str, shape: dict[str, int]) -> None:
    unit, eps = case(kind, **shape), EPS.get(name, {})
    found = unit.gradient(ENGINES[name](unit.model, **eps))
    expected = unit.gradient(ReferenceEngine(unit.model, name, **eps))  # pyright: ignore[reportArgumentType]
    worst = errors(found, expected)
    assert max(worst.values()) < TOLERANCES[name], worst
    # Kernels look once in a stretch of 32 steps, the reference at every step.
    assert expected.response_ratio / 2.5 <= found.response_ratio <= 2.5 * expected.response_ratio


@pytest.mark.parametrize("name", ["echoes", "difference"])
@pytest.mark.parametrize("steps", [3, 1000])
def test_response_and_retrace_are_those_of_the_reference(steps: int, name: str) -> None:
    # So strong a nudge that the mean of the echoes misses the start by far more than rounding.
    unit = case("nonlinear", n=20, steps=steps, step=0.05)
    found = unit.gradient(ENGINES[name](unit.model, eps=1e-3))
    expected = unit.gradient(ReferenceEngine(unit.model, name, eps=1e-3))  # pyright: ignore[reportArgumentType]
    assert expected.response_ratio / 2.5 < found.response_ratio < 2.5 * expected.response_ratio
    assert expected.retrace_error / 2.5 < found.retrace_error < 2.5 * expected.retrace_error
    assert found.retrace_error > 1e-12


@pytest.mark.parametrize("estimator", list(Estimator))
def test_every_estimator_is_that_of_the_reference(estimator: Estimator) -> None:
    unit = case("nonlinear")
    found = unit.gradient(EchoEngine(unit.model, estimator=estimator, eps=1e-4))
    expected = unit.gradient(ReferenceEngine(unit.model, "echoes", estimator=estimator, eps=1e-4))
    worst = errors(found, expected)
    assert max(worst.values()) < 1e-6, worst


@pytest.mark.parametrize("kind", KINDS if EVERY else ["nonlinear"])
@pytest.mark.parametrize("name", ENGINES)
def test_single_precision_is_the_same_to_its_rounding(name: str, kind: str) -> None:
    unit = case(kind, batch=5).as_type(np.float32)
    found = unit.gradient(ENGINES[name](unit.model))
    assert {value.dtype for value in everything(found).values()} == {np.dtype(np.float32)}
    worst = errors(found, unit.as_type(np.float64).gradient(ReferenceEngine(unit.model)))
    # Nonlinear echoes subtract: 1e-7 / r with r = 3e-3; a step that all units share adds up differences of one sign
    # and the other (their energy is conserved), ten times smaller than their parts.
    subtracts = name == "echoes" and kind != "linear"
    assert worst.pop("d") < (2e-2 if subtracts and kind == "dense" else 2e-3 if subtracts else 1e-5)
    assert max(worst.values()) < (2e-3 if subtracts else 1e-5), worst


FILES = {
    "linear": "hru_linear_full.npz",
    "nonlinear": "hru_nonlinear_full.npz",
    "damped": "hru_damped_linear_full.npz",
    "damped_nonlinear": "hru_damped_nonlinear_full.npz",
}


ENGINES_OF = {kind: [*ENGINES, "reference"] if EVERY or kind != "damped" else ["reference"] for kind in FILES}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in ENGINES_OF.items() for name in names])
def test_outputs_and_gradients_are_those_of_the_vectors(kind: str, name: str) -> None:
    vectors = read_vectors(FILES[kind])
    model, n = MODELS[kind], len(vectors["param_d"])
    theta = {name: vectors[f"param_{name}"] for name in model.parameters if name != "C"}
    theta["C"] = np.eye(n)
    if kind == "nonlinear":  # a damped one has its own in each unit
        theta["alpha"] = np.full(n, theta["alpha"])  # theirs is one number for all units
    engine: Any = ReferenceEngine(model, "bptt") if name == "reference" else ENGINES[name](model)
    start = UnitState(vectors["param_q0"][None], vectors["param_p0"][None])
    run = engine.forward(theta, vectors["param_u"][None], start)
    assert np.abs(run.outputs[0] - vectors["q_full"]).max() < 1e-13
    assert np.abs(run.end.p[0] - vectors["p_end"]).max() < 1e-13
    assert np.sum(run.outputs[0] * vectors["cotangent"]) == pytest.approx(float(vectors["loss"]), rel=1e-12)
    gradient = everything(engine.backward(run, vectors["cotangent"][None]))
    tolerance = 1e-8 if name == "echoes" and not model.linear else 1e-12
    for key in [key.removeprefix("grad_") for key in vectors if key.startswith("grad_")]:
        expected = vectors[f"grad_{key}"]
        mine = gradient[key].reshape(expected.shape) if expected.ndim else gradient[key].sum()
        assert np.linalg.norm(mine - expected) < tolerance * np.linalg.norm(expected), key


def read_vectors(name: str) -> dict[str, np.ndarray]:
    root = os.environ.get("LABRHEL_DATA")
    if not root:
        pytest.skip("LABRHEL_DATA is not set; it names the folder of the independent test vectors")
    for folder in (Path(root), Path(root) / "vectors"):
        if (folder / name).exists():
            with np.load(folder / name) as file:
                return dict(file)
    pytest.skip(f"{name} is neither in LABRHEL_DATA nor in its sub-folder vectors")
