"""Is the gradient right, by the model?  The rule's gradient beside two independent ones, parameter by parameter.

The exact gradient differentiates the discrete model by reverse mode; the central difference only runs it forward,

    dL/dx_i ~ [L(x + h e_i) - L(x - h e_i)] / (2 h),      error h^2/6 L''' + rounding/h.

They share no formula with the echo, so a sign, a factor 1/2 or a half step off shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Protocol

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.executor import Handler, execute
from labrhel.learning.gradient import Gradient
from labrhel.learning.readings import Masks
from labrhel.learning.task import Task, TrialSequence
from labrhel.learning.train import Problem, batch_at, free_run
from labrhel.shots import operations


class Verdict(Protocol):
    """What an audit found: `right` is None if it could not tell; `str` says it in words."""

    right: bool | None


class Audit(Protocol):
    """Asks a rig whether a gradient is right, by measurement alone."""

    def of(
        self,
        task: Task,
        sequences: Sequence[TrialSequence],
        theta: Arrays,
        gradient: Gradient,
        trained: Masks | None = None,
    ) -> operations.Protocol[Verdict]:
        """Audit `gradient`, found at `theta` for these sequences, by the entries that are `trained`."""
        ...


ExactGradient = Callable[[Task, Sequence[TrialSequence], Arrays], tuple[float, dict[str, Array]]]

DIFFERENCE_STEP = 1e-5  # of a coordinate; truncation and rounding are then both near 1e-10 of a well-scaled loss
SMALLEST_COSINE = 0.999999


@dataclass(frozen=True, slots=True)
class Comparison:
    """One trained parameter: cosine and relative error of the rule's gradient against each reference."""

    parameter: str
    exact_cosine: float
    exact_error: float
    difference_cosine: float
    difference_error: float

    def passes(self, tolerance: float) -> bool:
        """True if both cosines reach 0.999999 and both relative errors stay within `tolerance`."""
        cosines = min(self.exact_cosine, self.difference_cosine) >= SMALLEST_COSINE
        return cosines and max(self.exact_error, self.difference_error) <= tolerance


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The rule's gradient at the starting point, and its comparisons."""

    gradient: Gradient
    rows: tuple[Comparison, ...]


def check_gradient(problem: Problem, handler: Handler, exact: ExactGradient) -> CheckReport:
    """Compare on the batch of the first step, at the starting parameters."""
    task, x = problem.task, problem.parameters.flat()
    indices = batch_at(len(problem.train), problem.batch, problem.seed, 0)
    sequences = [problem.train[index] for index in indices]
    theta = problem.theta(x)
    gradient = execute(problem.gradient(x, sequences), handler)
    measured = problem.parameters.pull_back(x, gradient.values)
    finer = _with_half_the_step(problem)
    if finer is not None:
        # Judged by its own order: the error of order h^2 that the rule has by design is no mistake.
        half = problem.parameters.pull_back(x, execute(finer.gradient(x, sequences), handler).values)
        measured = (4 * half - measured) / 3
    reference = problem.parameters.pull_back(x, exact(task, sequences, theta)[1])
    differences = np.array([
        _central_difference(problem, sequences, handler, x, index) for index in range(len(x))
    ])  # fmt: skip
    rows, start = [], 0
    for parameter in problem.parameters.parameters:
        stop = start + int(parameter.trained.sum())
        part = slice(start, stop)
        rows.append(
            Comparison(
                parameter.name, *compare(measured[part], reference[part]), *compare(measured[part], differences[part])
            )
        )
        start = stop
    return CheckReport(gradient, tuple(rows))


def _with_half_the_step(problem: Problem) -> Problem | None:
    """The problem with a rule of half the step; None of a rule whose error does not grow with its square."""
    rule = problem.rule
    if not getattr(rule, "errs_by_step_squared", False) or not is_dataclass(rule) or isinstance(rule, type):
        return None
    return replace(problem, rule=replace(rule, step=rule.step / 2))  # type: ignore[attr-defined, call-arg]


def compare(measured: Array, reference: Array) -> tuple[float, float]:
    """Cosine, and |measured - reference| / |reference|; two zero gradients agree."""
    sizes = float(np.linalg.norm(measured)), float(np.linalg.norm(reference))
    if sizes == (0.0, 0.0):
        return 1.0, 0.0
    if 0.0 in sizes:
        return 0.0, np.inf
    cosine = float(np.dot(measured / sizes[0], reference / sizes[1]))
    return cosine, float(np.linalg.norm(measured - reference)) / sizes[1]


def _central_difference(
    problem: Problem, sequences: Sequence[TrialSequence], handler: Handler, x: Array, index: int
) -> float:
    losses = []
    for sign in (1, -1):
        moved = x.copy()
        moved[index] += sign * DIFFERENCE_STEP
        outputs = execute(free_run(problem.task, sequences, problem.theta(moved)), handler)
        loss = problem.task.loss(sequences)
        losses.append(sum(loss.value(y, item.target, item.weight) for y, item in zip(outputs, sequences, strict=True)))
    return (losses[0] - losses[1]) / (2 * DIFFERENCE_STEP)
