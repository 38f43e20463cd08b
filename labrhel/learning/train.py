"""The training loop, as a protocol: gradient, optimizer step, scalars, checkpoint, again.

Nothing in it is random but the order of the sequences, and that is a function of (seed, step); a process that takes
up the state of a checkpoint therefore continues to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, DivergedError, NotFiniteError, TrainingError
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.optimizers import RUNAWAY, Optimizer
from labrhel.learning.parameters import ParameterSet
from labrhel.learning.readings import Masks
from labrhel.learning.rules import GradientRequest, Rule
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.operations import Checkpoint, Configure, Protocol, Publish, RunShots

DIVERGED = "diverged"
"""The scalar that is published of a step whose trial diverged, in place of all others."""

PATIENCE = 12
"""Trials in a row that may diverge: by then they are within a thousandth of the way to the first."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is trained, on what, by which rule; `theta` completes a trained vector to all parameters."""

    task: Task
    rule: Rule
    parameters: ParameterSet
    theta: Callable[[Array], dict[str, Array]]
    train: tuple[TrialSequence, ...]
    batch: int
    seed: int

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of the parameters that are trained."""
        return tuple(parameter.name for parameter in self.parameters.parameters)

    @property
    def trained(self) -> Masks:
        """By parameter, its entries that are trained."""
        return {
            item.name: item.trained | item.trained.T if item.symmetric else item.trained
            for item in self.parameters.parameters
        }

    def request(
        self, x: Array, sequences: Sequence[TrialSequence], previous: NudgeRecord | None = None
    ) -> GradientRequest:
        """What a rule is asked for the trained parameters at the coordinates `x`, for these sequences."""
        return GradientRequest(self.task, sequences, self.theta(x), self.wanted, previous, self.trained)

    def gradient(
        self, x: Array, sequences: Sequence[TrialSequence], previous: NudgeRecord | None = None
    ) -> Protocol[Gradient]:
        """The gradient of the problem's own rule, as a generator of operations."""
        return self.rule.gradient(self.request(x, sequences, previous))


def batch_at(count: int, batch: int, seed: int, step: int) -> list[int]:
    """Indices of the sequences of a step: each epoch a new permutation, drawn from (seed, epoch)."""
    if batch >= count:
        return list(range(count))
    per_epoch = count // batch
    epoch, position = divmod(step, per_epoch)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return [int(index) for index in order[position * batch : (position + 1) * batch]]


def train(
    problem: Problem,
    optimizer: Optimizer,
    steps: int,
    *,
    start: int = 0,
    nudge: NudgeRecord | None = None,
    ends: Callable[[Gradient], bool] = lambda gradient: False,
    also: Callable[[], Mapping[str, Any]] = dict,
) -> Protocol[tuple[int, NudgeRecord | None]]:
    """Take steps `start` .. `steps` - 1, one gradient each; return how many have been taken, and the last nudge.

    Ends early when the optimizer is done, or after a gradient of which `ends` is true.  What `also()` says then goes
    into every checkpoint.  Each step publishes its scalars and then checkpoints, so a step
    either counts wholly or is done again.  A trial at which the motion diverges is a step, too: there the optimizer
    backs off.
    Raises what the first point meets there, and TrainingError where `PATIENCE` trials in a row diverge.
    """
    astray = 0
    for step in range(start, steps):
        if optimizer.done:
            return step, nudge
        x = optimizer.ask()
        indices = batch_at(len(problem.train), problem.batch, problem.seed, step)
        sequences = [problem.train[index] for index in indices]
        try:
            gradient = yield from _finite(problem, x, sequences, nudge)
        except (DivergedError, NotFiniteError) as error:
            astray += 1
            if step == 0:
                raise  # there is no way back
            if astray == PATIENCE:
                raise TrainingError(
                    f"{astray} trials in a row diverged, each nearer to the last good point: {error}"
                ) from error
            optimizer.tell(np.inf, np.zeros_like(x))
            yield Publish(step, {DIVERGED: 1.0}, (f"a trial diverged, and the optimizer backed off: {error}",))
            yield _checkpoint(problem, optimizer, step + 1, steps, nudge, x, also)
            continue
        astray = 0
        slope = problem.parameters.pull_back(x, gradient.values)
        if not np.isfinite(slope).all():
            name = problem.parameters.names[int(np.argmin(np.isfinite(slope)))]
            raise TrainingError(
                f"gradient {step} by {name} is not a finite number; lower the optimizer's rate, the drive, or the "
                f"scale of {name}"
            )
        optimizer.tell(gradient.loss, slope)
        nudge = gradient.nudge
        yield Publish(step, scalars_of(gradient, slope), gradient.warnings)
        yield _checkpoint(problem, optimizer, step + 1, steps, nudge, x, also)
        if ends(gradient):
            return step + 1, nudge
    return max(start, steps), nudge


def _checkpoint(
    problem: Problem,
    optimizer: Optimizer,
    step: int,
    planned: int,
    nudge: NudgeRecord | None,
    x: Array,
    also: Callable[[], Mapping[str, Any]],
) -> Checkpoint:
    state = checkpoint_state(problem.parameters, optimizer, nudge, x)
    return Checkpoint(step, state | {"planned_steps": planned} | dict(also()))


def _finite(
    problem: Problem, x: Array, sequences: Sequence[TrialSequence], nudge: NudgeRecord | None
) -> Protocol[Gradient]:
    """The gradient; DivergedError where the loss has run away and left it no finite number."""
    gradient = yield from problem.gradient(x, sequences, nudge)
    finite = all(np.isfinite(values).all() for values in gradient.values.values())
    if not np.isfinite(gradient.loss) or (gradient.loss > RUNAWAY and not finite):
        raise DivergedError(f"the loss is {gradient.loss:.3g}, and its gradient is no finite number")
    return gradient


def scalars_of(gradient: Gradient, slope: Array) -> dict[str, float]:
    """What is recorded of every step; what the rule does not measure is left out."""
    health = {
        "eps": gradient.eps,
        "response_ratio": gradient.response_ratio,
        "retrace_error": gradient.retrace_error,
    }
    return {
        "loss": gradient.loss,
        **{name: value for name, value in health.items() if value is not None},
        "gradient_norm": float(np.linalg.norm(slope)),
        "shots": float(gradient.shots),
        "passes": float(gradient.passes),
        **gradient.measured,
    }


def checkpoint_state(
    parameters: ParameterSet, optimizer: Optimizer, nudge: NudgeRecord | None, x: Array
) -> dict[str, Any]:
    """Plain data from which `take_up` goes on."""
    return {
        "optimizer": optimizer.state(),
        **nudge_state(nudge),
        "parameters": parameters.entries(x),
        "parameter_names": parameters.names,
    }


def nudge_state(nudge: NudgeRecord | None) -> dict[str, Any]:
    """Plain data from which `nudge_of` makes the nudge again."""
    return {
        "eps": None if nudge is None else nudge.eps,
        "response_ratio": None if nudge is None else nudge.response_ratio,
        "deviations": {} if nudge is None else dict(nudge.deviations),
        "corrections": {} if nudge is None else dict(nudge.corrections),
        "aim": None if nudge is None else nudge.aim,
        "doubt": 0.0 if nudge is None else nudge.doubt,
        "pairs": 1 if nudge is None else nudge.pairs,
        "missed": 0.0 if nudge is None else nudge.missed,
    }


def take_up(optimizer: Optimizer, state: Mapping[str, Any], names: Sequence[str]) -> NudgeRecord | None:
    """Bring an optimizer to the state of a checkpoint; returns the nudge to go on with."""
    if list(state["parameter_names"]) != list(names):
        raise ConfigurationError("the checkpoint trains other parameters than the configuration; resume its own run")
    optimizer.restore(state["optimizer"])
    return nudge_of(state)


def nudge_of(state: Mapping[str, Any]) -> NudgeRecord | None:
    """The nudge to go on with."""
    if state["eps"] is None:
        return None
    deviations, corrections = (dict(state.get(name, {})) for name in ("deviations", "corrections"))
    aim = state.get("aim")  # records before it was searched for have none
    return NudgeRecord(
        float(state["eps"]),
        float(state["response_ratio"]),
        deviations,
        corrections,
        None if aim is None else float(aim),
        float(state.get("doubt", 0.0)),
        int(state.get("pairs", 1)),
        float(state.get("missed", 0.0)),
    )


def free_run(task: Task, sequences: Sequence[TrialSequence], theta: Arrays) -> Protocol[list[Array]]:
    """Read-outs (outputs, samples) of each sequence, run forward only."""
    achieved = yield Configure(task.rig_parameters(theta))
    theta = {**theta, **achieved}
    programs = tuple(task.forward(sequence, theta, task.channels, every=task.every) for sequence in sequences)
    captures = yield RunShots(programs)
    readout = task.readout(theta)
    return [readout.outputs(task.captured(capture)) for capture in captures]


def rms_error(sequences: Sequence[TrialSequence], outputs: Sequence[Array]) -> float:
    """Root-mean-square error of the read-out over the samples that count [target unit]."""
    squares = weights = 0.0
    for sequence, output in zip(sequences, outputs, strict=True):
        squares += float((sequence.weight * (output - sequence.target) ** 2).sum())
        weights += float(sequence.weight.sum()) * output.shape[0]
    return float(np.sqrt(squares / weights))
