"""The conformance checks pass sound models, and name what is wrong with others."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from simbackend.models.check import check_model, failures
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.models.saturating_network import SaturatingNetwork
from simbackend.models.separable_model import SeparableModel, Term

Theta = Mapping[str, np.ndarray]


class Toggle(SeparableModel):
    """V = sum s q^2/2 + c q_1 q_2^2: small, asymmetric, with a term that all functions must agree on."""

    def __init__(self, **common: Any) -> None:
        super().__init__(2, {"spring": Term((2,), 1.2, "s"), "mixing": Term((), 0.3, "c")}, **common)

    def potential(self, q: np.ndarray, theta: Theta) -> float:
        return float(self.value("spring", theta) @ q**2 / 2 + self.value("mixing", theta) * q[0] * q[1] ** 2)

    def force(self, q: np.ndarray, theta: Theta) -> np.ndarray:
        spring, mixing = self.value("spring", theta), self.value("mixing", theta)
        return -np.stack([spring[0] * q[0] + mixing * q[1] ** 2, spring[1] * q[1] + 2 * mixing * q[0] * q[1]])

    def slopes(self, q: np.ndarray, theta: Theta) -> dict[str, np.ndarray]:
        return {"spring": q**2 / 2, "mixing": q[0] * q[1] ** 2}


def complaints(model: object) -> str:
    return "\n".join(failures(check_model(model, np.random.default_rng(1))))  # type: ignore[arg-type]


@pytest.mark.parametrize("coupling", ["none", "chain", "all"])
def test_the_oscillator_network_conforms(coupling: str) -> None:
    random = np.random.default_rng(3)
    edges = len(OscillatorNetwork(5, coupling=coupling).edges)
    nominal = {
        "mass": random.uniform(0.7, 1.4, 5),
        "quadratic": 0.1,
        "cubic": random.uniform(0, 0.4, 5),
        "quartic": 0.05,
        "coupling": random.uniform(0.1, 0.3, edges),
        "friction": 0.1,
    }
    assert complaints(OscillatorNetwork(5, coupling=coupling, nominal=nominal)) == ""
    assert complaints(OscillatorNetwork(5, coupling=coupling)) == ""  # linear


def test_the_saturating_network_conforms() -> None:
    nominal = {"saturation": [0.5, 1.5, -0.2, 0.0, 2.0], "cubic": 0.1, "coupling": 0.2, "friction": 0.1}
    assert complaints(SaturatingNetwork(5, coupling="chain", nominal=nominal)) == ""
    assert not SaturatingNetwork(2, nominal={"saturation": 1.0}).is_linear({})
    assert SaturatingNetwork(2).is_linear({})


def test_a_small_model_of_ones_own_conforms() -> None:
    assert complaints(Toggle(nominal={"mass": [0.8, 1.3], "friction": 0.05})) == ""


class WrongForce(Toggle):
    def force(self, q: np.ndarray, theta: Theta) -> np.ndarray:
        return -super().force(q, theta)


class OneSidedForce(Toggle):
    potential = None  # type: ignore[assignment]

    def force(self, q: np.ndarray, theta: Theta) -> np.ndarray:
        return super().force(q, theta) + 0.1 * np.stack([q[1], 0 * q[1]])


class HalfTheSlope(Toggle):
    def slopes(self, q: np.ndarray, theta: Theta) -> dict[str, np.ndarray]:
        return super().slopes(q, theta) | {"mixing": q[0] * q[1] ** 2 / 2}


class ShapelessSlope(Toggle):
    def slopes(self, q: np.ndarray, theta: Theta) -> dict[str, np.ndarray]:
        return super().slopes(q, theta) | {"spring": (q**2 / 2).sum(axis=0)}


class ForgotTheStep(Toggle):
    def observables(self, names: Any, q: Any, v: Any, u: Any, dt: float, theta: Theta) -> dict[str, np.ndarray]:
        return super().observables(names, q, v, u, 1.0, theta)


class ClaimsToBeLinear(Toggle):
    def is_linear(self, theta: Theta) -> bool:
        return True


class TooBold(Toggle):
    def largest_step(self, theta: Theta) -> float:
        return 2 * super().largest_step(theta)


class Remembers(Toggle):
    """Its force depends on how often it was asked."""

    asked = 0

    def force(self, q: np.ndarray, theta: Theta) -> np.ndarray:
        self.asked += 1
        return super().force(q, theta) * (1 + 1e-6 * self.asked)


class Gains(Toggle):
    def friction(self, theta: Theta) -> np.ndarray:
        return -0.1 * np.eye(2)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (WrongForce, "the force is minus the slope of the potential"),
        (OneSidedForce, "its Jacobian is symmetric"),
        (HalfTheSlope, "observable mixing: dO/dq = -dF/dmixing"),
        (HalfTheSlope, "observable mixing = dV/dmixing"),
        (ShapelessSlope, "observable spring"),
        (ForgotTheStep, "is summed over the kicks, times the step"),
        (ClaimsToBeLinear, "says it is linear"),
        (TooBold, "the largest step is 2/omega_max"),
        (Remembers, "a flip retraces the motion"),
        (Gains, "no mode gains energy"),
    ],
)
def test_a_mistake_is_named(model: type[Toggle], complaint: str) -> None:
    assert complaint in complaints(model())


def test_a_mistake_in_one_function_is_not_blamed_on_the_others() -> None:
    assert all("mixing" in line for line in complaints(HalfTheSlope()).splitlines())


def test_names_and_shapes_are_checked_when_a_model_is_made() -> None:
    with pytest.raises(ConfigurationError, match="unknown parameter 'stiffness'; the terms of V are: spring, mixing"):
        Toggle(nominal={"stiffness": 1.0})
    with pytest.raises(ConfigurationError, match=r"spring must be finite, with the shape \(2,\)"):
        Toggle(nominal={"spring": np.ones(3)})
    with pytest.raises(ConfigurationError, match="every mass must be positive"):
        Toggle(nominal={"mass": 0.0})
