"""A recurrent unit as a torch module: its forward runs an engine, its backward is the engine's echo.

    y = unit(u)        u (batch, steps, d_in) -> y (batch, steps, d_out)

torch differentiates everything around the unit; the unit itself is never unrolled.  In the backward pass torch hands
over dL/dy, the engine nudges the echo with it and answers with dL/dtheta, dL/du and dL/d(start).  dL/du goes on to
whatever made u: another unit (RHEL chaining: the input gradient of layer l+1 is the nudge of layer l), a feed-forward
map, or several of them merged.  So chaining through any directed acyclic graph is torch's own bookkeeping, and any
torch optimizer trains it.  Source: Pourcel & Ernoult (2025), Algorithm 1 and section 3.3.

Nothing is copied on the way: tensors and the engine's arrays share memory, which asks for contiguous float32 or
float64 tensors on the CPU.  A batch is as many items as the engine makes of it: a simulated unit runs them side by
side, a bench one after the other, that many sequential shots forward and twice that many echoes or more backward.

The first derivative only: an echo is not differentiated once more.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from labrhel.arrays import Array
from labrhel.learning.units import BackwardRun, Engine, UnitState

Report = Callable[[BackwardRun], None]
Start = tuple[Tensor, Tensor]
"""Positions and momenta (batch, n) that a sequence starts from."""

_MISSED = 0.3  # of the state; the gradient is off by 3 to 20 times that
_FLOATS = (torch.float32, torch.float64)


class GradientWarning(UserWarning):
    """What an engine had to say against the gradient it returned."""


@dataclass(frozen=True, slots=True)
class Health:
    """How far the last gradient of a unit can be trusted; the fields are those of `BackwardRun`.

    `is_ruined`: rounding, what the path run backwards has missed, or what nudges bend, is as large as the gradient
    (see `judge`).
    """

    response_ratio: float
    growth: float
    retrace_error: float
    warnings: tuple[str, ...]
    is_ruined: bool = False

    @classmethod
    def of(cls, found: BackwardRun) -> Health:
        """That of a backward pass; a rig cannot say how far its adjoint grew, which is then no number."""
        unit = float(np.finfo(found.inputs.dtype).eps) if found.rounding is None else found.rounding
        grown = found.growth * unit * np.sqrt(found.inputs.shape[1]) / 2
        is_finite = all(np.isfinite(array).all() for array in found.parameters.values())
        is_ruined = not is_finite or bool(grown >= 1) or found.retrace_error > _MISSED or found.bending >= 1
        return cls(found.response_ratio, found.growth, found.retrace_error, found.warnings, is_ruined)


def run_unit(
    engine: Engine,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    start: Start | None = None,
    *,
    report: Report | None = None,
) -> Tensor:
    """Outputs (batch, steps, d_out) of a unit, differentiable in parameters, inputs (batch, steps, d_in) and start.

    `report` is told of each backward pass.  Raises ValueError for half a start, and for tensors that cannot be shared
    with the engine (not on the CPU, not contiguous, inputs of another rank), and TypeError for types other than one of
    float32 and float64 throughout.
    """
    if inputs.ndim != 3:
        raise ValueError(f"inputs are (batch, steps, d_in), not {tuple(inputs.shape)}; reshape them")
    q, p = (None, None) if start is None else start
    if (q is None) != (p is None):
        raise ValueError("a start has positions and momenta; give both, or no start to begin at rest")
    named = {"inputs": inputs, **parameters}
    if q is not None and p is not None:
        named |= {"start positions": q, "start momenta": p}
    for name, tensor in named.items():
        _check(name, tensor, inputs.dtype)
    return _Echo.apply(engine, tuple(parameters), report, inputs, q, p, *parameters.values())


def _check(name: str, tensor: Tensor, dtype: torch.dtype) -> None:
    if tensor.device.type != "cpu":
        raise ValueError(f"{name}: on {tensor.device}, but engines and rigs work from CPU memory; call .cpu() first")
    if tensor.dtype not in _FLOATS:
        raise TypeError(f"{name}: {tensor.dtype}, but engines take float32 or float64; call .float() or .double()")
    if tensor.dtype != dtype:
        raise TypeError(f"{name}: {tensor.dtype}, but the inputs are {dtype}; a unit takes one type throughout")
    if not tensor.is_contiguous():
        raise ValueError(f"{name}: not contiguous, so it cannot be shared without a copy; call .contiguous() first")


class _Echo(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        engine: Engine,
        names: Sequence[str],
        report: Report | None,
        inputs: Tensor,
        q: Tensor | None,
        p: Tensor | None,
        *values: Tensor,
    ) -> Tensor:
        theta = {name: value.detach().numpy() for name, value in zip(names, values, strict=True)}
        start = None if q is None or p is None else UnitState(q.detach().numpy(), p.detach().numpy())
        run = engine.forward(theta, inputs.detach().numpy(), start)
        outputs = torch.from_numpy(run.outputs)
        # The engine reads the same memory again on the way back: torch notices if someone has written to it.
        ctx.save_for_backward(inputs, outputs, q, p, *values)
        ctx.engine, ctx.run, ctx.report, ctx.names = engine, run, report, tuple(names)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, _, q, p, *values = ctx.saved_tensors
        # torch's cotangents may be views (an expanded mean has stride 0): this is the one place that may copy.
        found = ctx.engine.backward(ctx.run, cotangent.detach().contiguous().numpy())
        if ctx.report is not None:
            ctx.report(found)
        start = (_like(found.start.q, q), _like(found.start.p, p))
        thetas = (_like(found.parameters[name], value) for name, value in zip(ctx.names, values, strict=True))
        return None, None, None, _like(found.inputs, inputs), *start, *thetas


def _like(array: Array, tensor: Tensor | None) -> Tensor | None:
    if tensor is None:
        return None
    return torch.from_numpy(np.ascontiguousarray(array)).to(tensor.dtype).reshape(tensor.shape)


class Unit(nn.Module):
    """A recurrent unit around any engine, with its parameters as `nn.Parameter`s.

    `initial` holds the parameters of the engine's model by name.  A subclass that trains other coordinates (a
    logarithm, say, of what must stay positive) overrides `theta`, and torch differentiates that map.  `health` is
    that of the last backward pass, None before the first; its warnings are issued as `GradientWarning` too.
    """

    def __init__(self, engine: Engine, initial: Mapping[str, Tensor | Array]) -> None:
        super().__init__()
        self.engine = engine
        self.health: Health | None = None
        self.coordinates = nn.ParameterDict({name: torch.as_tensor(value).clone() for name, value in initial.items()})

    def theta(self) -> dict[str, Tensor]:
        """The parameters of the engine's model."""
        return dict(self.coordinates.items())

    def forward(self, inputs: Tensor, start: Start | None = None) -> Tensor:
        """Outputs (batch, steps, d_out) for inputs (batch, steps, d_in), from rest if no start is given."""
        return run_unit(self.engine, self.theta(), inputs, start, report=self._report)

    def _report(self, found: BackwardRun) -> None:
        self.health = Health.of(found)
        for words in found.warnings:
            warnings.warn(words, GradientWarning, stacklevel=2)
