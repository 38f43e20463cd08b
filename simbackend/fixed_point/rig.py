"""A simulated FPGA board: the integer leapfrog behind the same interface as a bench.

Any learning rule runs on it.  It declares its words as converters, so nudges are compiled to codes, and reverses by
a momentum flip.  Its step is part of its coefficients: a board is built for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ProgramError
from labrhel.rig.capabilities import Capabilities, Converter, Kind, Limits, Reversal
from labrhel.shots.capture import PassCapture, State, Trace, played
from labrhel.shots.compiled import CompiledPass
from labrhel.shots.program import GivenState
from labrhel.wire.fixed_point import Codes, Format
from simbackend.fixed_point.network import FixedPointNetwork, FixedPointRun, FixedPointState
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.serial import SerialRig
from simbackend.rigs.simulated import capabilities_of


class FixedPointRig(SerialRig[FixedPointState]):
    """`labrhel.shots.rig.Rig` of an oscillator network in integer words, for shots of one `step` [model time].

    `table`: intervals of the board's table of tanh, 0 for none.  `overflows` counts the words that did not fit since
    the rig was opened; results are then still reversible, but no longer those of the network.  Raises LimitError for
    parameters and states that have no code.
    """

    def __init__(
        self,
        model: OscillatorNetwork,
        step: float,
        state: Format,
        coefficient: Format,
        name: str = "fixed",
        *,
        table: int = 0,
    ) -> None:
        still = np.zeros(model.size, np.int64)
        super().__init__(_capabilities(capabilities_of(model, name), step, state), FixedPointState(still, still))
        self.model, self.step, self._table = model, step, table
        self.overflows = 0
        self._knobs: dict[str, Array] = {
            item.name: model.parameters[item.name].nominal for item in self.capabilities.knobs
        }
        self._network = FixedPointNetwork.of(model, self._knobs, step, state, coefficient, table)
        self._knobs |= self._network.parameters()

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Set parameters [model units]; returns the values their codes stand for, which the rule then uses."""
        checked = {
            self.capabilities.knob(name).name: self.model.shape_parameter(name, value) for name, value in knobs.items()
        }
        wanted = self._knobs | checked
        old = self._network
        self._network = FixedPointNetwork.of(self.model, wanted, self.step, old.state, old.coefficient, self._table)
        self._knobs = wanted | self._network.parameters()
        return {name: self._knobs[name] for name in checked}

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Knob values, as the codes stand for them."""
        return {self.capabilities.knob(name).name: self._knobs[name] for name in names}

    def _given(self, start: GivenState) -> FixedPointState:
        return self._network.state_of(start.position.values, start.momentum.values)

    def _flipped(self, state: FixedPointState) -> FixedPointState:
        return self._network.flipped(state)

    def _run_pass(self, item: CompiledPass, state: FixedPointState, step: float) -> tuple[PassCapture, FixedPointState]:
        if step != self.step:
            raise ProgramError(
                f"the coefficients of rig {self.capabilities.rig} are for a step of {self.step:g}, not {step:g}"
            )
        ran = self._network.run(state, *self._codes(item), trace=bool(item.acquire.channels))
        self.overflows += ran.overflows
        return self._capture(item, ran), ran.end

    def _codes(self, item: CompiledPass) -> tuple[Codes, Codes | None]:
        """Inputs with their offsets, and the forces as kicks, in codes."""
        form = self._network.state
        offsets = self.model.value("input_offset", self._knobs)[:, None]
        drive = form.to_codes(played(item, self.model.inputs) + offsets, "an input")
        forces = self.capabilities.ports_of(Kind.FORCE)
        if not any(name in item.achieved for name in forces):
            return drive, None
        return drive, form.to_codes(self.step * played(item, forces), "a kick")

    def _capture(self, item: CompiledPass, ran: FixedPointRun) -> PassCapture:
        form, every = self._network.state, item.acquire.every
        traces = {}
        for name in item.acquire.channels:
            channel, row = self.capabilities.channel(name), int(name[1:]) - 1
            codes = None
            if channel.kind is Kind.POSITION:
                codes = ran.position_codes[row, ::every]
                values = form.to_values(codes)
            else:
                momenta = form.to_values(ran.momentum_codes[row])
                values = ((momenta[:-1] + momenta[1:]) / 2 / self._knobs["mass"][row])[::every]
            words = None if codes is None else codes[None]
            scale = 1.0 if codes is None else form.resolution
            # A word that did not fit anywhere spoils every trace of the pass.
            traces[name] = Trace(values[None], channel.unit, 0.0, self.step * every, ran.overflows, words, scale)
        end = State(form.to_values(ran.end.q_codes)[None], form.to_values(ran.end.p_codes)[None])
        return PassCapture(traces, end_state=end if item.acquire.end_state else None)


def _capabilities(ideal: Capabilities, step: float, form: Format) -> Capabilities:
    """What is left of an ideal rig: words for converters, a flip, nothing accumulated."""

    def words(lsb: float) -> Converter:
        return Converter(form.word, -(form.largest_code + 1) * lsb, form.largest_code * lsb)

    ports = []
    for port in ideal.ports:
        lsb = form.resolution if port.kind is Kind.INPUT else form.resolution / step
        reach = form.largest_code * lsb
        ports.append(replace(port, converter=words(lsb), limits=Limits(-reach, reach)))
    channels = [
        replace(item, converter=words(form.resolution)) if item.kind is Kind.POSITION else item
        for item in ideal.channels
    ]
    return replace(
        ideal,
        ports=tuple(ports),
        channels=tuple(channels),
        reversals=frozenset({Reversal.MOMENTUM_FLIP}),
        accumulates=frozenset(),
    )
