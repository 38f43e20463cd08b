"""A simulated rig of any model: the readable leapfrog behind the same interface as a bench.

Slower than `simbackend.rig`, which has compiled kernels for the oscillator network: about 18 us a step and pass for six
oscillators.  It is for models of one's own, and for holding kernels against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.capabilities import Kind
from labrhel.capture import PassCapture, State, Trace
from labrhel.compiled import CompiledPass
from labrhel.errors import InstrumentError
from labrhel.program import GivenState, Reversal
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rig import capabilities_of
from simbackend.separable import leapfrog
from simbackend.separable_model import SeparableModel
from simbackend.serial_rig import SerialRig, played

Phase = tuple[Array, Array]
"""Positions and momenta (n,)."""


class ModelRig(SerialRig[Phase]):
    """An ideal `labrhel.interfaces.Rig` of `model`: a force port and two channels on every oscillator, and a flip."""

    def __init__(self, model: SeparableModel | OscillatorNetwork, name: str = "model") -> None:
        flips, nothing = frozenset({Reversal.MOMENTUM_FLIP}), frozenset[str]()
        # It reads sizes, units and parameters only, which both kinds of model have.
        declared = replace(capabilities_of(model, name), reversals=flips, accumulates=nothing)  # type: ignore[arg-type]
        super().__init__(declared, (np.zeros(model.size), np.zeros(model.size)))
        self.model = model
        self._knobs: dict[str, Array] = {item.name: model.parameters[item.name].nominal for item in declared.knobs}

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Set parameters of the model [model units]."""
        checked = {
            self.capabilities.knob(name).name: self.model.shape_parameter(name, value) for name, value in knobs.items()
        }
        self._knobs |= checked
        return checked

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Knob values as they were set."""
        return {self.capabilities.knob(name).name: self._knobs[name] for name in names}

    def _given(self, start: GivenState) -> Phase:
        return start.position.values, start.momentum.values

    def _flipped(self, state: Phase) -> Phase:
        return state[0], -state[1]

    def _run_pass(self, item: CompiledPass, state: Phase, step: float) -> tuple[PassCapture, Phase]:
        model, theta = self.model, self._knobs
        drive = model.input_force(played(item, model.inputs), theta)
        drive = drive + played(item, self.capabilities.ports_of(Kind.FORCE))
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported below, in words
            ran = leapfrog(
                lambda q: model.force(q, theta), model.mass(theta), model.friction(theta), drive, step, *state
            )
        if not (np.isfinite(ran.end_position).all() and np.isfinite(ran.end_momentum).all()):
            raise InstrumentError(
                f"the simulated rig {self.capabilities.rig} diverged: lower the drive, or take a shorter step"
            )
        every, traces = item.acquire.every, {}
        for name in item.acquire.channels:
            channel = self.capabilities.channel(name)
            motion = ran.q if channel.kind is Kind.POSITION else ran.v
            traces[name] = Trace(motion[int(name[1:]) - 1, ::every][None], channel.unit, 0.0, step * every)
        end = State(ran.end_position[None], ran.end_momentum[None]) if item.acquire.end_state else None
        return PassCapture(traces, end_state=end), (ran.end_position, ran.end_momentum)
