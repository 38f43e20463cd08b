"""Random units, inputs and cotangents that the engine tests share."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from labrhel.learning.units import BackwardRun, UnitState
from simbackend.recurrent.engines.adjoint import AdjointEngine
from simbackend.recurrent.engines.bptt import TapeEngine
from simbackend.recurrent.engines.difference import DifferenceEngine
from simbackend.recurrent.engines.echoes import EchoEngine
from simbackend.recurrent.models.damped import Damped
from simbackend.recurrent.models.dense_network import DenseNetwork
from simbackend.recurrent.models.linear_hru import LinearHRU
from simbackend.recurrent.models.nonlinear_hru import NonlinearHRU
from simbackend.recurrent.models.recurrent_unit import RecurrentUnit

MODELS: dict[str, RecurrentUnit] = {
    "linear": LinearHRU(),
    "nonlinear": NonlinearHRU(),
    "dense": DenseNetwork(),
    "damped": Damped(LinearHRU()),
    "damped_nonlinear": Damped(NonlinearHRU()),
}
ENGINES: dict[str, Any] = {
    "echoes": EchoEngine,
    "difference": DifferenceEngine,
    "adjoint": AdjointEngine,
    "bptt": TapeEngine,
}


@dataclass(frozen=True)
class Case:
    """A unit with everything it runs on."""

    model: RecurrentUnit
    theta: dict[str, np.ndarray]
    inputs: np.ndarray
    start: UnitState | None
    cotangent: np.ndarray

    def gradient(self, engine: Any) -> BackwardRun:
        return engine.backward(engine.forward(self.theta, self.inputs, self.start), self.cotangent)

    def as_type(self, kind: Any) -> "Case":
        start = None if self.start is None else UnitState(self.start.q.astype(kind), self.start.p.astype(kind))
        theta = {name: value.astype(kind) for name, value in self.theta.items()}
        return Case(self.model, theta, self.inputs.astype(kind), start, self.cotangent.astype(kind))


def case(
    kind: str,
    *,
    n: int = 7,
    d_in: int = 3,
    d_out: int = 2,
    batch: int = 3,
    steps: int = 75,
    step: float = 0.15,
    amplitude: float = 1.0,
    at_rest: bool = False,
    friction: float = 1.5,
    seed: int = 5,
) -> Case:
    """A unit with all parameters drawn; 75 steps are two whole stretches of the kernels and a part of one."""
    random = np.random.default_rng(seed)
    model = MODELS[kind]
    theta = {
        "d": random.uniform(0.5, 1.5, n) * step,
        "A": random.uniform(0.5, 2.0, n),
        "B": random.normal(size=(n, d_in)) / np.sqrt(d_in),
        "C": random.normal(size=(d_out, n)) / np.sqrt(n),
        "b": random.normal(size=n) * 0.3,
        "alpha": random.uniform(0.3, 1.0, n),
        "c": random.normal(size=n),
        "g": np.linspace(0.1 * friction, friction, n),  # not drawn: the others stay
    }
    if kind == "dense":  # b is a Duffing term there
        theta |= {"d": np.array(0.8 * step), "k": theta["alpha"], "J": random.uniform(-0.2, 1.0, (n, n)) / n}
        theta["b"] = np.abs(theta["b"])
    theta = {name: theta[name] for name in model.parameters}
    start = UnitState(random.normal(size=(batch, n)), random.normal(size=(batch, n)))
    inputs = amplitude * random.normal(size=(batch, steps, d_in))
    cotangent = random.normal(size=(batch, steps, d_out))
    return Case(model, theta, inputs, None if at_rest else start, cotangent)


def everything(found: BackwardRun) -> dict[str, np.ndarray]:
    """All gradients by name."""
    return {**found.parameters, "u": found.inputs, "q0": found.start.q, "p0": found.start.p}


def errors(found: BackwardRun, expected: BackwardRun) -> dict[str, float]:
    """Relative error of each gradient."""
    mine, theirs = everything(found), everything(expected)
    assert mine.keys() == theirs.keys()
    # A single oscillator has no spring, and a gradient of zero.
    sizes = {name: float(np.linalg.norm(value)) or 1.0 for name, value in theirs.items()}
    return {name: float(np.linalg.norm(mine[name] - theirs[name])) / sizes[name] for name in theirs}


def overall(found: BackwardRun, expected: BackwardRun) -> float:
    """Relative error of all parameters as one vector."""
    mine, theirs = (
        np.concatenate([np.ravel(run.parameters[name]).astype(float) for name in expected.parameters])
        for run in (found, expected)
    )
    return float(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs))
