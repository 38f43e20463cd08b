"""What the benchmarks of recurrent units have in common: sizes, parameters, sequences, and the engines at work.

128 units, batch 32, 6 inputs, 1 output; a mean-square error over every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.rounds import Contender
from labrhel.arrays import Array
from labrhel.learning.units import Engine
from simbackend.recurrent.engines.adjoint import AdjointEngine
from simbackend.recurrent.engines.bptt import TapeEngine
from simbackend.recurrent.engines.difference import DifferenceEngine
from simbackend.recurrent.engines.echoes import EchoEngine
from simbackend.recurrent.models.linear_hru import LinearHRU
from simbackend.recurrent.models.nonlinear_hru import NonlinearHRU
from simbackend.recurrent.models.recurrent_unit import RecurrentUnit

UNITS, BATCH, D_IN, D_OUT = 128, 32, 6, 1
STEP, AMPLITUDE = 0.02, 0.3
EPS = {"float32": 1.0, "float64": 1e-2}  # over the steps: errors of order eps^2 and of rounding are about equal
MODELS: Mapping[str, RecurrentUnit] = {"nonlinear": NonlinearHRU(), "linear": LinearHRU()}
Parameters = dict[str, Array]


def task(
    model: RecurrentUnit, steps: int, kind: str, *, d_in: int = D_IN, d_out: int = D_OUT, seed: int = 0
) -> tuple[Parameters, Array, Array]:
    """Parameters, inputs (batch, steps, d_in) and targets (batch, steps, d_out)."""
    random = np.random.default_rng(seed)
    theta = {
        "d": np.full(UNITS, STEP),
        "A": random.uniform(0.5, 1.5, UNITS),
        "B": random.normal(size=(UNITS, d_in)) / np.sqrt(d_in),
        "C": random.normal(size=(d_out, UNITS)) / np.sqrt(UNITS),
        "b": 0.1 * random.normal(size=UNITS),
        "alpha": random.uniform(0.5, 1.5, UNITS),
        "c": random.normal(size=UNITS),
    }
    # Drawn in their type: a float64 copy would leave a peak in memory that hides what is measured.
    inputs = random.standard_normal((BATCH, steps, d_in), np.dtype(kind).type)
    inputs *= AMPLITUDE
    target = random.standard_normal((BATCH, steps, d_out), np.dtype(kind).type)
    return {name: theta[name].astype(kind) for name in model.parameters}, inputs, target


def strength(inputs: Array) -> float:
    """Eps for physical echoes over these inputs."""
    return EPS[inputs.dtype.name] / inputs.shape[1]


def engine(name: str, model: RecurrentUnit, eps: float, *, input_gradient: bool = False) -> Engine:
    """An engine by name, with this eps if it is the one of physical echoes."""
    if name == "echoes":
        return EchoEngine(model, eps=eps, input_gradient=input_gradient)
    if name == "difference":
        return DifferenceEngine(model, eps=1e-6, input_gradient=input_gradient)
    return {"adjoint": AdjointEngine, "bptt": TapeEngine}[name](model, input_gradient=input_gradient)


def learning(engine: Engine, theta: Parameters, inputs: Array, target: Array) -> Contender:
    """Gradients of half the squared error; the error takes the place of the outputs."""

    def run() -> Mapping[str, Any]:
        forward = engine.forward(theta, inputs)
        np.subtract(forward.outputs, target, out=forward.outputs)
        return engine.backward(forward, forward.outputs).parameters

    return Contender(run, inputs.shape[1])


def widened(theta: Parameters, inputs: Array, target: Array) -> tuple[Parameters, Array, Array]:
    """The very same numbers in float64."""
    return {name: value.astype(float) for name, value in theta.items()}, inputs.astype(float), target.astype(float)


def exact(model: RecurrentUnit, theta: Parameters, inputs: Array, target: Array) -> Mapping[str, Any]:
    """The same gradients by BPTT in float64."""
    return learning(TapeEngine(model, input_gradient=False), *widened(theta, inputs, target)).run()
