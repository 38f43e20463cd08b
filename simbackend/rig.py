"""A simulated rig: an oscillator network behind the same interface as a bench.

It runs shots that can share one kernel call as a batch, on as many threads as pay.  End states of passes marked
`keep` are stored under a key that digests all that determines them, so an echo restores its forward pass instead of
running it again; turning a knob forgets them.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.capabilities import Capabilities, Channel, Kind, Knob, Port
from labrhel.capture import Capture, PassCapture, State, Trace
from labrhel.compiled import CompiledPass, CompiledShot
from labrhel.errors import InstrumentError
from labrhel.frozen import FrozenArray
from labrhel.program import GivenState, Hold, Reversal
from simbackend.kernels import network as kernels
from simbackend.models.oscillator_network import POWERS, OscillatorNetwork
from simbackend.separable import KickMatrices

_STORED_STATES = 4096  # 2 n floats each
_WORTH_A_THREAD = 200_000  # oscillator-steps; below it starting a thread costs more than it saves


def capabilities_of(model: OscillatorNetwork, name: str) -> Capabilities:
    """What an ideal simulated rig of `model` declares: a force port and two channels on every oscillator."""
    n = model.size
    ports = tuple(Port(item, Kind.INPUT, model.input_unit) for item in model.inputs)
    ports += tuple(Port(f"f{i + 1}", Kind.FORCE, model.force_unit) for i in range(n))
    channels = tuple(Channel(f"q{i + 1}", Kind.POSITION, model.position_unit) for i in range(n))
    channels += tuple(Channel(f"v{i + 1}", Kind.VELOCITY, f"{model.position_unit}/time") for i in range(n))
    settable = {item: spec for item, spec in model.parameters.items() if spec.kind not in ("position", "momentum")}
    summed = frozenset(item for item, spec in settable.items() if spec.kind != "friction")
    eye = FrozenArray(np.eye(n))
    return Capabilities(
        rig=name,
        size=n,
        ports=ports,
        channels=channels,
        knobs=tuple(Knob(item, spec.shape, spec.unit, reads_back=True) for item, spec in settable.items()),
        drive_matrix=eye,
        position_matrix=eye,
        velocity_matrix=eye,
        prepares=frozenset({"rest", "state", "hold"}),
        reversals=frozenset({Reversal.STATE_RESTORE, Reversal.MOMENTUM_FLIP}),
        accumulates=summed,
        reads_state=True,
        time_unit=model.time_unit,
    )


@dataclass(slots=True)
class _Stock:
    """The model's parameters in the form the kernels take."""

    theta: Arrays
    inverse_mass: Array
    mass: Array
    powers: Array
    springs: Array
    ports_to_force: Array
    bias: Array
    friction: Array
    friction_kind: int
    kicks: dict[float, KickMatrices] = field(default_factory=dict)

    def kick(self, step: float) -> KickMatrices:
        """The friction step's matrices, inverted once per configuration and step."""
        if step not in self.kicks:
            self.kicks[step] = KickMatrices.of(self.mass, self.friction, step)
        return self.kicks[step]

    @classmethod
    def of(cls, model: OscillatorNetwork, theta: Arrays, drive_matrix: Array) -> _Stock:
        friction = model.friction(theta)
        diagonal = not np.any(friction - np.diag(np.diag(friction)))
        weights = np.array(model.value("input", theta))
        return cls(
            theta=theta,
            inverse_mass=1 / model.mass(theta),
            mass=model.mass(theta),
            powers=np.array([model.value(name, theta) for name in POWERS]),
            springs=np.array(model.value("coupling", theta)),
            ports_to_force=np.ascontiguousarray(np.hstack([weights, drive_matrix])),
            bias=weights @ model.value("input_offset", theta),
            friction=friction,
            friction_kind=(0 if not friction.any() else 1 if diagonal else 2),
        )


class SimulatedRig:
    """An ideal rig (labrhel.interfaces.Rig) that computes what a bench would do.

    `offers` narrows the reversals it declares, to run what a poorer rig would run.
    """

    def __init__(
        self,
        model: OscillatorNetwork,
        name: str = "sim",
        *,
        offers: frozenset[Reversal] | None = None,
        threads: int = 0,
    ) -> None:
        self.model = model
        declared = capabilities_of(model, name)
        self.capabilities: Capabilities = declared if offers is None else replace(declared, reversals=offers)
        self._threads = threads or os.cpu_count() or 1
        self._knobs: dict[str, Array] = {item.name: model.parameters[item.name].nominal for item in declared.knobs}
        self._port_names = tuple(port.name for port in declared.ports)
        self._stock = _Stock.of(model, self._knobs, declared.drive_matrix.values)
        self._states: OrderedDict[str, tuple[Array, Array]] = OrderedDict()
        self._now = (np.zeros(model.size), np.zeros(model.size))

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Set parameters of the model [model units]; forgets stored states, which belong to the old ones."""
        checked = {}
        for name, value in knobs.items():
            self.capabilities.knob(name)
            checked[name] = self.model.shape_parameter(name, value)
        self._knobs.update(checked)
        self._stock = _Stock.of(self.model, self._knobs, self.capabilities.drive_matrix.values)
        self._states.clear()
        return checked

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Knob values; a simulated rig has nothing else to read."""
        return {self.capabilities.knob(name).name: self._knobs[name] for name in names}

    def make_safe(self) -> None:
        """Outputs of a simulated rig are safe whenever no shot runs; the state goes to rest."""
        self._now = (np.zeros(self.model.size), np.zeros(self.model.size))

    def close(self) -> None:
        """Forget stored states."""
        self.make_safe()
        self._states.clear()

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """Run shots; those of equal form run as one batch, unless one goes on from the state another has left."""
        captures: dict[int, Capture] = {}
        groups: dict[object, list[int]] = {}
        in_turn = any(isinstance(shot.prepare, Hold) for shot in shots)
        for index, shot in enumerate(shots):
            form = index if in_turn else _form(shot)
            groups.setdefault(form, []).append(index)
        for indices in groups.values():
            for index, capture in zip(indices, self._run_group([shots[i] for i in indices]), strict=True):
                captures[index] = capture
        return [captures[index] for index in range(len(shots))]

    def _run_group(self, shots: list[CompiledShot]) -> list[Capture]:
        first, n = shots[0], self.model.size
        resumed = self._restore(shots)
        if resumed is None:
            begin, q, p = 0, np.empty((len(shots), n)), np.empty((len(shots), n))
            for row, shot in enumerate(shots):
                q[row], p[row] = self._prepared(shot)
        else:
            begin, q, p = resumed
        collected: list[list[PassCapture]] = [[PassCapture()] * begin for _ in shots]
        for index in range(begin, len(first.passes)):
            if first.passes[index].reversal is not None:
                p = -p
            for row, capture in enumerate(self._run_pass(shots, index, q, p)):
                collected[row].append(capture)
            if first.passes[index].keep and not isinstance(first.prepare, Hold):
                for row, shot in enumerate(shots):
                    self._store(shot.state_key(index), q[row].copy(), p[row].copy())
        self._now = (q[-1].copy(), p[-1].copy())
        ran = len(first.passes) - begin
        return [
            Capture(shot, tuple(_repeat(item, shot.repeats) for item in passes), ran)
            for shot, passes in zip(shots, collected, strict=True)
        ]

    def _prepared(self, shot: CompiledShot) -> tuple[Array, Array]:
        if isinstance(shot.prepare, GivenState):
            return shot.prepare.position.values, shot.prepare.momentum.values
        if isinstance(shot.prepare, Hold):
            return self._now
        return np.zeros(self.model.size), np.zeros(self.model.size)

    def _restore(self, shots: list[CompiledShot]) -> tuple[int, Array, Array] | None:
        """Start at the last state-restore reversal if every shot's state before it is stored.

        Not if something is to be read before it; nor after `Hold`, where the program does not say where it starts.
        """
        first = shots[0]
        if isinstance(first.prepare, Hold):
            return None
        for index in range(len(first.passes) - 1, 0, -1):
            if first.passes[index].reversal is not Reversal.STATE_RESTORE:
                continue
            if any(item.acquire.reads for item in first.passes[:index]):
                continue
            states = [self._states.get(shot.state_key(index - 1)) for shot in shots]
            found = [state for state in states if state is not None]
            if len(found) == len(shots):
                return index, np.array([state[0] for state in found]), np.array([state[1] for state in found])
        return None

    def _store(self, key: str, position: Array, momentum: Array) -> None:
        self._states[key] = (position, momentum)
        self._states.move_to_end(key)
        while len(self._states) > _STORED_STATES:
            self._states.popitem(last=False)

    def _run_pass(self, shots: list[CompiledShot], index: int, q: Array, p: Array) -> list[PassCapture]:
        stock, item, step = self._stock, shots[0].passes[index], shots[0].dt
        batch, n = q.shape
        used = [name for name in self._port_names if name in item.achieved]
        columns = [self._port_names.index(name) for name in used]
        drive = np.empty((batch, len(used), item.steps))
        for row, shot in enumerate(shots):
            for column, name in enumerate(used):
                drive[row, column] = shot.passes[index].achieved[name].values
        kept = -(-item.steps // item.acquire.every)
        kinds = {self.capabilities.channel(name).kind for name in item.acquire.channels}
        trace_q = np.empty((batch, n, kept if Kind.POSITION in kinds else 0))
        trace_v = np.empty((batch, n, kept if Kind.VELOCITY in kinds else 0))
        summed = bool(item.acquire.observables)
        sums = (
            np.zeros((batch, 4, n if summed else 0)),
            np.zeros((batch, len(stock.springs))),
            np.zeros((batch, n)),
            np.zeros((batch, n, len(used))),
            np.zeros((batch, n)),
        )
        kick = stock.kick(step)
        weights = np.ascontiguousarray(stock.ports_to_force[:, columns])

        def run(rows: slice) -> None:
            kernels.run_passes(
                q[rows], p[rows], drive[rows], weights, stock.bias, stock.inverse_mass, stock.powers, self.model.edges,
                stock.springs, kick.keep, kick.push, stock.friction_kind, step, item.acquire.every, trace_q[rows],
                trace_v[rows], *(total[rows] for total in sums),
            )  # fmt: skip

        self._spread(run, batch, batch * n * item.steps)
        if not (np.isfinite(q).all() and np.isfinite(p).all()):
            raise InstrumentError(
                f"the simulated rig {self.capabilities.rig} diverged in pass {index + 1}: "
                "lower the drive or the anharmonic terms, or take a shorter step"
            )
        return [
            PassCapture(
                traces={
                    name: self._trace(name, trace_q[row], trace_v[row], step * item.acquire.every)
                    for name in item.acquire.channels
                },
                observables=self._observables(item, step, used, [total[row] for total in sums]),
                end_state=State(q[row][None].copy(), p[row][None].copy()) if item.acquire.end_state else None,
            )
            for row in range(batch)
        ]

    def _spread(self, run: object, batch: int, work: int) -> None:
        assert callable(run)
        workers = min(self._threads, batch, max(1, work // _WORTH_A_THREAD))
        if workers == 1:
            run(slice(0, batch))
            return
        bounds = np.linspace(0, batch, workers + 1).astype(int)
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, [slice(low, high) for low, high in pairwise(bounds)]))

    def _trace(self, name: str, positions: Array, velocities: Array, dt: float) -> Trace:
        channel = self.capabilities.channel(name)
        row = int(name[1:]) - 1
        source = positions if channel.kind is Kind.POSITION else velocities
        return Trace(source[row][None], channel.unit, 0.0, dt)

    def _observables(self, item: CompiledPass, step: float, used: list[str], sums: list[Array]) -> dict[str, Array]:
        by_power, by_edge, p2, qw, q = sums
        mass, weights = self._stock.mass, self.model.value("input", self._knobs)
        offset = self.model.value("input_offset", self._knobs)
        values: dict[str, Array] = {}
        for name in item.acquire.observables:
            if name in POWERS:
                values[name] = step * by_power[POWERS[name] - 1] / (POWERS[name] + 1)
            elif name == "coupling":
                values[name] = step * by_edge / 2
            elif name == "mass":
                values[name] = -step * p2 / (2 * mass**2)
            elif name == "input_offset":
                values[name] = -step * weights.T @ q
            else:
                products = [qw[:, used.index(port)] if port in used else np.zeros(len(q)) for port in self.model.inputs]
                values[name] = -step * (np.stack(products, axis=1) + q[:, None] * offset)
        return {name: value[None] for name, value in values.items()}


def _form(shot: CompiledShot) -> object:
    """What two shots must share to run in one kernel call."""
    return shot.dt, tuple(
        (item.steps, tuple(item.achieved), item.acquire, item.reversal, item.keep) for item in shot.passes
    )


def _repeat(capture: PassCapture, repeats: int) -> PassCapture:
    """A noiseless rig repeats itself exactly; broadcasting says so without running again."""
    if repeats == 1:
        return capture

    def again(values: Array) -> Array:
        return np.broadcast_to(values, (repeats, *values.shape[1:]))

    state = capture.end_state
    return PassCapture(
        {name: replace(trace, values=again(trace.values)) for name, trace in capture.traces.items()},
        {name: again(value) for name, value in capture.observables.items()},
        None if state is None else State(again(state.position), again(state.momentum)),
    )
