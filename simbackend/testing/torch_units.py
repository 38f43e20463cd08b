"""The two units written twice more: in plain torch (unrolled), and as a small NumPy engine (tape).

The first shares nothing with the engines but the equations; the second lets the layer be tested on its own.
"""
# pyright: reportMissingImports=false

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labrhel.arrays import Array, Arrays
from labrhel.learning.units import BackwardRun, Engine, ForwardRun, UnitState
from simbackend.recurrent.stacks.engines import make_engine
from simbackend.recurrent.stacks.units import UNITS as UNITS

torch.set_num_threads(1)  # two threads that wait for each other on a busy machine take ten times as long

ENGINES = ("numpy", "echoes", "difference", "adjoint", "bptt")


def engine(kind: str, name: str) -> Engine:
    """One of the project's engines, or the small one below."""
    return TapeEngine(kind) if name == "numpy" else make_engine(kind, name)  # type: ignore[arg-type]


def unrolled(theta: Mapping[str, Tensor], u: Tensor, q: Tensor | None = None, p: Tensor | None = None) -> Tensor:
    """Outputs (batch, steps, d_out) by a plain loop that torch differentiates."""
    d = theta["d"]
    q = torch.zeros(len(u), len(d), dtype=u.dtype) if q is None else q
    p = torch.zeros_like(q) if p is None else p
    outputs = []
    for k in range(u.shape[1]):
        drive = u[:, k] @ theta["B"].T
        q = q + d / 2 * p
        if "alpha" in theta:
            pull = torch.sigmoid(theta["c"]) * torch.tanh(theta["A"] * q + drive + theta["b"])
            kicked = p - d * (theta["alpha"] * q + pull)
        else:
            kicked = p - d * (theta["A"] * q - drive)
        g = theta.get("g")
        p = kicked if g is None else (kicked - d * g / 2 * p) / (1 + d * g / 2)
        q = q + d / 2 * p
        outputs.append(q @ theta["C"].T)
    return torch.stack(outputs, dim=1)


class PlainUnit(nn.Module):
    """Stands in for a unit of a stack; shares its parameters."""

    def __init__(self, unit: Any) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, u: Tensor) -> Tensor:
        return unrolled(self.unit.theta(), u)


class TapeEngine:
    """Exact gradients over a tape, in NumPy: the engine interface in its simplest form."""

    name = "tape"

    def __init__(self, kind: str) -> None:
        self.nonlinear = kind == "nonlinear"

    def _force(self, theta: Arrays, q: Array, u: Array) -> Array:
        drive = u @ theta["B"].T
        if not self.nonlinear:
            return drive - theta["A"] * q
        return -theta["alpha"] * q - _scale(theta) * np.tanh(theta["A"] * q + drive + theta["b"])

    def forward(self, theta: Arrays, inputs: Array, start: UnitState | None = None) -> ForwardRun:
        rest = np.zeros((len(inputs), len(theta["d"])), inputs.dtype)
        start = UnitState(rest, rest) if start is None else start
        q, p, d = start.q, start.p, theta["d"]
        tape, outputs = [], np.empty((*inputs.shape[:2], len(theta["C"])), inputs.dtype)
        for k in range(inputs.shape[1]):
            half = q + d / 2 * p
            kicked = p + d * self._force(theta, half, inputs[:, k])
            q = half + d / 2 * kicked
            tape.append((half, p, kicked, q))
            outputs[:, k] = q @ theta["C"].T
            p = kicked
        return ForwardRun(theta, inputs, outputs, start, UnitState(q, p), tape)

    def backward(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        theta, d = run.theta, run.theta["d"]
        found = {name: np.zeros_like(value) for name, value in theta.items()}
        aq, ap, du = np.zeros_like(run.end.q), np.zeros_like(run.end.q), np.zeros_like(run.inputs)
        assert isinstance(run.tape, list)
        for k, (half, p, kicked, q) in reversed(list(enumerate(run.tape))):
            u = run.inputs[:, k]
            found["C"] += cotangent[:, k].T @ q
            aq = aq + cotangent[:, k] @ theta["C"]
            ap = ap + d / 2 * aq
            found["d"] += (aq * kicked / 2 + ap * self._force(theta, half, u)).sum(0)
            if self.nonlinear:
                s, x = _scale(theta), np.tanh(theta["A"] * half + u @ theta["B"].T + theta["b"])
                push = -d * ap * s * (1 - x**2)
                found["alpha"] += (-d * ap * half).sum(0)
                found["c"] += (-d * ap * s * (1 - s) * x).sum(0)
                found["b"] += push.sum(0)
                found["A"] += (push * half).sum(0)
                aq = aq + push * theta["A"] - d * ap * theta["alpha"]
            else:
                push = d * ap
                found["A"] += (-push * half).sum(0)
                aq = aq - push * theta["A"]
            found["B"] += push.T @ u
            du[:, k] = push @ theta["B"]
            found["d"] += (aq * p / 2).sum(0)
            ap = ap + d / 2 * aq
        return BackwardRun(found, du, UnitState(aq, ap), 0.0, 1.0, 0.0)


def _scale(theta: Arrays) -> Array:
    return 1 / (1 + np.exp(-theta["c"]))


def cosine(a: Tensor, b: Tensor) -> float:
    """The cosine of two gradients; 1 if both vanish."""
    norm = float(a.norm() * b.norm())
    return 1.0 if norm == 0 and float((a - b).norm()) == 0 else float((a * b).sum()) / norm
