"""A healthy driver around a simulated device, and the same driver with one bug each, as drivers really have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.conformance import Subject
from labrhel.errors import InstrumentError
from labrhel.executor.limiting import check_range
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Limits
from labrhel.shots.capture import Capture, PassCapture, Trace
from labrhel.shots.compiled import CompiledPass, CompiledShot
from simbackend.imperfections import ConverterErrors, Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

STEP = 0.2
MODEL = OscillatorNetwork(
    3,
    coupling="chain",
    nominal={
        "mass": [1.0, 0.8, 1.2],
        "stiffness": [1.0, 1.3, 0.8],
        "cubic": 0.2,
        "coupling": [0.2, 0.3],
        "input": [[1.0], [0.0], [0.0]],
    },
)
NOISE = 1e-3


class Driver(SimulatedRig):
    """Healthy: converters, noise, a firmware id, and limits that it keeps itself."""

    noise: ClassVar[float] = NOISE

    def __init__(self) -> None:
        parts = Imperfections(noise=self.noise, adc=ConverterErrors(14, 4.0), dac=ConverterErrors(16, 8.0))
        super().__init__(MODEL, "bench", imperfections=parts)
        declared = self.capabilities
        self.capabilities = replace(
            declared,
            ports=tuple(replace(port, limits=Limits(-6.0, 6.0)) for port in declared.ports),
            channels=tuple(replace(channel, noise=NOISE) for channel in declared.channels),
            knobs=tuple(replace(knob, limits=Limits(knob.limits.low, 20.0)) for knob in declared.knobs),
            firmware="gateware 1a2b3c4d",
        )

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        for name, value in knobs.items():
            knob = self.capabilities.knob(name)
            self.guard(name, np.asarray(value), knob.limits, knob.unit)
        return super().configure(knobs)

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        for shot in shots:
            for item in shot.passes:
                for name, played in item.played.items():
                    port = self.capabilities.port(name)
                    self.guard(name, played.samples.values, port.limits, port.unit)
        return super().run(shots)

    def guard(self, name: str, values: Array, limits: Limits, unit: str) -> None:
        check_range(name, values, limits, unit)


class Meddling(Driver):
    """A driver that does something to what it sends, or to what it received."""

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        changed = [replace(shot, passes=tuple(self.sent(item) for item in shot.passes)) for shot in shots]
        captures = super().run(changed)
        return self.answered([
            replace(capture, shot=shot, passes=tuple(self.received(item) for item in capture.passes))
            for shot, capture in zip(shots, captures, strict=True)
        ])  # fmt: skip

    def sent(self, item: CompiledPass) -> CompiledPass:
        return item

    def received(self, item: PassCapture) -> PassCapture:
        return replace(item, traces={name: self.trace(name, trace) for name, trace in item.traces.items()})

    def trace(self, name: str, trace: Trace) -> Trace:
        return trace

    def answered(self, captures: list[Capture]) -> list[Capture]:
        return captures


def playing(item: CompiledPass, change: Callable[[str, Array], Array]) -> CompiledPass:
    """A pass with other samples on its ports."""
    reaches = {name: FrozenArray(change(name, values.values)) for name, values in item.achieved.items()}
    return replace(item, achieved=reaches)


def showing(trace: Trace, change: Callable[[Array], Array]) -> Trace:
    """A trace with other samples, and codes to match."""
    codes = None if trace.codes is None else change(trace.codes).astype(np.int32)
    return replace(trace, values=change(np.asarray(trace.values)), codes=codes)


class SwappedChannels(Meddling):
    def received(self, item: PassCapture) -> PassCapture:
        traces = dict(item.traces)
        if {"q2", "q3"} <= set(traces):
            traces["q2"], traces["q3"] = traces["q3"], traces["q2"]
        return replace(item, traces=traces)


class SwappedPorts(Meddling):
    def sent(self, item: CompiledPass) -> CompiledPass:
        other = {"f2": "f3", "f3": "f2"}
        return replace(item, achieved={other.get(name, name): values for name, values in item.achieved.items()})


class PortOfTheWrongSign(Meddling):
    def sent(self, item: CompiledPass) -> CompiledPass:
        return playing(item, lambda name, x: -x if name == "f3" else x)


class ChannelOfTheWrongSign(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return replace(trace, values=-np.asarray(trace.values)) if name == "q2" else trace


class StaleBuffer(Meddling):
    """Reads before the new record has arrived: every answer is that of the shot before it."""

    last: Capture | None = None

    def answered(self, captures: list[Capture]) -> list[Capture]:
        answers = []
        for capture in captures:
            before, self.last = self.last, capture
            answers.append(_in_the_form_of(capture, before))
        return answers


def _in_the_form_of(capture: Capture, other: Capture | None) -> Capture:
    """Another capture's traces where they fit."""
    if other is None or len(other.passes) != len(capture.passes):
        return capture
    passes = []
    for item, old in zip(capture.passes, other.passes, strict=True):
        fits = {
            n
            for n, t in item.traces.items()
            if n in old.traces and np.shape(old.traces[n].values) == np.shape(t.values)
        }
        passes.append(replace(item, traces={n: old.traces[n] if n in fits else t for n, t in item.traces.items()}))
    return replace(capture, passes=tuple(passes))


class OneBufferForAll(Meddling):
    """Hands out its own memory, which the next shot overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: dict[tuple[str, tuple[int, ...]], Array] = {}

    def trace(self, name: str, trace: Trace) -> Trace:
        values = np.asarray(trace.values)
        buffer = self.memory.setdefault((name, values.shape), np.empty_like(values))
        buffer[:] = values
        return replace(trace, values=buffer)


class AnswersFromACache(Meddling):
    """Knows the shot already, and does not fire it again."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Capture] = {}

    def answered(self, captures: list[Capture]) -> list[Capture]:
        return [self.known.setdefault(item.shot.digest, item) for item in captures]

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        self.known.clear()
        return super().configure(knobs)


class RepeatsAveragedAndCopied(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        values = np.asarray(trace.values)
        return replace(trace, values=np.broadcast_to(values.mean(axis=0), values.shape), codes=None)


class FirstRepeatForAll(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return showing(trace, lambda x: np.broadcast_to(x[:1], x.shape))


class OffByOneSample(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return showing(trace, lambda x: np.concatenate([x[:, :1], x[:, :-1]], axis=1))


class ChannelLateByOne(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return showing(trace, lambda x: np.concatenate([x[:, :1], x[:, :-1]], axis=1)) if name == "q3" else trace


class PortLateByOne(Meddling):
    def sent(self, item: CompiledPass) -> CompiledPass:
        return playing(item, lambda name, x: np.concatenate([[0.0], x[:-1]]) if name == "u1" else x)


class WrongFirmware(Driver):
    """Makes up an id where the board is slow to answer."""

    opened: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        WrongFirmware.opened += 1
        if WrongFirmware.opened > 1:
            self.capabilities = replace(self.capabilities, firmware="gateware 00000000")


class WrongGateware(Driver):
    """Another bitstream than was asked for: the couplings are there twice."""

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        achieved = super().configure({**knobs, **{k: 2 * np.asarray(v) for k, v in knobs.items() if k == "coupling"}})
        return {**achieved, **{name: np.asarray(value) for name, value in knobs.items() if name == "coupling"}}

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        return {name: value / (2 if name == "coupling" else 1) for name, value in super().read(names).items()}


class SaturationNotReported(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return replace(trace, over_range=0)


class SaturationOfTheFirstRepeatOnly(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return replace(trace, over_range=trace.over_range // len(trace.values))


class LastSampleDropped(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return showing(trace, lambda x: x[:, : max(1, x.shape[1] - 1)])


class LastSampleRepeated(Meddling):
    """The record is one sample short, and padded."""

    def sent(self, item: CompiledPass) -> CompiledPass:
        return playing(item, lambda name, x: np.concatenate([x[:-1], [0.0]]))


class FrameDropped(Meddling):
    """Eight samples are lost in the middle, and the end padded."""

    def trace(self, name: str, trace: Trace) -> Trace:
        return showing(trace, lambda x: np.concatenate([x[:, :20], x[:, 28:], x[:, -8:]], axis=1)[:, : x.shape[1]])


class LoadTakenForAnother(Meddling):
    """A generator set for 50 ohm into a high impedance: twice what it says."""

    def sent(self, item: CompiledPass) -> CompiledPass:
        return playing(item, lambda name, x: 2 * x)


class ChannelTenPercentOff(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return replace(trace, values=1.1 * np.asarray(trace.values), codes=None) if name == "q3" else trace


class BatchInReverse(Meddling):
    def answered(self, captures: list[Capture]) -> list[Capture]:
        turned = captures[::-1]
        return [replace(item, shot=own.shot) for item, own in zip(turned, captures, strict=True)]


class InputReplayedForwards(Meddling):
    def sent(self, item: CompiledPass) -> CompiledPass:
        return playing(item, lambda name, x: x[::-1]) if item.reversal is not None else item


class FlipWithoutSign(Driver):
    def __init__(self) -> None:
        super().__init__()
        self._device.reversed = lambda momentum: momentum  # type: ignore[method-assign]


class FlipOfOneOscillatorMissing(Driver):
    def __init__(self) -> None:
        super().__init__()
        self._device.reversed = lambda momentum: momentum * [-1, 1, -1]  # type: ignore[method-assign]


class RestoresAnOlderState(Driver):
    """One slot for all states, which the first one keeps."""

    slot: tuple[Array, Array] | None = None

    def _store(self, key: str, position: Array, momentum: Array) -> None:
        self.slot = self.slot or (position, momentum)
        super()._store(key, *self.slot)


class RestoresAfterAKnobWasTurned(Driver):
    """The state that it restores was reached under the old parameters."""

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        kept = self._states.copy()
        achieved = super().configure(knobs)
        self._states.update(kept)
        return achieved


class KnobIgnored(Driver):
    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, Array] = {}

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        achieved = super().configure({name: value for name, value in knobs.items() if name != "stiffness"})
        self.said |= {name: np.asarray(value) for name, value in knobs.items() if name == "stiffness"}
        return achieved | {name: value for name, value in self.said.items() if name in knobs}

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        return super().read(names) | {name: value for name, value in self.said.items() if name in names}


class ReadBackOfTheFirstSetting(Driver):
    """Reads back from its own memory, which only the first setting has reached."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: dict[str, Array] = {}

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        achieved = super().configure(knobs)
        self.memory = achieved | self.memory
        return achieved

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        return super().read(names) | {name: value for name, value in self.memory.items() if name in names}


class TurnsTheNeighbourAsWell(Driver):
    def configure(self, knobs: Arrays) -> dict[str, Array]:
        if "cubic" in knobs and len(knobs) == 1:
            super().configure({"stiffness": 1.05 * self.read(["stiffness"])["stiffness"]})
        return super().configure(knobs)


class LimitsNotKept(Driver):
    def guard(self, name: str, values: Array, limits: Limits, unit: str) -> None:
        pass


class MakeSafeLeavesAnOutputOn(Meddling):
    left_on = False

    def make_safe(self) -> None:
        self.left_on = True
        super().make_safe()

    def sent(self, item: CompiledPass) -> CompiledPass:
        reaches = {"f2": FrozenArray(np.full(item.steps, 0.2)), **item.achieved} if self.left_on else item.achieved
        return replace(item, achieved=reaches)


class LastWaveformStaysInMemory(Meddling):
    """A port that a shot does not drive plays what it played in the shot before."""

    memory: Any = None

    def sent(self, item: CompiledPass) -> CompiledPass:
        played, self.memory = item.achieved, dict(item.achieved) or self.memory
        left = {n: x for n, x in (self.memory or {}).items() if len(x) == item.steps}
        return replace(item, achieved={**left, **played})


class EveryIgnored(Meddling):
    def sent(self, item: CompiledPass) -> CompiledPass:
        return replace(item, acquire=replace(item.acquire, every=1))


class NoisierThanDeclared(Driver):
    noise = 1.5 * NOISE


class OutputsWithoutANegativeSide(Meddling):
    def sent(self, item: CompiledPass) -> CompiledPass:
        return playing(item, lambda name, x: np.maximum(x, 0))


class OffsetOfAnOutput(Meddling):
    def sent(self, item: CompiledPass) -> CompiledPass:
        idle = {"f1": FrozenArray(np.zeros(item.steps))}
        driven = replace(item, achieved=idle | dict(item.achieved))
        return playing(driven, lambda name, x: x + 0.005 if name == "f1" else x)


class OnlyTheLastWaveformOfAPort(Driver):
    """Plays the last of the waveforms on a port, not their sum."""

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        captures = super().run([self.last_only(shot) for shot in shots])
        return [replace(capture, shot=shot) for shot, capture in zip(shots, captures, strict=True)]

    def last_only(self, shot: CompiledShot) -> CompiledShot:
        passes = []
        for program, item in zip(shot.program.passes, shot.passes, strict=True):
            last = {d.port: d.waveform.on_grid(shot.dt, item.steps) for d in program.drives}
            passes.append(playing(item, lambda name, x, last=last: last[name]))
        return replace(shot, passes=tuple(passes))


class VelocitiesPerSample(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return replace(trace, values=STEP * np.asarray(trace.values), codes=None) if name[0] == "v" else trace


class TimeInSeconds(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return replace(trace, dt=trace.dt * 1e-3)


class UnitOfAnother(Meddling):
    def trace(self, name: str, trace: Trace) -> Trace:
        return replace(trace, unit="mV")


class RestIsNotAwaited(Meddling):
    """The next shot begins before the rig has rung down."""

    def _prepared(self, shot: CompiledShot) -> tuple[Array, Array]:
        q, p = super()._prepared(shot)
        return q + 0.05 * self._now[0], p + 0.05 * self._now[1]


class ClosingTwiceFails(Driver):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise InstrumentError("the session is closed")
        self.closed = True
        super().close()


class StartsBeforeTheRigIsAtRest(Meddling):
    def answered(self, captures: list[Capture]) -> list[Capture]:
        return [replace(capture, actual_start=capture.planned_start - 3 * STEP) for capture in captures]


class StartsNotTold(Meddling):
    def answered(self, captures: list[Capture]) -> list[Capture]:
        return [replace(capture, planned_start=0.0, actual_start=0.0) for capture in captures]


class UnknownNameIsAKeyError(Driver):
    def read(self, names: Sequence[str]) -> dict[str, Array]:
        known = super().read([knob.name for knob in self.capabilities.knobs])
        return {name: known[name] for name in names}


@dataclass(frozen=True, slots=True)
class Bug:
    """A driver with a bug, and words of a check that must find it."""

    driver: type[Driver]
    found_by: str

    def __str__(self) -> str:
        return self.driver.__name__


def subject(driver: Callable[[], Driver]) -> Subject:
    """The driver under test."""
    return Subject(driver, MODEL, STEP)


BUGS = tuple(
    Bug(driver, words)
    for driver, words in (
        (SwappedChannels, "answers most to the port that it should"),
        (SwappedPorts, "moves most the channel that it should"),
        (PortOfTheWrongSign, "a positive push on a force port"),
        (ChannelOfTheWrongSign, "shows motion with the sign"),
        (StaleBuffer, "two identical shots|nominal model's|order"),
        (OneBufferForAll, "not changed by the shots after it"),
        (AnswersFromACache, "measured anew"),
        (RepeatsAveragedAndCopied, "each for itself"),
        (FirstRepeatForAll, "each for itself"),
        (OffByOneSample, "channel is aligned"),
        (ChannelLateByOne, "channel is aligned"),
        (PortLateByOne, "port is aligned"),
        (WrongFirmware, "same firmware"),
        (WrongGateware, "nominal model's"),
        (SaturationNotReported, "counted as over range"),
        (SaturationOfTheFirstRepeatOnly, "counted as over range"),
        (LastSampleDropped, "the last one included"),
        (LastSampleRepeated, "from its first sample to its last"),
        (FrameDropped, "nominal model's"),
        (LoadTakenForAnother, "port has the scale"),
        (ChannelTenPercentOff, "channel has the scale"),
        (BatchInReverse, "in the order in which it was asked"),
        (InputReplayedForwards, "replays the input backwards"),
        (FlipWithoutSign, "momentum flip retraces"),
        (FlipOfOneOscillatorMissing, "momentum flip retraces"),
        (RestoresAnOlderState, "whatever ran in between"),
        (RestoresAfterAKnobWasTurned, "after a knob was turned"),
        (KnobIgnored, "turning a knob changes the answer"),
        (ReadBackOfTheFirstSetting, "reads back says what was achieved"),
        (TurnsTheNeighbourAsWell, "leaves the others"),
        (LimitsNotKept, "the driver itself refuses"),
        (MakeSafeLeavesAnOutputOn, "after `make_safe` nothing pushes"),
        (LastWaveformStaysInMemory, "rest is rest|declared noise|nothing moves"),
        (EveryIgnored, "every third"),
        (NoisierThanDeclared, "no larger than declared"),
        (OutputsWithoutANegativeSide, "the other sign"),
        (OffsetOfAnOutput, "with nothing played"),
        (OnlyTheLastWaveformOfAPort, "waveforms on one port add"),
        (VelocitiesPerSample, "slopes of positions"),
        (TimeInSeconds, "taken at kick k"),
        (UnitOfAnother, "unit that their channel declares"),
        (RestIsNotAwaited, "rest is rest"),
        (ClosingTwiceFails, "may be called twice, and `make_safe` after it"),
        (StartsBeforeTheRigIsAtRest, "no shot starts before it was planned"),
        (StartsNotTold, "a shot starts after the one before it"),
        (UnknownNameIsAKeyError, "names what was asked"),
    )
)
