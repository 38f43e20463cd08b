"""Whatever a protocol asks for, no value outside its limits and no change beyond its slew ever reaches a device.

LABRHEL_PROGRAMS sets how many random programs are tried (300; make targets runs 10,000).  The check here is written
anew from what a device would see, sample by sample, and shares no line with the one that is tested.
"""

import os
from dataclasses import replace
from typing import Any

import numpy as np

from labrhel.errors import LabrhelError
from labrhel.executor import Compiling, Limiting
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Capabilities, Converter, Limits, Port, SafeState, Timing
from labrhel.rig.wiring import Wire, Wiring
from labrhel.shots.operations import Configure, Operation, RunShots
from labrhel.shots.program import Drive, GivenState, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Interpolation, Waveform
from simbackend.rigs.reference import reference_rig

COUNT = int(os.environ.get("LABRHEL_PROGRAMS", "300"))
IDEAL = reference_rig().rig.capabilities


class Device:
    """Sees what is sent, and remembers everything that should not have been."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities, self.wrong, self.taken = capabilities, list[str](), 0

    def do(self, operation: Operation) -> Any:
        if isinstance(operation, Configure):
            self.taken += 1
            for name, value in operation.knobs.items():
                limits = self.capabilities.knob(name).limits
                inside = np.isfinite(value) & (limits.low <= value) & (value <= limits.high)
                if not np.all(inside):
                    self.wrong.append(f"knob {name}: {value}")
            return dict(operation.knobs)
        assert isinstance(operation, RunShots)
        for shot in operation.compiled:
            self.taken += 1
            for port in self.capabilities.ports:
                self._watch(port, [item.played.get(port.name) for item in shot.passes])
        return []

    def _watch(self, port: Port, passes: list[Any]) -> None:
        """Play the samples one by one, from idle and back to it."""
        now = port.safe.value
        fastest = np.inf if port.limits.slew is None else port.limits.slew * self.capabilities.time_unit * (1 + 1e-9)
        for played in passes:
            values = [port.safe.value] if played is None else list(played.samples.values)
            for value in values:
                if not (np.isfinite(value) and port.limits.low <= value <= port.limits.high):
                    self.wrong.append(f"port {port.name}: {value}")
                if played is not None and abs(value - now) / played.dt > fastest:
                    self.wrong.append(f"port {port.name} slews from {now} to {value} in {played.dt}")
                now = value
        last = next((item for item in reversed(passes) if item is not None), None)
        if last is not None and abs(last.samples.values[-1] - port.safe.value) / last.dt > fastest:
            self.wrong.append(f"port {port.name} falls back from {last.samples.values[-1]}")


def random_rig(random: np.random.Generator) -> Capabilities:
    """The reference rig with limits, slews, converters, rates and safe states of its own."""
    ports = []
    for port in IDEAL.ports:
        high = float(10 ** random.uniform(-1, 1))
        slew = float(10 ** random.uniform(-1, 2)) if random.random() < 0.5 else None
        converter = Converter(int(random.integers(6, 16)), -2 * high, 2 * high) if random.random() < 0.5 else None
        rates = (float(random.uniform(8, 40)),) if random.random() < 0.4 else ()
        safe = SafeState(float(random.uniform(-high, high))) if random.random() < 0.3 else SafeState()
        ports.append(
            replace(port, limits=Limits(-high, high, slew), converter=converter, timing=Timing(rates=rates), safe=safe)
        )
    knobs = tuple(replace(knob, limits=Limits(-1.0, float(random.uniform(0.5, 3)))) for knob in IDEAL.knobs)
    return replace(IDEAL, ports=tuple(ports), knobs=knobs)


def random_wave(random: np.random.Generator, steps: int, dt: float) -> Waveform:
    count = int(random.integers(2, 2 * steps))
    values = 10 ** random.uniform(-2, 1.2) * random.normal(size=count)
    if random.random() < 0.6:
        values = np.cumsum(values) / np.sqrt(count)
    if random.random() < 0.5:  # from rest and back, as a careful experimenter would
        values = values * np.sin(np.linspace(0, np.pi, count))
    wave = Waveform.of(
        values,
        float(dt * random.uniform(0.4, 2)),
        t0=float(random.uniform(-2, 2) * dt),
        interpolation=list(Interpolation)[int(random.integers(len(Interpolation)))],
    )
    return wave.reversed(float((steps - 1) * dt)) if random.random() < 0.3 else wave


def random_program(random: np.random.Generator, rig: Capabilities) -> ShotProgram:
    dt = 0.1
    passes = []
    for index in range(int(random.integers(1, 4))):
        steps = int(random.integers(3, 40))
        names = random.choice([port.name for port in rig.ports], size=int(random.integers(0, 5)))
        drives = tuple(
            Drive(str(name), random_wave(random, steps, dt), list(Role)[int(random.integers(len(Role)))])
            for name in names
        )
        passes.append(Pass(steps, drives, echo=bool(index and random.random() < 0.5)))
    state = FrozenArray(random.normal(size=rig.size))
    prepare = Rest() if random.random() < 0.7 else GivenState(state, state)
    return ShotProgram(dt, prepare, tuple(passes), int(random.integers(1, 3)))


def random_map(random: np.random.Generator, rig: Capabilities) -> Wiring:
    wires = {}
    for port in rig.ports:
        if random.random() < 0.5:
            gain = float(random.choice([-1, 1]) * 10 ** random.uniform(-1, 1))
            wires[port.name] = Wire(port.name, gain, float(random.normal() * 0.1))
    return Wiring(wires)


def test_no_random_program_gets_past_the_limits() -> None:
    random = np.random.default_rng(20261127)
    taken = refused = 0
    for _ in range(COUNT):
        rig = random_rig(random)
        device = Device(rig)
        handler = Compiling(Limiting(device, rig), rig, random_map(random, rig))
        knob = rig.knobs[int(random.integers(len(rig.knobs)))]
        value = 10 ** random.uniform(-2, 0.8) * random.normal(size=knob.shape)
        if random.random() < 0.05:
            value = np.where(random.random(knob.shape) < 0.3, np.nan, value)
        for operation in (RunShots((random_program(random, rig),)), Configure({knob.name: value})):
            try:
                handler.do(operation)
            except LabrhelError:
                refused += 1
        taken += device.taken
        assert not device.wrong, device.wrong[:3]
    # Neither is the check so strict that nothing passes, nor so loose that nothing is refused.
    assert taken >= 0.2 * COUNT
    assert refused >= 0.2 * COUNT
