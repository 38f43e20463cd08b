"""What no channel shows of a partly read rig, as the model says it: of the forward pass, and of the answer to a nudge.

The model is fitted to what is read (`protocols.inference.output_error`), and run along with the rig; what the readings
say otherwise is explained by forces as small as can be, which the model, linearised along the path, carries on to the
oscillators that are not read (`InverseDynamics.completed`, a fixed-interval smoother after Rauch, Tung & Striebel):

    q = q_model + x,   x from y - C q_model;          a = a_model + x',   x' from the read part of a - a_model

What is read stays as it was read, so a parameter that acts at read oscillators alone owes the model nothing.

*The error* of what is said has two parts, drawn together: the parameters that the readings allow as well, and the
forces.  With a rig that is the fitted model, and a host that believes the draw, the drawn paths, responses and
compensation go through all of the procedure, and what that makes of the gradient otherwise is its error,

    error^2 = mean over draws of (g(draw) - g)^2

Source: derived and tested in this project (docs/what-physics-allows.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ProgramError
from labrhel.learning.readings import Masks, named, unread_entries, unread_objections
from labrhel.learning.rules import GradientRequest
from labrhel.model.motion import respond, respond_transposed
from protocols.echoes.blocks import Block
from protocols.echoes.plan import EchoPlan
from protocols.forward.forward import ForwardBatch, ForwardPass
from protocols.inference.correlation import correlated
from protocols.inference.fit import free_run
from protocols.inference.inverse_dynamics import InverseDynamics
from protocols.inference.output_error import Believed, fit_outputs

UNOBSERVABLE = 0.5
"""Error over size of the gradient by a parameter, from which the readings count as saying nothing of it."""

LOST = 10.0
"""Times the noise of readings: a fitted model that misses them by more is another rig."""

_DRAWS = 32
_SMALL = 1e-4  # of the motion: opposite echoes of a draw are so far apart


def check_readings(asked: GradientRequest) -> None:
    """Raise ProgramError, with the names, where a gradient needs what no channel shows."""
    for words in unread_objections(asked.task, asked.theta, asked.wanted, asked.trained):
        raise ProgramError(words)


def believed_of(plan: EchoPlan, asked: GradientRequest, batch: ForwardBatch) -> Believed:
    """The model near what was asked for, fitted to passes of which only a part is read."""
    before = None if asked.previous is None else asked.previous.deviations
    told = plan.information(batch.passes)
    return fit_outputs(plan.task.model, asked.theta, batch.passes, plan.task.step, told, before)


@dataclass(frozen=True, slots=True)
class SaidByModel:
    """What the model said of one gradient in place of readings.

    `entries`: those asked for that it was needed for; `error`: by parameter, its standard error.
    """

    entries: Masks
    error: dict[str, Array]

    @classmethod
    def of(
        cls, plan: EchoPlan, asked: GradientRequest, believed: Believed, block: Block, *, locked: bool
    ) -> SaidByModel:
        """Of the first block of a gradient, whose echo was `locked` or not."""
        entries = unread_entries(asked.task, asked.theta, asked.wanted, asked.trained)
        squares: dict[str, Array] = {}
        passes = block.batch.passes
        worlds = [_World.of(plan, item) for item in passes]
        answers = _answers(plan, block)
        drawn = [world.forces(plan, answer, block.eps) for world, answer in zip(worlds, answers, strict=True)]
        for index, theta in enumerate(believed.draws(_DRAWS)):
            moved: dict[str, Array] = {}
            for world, (paths, responses) in zip(worlds, drawn, strict=True):
                for name, term in world.moved(plan, theta, paths[index], responses[index], locked=locked).items():
                    moved[name] = moved[name] + term if name in moved else term
            for name, term in moved.items():
                squares[name] = squares.get(name, np.zeros_like(term)) + np.square(term) / _DRAWS
        return cls(entries, {name: np.sqrt(total) for name, total in squares.items()})

    def unobservable(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Of `entries`, those of which the readings say nothing: the error is of the size of the gradient."""
        found = {}
        for name, mask in self.entries.items():
            if name not in self.error or name not in values:
                continue
            usual = float(np.sqrt(np.mean(np.square(values[name]))))
            # What is not a number is not known, either.
            lost = mask & ~(self.error[name] <= UNOBSERVABLE * np.maximum(np.abs(values[name]), usual))
            if lost.any():
                found[name] = lost
        return found


def refuse_unobservable(found: SaidByModel, values: Mapping[str, Array], misfit: float) -> None:
    """Raise ProgramError naming the entries that neither readings nor model know.

    `misfit` of the fitted model, over the noise of the readings.
    """
    if misfit > LOST and found.entries:
        raise ProgramError(
            f"{named(found.entries)}: no channel shows where they act, and the model, fitted to what is read, misses "
            f"it by {misfit:.2g} times its noise, so it cannot say it: read more positions, calibrate the model, or do "
            "not train them"
        )
    lost = found.unobservable(values)
    if lost:
        raise ProgramError(
            f"{named(lost)}: no channel shows where they act, and what is read does not tell it, so their gradient "
            "would be a guess: read more positions, calibrate the model, or do not train them"
        )


def _answers(plan: EchoPlan, block: Block) -> list[Array]:
    """Read part of the answers (n, steps) by pass, in the order of the echo, of the first turn."""
    found = []
    for turns in plan.turns(block.captures):
        q = {level: plan.geometry.state(capture.last, plan.task.step)[0] for level, capture in turns[0].items()}
        found.append(plan.estimator.derivative(q, block.eps))
    return found


@dataclass(frozen=True, slots=True)
class _World:
    """A rig that is the fitted model, on one pass: what a host that believes otherwise makes of it."""

    item: ForwardPass
    model_path: Array
    back: Array  # the path in the order of the echo
    force: Array  # the nudge [force], the same
    response: Array

    @classmethod
    def of(cls, plan: EchoPlan, item: ForwardPass) -> _World:
        model, theta, step = plan.task.model, plan.theta, plan.task.step
        back, force = item.q[:, ::-1], item.error[:, ::-1] / step
        path = free_run(model, theta, item, step).q[0]
        return cls(item, path, back, force, respond_transposed(model, theta, back, force, step).q)

    def forces(self, plan: EchoPlan, answer: Array, eps: float) -> tuple[Array, Array]:
        """What the smoother leaves open of the path and of the response: draws (draws, n, steps) of each."""
        inverse = InverseDynamics(plan.task.model, plan.theta, plan.task.step)
        seen, step = plan.geometry.seen, plan.task.step
        told = plan.information([self.item])
        off = seen @ (self.item.q - self.model_path)
        _, paths = inverse.completed(off, self.model_path, told, _DRAWS)
        plain = respond(plan.task.model, plan.theta, self.back, self.force, step).q
        _, responses = inverse.completed(seen @ (answer - plain), self.back, plan.of_answer(told, eps), _DRAWS)
        return paths, responses

    def moved(self, plan: EchoPlan, theta: Arrays, path: Array, response: Array, *, locked: bool) -> dict[str, Array]:
        """By how much the gradient of this rig is another one for a host that believes `theta`, and these draws.

        What a compensation by `theta` misses is made up for by a lock, as far as the readings show it.
        """
        model, rig, step, item = plan.task.model, plan.theta, plan.task.step, self.item
        seen, hidden = plan.geometry.seen, np.eye(model.size) - plan.geometry.seen
        with np.errstate(over="ignore", invalid="ignore"):
            off = hidden @ (free_run(model, theta, item, step).q[0] - self.model_path + path)
        q, v = item.q + off, item.v + np.gradient(off, step, axis=1)
        missed = np.zeros_like(off)
        if plan.friction.any():
            rubbed = model.friction(theta) @ v - plan.friction @ item.v
            missed = respond(model, rig, self.back, -2 * rubbed[:, ::-1], step).q
            if locked:
                told = plan.information([item])
                missed = missed - InverseDynamics(model, rig, step).completed(seen @ missed, self.back, told)[0]
        along = self.back + missed
        ran = respond_transposed(model, rig, along, self.force, step).q
        said = respond_transposed(model, theta, q[:, ::-1], self.force, step).q + response
        believed = seen @ ran + hidden @ said
        mean = self.back + seen @ missed + hidden @ off[:, ::-1]
        here = _terms(plan, item, self.back, self.response)
        there = _terms(plan, replace(item, q=q, v=v), mean, believed)
        summed = _terms(plan, item, along, ran)  # what the rig sums needs no reading
        there |= {name: summed[name] for name in plan.wanted.summed}
        return {name: there[name] - here[name] for name in here}


def _terms(plan: EchoPlan, item: ForwardPass, mean: Array, response: Array) -> dict[str, Array]:
    """The gradient by two opposite echoes about `mean` (n, steps), a little apart by the `response`."""
    wanted, step, model = plan.wanted, plan.task.step, plan.task.model
    size = float(np.sqrt(np.mean(response**2)))
    h = _SMALL * float(np.sqrt(np.mean(mean**2))) / size if size > 0 else 1.0
    names = (*wanted.summed, *wanted.traced)
    ends = []
    for sign in (1, -1):
        q = mean + sign * h * response
        v = np.gradient(q, step, axis=1)
        ends.append(model.observables(names, q, v, item.u[:, ::-1], step, plan.theta))
    found = {name: -(ends[0][name] - ends[1][name]) / (2 * h) for name in names}
    slope = response[:, ::-1]
    for name in wanted.friction:
        rubbed = -step * slope @ item.v.T
        found[name] = (rubbed + rubbed.T) / 2
    return found | correlated(model, plan.theta, item, slope, step, wanted.one_way)


def completed_batch(plan: EchoPlan, batch: ForwardBatch) -> ForwardBatch:
    """The passes with what no channel shows by the model; the same batch where all is read."""
    if plan.geometry.is_whole:
        return batch
    return replace(batch, passes=tuple(_completed(plan, item, batch.passes) for item in batch.passes))


def _completed(plan: EchoPlan, item: ForwardPass, passes: Sequence[ForwardPass]) -> ForwardPass:
    model, theta, step = plan.task.model, plan.theta, plan.task.step
    seen = plan.geometry.seen
    path = free_run(model, theta, item, step).q[0]
    x, _ = InverseDynamics(model, theta, step).completed(seen @ (item.q - path), path, plan.information(passes))
    added = (np.eye(model.size) - seen) @ (path + x)
    edge = 2 if item.steps > 2 else 1
    turned = np.gradient(added, step, axis=1, edge_order=edge) if item.steps > 1 else np.zeros_like(added)
    return replace(item, q=item.q + added, v=item.v + turned)
