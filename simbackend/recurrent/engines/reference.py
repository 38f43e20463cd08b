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
from simbackend.recurrent.models.damped import friction_of, start_of
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
        q, p, tape, record = start.q, start.p, [], []
        outputs = np.empty((*inputs.shape[:2], len(theta["C"])), inputs.dtype)
        for k in range(inputs.shape[1]):
            tape.append((q, p))
            before = p
            q, p, _ = self._step(theta, q, p, inputs[:, k])
            record.append((before + p) / 2)
            outputs[:, k] = q @ theta["C"].T
        kept = tape if self._taped else None, record if self.model.damped and not self._taped else None
        return ForwardRun(theta, inputs, outputs, start, UnitState(q, p), *kept)

    def backward(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        """Gradients, given dL/d(outputs) (batch, steps, d_out)."""
        return self._way(run, checked_cotangent(run, cotangent))

    def _step(
        self, theta: Arrays, q: Array, p: Array, u: Array, nudge: Array | float = 0.0, recorded: Array | None = None
    ) -> tuple[Array, Array, Array]:
        """Position and momentum after a step, and the position at its kick; `recorded` velocity of an echo's step."""
        half, (g, keep, share) = theta["d"] / 2, self._friction(theta)
        middle = q + half * (p + nudge)
        force = self.model.force(theta, middle, u)
        if recorded is not None:
            force = force - 2 * g * recorded
        after = (keep * p + nudge + theta["d"] * force) / share
        return middle + half * after, after, middle

    def _friction(self, theta: Arrays) -> tuple[Array | float, Array | float, Array | float]:
        """Friction g, 1 - d g/2 and 1 + d g/2."""
        g = friction_of(self.model, theta)
        return (0.0, 1.0, 1.0) if g is None else (g, 1 - theta["d"] * g / 2, 1 + theta["d"] * g / 2)

    def _echoes(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        gradients: dict[str, Array] = {}
        theta = run.theta
        inputs, dq, dp = np.zeros_like(run.inputs), np.zeros_like(run.end.q), np.zeros_like(run.end.q)
        response, missed, size = 0.0, 0.0, 1.0
        for upper, lower, weight in self._estimator.pairs:
            a, b = (self._echo(run, cotangent, level * self._eps) for level in (upper, lower))
            share = weight / ((upper - lower) * self._eps)
            parts = {name: -share * (value - b.observables[name]) for name, value in a.observables.items()}
            parts["C"] = weight * (a.direct + b.direct) / 2
            gradients = {name: gradients.get(name, 0.0) + value for name, value in parts.items()}
            if self.model.damped:  # of a damped step's kinetic energies all but their ends cancel
                ends = np.sum((a.p + b.p) / 2 * (a.p - b.p), axis=0)
                gradients["d"] = gradients["d"] - share * theta["d"] * theta["g"] / 4 * ends
            inputs = inputs - share * (a.inputs - b.inputs)
            dq, dp = dq + share * (a.q - b.q), dp + share * (a.p - b.p)
            if upper == 1:
                size = float(np.sqrt(np.mean(a.kicks**2))) or 1.0
                response = float(np.sqrt(np.mean((a.kicks - b.kicks) ** 2))) / (upper - lower) / size
                q, p = (b.q, b.p) if lower == 0 else ((a.q + b.q) / 2, (a.p + b.p) / 2)
                missed = _distance(run, q, p) / size
        return self._found(run, gradients, inputs, self._start(theta, dq, dp), response, missed)

    def _echo(self, run: ForwardRun, cotangent: Array, nudge: float) -> _Echo:
        theta, sums, kicks = run.theta, dict[str, Array](), []
        q, p = run.end.q, -run.end.p
        inputs, direct = np.empty_like(run.inputs), np.zeros_like(theta["C"])
        for k in reversed(range(run.inputs.shape[1])):
            u, e = run.inputs[:, k], cotangent[:, k]
            direct = direct + e.T @ q
            kick = nudge * (e @ theta["C"]) / self._friction(theta)[2]
            before, recorded = p + kick, _recorded(run, k)
            q, p, middle = self._step(theta, q, p, u, kick, recorded)
            if recorded is not None:
                sums["g"] = sums.get("g", 0.0) + theta["d"] * np.sum(middle * recorded, axis=0)
            for name, value in self.model.observables(theta, middle, before, p, u).items():
                sums[name] = sums.get(name, 0.0) + value
            inputs[:, k] = self.model.input_observable(theta, middle, u)
            kicks.append(middle)
        return _Echo(sums, inputs, q, p, np.array(kicks), direct)

    def _difference(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        theta, d, half = run.theta, run.theta["d"], run.theta["d"] / 2
        g, keep, share = self._friction(theta)
        m, p = run.end.q, -run.end.p
        dq, dp = np.zeros_like(m), np.zeros_like(m)
        inputs, gradients = np.empty_like(run.inputs), {name: np.zeros_like(theta[name]) for name in theta}
        moved, size = 0.0, 0.0
        for k in reversed(range(run.inputs.shape[1])):
            u, e = run.inputs[:, k], cotangent[:, k]
            gradients["C"] += e.T @ m
            kick, recorded = e @ theta["C"] / share, _recorded(run, k)
            m, dq = m + half * p, dq + half * (dp + kick)
            force, pull = self.model.force_pair(theta, m, dq, self._eps, u)
            parts, _, inputs[:, k] = self.model.pull_back(theta, m, u, d * dq)
            helped = force
            if recorded is not None:
                parts["g"] = -np.sum(d * dq * recorded, axis=0)
                helped = force - 2 * g * recorded
            pushed = keep * dp + kick
            after, dafter = (keep * p + d * helped) / share, (pushed + d * pull) / share
            parts["d"] = _summed(force * dq - (p * pushed + share * after * dafter) / 2, d)
            for name, value in parts.items():
                gradients[name] += value
            moved, size = moved + float(np.mean(dq**2)), size + float(np.mean(m**2))
            p, dp = after, dafter
            m, dq = m + half * p, dq + half * dp
        response = self._eps * float(np.sqrt(moved / size)) if size else 0.0
        missed = _distance(run, m, p) / float(np.sqrt(size / run.inputs.shape[1]) or 1.0)
        return self._found(run, gradients, inputs, self._start(theta, dq, dp), response, missed)

    def _reverse_mode(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        theta, d, half = run.theta, run.theta["d"], run.theta["d"] / 2
        g, keep, share = self._friction(theta)
        q, p = run.end.q, run.end.p
        by_q, by_p = np.zeros_like(q), np.zeros_like(q)
        inputs, gradients = np.empty_like(run.inputs), {name: np.zeros_like(theta[name]) for name in theta}
        for k in reversed(range(run.inputs.shape[1])):
            u, e = run.inputs[:, k], cotangent[:, k]
            gradients["C"] += e.T @ q
            if run.tape is None:  # the flipped step is the inverse step, under friction with what was recorded
                before, flipped, middle = self._step(theta, q, -p, u, recorded=_recorded(run, k))
            else:
                assert isinstance(run.tape, list)
                before, flipped = run.tape[k][0], -run.tape[k][1]
                middle = before - half * flipped
            by_q = by_q + e @ theta["C"]
            by_p = by_p + half * by_q
            by_kick, velocity = by_p / share, (p - flipped) / 2
            parts, back, inputs[:, k] = self.model.pull_back(theta, middle, u, d * by_kick)
            force = self.model.force(theta, middle, u) - g * velocity
            parts["d"] = _summed(by_q * p / 2 + by_kick * force, d)
            if self.model.damped:
                parts["g"] = -np.sum(d * by_kick * velocity, axis=0)
            by_q = by_q + back
            parts["d"] = parts["d"] - _summed(by_q * flipped / 2, d)
            by_p = keep * by_kick + half * by_q
            for name, value in parts.items():
                gradients[name] += value
            q, p = before, -flipped
        return self._found(run, gradients, inputs, UnitState(by_q, by_p), 0.0, _distance(run, q, -p))

    def _start(self, theta: Arrays, dq: Array, dp: Array) -> UnitState:
        return start_of(friction_of(self.model, theta), theta["d"], dq, dp)

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


def _recorded(run: ForwardRun, k: int) -> Array | None:
    """The velocity at the kick of step k, if it was kept."""
    return run.record[k] if isinstance(run.record, list) else None


def _summed(values: Array, step: Array) -> Array:
    """Sums over the batch (n,), and over the units too where they share one step ()."""
    return np.sum(values, axis=0 if np.ndim(step) else None)


def _distance(run: ForwardRun, q: Array, p: Array) -> float:
    """Root mean square distance of a flipped end state from the start of the forward pass."""
    return float(np.sqrt(np.mean((q - run.start.q) ** 2 + (p + run.start.p) ** 2)))
