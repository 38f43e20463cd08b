"""What an engine refuses before it runs, in one sentence each."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.units import ForwardRun, UnitState
from simbackend.recurrent.models.recurrent_unit import RecurrentUnit, sizes_of


def checked(model: RecurrentUnit, theta: Arrays, inputs: ArrayLike, start: UnitState | None) -> tuple[Array, UnitState]:
    """Inputs as the kernels take them (no copy if they are so already), and the start state, rest if none is given."""
    sizes = sizes_of(model, theta)
    inputs = _fit(np.asarray(inputs), "inputs")
    if inputs.ndim != 3 or inputs.shape[2] != sizes["d_in"] or not inputs.shape[1]:
        raise ConfigurationError(
            f"inputs have shape {inputs.shape}; expected (batch, steps, {sizes['d_in']}) with at least one step"
        )
    if not len(inputs):
        raise ConfigurationError(f"the batch is empty: inputs have shape {inputs.shape}; leave out a batch of nothing")
    # A tanh makes a finite number of what is none, and with it a gradient that looks like any.
    if not np.isfinite(inputs).all():
        raise ConfigurationError("the inputs hold a value that is not a finite number; clean the data")
    shape = len(inputs), sizes["n"]
    if start is None:
        return inputs, UnitState(np.zeros(shape, inputs.dtype), np.zeros(shape, inputs.dtype))
    for name, value in (("positions", start.q), ("momenta", start.p)):
        if np.shape(value) != shape:
            raise ConfigurationError(f"start {name} have shape {np.shape(value)}; expected (batch, n) = {shape}")
        if not np.isfinite(value).all():
            raise ConfigurationError(f"start {name} hold a value that is not a finite number")
    return inputs, start


def checked_cotangent(run: ForwardRun, cotangent: ArrayLike) -> Array:
    """dL/dy as the kernels take it."""
    cotangent = _fit(np.asarray(cotangent), "the cotangent")
    if cotangent.shape != run.outputs.shape:
        raise ConfigurationError(
            f"the cotangent has shape {cotangent.shape}; expected that of the outputs, {run.outputs.shape}"
        )
    if cotangent.dtype != run.inputs.dtype:
        raise ConfigurationError(
            f"the cotangent is {cotangent.dtype}, the inputs were {run.inputs.dtype}; use one type"
        )
    if not np.isfinite(cotangent).all():
        raise ConfigurationError("the cotangent holds a value that is not a finite number; look at the loss")
    return cotangent


def checked_eps(eps: float | None) -> float | None:
    """A strength of nudge that is a positive number, or None."""
    if eps is not None and not (eps > 0 and np.isfinite(eps)):
        raise ConfigurationError(f"eps must be a positive number, not {eps}; leave it out to have it chosen")
    return eps


def held_eps(eps: float, dtype: np.dtype) -> float:
    """An eps that numbers of this type can be multiplied with and divided by."""
    least = float(np.finfo(dtype).tiny)
    if not least <= eps <= 1 / least:
        raise ConfigurationError(
            f"eps is {eps:g}, and {dtype} holds {least:.0e} to {1 / least:.0e}; leave it out to have it chosen"
        )
    return eps


def _fit(values: Array, what: str) -> Array:
    if values.dtype not in (np.float32, np.float64):
        raise ConfigurationError(f"{what}: engines take float32 or float64, not {values.dtype}; convert the array")
    # Kernels are compiled for writeable arrays only: a second type would double the time of compilation.
    return np.require(values, requirements=["C", "W", "A"])
