"""The asymmetric echo: a rig whose couplings are directed, nudged so that it runs its own transpose.

    M q'' + G q' + S q + N q + dV/dq = u,         S symmetric, N antisymmetric

A force of positions is even in time, so the driven echo retraces all the same; but what a nudge does to it obeys S + N,
where the adjoint a needs S - N: no retrace shows it.  With the kick

    eps n,     n = e + 2 d N a                    a: the adjoint itself, as well as it is known

the answer m of the rig to n is a.  The first a is that of the model, T(e): its transposed dynamics from rest, backwards
along the *recorded* path.  What came back gives the next one,

    a <- m + T(e + 2 d N m - n'),                 n': the kicks as they were played

which is Newton's step: exact after one pair of echoes if the model is, and else wrong by (T - T_true)(2 d N (m - a)),
so the model's error counts once more with every pair.  Ports that are missing, and converters that change a kick, are
in n', and what they leave to do is done by the model.  The map is strictly causal, so it converges in the end; it
may grow on the way where |(T - T_true) 2 d N| times the response exceeds one, which flutter makes it do.

*Gyroscopic* forces Omega q', Omega antisymmetric, are compensated as friction is, -2 (G + Omega) v, and add 2 d Omega
a' to n; T runs with (G + Omega)^T.

N is not found by any pair: where it is wrong, so is what the pairs converge to.  Record and answers of the first pair
say how wrong, if they say it (`protocols.inference.beyond`), and N is corrected by it; else it is believed.

With x_n the change of a by the n-th pair and rho = |x_n|/|x_(n-1)|, what remains is about |x_n| rho (n - 1)/n.
Source: derived in this project and tested against reverse mode and independent vectors (docs/what-physics-allows.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from labrhel.arrays import Array
from labrhel.model.motion import antisymmetry_along, is_directed, quick_hessian_along, respond
from labrhel.shots.capture import Capture
from protocols.echoes.blocks import norm_of
from protocols.echoes.options import MOST_PAIRS, is_exact
from protocols.echoes.plan import Achieved, EchoPlan, EchoReading
from protocols.echoes.unmodelled import Unmodelled
from protocols.forward.forward import ForwardPass
from protocols.inference.beyond import beyond_model
from protocols.inference.correlation import Backwards
from protocols.twin import backwards

PRECISION = 1e-3
"""Remaining error that `directed: auto` aims at, where `precision` does not say."""

USUAL, MOST = 4, MOST_PAIRS
"""Pairs of echoes: what a dry run counts with, and what `auto` ends with."""

FLUTTERS = 3.0
"""e-folds of growth in a pass, by the model, from which corrections may grow before they fall."""

DOUBTFUL, USELESS = 0.01, 0.5
"""Remaining errors above which a gradient comes with a warning, or not at all."""

_FLOOR = 2.0  # times the noise of a response, below which a change of it is noise
_WHITE = 1.0  # rms of first differences over rms, sqrt(2) of white noise, next to nothing of a motion
_STUCK = 0.3  # of the response; a change below it that falls no more is what repeats differ by
_MISTRUST = 0.3  # of what the model does in place of a port
_PLACES = 64  # along the path, where modes are looked at
_UNPLAYED = 1e-3  # of the nudge: not worth a run of the model


@dataclass(slots=True)
class Asymmetric:
    """The adjoints of the sequences while they are found, a pair of echoes after the other.

    `known`: by name of the sequence; `changes`: |x_n|/|a| of every pair; `unplayed`: by parameter, what the model did
    in place of ports; `unmodelled`: what the first pair says of couplings that the model does not have,
    unless the model is to be believed.
    """

    known: dict[str, Backwards] = field(default_factory=dict)
    changes: list[float] = field(default_factory=list)
    terms: list[dict[str, Array]] = field(default_factory=list)
    unplayed: dict[str, Array] = field(default_factory=dict)
    unmodelled: Unmodelled | None = None
    believes: bool = False
    size: float = 0.0  # |a| of the batch
    noise: float = 0.0  # of a response, by what the channels declare
    is_white: bool = False
    is_concluded: bool = False  # what follows repeats the measurement, and tells its spread
    ended_at_floor: bool = False

    @classmethod
    def of(cls, plan: EchoPlan) -> Asymmetric | None:
        """None where the couplings of the model are reciprocal, or the correction is declined."""
        return cls() if plan.transposes and is_directed(plan.task.model, plan.theta) else None

    def forget(self) -> None:
        """Begin again, with another model."""
        self.known, self.changes, self.terms, self.size, self.unmodelled = {}, [], [], 0.0, None
        self.is_concluded = self.ended_at_floor = False

    def nudged(self, plan: EchoPlan, passes: Sequence[ForwardPass]) -> list[ForwardPass]:
        """The passes with n in place of e, as far as ports reach."""
        found = []
        for item in passes:
            if item.name not in self.known:
                self.known[item.name] = _transposed(plan, item, item.error)
            pushed = plan.geometry.reachable(self._turned(plan, item, self.known[item.name]))
            found.append(replace(item, error=item.error + pushed))
        return found

    def read(
        self,
        plan: EchoPlan,
        passes: Sequence[ForwardPass],
        nudged: Sequence[ForwardPass],
        captures: Sequence[Capture],
        eps: float,
        nudges: Achieved,
        reading: EchoReading,
    ) -> EchoReading:
        """The reading of one pair with the gradient by the corrected adjoints, which are known from now on."""
        terms: dict[str, Array] = {}
        unplayed: dict[str, Array] = {}
        change = size = rough = 0.0
        names = tuple(reading.terms)
        answers: list[Backwards] = []
        lacking: list[Array] = []
        for item, asked, turns, added in zip(passes, nudged, plan.turns(captures), nudges.added, strict=True):
            played = replace(asked, error=asked.error + added[:, ::-1])
            answers.append(_answer(plan, played, turns, eps))
            lacking.append(item.error + self._turned(plan, item, self.known[item.name]) - played.error)
        if not plan.geometry.is_whole:
            self.unmodelled = Unmodelled()
        elif self.unmodelled is None and not self.believes:
            self.unmodelled = unmodelled_by(plan, answers, reading.miss, eps, names)
        for item, m, missing in zip(passes, answers, lacking, strict=True):
            played = m.item.error
            more = _transposed(plan, item, item.error + self._turned(plan, item, m) - played)
            found = replace(
                m, item=item, response=m.response + more.response, position=m.position + more.position,
                momentum=m.momentum + more.momentum,
            )  # fmt: skip
            _add(terms, found.gradients(names))
            if np.linalg.norm(missing) > _UNPLAYED * np.linalg.norm(played):
                _add(unplayed, _transposed(plan, item, missing).gradients(names))
            x = found.response - self.known[item.name].response
            change, size = change + float(np.sum(x**2)), size + float(np.sum(found.response**2))
            rough += float(np.sum(np.diff(x, axis=1) ** 2))
            self.known[item.name] = found
        self.size = float(np.sqrt(size))
        if self.is_concluded:
            return replace(reading, terms=terms)
        self.is_white = rough > _WHITE**2 * change > 0
        self.changes.append(float(np.sqrt(change / size)) if size > 0 else 0.0)
        self.terms.append(terms)
        self.unplayed = {name: _MISTRUST * np.abs(term) for name, term in unplayed.items()}
        self.noise = _noise(plan, passes, eps) / (self.size or 1.0)
        return replace(reading, terms=terms)

    def _turned(self, plan: EchoPlan, item: ForwardPass, a: Backwards) -> Array:
        """2 d (N a + Omega a') (n, steps), with the N that this rig was seen to have."""
        found = _turned(plan, item, a)
        pull = None if self.unmodelled is None else self.unmodelled.pull
        return found if pull is None else found + 2 * plan.task.step * (pull @ a.response)

    @property
    def believed(self) -> dict[str, Array]:
        """By parameter, how far the couplings are not known: as with a calibration, no measure of precision."""
        return {} if self.unmodelled is None else self.unmodelled.floor

    @property
    def shrinks(self) -> float:
        """How much smaller the next change will be than the last one.

        By as much as the last was than the one before, of the adjoint or of the gradient, whichever shrank less, times
        (n - 1)/n after n pairs: a causal map to the n-th power falls like c^n/n!.  After the first pair half of what it
        changed, relative to the adjoint itself.
        """
        if len(self.changes) < 2:
            return 0.5 * self.changes[-1] if self.changes else 0.0
        count, (before, last) = len(self.changes), self.changes[-2:]
        ratio = last / before if before > 0 else 0.0
        if count > 2 and (moved := self._moved(-2)) > 0:
            ratio = max(ratio, self._moved(-1) / moved)
        return ratio * (count - 1) / count

    def _moved(self, place: int) -> float:
        """By how much the gradient changed with a pair, relative to itself."""
        last, before = self.terms[place], self.terms[place - 1]
        size = norm_of(last)
        return norm_of({name: last[name] - before[name] for name in last}) / size if size > 0 else 0.0

    @property
    def remaining(self) -> float:
        """What is left of the error, relative to the gradient, all of its entries as one vector.

        Where it ended in noise, that of the mean of the last two pairs.
        """
        if not self.terms:
            return 0.0
        if self.ended_at_floor:
            return 0.5 * self.changes[-1]
        return (self._moved(-1) if len(self.terms) > 1 else self.changes[-1]) * self.shrinks

    @property
    def is_at_floor(self) -> bool:
        """True where another pair would only show other noise."""
        last = self.changes[-1]
        falls = any(last < 0.5 * before for before in self.changes[-3:-1])
        stuck = len(self.changes) > 2 and last < _STUCK and not falls
        return last < _FLOOR * self.noise or self.is_white or stuck

    @property
    def diverges(self) -> bool:
        """True if the last two changes were no smaller than those before them."""
        c = self.changes
        return len(c) > 2 and c[-1] >= c[-2] >= c[-3]

    def concluded(self, reading: EchoReading) -> EchoReading:
        """The reading that counts: at the noise floor the mean of the last two pairs is better than either."""
        self.is_concluded = True
        self.ended_at_floor = bool(self.changes) and self.changes[-1] < _STUCK and self.is_at_floor
        if len(self.terms) < 2 or not self.ended_at_floor:
            return reading
        last, before = self.terms[-1], self.terms[-2]
        return replace(reading, terms={name: (last[name] + before[name]) / 2 for name in last})

    def floor(self) -> list[dict[str, Array]]:
        """By parameter, what is not known of the gradient: what more pairs would change, what ports did not play.

        What is noise shows in the spread of repeats.
        """
        if not self.terms or self.ended_at_floor:
            return [self.unplayed]
        last = self.terms[-1]
        if len(self.terms) < 2:
            return [{name: self.remaining * np.abs(term) for name, term in last.items()}, self.unplayed]
        before = self.terms[-2]
        return [{name: self.shrinks * np.abs(last[name] - before[name]) for name in last}, self.unplayed]


def unmodelled_by(
    plan: EchoPlan, answers: Sequence[Backwards], misses: Sequence[Array], eps: float, names: Sequence[str]
) -> Unmodelled:
    """What the record and the answers to kicks say of N beyond that of the model, and what it does to a gradient.

    `answers` are about passes whose error is the kicks as they were played.
    """
    task, exact = plan.task, is_exact(plan.task.capabilities)
    passes = [m.item for m in answers]
    sizes = [float(np.sqrt(sum(np.sum(rows**2) for rows in of))) for of in (
        [item.q for item in passes], [m.response for m in answers],
    )]  # fmt: skip
    if 0.0 in sizes:
        return Unmodelled()
    paths = [item.q + miss[:, ::-1] for item, miss in zip(passes, misses, strict=True)]
    found = beyond_model(
        task.model, plan.theta, passes, paths, [m.response for m in answers], task.step,
        sizes[0] / sizes[1] if exact else eps, exact=exact,
    )  # fmt: skip

    def effect(pull: Array) -> dict[str, Array]:
        terms: dict[str, Array] = {}
        for m in answers:
            _add(terms, _transposed(plan, m.item, 2 * task.step * pull @ m.response).gradients(names))
        return terms

    plain: dict[str, Array] = {}
    for m in answers:
        _add(plain, m.gradients(names))
    return Unmodelled.of(found, effect, norm_of(plain))


def of_reciprocal(
    plan: EchoPlan,
    passes: Sequence[ForwardPass],
    captures: Sequence[Capture],
    eps: float,
    nudges: Achieved,
    reading: EchoReading,
) -> Unmodelled:
    """The same of one set of echoes by a model whose couplings are all reciprocal: are those of the rig?"""
    answers = []
    for item, turns, added in zip(passes, plan.turns(captures), nudges.added, strict=True):
        answers.append(_answer(plan, replace(item, error=item.error + added[:, ::-1]), turns, eps))
    return unmodelled_by(plan, answers, reading.miss, eps, tuple(reading.terms))


def growth_in_pass(plan: EchoPlan, passes: Sequence[ForwardPass]) -> float:
    """The e-folds that the fastest growing mode of the rig gains in the longest pass: max Re(lambda) T of

        [[0, 1], [-M^-1 (S + N), -M^-1 G]],      lambda on average over the stiffness along the recorded path

    Negative where all decay.
    """
    model, theta = plan.task.model, plan.theta
    mass, friction, n = model.mass(theta)[:, None], model.friction(theta), model.size
    found = []
    for item in passes:
        stiffness = quick_hessian_along(model, theta, item.q[:, :: max(1, item.steps // _PLACES)])
        motion = np.zeros((len(stiffness), 2 * n, 2 * n))
        motion[:, :n, n:] = np.eye(n)
        motion[:, n:, :n], motion[:, n:, n:] = -stiffness / mass, -friction / mass
        fastest = np.linalg.eigvals(motion).real.max(axis=1)
        found.append(float(np.mean(fastest)) * item.steps * plan.task.step)
    return max(found)


def bias_uncorrected(plan: EchoPlan, passes: Sequence[ForwardPass], names: Sequence[str]) -> float:
    """How far a plain nudge is off by the model, relative to the gradient: its answer by S + N, not by S - N."""
    right: dict[str, Array] = {}
    wrong: dict[str, Array] = {}
    for item in passes:
        a = _transposed(plan, item, item.error)
        _add(right, a.gradients(names))
        step = plan.task.step
        b = respond(plan.task.model, plan.theta, item.q[:, ::-1], item.error[:, ::-1] / step, step)
        own = replace(a, response=b.q[:, ::-1], position=b.end_position, momentum=b.end_momentum)
        _add(wrong, own.gradients(names))
    size = np.sqrt(sum(float(np.sum(term**2)) for term in right.values()))
    off = np.sqrt(sum(float(np.sum((wrong[name] - right[name]) ** 2)) for name in right))
    return float(off / size) if size > 0 else 0.0


def _turned(plan: EchoPlan, item: ForwardPass, a: Backwards) -> Array:
    """2 d (N a + Omega a') (n, steps), in units of the error, along the recorded path; a' in the time of the echo."""
    model, theta, step = plan.task.model, plan.theta, plan.task.step
    found = step * np.einsum("kij,jk->ik", antisymmetry_along(model, theta, item.q), a.response)
    friction = model.friction(theta)
    if np.array_equal(friction, friction.T):
        return found
    last = a.position + step / 2 * a.momentum / model.mass(theta)
    path = np.column_stack([a.response[:, -1], a.response[:, ::-1], last])  # from rest, in the order of the echo
    velocity = (path[:, 2:] - path[:, :-2]) / (2 * step)
    return found + step * (friction - friction.T) @ velocity[:, ::-1]


def _transposed(plan: EchoPlan, item: ForwardPass, kicks: Array) -> Backwards:
    """T(kicks), along the recorded path."""
    return backwards(plan.task.model, plan.theta, replace(item, error=kicks), plan.task.step)


def _answer(plan: EchoPlan, item: ForwardPass, turns: Sequence[dict[int, Capture]], eps: float) -> Backwards:
    """The response m of the rig, with the state it ends in where that was read."""
    task, derivative = plan.task, plan.estimator.derivative
    parts = []
    for echoes in turns:
        q, v = {}, {}
        for level, capture in echoes.items():
            q[level], v[level] = plan.geometry.state(capture.last, task.step)
        ends = {level: capture.last.end_state for level, capture in echoes.items()}
        shown = {level: end for level, end in ends.items() if end is not None}
        state = None
        if len(shown) == len(ends):
            state = [
                derivative({level: end.position[0] for level, end in shown.items()}, eps),
                derivative({level: end.momentum[0] for level, end in shown.items()}, eps),
            ]
        answer, moving = derivative(q, eps), derivative(v, eps)
        if not plan.geometry.is_whole:
            answer = plan.completed_answer(item, answer, eps)
            moving = np.gradient(answer, task.step, axis=1)
        parts.append((answer, moving, state))
    q, v = (np.mean([part[place] for part in parts], axis=0) for place in (0, 1))
    found = Backwards.of_motion(task.model, plan.theta, item, task.step, q, v)
    states = [part[2] for part in parts if part[2] is not None]
    if len(states) < len(parts):
        return found
    position, momentum = np.mean(states, axis=0)
    return replace(found, position=position, momentum=momentum)


def _noise(plan: EchoPlan, passes: Sequence[ForwardPass], eps: float) -> float:
    """Norm of the noise in the responses of these passes, by what the channels declare."""
    weight = sum(value**2 for value in plan.estimator.weights.values())
    turns = len(plan.order.of(tuple(plan.estimator.weights))) / len(plan.estimator.weights)
    steps = sum(item.steps for item in passes)
    return float(np.sqrt(weight / turns * steps * np.sum(plan.geometry.noise**2))) / eps


def _add(total: dict[str, Array], terms: dict[str, Array]) -> None:
    for name, term in terms.items():
        total[name] = total[name] + term if name in total else term
