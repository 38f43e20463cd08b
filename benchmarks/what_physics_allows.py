"""The figures of docs/what-physics-allows.md on rigs that settle: what pushes, damping, time and passivity buy.

    python -m benchmarks.what_physics_allows

A network that settles, z' = x - S z - A z (S symmetric and positive, A antisymmetric: directed couplings), linearised
where it rests.  A push n on it answers with (S + A)^-1 n; the gradient is made of the adjoint a = (S - A)^-1 e.  All
figures are medians over random networks of 24 nodes, of which 4 are read out; errors are relative to the adjoint.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.linalg import eigh, expm, solve
from scipy.sparse.linalg import aslinearoperator, gmres

from benchmarks.figure import Figure, print_table
from labrhel.arrays import Array

NODES, READ, NETWORKS = 24, 4, 40
RATIOS = (0.2, 0.5, 1.0, 1.4, 3.0)
"""rho(S^-1 A), the largest of its eigenvalues in magnitude."""
PUSHES = 6


@dataclass(frozen=True, slots=True)
class Network:
    """S, A, and the error e at the nodes that are read out."""

    S: Array
    A: Array
    e: Array

    @property
    def adjoint(self) -> Array:
        """What the gradient is made of."""
        return solve(self.S - self.A, self.e)

    def answer(self, push: Array) -> Array:
        """Where the rig settles, less where it was, over a small push."""
        return solve(self.S + self.A, push)

    def error(self, found: Array) -> float:
        """Relative to the adjoint."""
        return float(np.linalg.norm(found - self.adjoint) / np.linalg.norm(self.adjoint))


def network(seed: int, ratio: float) -> Network:
    """Springs of 1 to 3 to ground and between nodes; directed couplings everywhere, scaled to rho(S^-1 A) = ratio."""
    random = np.random.default_rng(seed)
    springs = np.triu(random.uniform(0, 2 / NODES, (NODES, NODES)), 1)
    springs = springs + springs.T
    S = np.diag(random.uniform(1, 3, NODES) + springs.sum(axis=1)) - springs
    A = random.normal(size=(NODES, NODES))
    A = A - A.T
    A *= ratio / np.abs(np.linalg.eigvals(solve(S, A))).max()
    e = np.zeros(NODES)
    e[:READ] = random.normal(size=READ)
    return Network(S, A, e)


def plain(rig: Network) -> Iterator[Array]:
    """Equilibrium propagation: the answer to the error itself, however often it is asked."""
    while True:
        yield rig.answer(rig.e)


def repeated(rig: Network) -> Iterator[Array]:
    """No model: each push is e + 2 A a, of the answer to the push before."""
    a = np.zeros(NODES)
    while True:
        a = rig.answer(rig.e + 2 * rig.A @ a)
        yield a


def corrected(rig: Network) -> Iterator[Array]:
    """A model that is wrong by 10 % in every spring guesses, and corrects what each answer shows (Newton's step)."""
    random = np.random.default_rng(7)
    wrong = rig.S * (1 + 0.1 * np.sign(random.normal(size=(NODES, NODES))))
    wrong = np.triu(wrong) + np.triu(wrong, 1).T
    a = solve(wrong - rig.A, rig.e)
    while True:
        answer = rig.answer(rig.e + 2 * rig.A @ a)
        rest = answer - a
        a = answer + solve(wrong - rig.A, 2 * rig.A @ rest)
        yield a


def combined(rig: Network) -> Iterator[Array]:
    """No model: all answers so far, combined so that (1 - 2 (S + A)^-1 A) a = (S + A)^-1 e holds best (GMRES)."""
    asked = aslinearoperator(np.stack([row - rig.answer(2 * rig.A @ row) for row in np.eye(NODES)], axis=1))
    first = rig.answer(rig.e)
    yield first
    for pushes in range(1, NODES):
        yield gmres(asked, first, rtol=0.0, atol=0.0, restart=pushes, maxiter=1)[0]


RULES: dict[str, Callable[[Network], Iterator[Array]]] = {
    "the plain answer": plain,
    "no model, each push from the answer before": repeated,
    "no model, answers combined": combined,
    "a model 10 % wrong, corrected by each answer": corrected,
}


def errors(rule: Callable[[Network], Iterator[Array]], ratio: float, pushes: int = PUSHES) -> list[float]:
    """Median error after each of the pushes."""
    rigs = [network(seed, ratio) for seed in range(NETWORKS)]
    found = [[rig.error(a) for a in islice(rule(rig), pushes)] for rig in rigs]
    return [float(value) for value in np.median(found, axis=0)]


def damped(damping: Sequence[float] = (0.0, 1.0, 3.0, 9.0)) -> Iterator[tuple[float, float, float, int]]:
    """For more damping c, S + c, of the same A: c, rho(S^-1 A), the plain error, and pushes to 1 % without a model."""
    for c in damping:
        rigs = [network(seed, 1.4) for seed in range(NETWORKS)]
        rigs = [Network(rig.S + c * np.eye(NODES), rig.A, rig.e) for rig in rigs]
        ratios = [np.abs(np.linalg.eigvals(solve(rig.S, rig.A))).max() for rig in rigs]
        wrong = [rig.error(rig.answer(rig.e)) for rig in rigs]
        needed = [1 + sum(rig.error(a) > 0.01 for a in combined(rig)) for rig in rigs]
        yield c, float(np.median(ratios)), float(np.median(wrong)), int(np.median(needed))


def finite_time(times: Sequence[float] = (0.5, 1.0, 2.0, 4.0, 8.0)) -> Iterator[tuple[float, float]]:
    """Settling for T (in units of 1/S of the softest node): by how much the adjoint at rest misses dL/dx at time T.

    z(T) = (1 - exp(-J T)) J^-1 x with J = S + A, so dL/dx = J^-T (1 - exp(-J^T T)) e.
    """
    for time in times:
        missed = []
        for seed in range(NETWORKS):
            rig = network(seed, 1.4)
            T = time / eigh(rig.S, eigvals_only=True)[0]
            exact = solve((rig.S + rig.A).T, rig.e - expm(-(rig.S + rig.A).T * T) @ rig.e)
            missed.append(np.linalg.norm(rig.adjoint - exact) / np.linalg.norm(exact))
        yield time, float(np.median(missed))


def amplified(ratio: float, active: float) -> float:
    """The largest |z(t)|/|z(0)| of a free motion; `active` is a one-way link of that strength, with no way back."""
    largest = []
    for seed in range(NETWORKS):
        rig = network(seed, ratio)
        J = rig.S + rig.A
        J[0, 1] += active
        largest.append(max(np.linalg.norm(expm(-J * t), 2) for t in np.linspace(0, 3, 31)))
    return float(np.median(largest))


def targets() -> Iterator[Figure]:
    """All figures, in the order of the page."""
    for name, rule in RULES.items():
        for ratio in RATIOS:
            words = ", ".join(f"{value:.1e}" for value in errors(rule, ratio))
            yield Figure(f"rho {ratio:g}, {name}: error after 1 to {PUSHES} pairs", words, None)
    for c, ratio, wrong, needed in damped():
        yield Figure(
            f"damping + {c:g}, the same A: rho, plain error, pairs to 1 %",
            f"{ratio:.2f}, {100 * wrong:.0f} %, {needed}",
            None,
        )
    for time, missed in finite_time():
        yield Figure(f"settled for {time:g}: what the adjoint at rest misses", f"{100 * missed:.2g} %", None)
    for ratio in RATIOS:
        growth = amplified(ratio, 0.0)
        yield Figure(f"rho {ratio:g}, passive: growth on the way", f"{growth:.3f} times", growth <= 1 + 1e-9)
    yield Figure("rho 1.4, one active link of 10: growth on the way", f"{amplified(1.4, 10.0):.2f} times", None)


if __name__ == "__main__":
    sys.exit(not print_table(targets()))
