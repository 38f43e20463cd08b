"""Echo shots: built from a forward pass, and read back as derivatives by the nudge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.frozen import FrozenArray
from labrhel.learning.estimator import Estimator, Order
from labrhel.learning.gradient import NudgeRecord
from labrhel.learning.readout import READOUT
from labrhel.learning.task import Task
from labrhel.model.motion import respond
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.program import Acquire, Drive, GivenState, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from protocols.echoes.drive import EchoDrive, reached
from protocols.forward.forward import ForwardBatch, ForwardPass
from protocols.forward.geometry import Geometry
from protocols.inference.correlation import correlated
from protocols.inference.inverse_dynamics import InverseDynamics

_SMALL = 1e-4  # of the motion: its square is below, and its rounding not yet above, what matters
_ROUNDING = 1e-8
_EXACT = 1e-7  # of the motion: noise of channels that declare none
SMALLEST_NUDGE, LARGEST_NUDGE = 1e-100, 1e100
"""Between these the square and the inverse of a nudge are numbers, too."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameters to differentiate by, sorted by where their gradient is read."""

    summed: tuple[str, ...]  # observables the rig accumulates
    traced: tuple[str, ...]  # observables computed from traces
    friction: tuple[str, ...]
    one_way: tuple[str, ...]  # directed couplings and gyroscopic forces, whose gradient is correlated with the record
    state: tuple[str, ...]  # initial position and momentum
    direct: tuple[str, ...]  # read-out gain and offset, which need no echo
    drags_mass: bool  # a mass that also changes the friction of the first half step

    @classmethod
    def of(cls, task: Task, names: Sequence[str], theta: Arrays, *, driven: bool) -> Wanted:
        """Sort `names`; raises ConfigurationError for one that neither the model nor the read-out has."""
        specs = task.model.parameters
        unknown = [name for name in names if name not in specs and name not in READOUT]
        if unknown:
            raise ConfigurationError(f"there is no parameter {unknown[0]!r} to differentiate by")
        kinds = {name: specs[name].kind for name in names if name in specs}
        observed = [name for name, kind in kinds.items() if kind in ("potential", "kinetic", "input")]
        moving = np.any(theta.get("initial_momentum", 0.0))
        return cls(
            tuple(name for name in observed if name in task.capabilities.accumulates),
            tuple(name for name in observed if name not in task.capabilities.accumulates),
            tuple(name for name, kind in kinds.items() if kind == "friction"),
            tuple(name for name, kind in kinds.items() if kind in ("directed", "gyroscopic")),
            tuple(name for name, kind in kinds.items() if kind in ("position", "momentum")),
            tuple(name for name in names if name not in specs),
            bool("mass" in kinds and driven and moving),
        )


@dataclass(frozen=True, slots=True)
class EchoReading:
    """Echoes of a batch at one nudge strength, read back.

    `terms` is the gradient by parameter, `response` the sum of squares of the nudge response, `miss` by sequence how
    far the un-nudged (or mean) echo is from the forward path, in the order of the echo.
    """

    terms: Mapping[str, Array]
    response: float
    miss: tuple[Array, ...]

    @property
    def missed(self) -> float:
        """Sum of squares of `miss`."""
        return sum(float(np.sum(item**2)) for item in self.miss)


@dataclass(frozen=True, slots=True)
class Achieved:
    """A nudge as it was played: `scale` times what was asked for, and what it had `added` (n, steps) beside that.

    `added` is in units of the error, in the order of the echo; `distortion` its size relative to the error.  The scale
    is 1 where nothing is quantized or filtered.
    """

    scale: float
    distortion: float
    added: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class _Around:
    """Of an echo all but its nudge: the pass before it, the input backwards, and what compensates friction."""

    first: Pass
    replayed: tuple[Drive, ...]
    compensation: tuple[Drive, ...]


@dataclass(frozen=True, slots=True)
class EchoPlan:
    """All that building and reading the echoes of one gradient has in common.

    `friction` is G if the echo is driven, else zero: compensation and end corrections belong to the driven echo.
    `reversal` is how the rig reverses its state; by drive, every echo has a preparation in place of the forward pass.
    `order` is that of the nudges: every sequence is echoed at all levels of the estimator, once a turn.
    """

    task: Task
    geometry: Geometry
    estimator: Estimator
    wanted: Wanted
    theta: Arrays
    friction: Array
    reversal: Reversal
    order: Order = Order.AB
    partial: bool = False  # compensate only what the ports reach
    transposes: bool = True  # nudge a rig with directed couplings so that it runs its transpose
    starts: bool = False  # every echo begins in a state that is prepared, reversed and kicked; nothing else nudges it
    reads_preparation: bool = False  # the echo lock needs it, nobody else

    def drives(self, passes: Sequence[ForwardPass], lengths: Sequence[int] = ()) -> list[EchoDrive]:
        """What the nominal model says will bring the rig back, for each sequence.

        `lengths`: kicks of each preparation, where they are not free.
        """
        by_drive = self.reversal is Reversal.BY_DRIVE
        return [
            EchoDrive.of(self.task, self.theta, item, self.friction, from_rest=by_drive, kicks=kicks)
            for item, kicks in zip(passes, lengths or [0] * len(passes), strict=True)
        ]

    def programs(
        self, passes: Sequence[ForwardPass], drives: Sequence[EchoDrive], eps: float
    ) -> tuple[ShotProgram, ...]:
        """All levels of all sequences; + and - next to each other, so that a drifting rig drifts least between."""
        levels, found = self.order.of(tuple(self.estimator.weights)), []
        for item, drive in zip(passes, drives, strict=True):
            around = None if self.starts else self._around(item, drive)
            found += [self._program(item, around, level * eps) for level in levels]
        return tuple(found)

    def still_programs(self, passes: Sequence[ForwardPass], drives: Sequence[EchoDrive]) -> tuple[ShotProgram, ...]:
        """Echoes that nothing nudges, one for each sequence."""
        return tuple(
            self._program(item, None if self.starts else self._around(item, drive), 0.0)
            for item, drive in zip(passes, drives, strict=True)
        )

    def _program(self, forward: ForwardPass, around: _Around | None, amplitude: float) -> ShotProgram:
        """An echo after the forward pass, or after the preparation of its reversed end."""
        if around is None:
            return self._started(forward, amplitude)
        step = forward.program.dt
        # The nudge is an impulse amplitude * e at its kick, so as a force it is divided by the step.
        nudge = self._driven(amplitude / step * forward.error[:, ::-1], step, Role.NUDGE)
        drives, by_drive = (*around.replayed, *nudge, *around.compensation), self.reversal is Reversal.BY_DRIVE
        echo = Pass(forward.steps, drives, self._acquired(), echo=not by_drive)
        return ShotProgram(step, Rest() if by_drive else forward.program.prepare, (around.first, echo))

    def _around(self, forward: ForwardPass, drive: EchoDrive) -> _Around:
        """What the echoes of a sequence share at every nudge; one object, so that it is compiled once."""
        step, first = forward.program.dt, forward.program.passes[0]
        asked = self.geometry.reachable(drive.echo_force) if self.partial else drive.echo_force
        compensation = self._driven(asked, step, Role.COMPENSATION)
        if self.reversal is Reversal.BY_DRIVE:
            force, seen, pilots = drive.preparation_force, (), ()
            if self.reads_preparation:
                seen = self.geometry.channels
                pilot = self._pilot(forward, drive.prepared)
                force = force - self.task.model.input_force(pilot, self.theta)
                force += self.task.model.input_force(np.zeros_like(pilot), self.theta)
                pilots = tuple(
                    Drive(port, Waveform.of(values, step), Role.PREPARATION)
                    for port, values in zip(self.task.model.inputs, pilot, strict=True)
                    if values.any()
                )
            prepare = (*pilots, *self._driven(force, step, Role.PREPARATION))
            first = Pass(drive.prepared, prepare, Acquire(seen))
        return _Around(first, _replayed(forward), compensation)

    def _started(self, forward: ForwardPass, amplitude: float) -> ShotProgram:
        """An echo of a loss at the last sample, in a shot of its own: the kick is in the state that it starts from.

        Before the drift of half a step to the kick, so that there the momentum is larger by it, and the position as it
        was.
        """
        step, kick = forward.program.dt, amplitude * forward.error[:, -1]
        q, p = reached(self.task, self.theta, forward)
        q = q - step / 2 * kick / self.task.model.mass(self.theta)
        start = GivenState(FrozenArray(q), FrozenArray(kick - p))
        return ShotProgram(step, start, (Pass(forward.steps, _replayed(forward), self._acquired()),))

    def _acquired(self) -> Acquire:
        """What is read of an echo."""
        ends = bool(self.wanted.state) or self.wanted.drags_mass
        return Acquire(self.geometry.channels, 1, self.wanted.summed, end_state=ends)

    def _pilot(self, forward: ForwardPass, kicks: int) -> Array:
        """What the inputs play in a preparation (inputs, kicks), so that it shows their gains: see `echoes.port_gains`.

        Half of the input that the echo begins with, mirrored at its beginning and grown from zero: no steps, and
        nothing that the port does not play anyhow.
        """
        length = min(kicks, forward.steps)
        found = np.zeros((len(forward.u), kicks))
        found[:, kicks - length :] = 0.5 * forward.u[:, forward.steps - length :]
        return found * np.linspace(0.0, 1.0, kicks)

    def _driven(self, force: Array, step: float, role: Role) -> tuple[Drive, ...]:
        # Linear: held samples change at the kicks, where a fast converter would play half of the one before.
        ports = self.geometry.to_ports(force)
        return tuple(Drive(port, Waveform.of(values, step), role) for port, values in ports.items())

    def positions(self, capture: Capture) -> Array:
        """Positions (n, kicks) along the whole path of an `EchoDrive`, of an echo whose preparation was read."""
        read = capture.passes if self.reads_preparation and self.reversal is Reversal.BY_DRIVE else capture.passes[-1:]
        return np.concatenate([self.geometry.state(item, self.task.step)[0] for item in read], axis=1)

    def missed(self, capture: Capture, path: Array) -> Array:
        """How far an echo was off the whole `path` (n, kicks) of its drive, by the model where no channel shows it."""
        off, seen = self.positions(capture) - path, self.geometry.seen
        if self.geometry.is_whole:
            return off
        told = self.geometry.information(_EXACT * float(np.sqrt(np.mean(path**2))) or 1.0) / 2  # of two records
        x, _ = InverseDynamics(self.task.model, self.theta, self.task.step).completed(seen @ off, path, told)
        return seen @ off + (np.eye(len(path)) - seen) @ x

    def turns(self, captures: Sequence[Capture]) -> list[list[dict[int, Capture]]]:
        """Captures in the order of `programs`: for each sequence, for each turn, nudge level -> capture."""
        levels = tuple(self.estimator.weights)
        order = self.order.of(levels)
        found = []
        for start in range(0, len(captures), len(order)):
            taken = list(zip(order, captures[start : start + len(order)], strict=True))
            found.append([dict(taken[turn : turn + len(levels)]) for turn in range(0, len(order), len(levels))])
        return found

    def achieved(self, passes: Sequence[ForwardPass], captures: Sequence[Capture], eps: float) -> Achieved:
        """What the ports made of a nudge of `eps`; a state that is prepared is what it was asked to be."""
        if self.starts:
            return Achieved(1.0, 0.0, tuple(np.zeros_like(item.error) for item in passes))
        overlap = norm = 0.0
        played = []
        for forward, turns in zip(passes, self.turns(captures), strict=True):
            asked = forward.error[:, ::-1] / self.task.step
            share = []
            for echoes in turns:
                forces = {level: self.geometry.forces(capture) for level, capture in echoes.items()}
                share.append(self.estimator.derivative(forces, eps))
                overlap += float(np.sum(share[-1] * asked))
                norm += float(np.sum(asked**2))
            played.append(sum(share) / len(share) * self.task.step)
        scale = overlap / norm if norm > 0 and overlap > 0 else 1.0
        added = tuple(each / scale - item.error[:, ::-1] for each, item in zip(played, passes, strict=True))
        size = float(np.sqrt(sum(np.sum(item.error**2) for item in passes)))
        off = float(np.sqrt(sum(np.sum(item**2) for item in added)))
        return Achieved(scale, off / size if size > 0 else 0.0, added)

    def achieved_scale(self, passes: Sequence[ForwardPass], captures: Sequence[Capture], eps: float) -> float:
        """Achieved nudge over the one asked for, projected on the error."""
        return self.achieved(passes, captures, eps).scale

    def read(self, passes: Sequence[ForwardPass], captures: Sequence[Capture], eps: float) -> EchoReading:
        """Turn the captures into derivatives at the achieved `eps`, averaged over the turns."""
        terms: dict[str, Array] = {}
        response, misses = 0.0, []
        for forward, turns in zip(passes, self.turns(captures), strict=True):
            share, slopes, stills = 1 / len(turns), [], []
            for echoes in turns:
                q, v = {}, {}
                for level, capture in echoes.items():
                    q[level], v[level] = self.geometry.state(capture.last, self.task.step)
                if not self.geometry.is_whole:
                    q, v = self._completed(forward, q, v, eps)
                slope = self.estimator.derivative(q, eps)[:, ::-1]
                slopes.append(slope)
                stills.append(q[0] if 0 in q else (q[1] + q[-1]) / 2)
                for name, term in self._terms(forward, echoes, q, v, slope, eps).items():
                    terms[name] = terms[name] + share * term if name in terms else share * term
            response += float(np.sum((eps * sum(slopes) * share) ** 2))
            misses.append(np.asarray(sum(stills) * share - forward.q[:, ::-1]))
        return EchoReading(terms, response, tuple(misses))

    def information(self, passes: Sequence[ForwardPass]) -> Array:
        """Inverse covariance (n, n) of one reading of all positions; channels without noise have a little."""
        size = np.sqrt(np.mean([np.mean(item.q**2) for item in passes]))
        return self.geometry.information(_EXACT * float(size) or 1.0)

    def of_answer(self, information: Array, eps: float) -> Array:
        """Inverse covariance (n, n) of one reading of the answer to a nudge, of one turn."""
        return information * eps**2 / sum(weight**2 for weight in self.estimator.weights.values())

    def completed_answer(self, forward: ForwardPass, answer: Array, eps: float) -> Array:
        """The answer (n, steps) to the error of a pass as its kicks, in the order of the echo, also where none is read.

        By the model, linearised along the path, and what the readings say otherwise (`protocols.echoes.unread`).
        """
        if self.geometry.is_whole:
            return answer
        model, theta, step, seen = self.task.model, self.theta, self.task.step, self.geometry.seen
        path, force = forward.q[:, ::-1], forward.error[:, ::-1] / step
        said = respond(model, theta, path, force, step).q
        told = self.of_answer(self.information([forward]), eps)
        x, _ = InverseDynamics(model, theta, step).completed(seen @ (answer - said), path, told)
        return answer + (np.eye(model.size) - seen) @ (said + x)

    def _completed(
        self, forward: ForwardPass, q: Mapping[int, Array], v: Mapping[int, Array], eps: float
    ) -> tuple[dict[int, Array], dict[int, Array]]:
        """Echoes (n, steps) by level, about the forward path where they are not read."""
        hidden = np.eye(self.task.model.size) - self.geometry.seen
        answer = hidden @ self.completed_answer(forward, self.estimator.derivative(q, eps), eps)
        moving = np.gradient(answer, self.task.step, axis=1) if forward.steps > 1 else np.zeros_like(answer)
        path, back = hidden @ forward.q[:, ::-1], -hidden @ forward.v[:, ::-1]
        return (
            {level: rows + path + level * eps * answer for level, rows in q.items()},
            {level: rows + back + level * eps * moving for level, rows in v.items()},
        )

    def _terms(
        self,
        forward: ForwardPass,
        echoes: Mapping[int, Capture],
        q: Mapping[int, Array],
        v: Mapping[int, Array],
        slope: Array,
        eps: float,
    ) -> dict[str, Array]:
        wanted, task, derivative = self.wanted, self.task, self.estimator.derivative
        terms: dict[str, Array] = {}
        for name in wanted.summed:
            terms[name] = -derivative({k: c.last.observables[name][0] for k, c in echoes.items()}, eps)
        if wanted.traced:
            found, straight = (self._observed(forward, q, v, eps, share) for share in (1.0, self._small_share(q)))
            for name in wanted.traced:
                # Where the two differ by more than rounding the observable is curved beyond the square.
                curved = np.abs(found[name] - straight[name]).max() > _ROUNDING * np.abs(found[name]).max()
                terms[name] = straight[name] if curved else found[name]
        if self.starts and "mass" in terms:
            # The kick stands before the first kick, whose kinetic term takes the momentum on both sides of it.
            kicked = forward.error[:, -1] * reached(task, self.theta, forward)[1]
            terms["mass"] = terms["mass"] + task.step / 2 * kicked / task.model.mass(self.theta) ** 2
        for name in wanted.friction:
            rubbed = -task.step * slope @ forward.v.T
            terms[name] = (rubbed + rubbed.T) / 2
        terms |= correlated(task.model, self.theta, forward, slope, task.step, wanted.one_way)
        if wanted.state or wanted.drags_mass:
            states = {k: state for k, c in echoes.items() if (state := c.last.end_state) is not None}
            dq = derivative({k: state.position[0] for k, state in states.items()}, eps)
            dp = derivative({k: state.momentum[0] for k, state in states.items()}, eps)
            mass = task.model.mass(self.theta)
            dragged = task.step**2 / 4 * self.friction @ (dp / mass) / mass
            ends = {"initial_position": dp + self.friction @ dq, "initial_momentum": dq + dragged}
            terms |= {name: ends[name] for name in wanted.state}
            if wanted.drags_mass:
                terms["mass"] = terms["mass"] - np.asarray(self.theta["initial_momentum"]) / mass * dragged
        return terms

    def _observed(
        self, forward: ForwardPass, q: Mapping[int, Array], v: Mapping[int, Array], eps: float, share: float
    ) -> dict[str, Array]:
        """The derivative of the traced observables by eps, with opposite echoes moved to their mean, but for `share`.

        The answer x to a nudge is measured; f(m + x) - f(m - x) is twice f'(m) x for squares only, and with a small
        share of x for every f: without it cubic terms are off by r^2 on rigs where the answer itself is exact.
        """
        task, sums = self.task, {}
        for k in q:
            at, moving = (
                item[k] if share == 1.0 else (item[k] + item[-k] + share * (item[k] - item[-k])) / 2 for item in (q, v)
            )
            sums[k] = task.model.observables(self.wanted.traced, at, moving, forward.u[:, ::-1], task.step, self.theta)
        return {
            name: -self.estimator.derivative({k: sums[k][name] for k in sums}, share * eps)
            for name in self.wanted.traced
        }

    def _small_share(self, q: Mapping[int, Array]) -> float:
        """Of the answers in the echoes `q`, so that it is _SMALL of the motion."""
        strongest = max(q)
        if -strongest not in q:
            return 1.0
        answer = float(np.sqrt(np.mean((q[strongest] - q[-strongest]) ** 2))) / 2
        motion = float(np.sqrt(np.mean(q[strongest] ** 2)))
        return _SMALL * motion / answer if answer > _SMALL * motion > 0 else 1.0


def first_eps(task: Task, batch: ForwardBatch, theta: Arrays, target: float, previous: NudgeRecord | None) -> float:
    """Eps that should give the response ratio `target`: scaled from the last step, or from the force balance."""
    if previous is not None and previous.response_ratio > 0:
        return representable(previous.eps * target / previous.response_ratio)
    if not batch.has_error:
        return 1.0
    impulse = max(float(np.sqrt(np.mean(item.error**2))) for item in batch.passes)
    moved = max(float(np.sqrt(np.mean(item.q**2))) for item in batch.passes)
    # Without any restoring force a nudge adds up over the whole pass.
    longest = max(item.steps for item in batch.passes) * task.step
    slowest_kick = float(np.mean(task.model.mass(theta))) / min(task.model.largest_step(theta), longest)
    return representable(0.1 * target * max(moved, 1e-12) * slowest_kick / impulse)


def representable(eps: float) -> float:
    """The nearest eps whose square and inverse are numbers, too."""
    return float(np.clip(eps, SMALLEST_NUDGE, LARGEST_NUDGE))


def _replayed(forward: ForwardPass) -> tuple[Drive, ...]:
    """What drove a forward pass, backwards."""
    mirror = (forward.steps - 1) * forward.program.dt
    return tuple(
        Drive(item.port, item.waveform.reversed(mirror), item.role) for item in forward.program.passes[0].drives
    )
