"""compile(program, capabilities, ...) -> CompiledShot: from what is wanted to what is sent.

What the rig cannot do is refused here, before anything moves, with the sentence that says what to change.  Safety
limits are a separate check on the result (labrhel.executor.limits); the converter's range is checked here because
clipping would change the experiment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ProgramError
from labrhel.frozen import FrozenArray
from labrhel.rig.calibration import CalibrationSet
from labrhel.rig.capabilities import Capabilities, Port, Reversal
from labrhel.rig.wiring import IDEAL_WIRING, Wiring
from labrhel.shots.compiled import CompiledPass, CompiledShot, Played
from labrhel.shots.program import Acquire, Drive, GivenState, Hold, Pass, Prepare, Rest, ShotProgram
from labrhel.units import interval

IDEAL_CALIBRATION = CalibrationSet()

_Known = dict[tuple[tuple[int, ...], float, int, float], tuple[Played, FrozenArray]]
"""By the drives of a port, as objects that live as long as this does, by step, kicks and begin: what comes of them."""

_KIND_OF_START = {Rest: "rest", GivenState: "state", Hold: "hold"}

# Cheapest first: a restored state costs one pass a shot, a flip needs the forward pass again, a preparation drive.
_PREFERENCE = (Reversal.STATE_RESTORE, Reversal.MOMENTUM_FLIP, Reversal.CONJUGATION, Reversal.BY_DRIVE)


def compile(
    program: ShotProgram,
    capabilities: Capabilities,
    wiring: Wiring = IDEAL_WIRING,
    calibration: CalibrationSet = IDEAL_CALIBRATION,
) -> CompiledShot:
    """Compile `program` for the rig that declares `capabilities`, in the unit of each terminal (V on a bench).

    The program is in model units; the calibration corrects it there, and the wire turns it into what the terminal
    plays.  Raises ProgramError for a preparation, reversal, port, channel, observable, rate, memory or range that the
    rig does not have.
    """
    return compile_all((program,), capabilities, wiring, calibration)[0]


def compile_all(
    programs: Sequence[ShotProgram],
    capabilities: Capabilities,
    wiring: Wiring = IDEAL_WIRING,
    calibration: CalibrationSet = IDEAL_CALIBRATION,
) -> tuple[CompiledShot, ...]:
    """The same for the programs of one batch: what several of them play, from the same `Drive`s, is compiled once."""
    known: _Known = {}
    return tuple([_compiled(program, capabilities, wiring, calibration, known) for program in programs])


def _compiled(
    program: ShotProgram, capabilities: Capabilities, wiring: Wiring, calibration: CalibrationSet, known: _Known
) -> CompiledShot:
    _check_prepare(program.prepare, capabilities)
    passes, begins = [], 0.0  # model time after the trigger
    for item in program.passes:
        _check_acquire(item.acquire, capabilities)
        wanted: dict[str, list[Drive]] = {}
        for drive in item.drives:
            wanted.setdefault(drive.port, []).append(drive)
        played, achieved = {}, {}
        for name, drives in wanted.items():
            key = tuple(map(id, drives)), program.dt, item.steps, begins
            if key not in known:
                port = capabilities.port(name)
                known[key] = _compile_port(
                    port, drives, program.dt, item.steps, begins, capabilities, wiring, calibration
                )
            played[name], achieved[name] = known[key]
        begins += item.steps * program.dt
        passes.append(
            CompiledPass(item.steps, played, achieved, item.acquire, _choose_reversal(item, capabilities), item.keep)
        )
    return CompiledShot(
        program=program,
        rig=capabilities.rig,
        calibration=calibration.digest,
        passes=tuple(passes),
    )


def reversal_of(capabilities: Capabilities) -> Reversal:
    """The cheapest way to reverse a state among those that the rig offers; ProgramError if it offers none.

    `BY_DRIVE` is for the rule to do: it knows the state that was reached, and plays a preparation from rest.
    """
    for reversal in _PREFERENCE:
        if reversal in capabilities.reversals:
            return reversal
    raise ProgramError(f"rig {capabilities.rig} offers no way to reverse its state; use a rule that needs no echo")


def _check_prepare(prepare: Prepare, capabilities: Capabilities) -> None:
    kind = _KIND_OF_START[type(prepare)]
    if kind not in capabilities.prepares:
        offered = ", ".join(sorted(capabilities.prepares))
        raise ProgramError(f"rig {capabilities.rig} cannot be prepared by {kind!r}; it offers: {offered}")
    if isinstance(prepare, GivenState):
        for what, part in (("positions", prepare.position.values), ("momenta", prepare.momentum.values)):
            if part.shape != (capabilities.size,):
                raise ProgramError(
                    f"the {what} of the given state have shape {part.shape}; "
                    f"the rig has {capabilities.size} oscillators"
                )
            if not np.isfinite(part).all():
                raise ProgramError(f"the {what} of the given state hold a value that is not a finite number")


def _check_acquire(acquire: Acquire, capabilities: Capabilities) -> None:
    for name in acquire.channels:
        capabilities.channel(name)
    missing = [name for name in acquire.observables if name not in capabilities.accumulates]
    if missing:
        raise ProgramError(
            f"rig {capabilities.rig} cannot accumulate {', '.join(missing)}; acquire traces instead of observables"
        )
    if acquire.end_state and not capabilities.reads_state:
        raise ProgramError(f"rig {capabilities.rig} cannot read its state; acquire traces instead of end_state")


def _choose_reversal(item: Pass, capabilities: Capabilities) -> Reversal | None:
    if not item.echo:
        return None
    reversal = reversal_of(capabilities)
    if reversal is Reversal.BY_DRIVE:
        raise ProgramError(
            f"rig {capabilities.rig} cannot reverse its state during a shot; "
            "prepare the reversed state from rest by drive, with a rule that offers it"
        )
    return reversal


def _compile_port(
    port: Port,
    drives: list[Drive],
    dt: float,
    steps: int,
    begins: float,
    capabilities: Capabilities,
    wiring: Wiring,
    calibration: CalibrationSet,
) -> tuple[Played, FrozenArray]:
    if not port.iq and any(drive.waveform.is_complex for drive in drives):
        raise ProgramError(f"port {port.name} takes real waveforms; only I/Q ports take complex ones")
    unit = capabilities.time_unit
    delay = calibration.number(port.name, "delay") / unit
    late = _late(port, begins, steps * dt, unit) if port.timing.start_grid else 0.0
    device_dt, count, lead = _device_grid(port, dt, steps, late, unit)
    # A converter holds each sample for an interval: play what is due at the middle of it.
    start = delay + lead + late
    waves = [drive.waveform.on_grid(device_dt, count, start) for drive in drives]
    values = waves[0] if len(waves) == 1 else np.asarray(sum(waves))
    gain, offset = calibration.number(port.name, "gain"), calibration.number(port.name, "offset")
    ideal = gain == 1.0 and offset == 0.0
    device = wiring.to_device(port.name, values if ideal else (values - offset) / gain)
    if port.converter is not None:
        device = _quantize(port, device, wiring.called(port.name))
    lsb = None if port.converter is None else port.converter.lsb
    given = drives[0].waveform.samples
    samples = given if device is given.values else FrozenArray(device)  # a long input is then hashed once, not per shot
    if device is values and device_dt == dt and start == 0.0:
        return Played(samples, dt, 0.0, lsb), samples
    model = wiring.to_model(port.name, samples.values)
    delivered = None if model is samples.values else FrozenArray(model)
    model = model if ideal else model * gain + offset
    begin = start - delay - device_dt / 2 if port.timing.rates else late
    if device_dt == dt and start == 0.0:
        return Played(samples, dt, begin, lsb, delivered), FrozenArray(model)
    kicks = dt * np.arange(steps)
    arrival = start + device_dt * np.arange(count)  # when the middle of each device sample reaches the rig
    achieved = np.interp(kicks, arrival, model)
    early = kicks < arrival[0] - device_dt / 2 * (1 + 1e-9)  # before a delayed first sample the port still idles
    if early.any():
        achieved[early] = wiring.to_model(port.name, np.array([port.safe.value]))[0] * gain + offset
    return Played(samples, device_dt, begin, lsb, delivered), FrozenArray(achieved)


def _late(port: Port, begins: float, length: float, unit: float) -> float:
    """How much later than its pass a port begins to play that starts on a grid of times; until then it idles."""
    grid = port.timing.start_grid / unit
    late = float(np.ceil(begins / grid - 1e-9)) * grid - begins
    if late >= length:
        raise ProgramError(
            f"port {port.name} can start every {port.timing.start_grid:g} s, and a pass of {length * unit:g} s that "
            f"begins {begins * unit:g} s after the trigger is over before that; lengthen the passes"
        )
    return max(0.0, late)


def _device_grid(port: Port, dt: float, steps: int, late: float, unit: float) -> tuple[float, int, float]:
    rates = port.timing.rates
    if not rates:
        device_dt, count, lead = dt, int(np.ceil(steps - late / dt - 1e-9)), 0.0
    else:
        wanted = 1.0 / (dt * unit)
        fast = [rate for rate in rates if rate >= wanted * (1 - 1e-9)]
        if not fast:
            raise ProgramError(
                f"port {port.name} samples at most at {max(rates):g} Hz, the program needs {wanted:g} Hz; "
                "use a longer dt"
            )
        device_dt = 1.0 / (min(fast) * unit)
        # A pass lasts from half a step before its first kick to half a step after its last.
        count, lead = int(np.ceil((steps * dt - late) / device_dt - 1e-9)), (device_dt - dt) / 2
    if port.timing.memory is not None and count > port.timing.memory:
        raise ProgramError(f"port {port.name} holds {port.timing.memory} samples, the pass needs {count}; shorten it")
    return device_dt, count, lead


def _quantize(port: Port, device: Array, name: str) -> Array:
    converter = port.converter
    assert converter is not None
    low, high = np.minimum.reduce(device).item(), np.maximum.reduce(device).item()
    if low < converter.low - converter.lsb / 2 or high > converter.high + converter.lsb / 2:
        raise ProgramError(
            f"port {name} needs {interval(low, high, port.unit)}, its converter reaches "
            f"{interval(converter.low, converter.high, port.unit)}; lower the input or eps, or lengthen the preparation"
        )
    codes = np.rint((device - converter.low) / converter.lsb)
    return converter.low + np.minimum(np.maximum(codes, 0), 2**converter.bits - 1) * converter.lsb
