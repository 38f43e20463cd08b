"""The rig under test, with its nominal model: how shots are fired at it, and what its answers may differ by.

Shots go through the executor, as in any experiment: compile, limits, rig, decode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.conformance.bounds import TOLERANCE, Bounds, readings
from labrhel.conformance.finding import Finding, NotApplicable
from labrhel.conformance.fitting import Pair
from labrhel.errors import ProgramError
from labrhel.executor import Condition, Handler, RigBackend, Safety, Tap, stack
from labrhel.model.interface import Model
from labrhel.model.prediction import Motion, predicted
from labrhel.rig.capabilities import Capabilities, Kind, Reversal
from labrhel.rig.wiring import Wiring
from labrhel.safety import estop
from labrhel.safety.ending import Ending
from labrhel.shots.capture import Capture
from labrhel.shots.compile import compile
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.operations import Configure, Operation, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Prepare, Rest, Role, ShotProgram
from labrhel.shots.rig import Rig
from labrhel.shots.waveform import Waveform

_STEPS = 64
_SHARE = 0.25  # of a port's reach that the smallest push takes at most


@dataclass(slots=True)
class _Counting:
    """Counts what is sent to the rig."""

    sent: int = 0

    def saw(self, operation: Operation) -> None:
        self.sent += 1


class Subject(Bounds):
    """The rig that `open_rig` opens, with `step` [model time] between kicks, set to the nominal parameters of `model`.

    `open_rig` is called again by the checks that close the rig.  `tolerance` is the relative error of the model's
    response that passes; `wiring` stands in for a rig that brings none.  Use it in a `with` statement, which closes the
    rig.
    """

    def __init__(
        self,
        open_rig: Callable[[], Rig],
        model: Model,
        step: float,
        *,
        wiring: Wiring | None = None,
        tolerance: float = TOLERANCE,
    ) -> None:
        self._open, self.model, self.step = open_rig, model, step
        self.tolerance = tolerance
        self.rig = open_rig()
        self.wiring = self.rig.wiring if wiring is None else wiring
        self.first_declared = self.rig.capabilities
        self.theta: dict[str, Array] = {}
        self._amplitudes: dict[str, float] = {}
        self._answers: dict[str, Capture] = {}
        self._motions: dict[tuple[CompiledShot, Capabilities], list[Motion]] = {}
        self.steps = _STEPS
        try:
            self.set_nominal()
            self.steps = self._longest()
        except BaseException:
            self.rig.close()
            raise

    def __enter__(self) -> Subject:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Ending(self.rig.close).__exit__(kind, error, trace)

    @property
    def capabilities(self) -> Capabilities:
        """What the rig declares."""
        return self.rig.capabilities

    def reopen(self) -> None:
        """Open the rig anew, after it was closed."""
        self.rig = self._open()
        self.set_nominal()

    def make_safe(self) -> None:
        """Bring every output of the rig that is open now to its safe state."""
        self.rig.make_safe()

    def make_safe_at_once(self) -> None:
        """The same, as the emergency stop does."""
        estop.emergency(self.rig)()

    # -- knobs

    def nominal(self) -> dict[str, Array]:
        """Nominal values of the parameters that are knobs of the rig, those without entries left out."""
        known = [(knob.name, self.model.parameters.get(knob.name)) for knob in self.capabilities.knobs]
        return {name: np.array(spec.nominal, float) for name, spec in known if spec is not None and spec.nominal.size}

    def configure(self, parameters: Arrays) -> dict[str, Array]:
        """Set parameters; the values achieved, which predictions use from then on."""
        if not parameters:
            return {}
        achieved = self.handler().do(Configure(parameters))
        self.theta |= {name: np.asarray(value, float) for name, value in achieved.items()}
        self._motions.clear()
        return achieved

    def set_nominal(self) -> None:
        """Set every knob to the nominal value of its parameter."""
        self.configure(self.nominal())

    # -- shots

    def handler(self, *reversals: Reversal) -> Handler:
        """The executor of the rig, which then reverses by none but the `reversals` named, if any are."""
        return self.counting(*reversals)[0]

    def counting(self, *reversals: Reversal) -> tuple[Handler, _Counting]:
        """The executor, and what counts the operations that reach the rig."""
        offered = self.capabilities
        if reversals:
            offered = replace(offered, reversals=frozenset(reversals))
        counting = _Counting()
        backend = Tap(RigBackend(self.rig), before=(counting.saw,))
        safety = Safety(self.rig.make_safe, (Condition("emergency stop", estop.watch()),))
        return stack(backend, offered, self.wiring, safety=safety), counting

    def run(self, *programs: ShotProgram, fixed: bool = False) -> list[Capture]:
        """Fire programs as one operation; "fixed" fires them one by one."""
        return self.handler().do(RunShots(programs, "fixed" if fixed else "free"))

    def shot(self, drives: Arrays | Sequence[Drive] = (), **options: Any) -> ShotProgram:
        """A program of one pass; options are those of `stretch`, `prepare` and `repeats`."""
        prepare: Prepare = options.pop("prepare", Rest())
        repeats: int = options.pop("repeats", 1)
        return ShotProgram(self.step, prepare, (self.stretch(drives, **options),), repeats)

    def stretch(
        self,
        drives: Arrays | Sequence[Drive] = (),
        *,
        steps: int | None = None,
        channels: tuple[str, ...] | None = None,
        every: int = 1,
        **options: Any,
    ) -> Pass:
        """A pass under drives, or under values at the kicks by port, that reads all channels unless told."""
        if isinstance(drives, Mapping):
            drives = [self.drive(name, values) for name, values in drives.items()]
        read = self.readable if channels is None else channels
        acquire = Acquire(read, every, options.pop("observables", ()), options.pop("end_state", False))
        return Pass(self.steps if steps is None else steps, tuple(drives), acquire, **options)

    def drive(self, port: str, values: Array, role: Role = Role.INPUT) -> Drive:
        """Values at the kicks as a drive."""
        return Drive(port, Waveform.of(values, self.step), role)

    def answer(self, port: str) -> Capture:
        """What the rig answers to the pulse on one port, from rest; fired once, and remembered."""
        if port not in self._answers:
            self._answers[port] = self.run(self.shot({port: self.pulse(port)}))[0]
        return self._answers[port]

    def predict(self, capture: Capture, index: int = -1) -> Motion:
        """What the nominal model says of a pass of a shot, under what was achieved; remembered until a knob is turned.

        Checks ask three times for each motion, and the readable leapfrog is most of what they cost.
        """
        asked = capture.shot, self.capabilities
        if asked not in self._motions:
            self._motions[asked] = predicted(self.model, self.theta, self.capabilities, capture.shot)
        return self._motions[asked][index]

    def expected(self, capture: Capture, index: int = -1) -> dict[str, Array]:
        """The same as traces at the kicks that were read, by channel."""
        every = capture.shot.passes[index].acquire.every
        return {name: trace[::every] for name, trace in self.predict(capture, index).traces(self.capabilities).items()}

    def pair(self, port: str, channel: str) -> Pair:
        """What a channel shows of the pulse on a port while it lasts, what is expected, and the noise, for a `fit`."""
        capture, window = self.answer(port), slice(0, self.pulse_end)
        return readings(capture)[channel][window], self.expected(capture)[channel][window], self.sigma(channel)

    # -- what is there

    @property
    def positions(self) -> tuple[str, ...]:
        """Channels of positions; not applicable without."""
        names = self.capabilities.channels_of(Kind.POSITION)
        if not names:
            raise NotApplicable("the rig has no position channels")
        return names

    @property
    def velocities(self) -> tuple[str, ...]:
        """Channels of velocities; not applicable without."""
        names = self.capabilities.channels_of(Kind.VELOCITY)
        if not names:
            raise NotApplicable("the rig has no velocity channels")
        return names

    @property
    def readable(self) -> tuple[str, ...]:
        """Channels that this kit compares with the model: positions, then velocities."""
        return (*self.positions, *self.capabilities.channels_of(Kind.VELOCITY))

    @property
    def forces(self) -> tuple[str, ...]:
        """Force ports; not applicable without."""
        names = self.capabilities.ports_of(Kind.FORCE)
        if not names:
            raise NotApplicable("the rig has no force ports")
        return names

    @property
    def ports(self) -> tuple[str, ...]:
        """Ports whose pulse moves the nominal model; not applicable without."""
        names = (*self.capabilities.ports_of(Kind.INPUT), *self.capabilities.ports_of(Kind.FORCE))
        moving = tuple(name for name in names if self.amplitude(name) > 0)
        if not moving:
            raise NotApplicable("no port moves the nominal model")
        return moving

    def needs_start(self, kind: str) -> None:
        """Not applicable unless the rig prepares so: "rest", "state" or "hold"."""
        if kind not in self.capabilities.prepares:
            raise NotApplicable(f"the rig cannot be prepared by {kind!r}")

    # -- drives

    def pulse(self, port: str) -> Array:
        """A push sin^2 in the first half of a pass (steps,): quiet for a sixteenth, then a quarter long."""
        return self.amplitude(port) * self.bump()

    def bump(self) -> Array:
        """The pulse of unit height."""
        bump, width = np.zeros(self.steps), self.steps // 4
        bump[self.onset : self.onset + width] = np.sin(np.pi * (np.arange(width) + 0.5) / width) ** 2
        return bump

    @property
    def onset(self) -> int:
        """The first kick of the pulse."""
        return self.steps // 16

    @property
    def pulse_end(self) -> int:
        """The kick after the pulse."""
        return self.onset + self.steps // 4

    def amplitude(self, port: str) -> float:
        """Height of the pulse: what moves the nominal model as far as `wanted_motion`, if the port can.

        0 for a port that moves nothing.
        """
        if port not in self._amplitudes:
            reach = self.reach_of_port(port)
            small = min(1e-3, _SHARE * reach)
            shot = compile(self.shot({port: small * self.bump()}), _without_converters(self.seen))
            traces = predicted(self.model, self.theta, self.capabilities, shot)[0].traces(self.capabilities)
            still = predicted(self.model, self.theta, self.capabilities, compile(self.shot(), self.seen))[0]
            rest = still.traces(self.capabilities)
            fullest = max(
                float(np.abs(trace - rest[name]).max()) / self.wanted_motion(name) for name, trace in traces.items()
            )
            self._amplitudes[port] = min(small / fullest, reach / 2) if fullest > 0 else 0.0
        return self._amplitudes[port]

    def against_model(self, capture: Capture, index: int = -1, names: Iterable[str] | None = None) -> Finding:
        """How far a pass of a capture lies from the nominal model."""
        expected = self.expected(capture, index)
        found = readings(capture, index, names)
        before = range(len(capture.passes))[index]  # an echo starts where the triggers of its passes left the rig
        wanted = {name: expected[name] for name in found}
        return self.compare(found, wanted, traces=1, triggers=before + 1, share=self.tolerance)

    def _longest(self) -> int:
        """The longest pass up to 64 kicks of which two fit any memory."""
        steps = _STEPS
        while steps > 16:
            wave = {port.name: np.zeros(2 * steps) for port in self.capabilities.ports}
            depth = [item.timing.memory for item in self.capabilities.channels if item.timing.memory is not None]
            try:
                compile(self.shot(wave, steps=2 * steps, channels=()), self.capabilities, self.wiring)
                if 2 * steps <= min(depth, default=2 * steps):
                    break
            except ProgramError:
                pass
            steps //= 2
        return steps


def _without_converters(capabilities: Capabilities) -> Capabilities:
    """The allowed error without converters, for a push too small for a code."""
    return replace(capabilities, ports=tuple(replace(port, converter=None) for port in capabilities.ports))
