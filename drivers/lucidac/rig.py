"""A network of oscillators on a LUCIDAC (labrhel.shots.rig.Rig): started in any state, let go, and read.

A shot is one run of the machine: it starts in the state that is prepared, half a step before the first kick, and is
read on the machine's own grid of samples, between which a cubic spline finds the kicks.  Nothing pushes it on the way.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from drivers.lucidac.circuit import INTEGRATORS, Circuit
from drivers.lucidac.declared import capabilities_of, wiring_of
from drivers.lucidac.lanes import LaneErrors, Setting, measured
from drivers.lucidac.machine import LONGEST, Machine, Patch, Route, sample_rates
from labrhel.arrays import Array, Arrays
from labrhel.errors import DivergedError, LimitError, ProgramError
from labrhel.executor.limiting import check_range
from labrhel.rig.capabilities import Kind
from labrhel.shots.capture import Capture, PassCapture, State, Trace, together
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.program import GivenState

_FULL = 1.001  # machine units, what its converters tell from 1
_SAMPLES = 1.0  # of a kick, at least; the spline between them errs by (omega dt)^4/384
_BEYOND = 2  # samples after the last kick, so that none lies outside


class LucidacRig:
    """`circuit` on `machine`; `step`: that of a coefficient [of its full scale], 0 where it takes any.

    `measures`: whether the lanes are measured before anything is set, and set so that they are what they should be.
    """

    def __init__(self, machine: Machine, circuit: Circuit, name: str, step: float, *, measures: bool) -> None:
        self._machine, self._circuit, self._step = machine, circuit, step
        self._errors = None if measures else LaneErrors.none(len(circuit.lanes))
        self.wiring = wiring_of(circuit)
        self.capabilities = capabilities_of(circuit, name, machine.identity, step)
        self._wanted = {knob: np.array(circuit.model.parameters[knob].nominal, float) for knob in circuit.knobs}
        self._wish = circuit.coefficients(self._wanted)
        self._began = time.monotonic()

    @property
    def lane_errors(self) -> LaneErrors:
        """Gains and offsets of the lanes in use; measured when they are first asked for."""
        if self._errors is None:
            self._errors = measured(self._machine, self._circuit.lanes)
        return self._errors

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Set parameters [model units], all or none; returns those that the lanes then stand for."""
        wanted = dict(self._wanted)
        for name, value in knobs.items():
            knob = self.capabilities.knob(name)
            if np.shape(value) != knob.shape:
                raise ProgramError(f"{name} has the shape {knob.shape}, not {np.shape(value)}")
            check_range(name, np.asarray(value, float), knob.limits, knob.unit)
            wanted[name] = np.array(value, float)
        self._wish = self._circuit.coefficients(wanted)
        self._wanted = wanted
        return self.read(list(knobs))

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Parameters that the lanes stand for, as far as their errors are known."""
        names = [self.capabilities.knob(name).name for name in names]
        stands = self._circuit.parameters(self.lane_errors.actual(self._setting())) if names else {}
        return {name: stands[name] for name in names}

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """Run the shots in turn; raises LimitError for a start beyond full scale, before any of them moves.

        Raises DivergedError for a motion beyond full scale.
        """
        starts = [self._start(shot) for shot in shots]
        return [self._fired(shot, start) for shot, start in zip(shots, starts, strict=True)]

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """The circuit as it is loaded, at rest, with its scales and the errors of its lanes: what a record holds."""
        scales, errors = self._circuit.scales, self.lane_errors
        return {
            "lucidac": {
                "identity": self._machine.identity,
                "circuit": self._patch(np.zeros(INTEGRATORS)).configuration(),
                "lanes": [lane.what for lane in self._circuit.lanes],
                "lane_gains": errors.gain.tolist(),
                "lane_offsets": errors.offset.tolist(),
                "full_scale": {"position": scales.position, "velocity": scales.velocity},
            }
        }

    def make_safe(self) -> None:
        """Nothing is on between runs, and a run ends by itself."""

    def close(self) -> None:
        """Give the machine back."""
        self._machine.close()

    def _setting(self) -> Setting:
        return self.lane_errors.setting_for(self._wish, self._step)

    def _patch(self, start: Array) -> Patch:
        found = self._setting()
        return Patch([
            Route(lane.source, k, found.share[k], lane.target, bool(found.amplified[k]))
            for k, lane in enumerate(self._circuit.lanes)
        ], start)  # fmt: skip

    def _start(self, shot: CompiledShot) -> Array:
        model, scales, n = self._circuit.model, self._circuit.scales, self._circuit.model.size
        found = np.zeros(INTEGRATORS)
        if isinstance(shot.prepare, GivenState):
            found[:n] = shot.prepare.position.values / scales.position
            found[n : 2 * n] = shot.prepare.momentum.values / model.mass({}) / scales.velocity
        worst = int(np.argmax(np.abs(found)))
        if not abs(found[worst]) <= 1:
            name, scale = ("q", "position") if worst < n else ("v", "velocity")
            raise LimitError(
                f"{name}{worst % n + 1} would start at {found[worst]:.4g} of full scale; nothing was sent; start it "
                f"nearer to 0, or raise {scale}= of the URL"
            )
        return found

    def _fired(self, shot: CompiledShot, start: Array) -> Capture:
        began = time.monotonic() - self._began
        parts = [self._once(shot, start) for _ in range(shot.repeats)]
        passes = tuple(together(readings) for readings in zip(*parts, strict=True))
        return Capture(shot, passes, len(passes), began, began)

    def _once(self, shot: CompiledShot, start: Array) -> list[PassCapture]:
        dt = shot.dt * self._circuit.scales.time_unit
        kicks = sum(item.steps for item in shot.passes)
        rate = _rate(_SAMPLES / dt)
        seconds = (int(np.ceil(kicks * dt * rate)) + _BEYOND) / rate
        if not seconds <= LONGEST:
            raise ProgramError(f"a shot of {seconds:.3g} s is too long: the machine runs for {LONGEST:g} s at most")
        times, values = self._machine.run(self._patch(start), seconds, rate)
        self._require_in_range(values[times <= (kicks + 1) * dt])
        motion = CubicSpline(times / dt, values)
        found, begin = [], 0
        for item in shot.passes:
            found.append(self._readings(item.steps, item.acquire, motion, begin, shot.dt))
            begin += item.steps
        return found

    def _readings(self, steps: int, asked: Any, motion: Any, begin: int, dt: float) -> PassCapture:
        n, model, scales = self._circuit.model.size, self._circuit.model, self._circuit.scales
        at = motion(begin + 0.5 + np.arange(0, steps, asked.every))
        traces = {}
        for name in asked.channels:
            channel = self.capabilities.channel(name)
            column = int(name[1:]) - 1 + (0 if channel.kind is Kind.POSITION else n)
            traces[name] = Trace(at[:, column][None].copy(), channel.unit, 0.0, asked.every * dt)
        end = None
        if asked.end_state:
            last = motion(begin + steps)
            q, v = scales.position * last[:n], scales.velocity * last[n : 2 * n]
            end = State(q[None], (model.mass({}) * v)[None])
        return PassCapture(traces, end_state=end)

    def _require_in_range(self, values: Array) -> None:
        n, peaks = self._circuit.model.size, np.abs(values).max(axis=0)
        worst = int(np.argmax(peaks))
        if peaks[worst] > _FULL:
            name, scale = ("q", "position") if worst < n else ("v", "velocity")
            raise DivergedError(
                f"INT{worst} ({name}{worst % n + 1}) overloads: it reaches {peaks[worst]:.3g} of its full scale; start "
                f"nearer to 0, or raise {scale}= of the URL"
            )


def _rate(wanted: float) -> int:
    """The slowest rate of the machine [samples/s] that is not below `wanted`."""
    allowed = [rate for rate in sample_rates() if rate >= wanted * (1 - 1e-9)]
    if not allowed:
        most = max(sample_rates())
        raise ProgramError(
            f"the machine takes {most} samples a second at most, and one a kick takes {wanted:.4g}: take longer steps"
        )
    return min(allowed)
