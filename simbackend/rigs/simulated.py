"""A simulated rig: a model behind the same interface as a bench.

It runs shots that can share one call of its propagator as a batch.  End states of passes marked `keep` are stored
under a key that digests all that determines them, so an echo restores its forward pass instead of running it again;
turning a knob forgets them.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import DivergedError
from labrhel.frozen import FrozenArray
from labrhel.model.rotating import QUADRATURES, terminals
from labrhel.rig.capabilities import Capabilities, Channel, Kind, Knob, Limits, Port, Reversal
from labrhel.rig.wiring import IDEAL_WIRING
from labrhel.shots.capture import Capture, PassCapture, State, Trace
from labrhel.shots.compile import IDEAL_CALIBRATION
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.program import GivenState, Hold
from simbackend.dynamics.compiled import CompiledNetwork, runs_compiled
from simbackend.dynamics.propagator import Propagator, Push
from simbackend.dynamics.readable import ReadableLeapfrog
from simbackend.dynamics.rotating import MidpointRule
from simbackend.imperfections import IDEAL, Device, Imperfections, Knobs, Life, Moment
from simbackend.models.kerr_array import KerrArray
from simbackend.models.simulable import Simulable
from simbackend.rigs.clock import ShotClock

_UNSUMMED = ("friction", "directed", "gyroscopic")
_POSITIVE = Limits(low=np.finfo(float).tiny)
_STORED_STATES = 4096  # 2 n floats each
_UNCALIBRATED = IDEAL_CALIBRATION.digest


def capabilities_of(model: Simulable, name: str) -> Capabilities:
    """What an ideal simulated rig of `model` declares: a force port and two channels on every oscillator."""
    if isinstance(model, KerrArray):
        return _of_array(model, name)
    n = model.size
    ports = tuple(Port(item, Kind.INPUT, model.input_unit) for item in model.inputs)
    ports += tuple(Port(f"f{i + 1}", Kind.FORCE, model.force_unit) for i in range(n))
    channels = tuple(Channel(f"q{i + 1}", Kind.POSITION, model.position_unit) for i in range(n))
    channels += tuple(Channel(f"v{i + 1}", Kind.VELOCITY, f"{model.position_unit}/time") for i in range(n))
    settable = {item: spec for item, spec in model.parameters.items() if spec.kind not in ("position", "momentum")}
    summed = frozenset(item for item, spec in settable.items() if spec.kind not in _UNSUMMED)
    eye = FrozenArray(np.eye(n))
    return Capabilities(
        rig=name,
        size=n,
        ports=ports,
        channels=channels,
        knobs=tuple(
            Knob(item, spec.shape, spec.unit, _POSITIVE if spec.kind == "kinetic" else Limits(), reads_back=True)
            for item, spec in settable.items()
        ),
        drive_matrix=eye,
        position_matrix=eye,
        velocity_matrix=eye,
        prepares=frozenset({"rest", "state", "hold"}),
        reversals=frozenset({Reversal.STATE_RESTORE, Reversal.MOMENTUM_FLIP}),
        accumulates=summed,
        reads_state=True,
        time_unit=model.time_unit,
    )


def _of_array(model: KerrArray, name: str) -> Capabilities:
    """The same of an array in the rotating frame: two drive terminals and two channels on every mode."""
    modes = range(1, model.size + 1)
    ports = [Port(item, Kind.INPUT, model.input_unit) for item in model.inputs]
    ports += [Port(item, Kind.FORCE, model.force_unit) for item in terminals([f"f{i}" for i in modes])]
    channels = [Channel(item, Kind.AMPLITUDE, model.position_unit) for item in terminals([f"a{i}" for i in modes])]
    pair = np.array([1.0, 1.0j])
    return Capabilities(
        rig=name,
        size=model.size,
        ports=tuple(ports),
        channels=tuple(channels),
        knobs=tuple(
            Knob(item, spec.shape, spec.unit, reads_back=True)
            for item, spec in model.parameters.items()
            if spec.kind not in ("position", "momentum")
        ),
        drive_matrix=FrozenArray(np.kron(np.eye(model.size), pair)),
        position_matrix=FrozenArray(np.kron(np.eye(model.size), pair.conj()[:, None])),
        velocity_matrix=FrozenArray(np.zeros((0, model.size))),
        prepares=frozenset({"rest", "state", "hold"}),
        reversals=frozenset({Reversal.STATE_RESTORE, Reversal.CONJUGATION}),
        reads_state=True,
        time_unit=model.time_unit,
    )


class SimulatedRig:
    """A rig (labrhel.shots.rig.Rig) that computes what a bench would do; ideal unless `imperfections` are given.

    `offers` narrows the reversals it declares, to run what a poorer rig would run.  `life` counts the shots of the
    device, which noise and drift are functions of.  `propagator`: left out, the compiled kernels of an oscillator
    network, on `threads` of them (0: as many as pay), and the readable leapfrog of any other model, on one.
    """

    def __init__(
        self,
        model: Simulable,
        name: str = "sim",
        *,
        offers: frozenset[Reversal] | None = None,
        threads: int = 0,
        imperfections: Imperfections = IDEAL,
        life: Life | None = None,
        propagator: type[Propagator] | None = None,
    ) -> None:
        self.model = model
        usual = CompiledNetwork if runs_compiled(model) else ReadableLeapfrog
        usual = MidpointRule if isinstance(model, KerrArray) else usual
        self._propagates: type[Propagator] = usual if propagator is None else propagator
        declared = capabilities_of(model, name)
        declared = declared if offers is None else replace(declared, reversals=offers)
        declared = declared if self._propagates.accumulates else replace(declared, accumulates=frozenset())
        self._device = Device(imperfections, model, declared)
        self._life = Life() if life is None else life
        self.capabilities: Capabilities = self._device.capabilities
        self._clock = ShotClock(self.capabilities)
        self.wiring = IDEAL_WIRING
        self._threads = threads or os.cpu_count() or 1
        self._knobs = Knobs(
            imperfections.knobs, {item.name: model.parameters[item.name].nominal for item in declared.knobs}
        )
        self._port_names = tuple(port.name for port in declared.ports)
        self._propagator: Propagator | None = None
        self._states: OrderedDict[str, tuple[Array, Array]] = OrderedDict()
        self._now = (np.zeros(model.size), np.zeros(model.size))

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Set parameters of the model [model units]; forgets stored states, which belong to the old ones."""
        checked = {}
        for name, value in knobs.items():
            self.capabilities.knob(name)
            checked[name] = self.model.shape_parameter(name, value)
        self._knobs.turn(checked, self._life.shots)
        self._propagator = None
        self._states.clear()
        return checked

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Knob values as they were set; a simulated rig has nothing else to read."""
        return {self.capabilities.knob(name).name: self._knobs.settings[name] for name in names}

    def true_parameters(self, shot: int | None = None) -> Arrays:
        """What the parameters really are in shot number `shot` (the next one): for tests of methods against the truth.

        No bench can tell, so no protocol may ask.
        """
        number = self._life.shots if shot is None else shot
        return self._device.parameters(self._knobs.real(number), number)

    def true_inputs(self, shot: CompiledShot, number: int | None = None) -> dict[str, Array]:
        """What really reaches each input in the first pass of `shot` (steps,), fired as number `number` (the next one).

        For tests against the truth, as `true_parameters`.
        """
        item = shot.passes[0]
        moment = Moment(self._life.shots if number is None else number, 0, shot.dt)
        calibrated = shot.calibration != _UNCALIBRATED
        return {
            name: self._device.arriving(name, item, moment, calibrated=calibrated)
            for name in self.model.inputs
            if name in item.played
        }

    def true_gain(self, name: str) -> float:
        """The real gain of a port or channel, for tests against the truth; what jitters from shot to shot apart."""
        return self._device.gain(name)

    def make_safe(self) -> None:
        """Outputs of a simulated rig are safe whenever no shot runs; the state goes to rest."""
        self._now = (np.zeros(self.model.size), np.zeros(self.model.size))

    def close(self) -> None:
        """Forget stored states."""
        self.make_safe()
        self._states.clear()

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """Run shots; those of equal form run as one batch, unless one goes on from the state another has left."""
        number = self._life.fire(sum(shot.repeats for shot in shots))
        runs: list[_Run] = []
        for index, shot in enumerate(shots):
            distinct = 1 if self._device.repeats_itself else shot.repeats
            runs += [_Run(index, shot, number + repeat) for repeat in range(distinct)]
            number += shot.repeats
        groups: dict[object, list[int]] = {}
        in_turn = not self._device.is_steady or any(isinstance(shot.prepare, Hold) for shot in shots)
        for place, item in enumerate(runs):
            groups.setdefault(place if in_turn else _form(item.shot), []).append(place)
        answers: dict[int, tuple[list[PassCapture], int]] = {}
        for places in groups.values():
            collected, ran = self._run_group([runs[place] for place in places])
            answers.update((place, (passes, ran)) for place, passes in zip(places, collected, strict=True))
        by_shot: list[list[int]] = [[] for _ in shots]
        for place, item in enumerate(runs):
            by_shot[item.index].append(place)
        captures = []
        for shot, places in zip(shots, by_shot, strict=True):
            parts = [answers[place][0] for place in places]
            passes = tuple([_gathered(readings, shot.repeats) for readings in zip(*parts, strict=True)])
            ran = answers[places[0]][1]
            start = self._clock.start(shot, ran)
            captures.append(Capture(shot, passes, ran, start, start))
        return captures

    def _run_group(self, runs: list[_Run]) -> tuple[list[list[PassCapture]], int]:
        """Readings of every pass of every run, and the passes of free running it took."""
        first, n = runs[0].shot, self.model.size
        resumed = self._restore(runs)
        if resumed is None:
            begin, q, p = 0, np.empty((len(runs), n)), np.empty((len(runs), n))
            for row, item in enumerate(runs):
                q[row], p[row] = self._prepared(item.shot)
        else:
            begin, q, p = resumed
        collected: list[list[PassCapture]] = [[PassCapture()] * begin for _ in runs]
        for index in range(begin, len(first.passes)):
            reversal = first.passes[index].reversal
            if reversal is not None:
                q, p = self._device.reversed(q, p)
            for row, capture in enumerate(self._run_pass(runs, index, q, p)):
                collected[row].append(capture)
            if first.passes[index].keep and not isinstance(first.prepare, Hold):
                for row, item in enumerate(runs):
                    self._store(item.shot.state_key(index), q[row].copy(), p[row].copy())
        self._now = (q[-1].copy(), p[-1].copy())
        return collected, len(first.passes) - begin

    def _prepared(self, shot: CompiledShot) -> tuple[Array, Array]:
        if isinstance(shot.prepare, GivenState):
            return shot.prepare.position.values, shot.prepare.momentum.values
        if isinstance(shot.prepare, Hold):
            return self._now
        return np.zeros(self.model.size), np.zeros(self.model.size)

    def _restore(self, runs: list[_Run]) -> tuple[int, Array, Array] | None:
        """Start at the last state-restore reversal if every shot's state before it is stored.

        Not if something is to be read before it; nor after `Hold`, where the program does not say where it starts.
        """
        first = runs[0].shot
        if isinstance(first.prepare, Hold):
            return None
        for index in range(len(first.passes) - 1, 0, -1):
            if first.passes[index].reversal is not Reversal.STATE_RESTORE:
                continue
            if any(item.acquire.reads for item in first.passes[:index]):
                continue
            states = [self._states.get(item.shot.state_key(index - 1)) for item in runs]
            found = [state for state in states if state is not None]
            if len(found) == len(runs):
                return index, np.array([state[0] for state in found]), np.array([state[1] for state in found])
        return None

    def _store(self, key: str, position: Array, momentum: Array) -> None:
        self._states[key] = (position, momentum)
        self._states.move_to_end(key)
        while len(self._states) > _STORED_STATES:
            self._states.popitem(last=False)

    def _propagator_for(self, shot: int) -> Propagator:
        """Of the parameters that shot number `shot` finds; made once where every shot finds the same."""
        if self._propagator is not None and self._device.is_steady:
            return self._propagator
        theta, drive_matrix = self.true_parameters(shot), self.capabilities.drive_matrix.values
        one_sided = self._device.one_sided_pull(theta)
        self._propagator = self._propagates(
            self.model, theta, self._knobs.settings, drive_matrix, one_sided, self._threads
        )
        return self._propagator

    def _run_pass(self, runs: list[_Run], index: int, q: Array, p: Array) -> list[PassCapture]:
        device, item, step = self._device, runs[0].shot.passes[index], runs[0].shot.dt
        propagator = self._propagator_for(runs[0].number)
        moments = [Moment(run.number, index, step) for run in runs]
        used = device.pushing(item)
        drive = np.empty((len(runs), len(used), item.steps), complex if device.turns else float)
        for row, run in enumerate(runs):
            calibrated = run.shot.calibration != _UNCALIBRATED
            for column, name in enumerate(used):
                drive[row, column] = device.arriving(name, run.shot.passes[index], moments[row], calibrated=calibrated)
                if device.turns:
                    drive[row, column] *= device.turned(name, run.number)
        columns = [self._port_names.index(name) for name in used]
        push = Push(columns, drive, device.shaking(propagator.friction, item.steps, moments))
        every = 1 if device.reads_every_kick else item.acquire.every
        kinds = {self.capabilities.channel(name).kind for name in item.acquire.channels}
        wants = Kind.POSITION in kinds, Kind.VELOCITY in kinds
        before = (q.copy(), p * propagator.inverse_mass) if device.reads_every_kick else None
        motion = propagator.run(q, p, push, item, step, every, wants)
        if not (np.isfinite(q).all() and np.isfinite(p).all()):
            raise DivergedError(
                f"the simulated rig {self.capabilities.rig} diverged in pass {index + 1}: "
                "lower the drive, eps, the optimizer's rate or the anharmonic terms, or take a shorter step"
            )
        after = q, p * propagator.inverse_mass
        sees = [(name, *self._sees(name)) for name in item.acquire.channels]
        captures = []
        for row, moment in enumerate(moments):
            motions = {
                name: self._shown((motion.q, motion.v), what, (row, oscillator), name, moment)
                for name, what, oscillator in sees
            }
            ends = {}
            if before is not None:
                ends = {
                    name: (
                        float(self._shown(before, what, (row, i), name, moment)),
                        float(self._shown(after, what, (row, i), name, moment)),
                    )
                    for name, what, i in sees
                }
            captures.append(
                PassCapture(
                    traces=device.traces(motions, ends, item.acquire.every, moment),
                    observables=motion.observables[row],
                    end_state=device.state(q[row], p[row], propagator.mass, moment) if item.acquire.end_state else None,
                )
            )
        return captures

    def _shown(self, at: tuple[Array, Array], what: int, place: tuple[int, int], channel: str, moment: Moment) -> Array:
        """What of the motion a channel shows: a position, a velocity, or an amplitude along the axis of the channel."""
        if not self._device.turns:
            return at[what][place]
        axis = (1.0, 1.0j)[what] * self._device.turned(channel, moment.shot)
        return ((at[0][place] + 1j * at[1][place]) * axis.conjugate() / abs(axis) ** 2).real

    def _sees(self, channel: str) -> tuple[int, int]:
        """What a channel sees: 0 for positions, 1 for velocities, and of which oscillator, from 0."""
        if self.capabilities.channel(channel).kind is Kind.AMPLITUDE:
            mode, _, quadrature = channel[1:].partition("_")
            return QUADRATURES.index(quadrature), int(mode) - 1
        return int(self.capabilities.channel(channel).kind is Kind.VELOCITY), int(channel[1:]) - 1


@dataclass(frozen=True, slots=True)
class _Run:
    """One firing of a shot: its place in what was asked for, and its number in the life of the device."""

    index: int
    shot: CompiledShot
    number: int


def _form(shot: CompiledShot) -> object:
    """What two shots must share to run in one kernel call."""
    return shot.dt, tuple(
        (item.steps, tuple(item.achieved), item.acquire, item.reversal, item.keep) for item in shot.passes
    )


def _gathered(parts: Sequence[PassCapture], repeats: int) -> PassCapture:
    """The repeats of one pass as one reading, kept apart; a rig that repeats itself ran one for all of them."""
    if repeats == 1:
        return parts[0]

    def all_of(values: Sequence[Array]) -> Array:
        if len(values) == repeats:
            return np.concatenate(values)
        return np.broadcast_to(values[0], (repeats, *values[0].shape[1:]))

    first = parts[0]
    states = [part.end_state for part in parts if part.end_state is not None]
    return PassCapture(
        {name: _all_repeats([part.traces[name] for part in parts], repeats, all_of) for name in first.traces},
        {name: all_of([part.observables[name] for part in parts]) for name in first.observables},
        State(all_of([s.position for s in states]), all_of([s.momentum for s in states])) if states else None,
    )


def _all_repeats(traces: Sequence[Trace], repeats: int, all_of: Callable[[Sequence[Array]], Array]) -> Trace:
    codes = [trace.codes for trace in traces if trace.codes is not None]
    return replace(
        traces[0],
        values=all_of([trace.values for trace in traces]),
        codes=all_of(codes) if codes else None,
        over_range=sum(trace.over_range for trace in traces) * (repeats // len(traces)),
    )


class ModelRig(SimulatedRig):
    """`SimulatedRig`, with the same options, that never runs a compiled kernel and sums nothing on board."""

    def __init__(self, model: Simulable, name: str = "model", **options: Any) -> None:
        super().__init__(model, name, propagator=ReadableLeapfrog, **options)
