"""Units with friction: what they are, what an echo needs of them, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.learning.units import UnitState
from simbackend.recurrent.engines.adjoint import AdjointEngine
from simbackend.recurrent.engines.bptt import TapeEngine
from simbackend.recurrent.engines.judging import judge
from simbackend.recurrent.engines.reference import ReferenceEngine
from simbackend.recurrent.models.damped import Damped
from simbackend.testing.units import ENGINES, MODELS, case, errors, everything


def test_a_free_damped_oscillator_loses_its_energy_as_exp_minus_g_t() -> None:
    g, step, steps = 0.1, 0.02, 2000
    theta = {"d": [step], "A": [1.0], "B": [[0.0]], "C": [[1.0]], "g": [g]}
    model = MODELS["damped"]
    run = ReferenceEngine(model).forward(
        {name: np.array(value) for name, value in theta.items()},
        np.zeros((1, steps, 1)), UnitState(np.ones((1, 1)), np.zeros((1, 1))),
    )  # fmt: skip
    # q = exp(-g t/2) (cos w t + g/(2 w) sin w t), w^2 = A - g^2/4
    t = step * np.arange(1, steps + 1)
    w = np.sqrt(1 - g**2 / 4)
    expected = np.exp(-g * t / 2) * (np.cos(w * t) + g / 2 / w * np.sin(w * t))
    assert np.abs(run.outputs[0, :, 0] - expected).max() < 1e-3  # the leapfrog's own, d^2/24 of the phase


@pytest.mark.parametrize("name", ENGINES)
def test_without_friction_a_damped_unit_is_the_lossless_one(name: str) -> None:
    damped = case("damped_nonlinear", friction=0.0)
    found = everything(damped.gradient(ENGINES[name](damped.model)))
    lossless = case("nonlinear")
    for key, value in everything(lossless.gradient(ENGINES[name](lossless.model))).items():
        assert np.linalg.norm(found[key] - value) <= 1e-14 * np.linalg.norm(value), key
    assert np.abs(found["g"]).min() > 0  # what friction would do is known before there is any


@pytest.mark.parametrize("name", ENGINES)
def test_a_hundred_e_folds_of_energy_in_a_pass_cost_no_accuracy(name: str) -> None:
    unit = case("damped_nonlinear", n=32, batch=2, steps=1000, step=0.1)
    unit.theta["g"] = 100 / (1000 * unit.theta["d"])
    found = unit.gradient(ENGINES[name](unit.model))
    worst = errors(found, unit.gradient(TapeEngine(unit.model)))
    assert max(worst.values()) < (1e-8 if name == "echoes" else 1e-13), worst
    assert found.growth < 2
    assert found.retrace_error < 1e-10
    assert not found.warnings


@pytest.mark.parametrize("step_times_friction", [1.9, 2.0, 2.1])
def test_a_step_that_friction_alone_would_stop_is_no_special_case(step_times_friction: float) -> None:
    unit = case("damped_nonlinear", n=5, steps=60)
    unit.theta["g"] = step_times_friction / unit.theta["d"]
    worst = errors(unit.gradient(AdjointEngine(unit.model)), unit.gradient(ReferenceEngine(unit.model, "bptt")))
    assert max(worst.values()) < 1e-11, worst


def test_an_echo_needs_half_of_what_a_tape_keeps() -> None:
    unit = case("damped_nonlinear")
    recorded = AdjointEngine(unit.model).forward(unit.theta, unit.inputs, unit.start)
    taped = TapeEngine(unit.model).forward(unit.theta, unit.inputs, unit.start)
    assert isinstance(recorded.record, np.ndarray)
    assert isinstance(taped.tape, np.ndarray)
    assert recorded.tape is None
    assert taped.record is None
    assert 2 * recorded.record.nbytes == taped.tape.nbytes


@pytest.mark.parametrize("name", ["echoes", "adjoint"])
def test_an_echo_that_is_not_driven_by_what_was_recorded_does_not_come_back(name: str) -> None:
    unit = case("damped_nonlinear", steps=300)
    engine = ENGINES[name](unit.model)
    run = engine.forward(unit.theta, unit.inputs, unit.start)
    plain = engine.backward(replace(run, record=0 * run.record), unit.cotangent)
    assert engine.backward(run, unit.cotangent).retrace_error < 1e-9
    assert plain.retrace_error > 0.1
    assert any("missed its start" in words for words in plain.warnings)


def test_negative_friction_is_refused() -> None:
    unit = case("damped")
    unit.theta["g"][3] = -0.25
    with pytest.raises(ConfigurationError, match=r"g of the damped linear HRU is -0.25 somewhere; expected 0 or more"):
        unit.gradient(AdjointEngine(unit.model))


def test_coupled_units_take_no_friction() -> None:
    with pytest.raises(ConfigurationError, match="only units that do not couple"):
        Damped(MODELS["dense"])


def test_only_a_nonlinear_unit_without_friction_is_advised_to_take_some() -> None:
    advised = {}
    for kind in ("linear", "nonlinear", "damped_nonlinear"):
        (words,) = judge(MODELS[kind], {}, np.dtype(float), 100, growth=1e20)
        advised[kind] = "give the unit friction" in words
    assert advised == {"linear": False, "nonlinear": True, "damped_nonlinear": False}
