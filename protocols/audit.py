"""Is a gradient right?  Ask the rig: move its parameters, measure the loss, and compare, until the answer is clear.

In coordinates z = theta/s (s: the size of each parameter) let g be the gradient that a rule has found.  Along
directions v of length one, by turns g/|g| and random ones, the rig says

    y = [L(z + h v) - L(z - h v)]/(2 h) = v . (g + error) + noise.

After each pair of shots the hypothesis that the error is zero is weighed against three others, by the ratio of the
densities of all answers so far:

    B+, B-     error = +-tolerance g                                     a sign, a factor, a gain
    B          error ~ N(0, (tolerance |g|)^2/n)                         in any direction of the n parameters

and the audit ends when (B+ + B-)/4 + B/2 >= 1/alpha: wrong, or when B+ and B- are both <= alpha, and B <= 1: right.
However long it runs, a right gradient is called wrong with a probability of at most alpha (Ville's inequality), and one
that is too long or too short by the tolerance is called right as seldom.  The noise is that of the loss, from `samples`
repeats in place, in proportion to the loss and as uncertain as they leave it (all densities are Student's); what the
gradient says of its own error bars counts as noise, too.  The step h of each direction is as large as the curvature
allows: the nominal model predicts by how much the difference is not the slope, which is taken off, and a tenth of it
counts as noise.

Source: mixture sequential probability ratio test, Robbins (1970); Johari et al., Oper. Res. 70 (2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.gradient import Gradient
from labrhel.learning.readings import Masks
from labrhel.learning.task import Task, TrialSequence
from labrhel.model.motion import run
from labrhel.model.rotating import RotatingFrame
from labrhel.shots.operations import Configure, Protocol
from labrhel.shots.program import GivenState
from protocols.differences import ends_along, size_of
from protocols.forward.moving import MovedLoss

_FINEST = 0.1  # of the tolerance: the noise that is assumed at least, for what the model says wrongly of the curvature
_SHARPNESS = 0.25  # of the tolerance: the noise of one slope that the step aims at
_CURVED, _MISTAKEN = 6.0, 0.1  # of the tolerance: the error of a difference that is left to the model; the model's own
_SMALLEST_SWING, _LARGEST_SWING = 0.002, 0.25  # of the loss, by a step along the gradient
_HALVINGS, _TINY = 8, 1e-4
_LEAST_PAIRS = 10  # before a gradient is called right, so that some are random directions


@dataclass(frozen=True, slots=True)
class Verdict:
    """`right`: True, False, or None if the shots ran out.  `ratio`: slope along the gradient over its own, with its
    standard error; `error`: likeliest size of the gradient's error over that of the gradient.
    """

    right: bool | None
    ratio: float
    ratio_error: float
    error: float
    pairs: int
    shots: int

    def __str__(self) -> str:
        word = {True: "right", False: "WRONG", None: "undecided"}[self.right]
        return (
            f"{word} after {self.shots} shots: along the gradient the loss moves {self.ratio:.3f} +- "
            f"{self.ratio_error:.3f} times as fast as it says; likeliest error {100 * self.error:.1f} % of it"
        )


@dataclass(frozen=True, slots=True)
class Audit:
    """How to ask: `tolerance` that counts as wrong, `alpha` the rate of wrong answers, at most `most` shots."""

    tolerance: float = 0.05
    alpha: float = 0.01
    most: int = 200
    samples: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("tolerance", self.tolerance), ("alpha", self.alpha)):
            if not 0 < value < 1:
                raise ConfigurationError(f"{name} must be between 0 and 1, not {value}")
        if self.samples < 2 or self.most < self.samples + 2:
            raise ConfigurationError("an audit takes 2 or more samples of the noise, and more shots than those")

    def of(
        self,
        task: Task,
        sequences: Sequence[TrialSequence],
        theta: Arrays,
        gradient: Gradient,
        trained: Masks | None = None,
    ) -> Protocol[Verdict]:
        """Audit `gradient`, found at `theta` for these sequences; read-out gain and offset, the host's, are left out.

        `trained`: by parameter, the entries that are asked about; nothing need move the others.

        Raises ConfigurationError if nothing is left that can be moved, or if the gradient is zero.
        """
        achieved = yield Configure(task.rig_parameters(theta))
        theta = {**theta, **achieved}
        point = _Point.of(task, theta, gradient, trained)
        moved = MovedLoss(task, sequences, theta)
        return (yield from moved.restoring(self._ask(moved, point)))

    def _ask(self, moved: MovedLoss, point: _Point) -> Protocol[Verdict]:
        losses = []
        for _ in range(self.samples):
            losses.append((yield from moved.at({})))
        loss, noise = float(np.mean(losses)), float(np.std(losses, ddof=1))
        norm = float(np.linalg.norm(point.slope))
        finest = self.tolerance * norm
        # A step that makes the noise of a slope a quarter of the tolerance.
        wanted = noise / np.sqrt(2) / (_SHARPNESS * finest)
        longest = float(np.clip(wanted, _SMALLEST_SWING * loss / norm, _LARGEST_SWING * loss / norm))
        random = np.random.default_rng(self.seed)
        along = point.slope / norm
        rows, answers, sigmas = [], [], []
        straight = _Straight(moved, point)
        verdict: Verdict | None = None
        while moved.shots + 2 * len(moved.sequences) <= self.most:
            direction = along if len(rows) % 2 == 0 else _random_direction(random, len(along))
            step, bent = straight.step(direction, longest, _CURVED * finest)
            rows.append(direction)
            high, low = yield from ends_along(moved, point.direction(direction), step)
            shaken = noise * np.hypot(high, low) / loss / (2 * step)
            sigmas.append(float(np.linalg.norm([shaken, _FINEST * finest, _MISTAKEN * bent])))
            answers.append((high - low) / (2 * step) - bent)
            verdict = self._weigh(point, np.array(rows), np.array(answers), np.array(sigmas), moved.shots)
            if verdict.right is not None:
                return verdict
        if verdict is None:
            raise ConfigurationError(f"{self.most} shots are too few for one difference; allow more")
        return verdict

    def _weigh(self, point: _Point, v: Array, y: Array, sigma: Array, shots: int) -> Verdict:
        norm = float(np.linalg.norm(point.slope))
        along = point.slope / norm
        null = np.diag(sigma**2) + v @ np.diag(point.doubt**2) @ v.T
        left = y - v @ point.slope
        prior = (self.tolerance * norm) ** 2 / len(along) * np.eye(len(along))
        other = null + v @ prior @ v.T
        shift = self.tolerance * v @ point.slope
        freedom = self.samples - 1
        still = _log_density(left, null, freedom)
        longer, shorter = (_ratio(_log_density(left - sign * shift, null, freedom) - still) for sign in (1, -1))
        anywhere = _ratio(_log_density(left, other, freedom) - still)
        odds = (longer + shorter) / 4 + anywhere / 2
        # Every second direction is the gradient's own; those with a longer step count for more.
        weights = 1 / sigma[::2] ** 2 / np.sum(1 / sigma[::2] ** 2)
        ratio = float(weights @ y[::2]) / norm
        likeliest = prior @ v.T @ np.linalg.solve(other, left)
        right = None
        if odds >= 1 / self.alpha:
            right = False
        elif max(longer, shorter) <= self.alpha and anywhere <= 1 and len(y) >= _LEAST_PAIRS:
            right = True
        mean = 1 / np.sqrt(np.sum(1 / sigma[::2] ** 2)) / norm
        spread = float(np.hypot(mean, np.linalg.norm(point.doubt * along) / norm))
        return Verdict(right, ratio, spread, float(np.linalg.norm(likeliest)) / norm, len(y), shots)


@dataclass(frozen=True, slots=True)
class _Point:
    """The parameters as one vector z: names, shapes, sizes; slope and standard error of the gradient by z."""

    shapes: dict[str, tuple[int, ...]]
    sizes: dict[str, float]
    masks: dict[str, Array]
    mirrored: frozenset[str]
    slope: Array
    doubt: Array

    @classmethod
    def of(cls, task: Task, theta: Arrays, gradient: Gradient, trained: Masks | None = None) -> _Point:
        knobs = {knob.name for knob in task.capabilities.knobs} | {"initial_position", "initial_momentum"}
        names = [name for name in gradient.values if name in knobs and name in task.model.parameters]
        if not names:
            raise ConfigurationError("none of the parameters can be moved on this rig, so it cannot be asked")
        shapes, sizes, masks, slopes, doubts, mirrored = {}, {}, {}, [], [], set[str]()
        for name in names:
            value = np.asarray(theta[name], float)
            symmetric = task.model.parameters[name].kind == "friction"
            # Of a symmetric matrix the upper triangle is free, and an entry off the diagonal stands twice.
            times = 2 * np.triu(np.ones(value.shape)) - np.eye(len(value)) if symmetric else np.ones(value.shape)
            times = times * np.broadcast_to((trained or {}).get(name, True), value.shape)
            mirrored |= {name} if symmetric else set()
            shapes[name], sizes[name], masks[name] = value.shape, size_of(value), times
            free = times > 0
            slopes.append((np.asarray(gradient.values[name]) * times)[free] * sizes[name])
            error = gradient.standard_error
            doubt = np.zeros(value.shape) if error is None else np.asarray(error[name])
            doubts.append((doubt * times)[free] * sizes[name])
        slope = np.concatenate(slopes)
        if not slope.any():
            raise ConfigurationError("the gradient is zero: there is nothing to audit")
        return cls(shapes, sizes, masks, frozenset(mirrored), slope, np.concatenate(doubts))

    def direction(self, v: Array) -> dict[str, Array]:
        """A direction in z as one of the parameters."""
        found, place = {}, 0
        for name, shape in self.shapes.items():
            free = self.masks[name] > 0
            array = np.zeros(shape)
            array[free] = v[place : place + int(free.sum())] * self.sizes[name]
            place += int(free.sum())
            if name in self.mirrored:
                array = array + np.triu(array, 1).T
            found[name] = array
        return found


class _Straight:
    """How far one may go along a direction before a difference is no slope, by the nominal model."""

    def __init__(self, moved: MovedLoss, point: _Point) -> None:
        self._moved, self._point = moved, point

    def step(self, direction: Array, longest: float, allowed: float) -> tuple[float, float]:
        """The longest step whose difference is off the slope by no more than `allowed`, and by how much it is."""
        slope = self._difference(direction, _TINY * longest)
        step, bent = longest, np.nan
        for _ in range(_HALVINGS):
            bent = self._difference(direction, step) - slope
            if abs(bent) <= allowed:
                break
            # The error of a difference grows with the square of the step.
            step *= float(np.clip(0.9 * np.sqrt(allowed / abs(bent)), 0.1, 0.9)) if np.isfinite(bent) else 0.1
        return step, float(np.nan_to_num(bent, posinf=0.0, neginf=0.0))

    def _difference(self, direction: Array, step: float) -> float:
        moved = self._moved
        ends = []
        for sign in (1, -1):
            by = self._point.direction(direction)
            shifted = {name: moved.theta[name] + sign * step * item for name, item in by.items()}
            ends.append(model_loss(moved.task, moved.sequences, {**moved.theta, **shifted}))
        return (ends[0] - ends[1]) / (2 * step)


def model_loss(task: Task, sequences: Sequence[TrialSequence], theta: Arrays) -> float:
    """The loss that the nominal model would have."""
    model, readout, loss, total = task.model, task.readout(theta), task.loss(sequences), 0.0
    rows = [task.capabilities.places.index(name) for name in task.channels]
    sees = task.capabilities.position_matrix.values[rows]
    for item in sequences:
        q = p = np.zeros((1, model.size))
        if isinstance(start := task.prepare(theta, item), GivenState):
            q, p = start.position.values[None], start.momentum.values[None]
        silence = np.zeros(steps := task.steps(item))
        played = {port: wave.on_grid(task.step, steps) for port, wave in item.inputs.items()}
        u = np.stack([played.get(port, silence) for port in model.inputs])
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(model, RotatingFrame):
                path = model.pass_of(theta, model.field(u, theta), task.step, q[0] + 1j * p[0])[0]
            else:
                path = run(model, theta, model.input_force(u, theta), task.step, q, p).q[0]
            total += loss.value(readout.outputs((sees @ path[:, :: task.every]).real), item.target, item.weight)
    return total


def _random_direction(random: np.random.Generator, size: int) -> Array:
    return random.choice([-1.0, 1.0], size=size) / np.sqrt(size)


def _ratio(log: float) -> float:
    return float(np.exp(np.clip(log, -700, 700)))


def _log_density(x: Array, scale: Array, freedom: int) -> float:
    """Log of Student's density of `freedom` at x, but for a constant: the noise is known from few samples only."""
    _, logdet = np.linalg.slogdet(scale)
    square = float(x @ np.linalg.solve(scale, x)) / freedom
    return -0.5 * ((freedom + len(x)) * float(np.log1p(square)) + float(logdet))
