"""The engines once more in plain NumPy, to be read and to be held against the compiled ones; slow.

    echoes       as a rig would: each echo runs alone, adds up the literal observables d dH/dtheta, and is subtracted
                 from its partner at the end
    difference   mean and scaled difference of two echoes (PHYSICS section 2)
    adjoint      reverse-mode differentiation, along the path that is run backwards
    bptt         the same along the recorded path

Growth is not watched here: it is reported as 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.estimator import Estimator
from labrhel.learning.units import BackwardRun, ForwardRun, UnitState
from simbackend.recurrent.engines.checks import checked, checked_cotangent
from simbackend.recurrent.engines.judging import judge
from simbackend.recurrent.models.recurrent_unit import RecurrentUnit

Method = Literal["echoes", "difference", "adjoint", "bptt"]


@dataclass(frozen=True, slots=True)
class _Echo:
    """What one echo leaves: sums of the observables, those of the inputs, end state, positions at the kicks."""

    observables: dict[str, Array]
    inputs: Array
    q: Array
    p: Array
    kicks: Array
    direct: Array  # sum of dL/dy q^T: the loss contains C itself


class ReferenceEngine:
    """All four ways in one class; `eps` (for echoes and the difference form) multiplies the cotangent."""

    def __init__(
        self,
        model: RecurrentUnit,
        method: Method = "adjoint",
        *,
        eps: float = 1e-5,
        estimator: Estimator = Estimator.SYMMETRIC,
    ) -> None:
        self.model, self.name = model, f"reference {method}"
        ways = {"echoes": self._echoes, "difference": self._difference}
        if method not in (*ways, "adjoint", "bptt"):
            raise ConfigurationError(f"unknown method {method!r}; there are echoes, difference, adjoint and bptt")
        self._way, self._taped = ways.get(method, self._reverse_mode), method == "bptt"
        self._eps, self._estimator = eps, Estimator(estimator)

    def forward(self, theta: Arrays, inputs: Array, start: UnitState | None = None) -> ForwardRun:
        """Run the unit over the inputs, from rest if no start is given."""
        inputs, start = checked(self.model, theta, inputs, start)
        q, p, tape = start.q, start.p, []
        outputs = np.empty((*inputs.shape[:2], len(theta["C"])), inputs.dtype)
        for k in range(inputs.shape[1]):
            tape.append((q, p))
            q, p, _ = self._step(theta, q, p, inputs[:, k])
            outputs[:, k] = q @ theta["C"].T
        return ForwardRun(theta, inputs, outputs, start, UnitState(q, p), tape if self._taped else None)

    def backward(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        """Gradients, given dL/d(outputs) (batch, steps, d_out)."""
        return self._way(run, checked_cotangent(run, cotangent))

    def _step(self, theta: Arrays, q: Array, p: Array, u: Array) -> tuple[Array, Array, Array]:
        """Position and momentum after a step, and the position at its kick."""
        half = theta["d"] / 2
        middle = q + half * p
        after = p + theta["d"] * self.model.force(theta, middle, u)
        return middle + half * after, after, middle

    def _echoes(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        gradients: dict[str, Array] = {}
        inputs, by_q, by_p = np.zeros_like(run.inputs), np.zeros_like(run.end.q), np.zeros_like(run.end.q)
        response, missed, size = 0.0, 0.0, 1.0
        for upper, lower, weight in self._estimator.pairs:
            a, b = (self._echo(run, cotangent, level * self._eps) for level in (upper, lower))
            share = weight / ((upper - lower) * self._eps)
            parts = {name: -share * (value - b.observables[name]) for name, value in a.observables.items()}
            parts["C"] = weight * (a.direct + b.direct) / 2
            gradients = {name: gradients.get(name, 0.0) + value for name, value in parts.items()}
            inputs = inputs - share * (a.inputs - b.inputs)
            by_q, by_p = by_q + share * (a.q - b.q), by_p + share * (a.p - b.p)
            if upper == 1:
                size = float(np.sqrt(np.mean(a.kicks**2))) or 1.0
                response = float(np.sqrt(np.mean((a.kicks - b.kicks) ** 2))) / (upper - lower) / size
                q, p = (b.q, b.p) if lower == 0 else ((a.q + b.q) / 2, (a.p + b.p) / 2)
                missed = _distance(run, q, p) / size
        return self._found(run, gradients, inputs, UnitState(by_p, by_q), response, missed)

    def _echo(self, run: ForwardRun, cotangent: Array, nudge: float) -> _Echo:
        theta, sums, kicks = run.theta, dict[str, Array](), []
        q, p = run.end.q, -run.end.p
        inputs, direct = np.empty_like(run.inputs), np.zeros_like(theta["C"])
        for k in reversed(range(run.inputs.shape[1])):
            u, e = run.inputs[:, k], cotangent[:, k]
            direct = direct + e.T @ q
            before = p + nudge * (e @ theta["C"])
            q, p, middle = self._step(theta, q, before, u)
            for name, value in self.model.observables(theta, middle, before, p, u).items():
                sums[name] = sums.get(name, 0.0) + value
            inputs[:, k] = self.model.input_observable(theta, middle, u)
            kicks.append(middle)
        return _Echo(sums, inputs, q, p, np.array(kicks), direct)

    def _difference(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        theta, d, half = run.theta, run.theta["d"], run.theta["d"] / 2
        m, p = run.end.q, -run.end.p
        dq, dp = np.zeros_like(m), np.zeros_like(m)
        inputs, gradients = np.empty_like(run.inputs), {name: np.zeros_like(theta[name]) for name in theta}
        moved, size = 0.0, 0.0
        for k in reversed(range(run.inputs.shape[1])):
            u, e = run.inputs[:, k], cotangent[:, k]
            gradients["C"] += e.T @ m
            dp = dp + e @ theta["C"]
            m, dq = m + half * p, dq + half * dp
            force, pull = self.model.force_pair(theta, m, dq, self._eps, u)
            after, dafter = p + d * force, dp + d * pull
            parts, _, inputs[:, k] = self.model.pull_back(theta, m, u, d * dq)
            parts["d"] = _summed(force * dq - (p * dp + after * dafter) / 2, d)
            for name, value in parts.items():
                gradients[name] += value
            moved, size = moved + float(np.mean(dq**2)), size + float(np.mean(m**2))
            p, dp = after, dafter
            m, dq = m + half * p, dq + half * dp
        response = self._eps * float(np.sqrt(moved / size)) if size else 0.0
        missed = _distance(run, m, p) / float(np.sqrt(size / run.inputs.shape[1]) or 1.0)
        return self._found(run, gradients, inputs, UnitState(dp, dq), response, missed)

    def _reverse_mode(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        theta, d, half = run.theta, run.theta["d"], run.theta["d"] / 2
        q, p = run.end.q, run.end.p
        by_q, by_p = np.zeros_like(q), np.zeros_like(q)
        inputs, gradients = np.empty_like(run.inputs), {name: np.zeros_like(theta[name]) for name in theta}
        for k in reversed(range(run.inputs.shape[1])):
            u, e = run.inputs[:, k], cotangent[:, k]
            gradients["C"] += e.T @ q
            if run.tape is None:  # the flipped step is the inverse step
                before, flipped, middle = self._step(theta, q, -p, u)
            else:
                assert isinstance(run.tape, list)
                before, flipped = run.tape[k][0], -run.tape[k][1]
                middle = before - half * flipped
            by_q = by_q + e @ theta["C"]
            by_p = by_p + half * by_q
            parts, back, inputs[:, k] = self.model.pull_back(theta, middle, u, d * by_p)
            parts["d"] = _summed(by_q * p / 2 + by_p * self.model.force(theta, middle, u), d)
            by_q = by_q + back
            parts["d"] = parts["d"] - _summed(by_q * flipped / 2, d)
            by_p = by_p + half * by_q
            for name, value in parts.items():
                gradients[name] += value
            q, p = before, -flipped
        return self._found(run, gradients, inputs, UnitState(by_q, by_p), 0.0, _distance(run, q, -p))

    def _found(
        self,
        run: ForwardRun,
        gradients: dict[str, Array],
        inputs: Array,
        start: UnitState,
        response: float,
        missed: float,
    ) -> BackwardRun:
        kind, steps = run.inputs.dtype, run.inputs.shape[1]
        warnings = judge(self.model, gradients, kind, steps, growth=1.0, retrace=missed, response=response, noise=0.0)
        return BackwardRun(gradients, inputs, start, response, 1.0, missed, warnings)


def _summed(values: Array, step: Array) -> Array:
    """Sums over the batch (n,), and over the units too where they share one step ()."""
    return np.sum(values, axis=0 if np.ndim(step) else None)


def _distance(run: ForwardRun, q: Array, p: Array) -> float:
    """Root mean square distance of a flipped end state from the start of the forward pass."""
    return float(np.sqrt(np.mean((q - run.start.q) ** 2 + (p + run.start.p) ** 2)))
