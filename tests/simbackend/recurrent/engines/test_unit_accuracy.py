"""What the engines promise of their accuracy, and what they say when a gradient is not worth much."""

import os

import numpy as np
import pytest

from labrhel.learning.estimator import Estimator
from simbackend.recurrent.engines.adjoint import AdjointEngine
from simbackend.recurrent.engines.bptt import TapeEngine
from simbackend.recurrent.engines.difference import DifferenceEngine
from simbackend.recurrent.engines.echoes import EchoEngine
from simbackend.testing.units import ENGINES, case, everything, overall

EVERY = bool(os.environ.get("LABRHEL_UNITS"))  # kernels whatever time they take to compile, in `make targets`


def test_physical_echoes_are_within_2e_6_of_the_exact_gradient() -> None:
    unit = case("nonlinear", n=32, steps=1000, step=0.05, amplitude=0.5, at_rest=True)
    exact = unit.gradient(TapeEngine(unit.model))
    found = unit.gradient(EchoEngine(unit.model))
    assert 0 < found.response_ratio <= 1e-4
    assert overall(found, exact) <= 2e-6
    assert not found.warnings


@pytest.mark.parametrize(("estimator", "slope"), [("one_sided", 1.0), ("symmetric", 2.0), ("four_point", 4.0)])
def test_the_error_of_an_estimator_falls_with_its_power_of_eps(estimator: str, slope: float) -> None:
    unit = case("nonlinear", steps=200)
    exact = unit.gradient(TapeEngine(unit.model))
    eps = np.array([1e-3, 2e-3, 4e-3])
    found = [
        overall(unit.gradient(EchoEngine(unit.model, estimator=Estimator(estimator), eps=value)), exact)
        for value in eps
    ]
    assert np.polyfit(np.log(eps), np.log(found), 1)[0] == pytest.approx(slope, abs=0.1)


@pytest.mark.parametrize("eps", [1e-6, 1e-3, 1.0, 1e3])
def test_linear_units_are_exact_at_any_eps(eps: float) -> None:
    unit = case("linear", steps=500)
    exact = unit.gradient(TapeEngine(unit.model))
    assert overall(unit.gradient(EchoEngine(unit.model, eps=eps)), exact) < 1e-8
    assert overall(unit.gradient(DifferenceEngine(unit.model, eps=eps)), exact) < 1e-12


def test_the_difference_form_in_float32_is_no_worse_than_four_times_bptt_in_float32() -> None:
    found: dict[float, list[float]] = {}
    for seed in range(4):
        unit = case(
            "nonlinear", n=64, batch=4, steps=1000, step=0.02, amplitude=0.3, at_rest=True, seed=seed
        ).as_type(np.float32)  # fmt: skip
        exact = unit.as_type(np.float64).gradient(TapeEngine(unit.model))
        found.setdefault(0.0, []).append(overall(unit.gradient(TapeEngine(unit.model)), exact))
        for eps in (1e-7, 1e-6, 1e-5):
            found.setdefault(eps, []).append(overall(unit.gradient(DifferenceEngine(unit.model, eps=eps)), exact))
    typical = {eps: float(np.sqrt(np.mean(np.square(values)))) for eps, values in found.items()}
    bptt = typical.pop(0.0)
    assert max(typical.values()) <= 4 * bptt, (typical, bptt)


def test_the_difference_form_holds_where_units_saturate() -> None:
    unit = case("nonlinear", steps=200)
    theta = {**unit.theta, "b": unit.theta["b"] + 8.0}  # 1 - tanh^2 = 5e-7 at 8
    for kind, tolerance in ((np.float64, 1e-10), (np.float32, 1e-4)):
        saturated = type(unit)(unit.model, theta, unit.inputs, unit.start, unit.cotangent).as_type(kind)
        exact = saturated.as_type(np.float64).gradient(TapeEngine(unit.model))
        for engine in (DifferenceEngine(unit.model), AdjointEngine(unit.model)):
            bias = saturated.gradient(engine).parameters["b"]
            expected = exact.parameters["b"]
            assert np.linalg.norm(bias - expected) < tolerance * np.linalg.norm(expected), engine.name


@pytest.mark.parametrize("kind", ["linear", "nonlinear", "dense"])
@pytest.mark.parametrize("name", ["echoes", "difference", "adjoint"])
def test_the_path_run_backwards_returns_to_its_start(name: str, kind: str) -> None:
    unit = case(kind, steps=1000, step=0.05, amplitude=0.3)
    eps = {} if name == "adjoint" else {"eps": 1e-12}
    found = unit.gradient(ENGINES[name](unit.model, **eps))
    assert found.retrace_error < 1e-12


@pytest.mark.parametrize("kind", ["linear", "nonlinear", "dense"] if EVERY else ["nonlinear"])
def test_in_float32_too_since_it_carries_what_rounding_left_out(kind: str) -> None:
    unit = case(kind, n=64, batch=2, steps=5000, step=0.02, amplitude=0.3, at_rest=True).as_type(np.float32)
    assert unit.gradient(AdjointEngine(unit.model)).retrace_error < 1e-6  # 2e-5 with plain sums


@pytest.mark.parametrize("kind", ["linear", "nonlinear", "dense"])
@pytest.mark.parametrize("name", ENGINES)
def test_threads_change_no_bit(name: str, kind: str) -> None:
    unit = case(kind, n=40, batch=7, steps=4000)
    runs = [unit.gradient(ENGINES[name](unit.model, threads=threads)) for threads in (1, 2, 3)]
    for other in runs[1:]:
        for key, value in everything(runs[0]).items():
            assert np.array_equal(value, everything(other)[key]), key
        assert other.growth == runs[0].growth


@pytest.mark.parametrize("name", ENGINES)
def test_a_gradient_that_rounding_has_ruined_is_flagged(name: str) -> None:
    # dt = 0.1, unit inputs, 10,000 steps: the adjoint grows 1e4- to 1e7-fold.
    unit = case("nonlinear", n=16, batch=1, steps=10_000, step=0.1, at_rest=True, seed=2).as_type(np.float32)
    exact = unit.as_type(np.float64).gradient(TapeEngine(unit.model))
    found = unit.gradient(ENGINES[name](unit.model))
    assert overall(found, exact) > 1e-2
    assert any("float64" in words for words in found.warnings), found.warnings
    assert exact.growth > 1e3
    assert not exact.warnings


def test_growth_is_that_of_the_adjoint_from_where_it_was_fed_in() -> None:
    unit = case("nonlinear", n=16, batch=1, steps=3000, step=0.1, at_rest=True, seed=2)
    unit.cotangent[:, :-1] = 0  # fed in at the end only
    engine = AdjointEngine(unit.model)
    found = unit.gradient(engine)
    nudge = np.abs(unit.cotangent[:, -1] @ unit.theta["C"])
    ratio = float(np.max(np.hypot(found.start.q, found.start.p) / nudge))
    assert found.growth > 10
    assert found.growth > ratio / 5
    assert unit.gradient(EchoEngine(unit.model)).growth == pytest.approx(found.growth, rel=1e-3)


def test_a_bounded_adjoint_has_not_grown() -> None:
    unit = case("linear", n=16, steps=5000)
    assert unit.gradient(AdjointEngine(unit.model)).growth < 1.5


def test_echoes_beyond_the_linear_response_are_flagged() -> None:
    unit = case("nonlinear", steps=300)
    found = unit.gradient(EchoEngine(unit.model, eps=1.0))
    assert found.response_ratio > 0.1
    assert any("lower eps" in words for words in found.warnings)
    assert not unit.gradient(EchoEngine(unit.model)).warnings


def test_a_chosen_eps_follows_the_size_of_the_cotangent() -> None:
    unit = case("nonlinear", steps=300)
    exact = unit.gradient(TapeEngine(unit.model))
    for factor in (1e-12, 1.0, 1e12):
        engine = EchoEngine(unit.model)
        found = engine.backward(engine.forward(unit.theta, unit.inputs, unit.start), factor * unit.cotangent)
        assert 1e-6 < found.response_ratio < 1e-4
        assert np.allclose(found.parameters["b"], factor * exact.parameters["b"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ENGINES)
def test_no_error_gives_no_gradient(name: str) -> None:
    unit = case("nonlinear")
    unit.cotangent[:] = 0
    found = unit.gradient(ENGINES[name](unit.model))
    assert all(not value.any() for value in everything(found).values())
    assert not found.warnings


def test_the_input_gradient_can_be_left_away() -> None:
    unit = case("nonlinear")
    found = unit.gradient(AdjointEngine(unit.model, input_gradient=False))
    assert found.inputs.shape == (3, 0, 3)
    assert overall(found, unit.gradient(AdjointEngine(unit.model))) == 0


def test_a_coupled_unit_that_nothing_is_fed_into_does_not_count_as_growth() -> None:
    unit = case("dense", n=12, d_out=1, steps=400, step=0.05, amplitude=0.3, at_rest=True)
    unit.theta["C"][:, 1:] = 0  # only the first is read out; the others answer through their springs
    for name, options in (("adjoint", {}), ("echoes", {"eps": 1e-6})):
        assert unit.gradient(ENGINES[name](unit.model, **options)).growth < 3
