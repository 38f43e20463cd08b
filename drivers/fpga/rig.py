"""A board as a rig: network, shots and captures on one side, words and slots of states on the other.

The host turns parameters into coefficient codes and a network into the operations of a step, plays waveforms as codes,
and keeps end states of passes in the board's own slots, under a key that digests all that determines them, so that an
echo starts from the stored state instead of running its forward pass again.  An echo without a nudge retraces every
bit.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from drivers.fpga.board import FpgaBoard
from drivers.fpga.capabilities import capabilities_of, knobs_of
from drivers.fpga.words import read_state, read_traces, write_state, write_waveforms
from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, InstrumentError, ProgramError
from labrhel.rig.capabilities import Kind, Reversal
from labrhel.rig.wiring import IDEAL_WIRING
from labrhel.shots.capture import Capture, PassCapture, State, Trace, played, together
from labrhel.shots.compiled import CompiledPass, CompiledShot
from labrhel.shots.program import Hold, Rest
from labrhel.wire.board import Build, Option, Region, Register
from labrhel.wire.microcode import leapfrog
from labrhel.wire.network_codes import Network, NetworkCodes

_WORKING = 0  # the slot that every pass may use; the others hold end states that will be wanted again


class FpgaRig:
    """`labrhel.shots.rig.Rig` of a network on a board, for shots of one `step` [model time].

    A pass in which a word did not fit is an InstrumentError.  `clock` [s] is that of the starts of shots; a late one
    does no harm, since the state stands still on the board until it is told to go on.  Raises ConfigurationError for a
    network that the board cannot hold, LimitError for parameters and states that have no code.
    """

    def __init__(
        self,
        board: FpgaBoard,
        model: Network,
        step: float,
        name: str = "fpga",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.board, self.model, self.step, self._clock = board, model, step, clock
        build = board.build
        _check_size(build, model)
        self.capabilities, self.wiring = capabilities_of(build, model, step, name), IDEAL_WIRING
        self._knobs: dict[str, Array] = {item: model.parameters[item].nominal for item in knobs_of(build, model)}
        self._codes = NetworkCodes.of(model, self._knobs, step, build.state, build.coefficient, build.table)
        self._knobs |= self._codes.parameters()
        self._loaded = 0  # generation of the board that holds operations and coefficients
        self._slots: OrderedDict[str, int] = OrderedDict()
        self._closed = False  # a board that was given back was safe then, and is nobody's business now
        self._now: int | None = None  # the slot of the state now; None: at rest

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Set parameters [model units]; returns the values that their codes stand for, which a rule then uses."""
        checked = {
            self.capabilities.knob(name).name: self.model.shape_parameter(name, value) for name, value in knobs.items()
        }
        wanted, build = self._knobs | checked, self.board.build
        codes = NetworkCodes.of(self.model, wanted, self.step, build.state, build.coefficient, build.table)
        self._knobs, self._codes = wanted | codes.parameters(), codes
        self._loaded = 0
        return {name: self._knobs[name] for name in checked}

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Knob values, as the codes stand for them."""
        return {self.capabilities.knob(name).name: self._knobs[name] for name in names}

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """Run the shots in turn."""
        self._load()
        return [self._run_shot(shot) for shot in shots]

    def make_safe(self) -> None:
        """End a pass that runs; the outputs of a board that does not run are safe, and its state is rest."""
        if self._closed:
            return
        self.board.stop()
        self._now = None

    def close(self) -> None:
        """Stop, and give the link back."""
        try:
            self.make_safe()
        finally:
            self._closed = True
            self.board.close()

    def _load(self) -> None:
        """See that the board holds this network; stored states belong to the one before."""
        self.board.refresh()
        if self._loaded == self.board.generation:
            return
        codes = self._codes
        step = leapfrog(
            codes.drift_codes.tolist(), codes.stiffness_codes.tolist(), codes.cubic_codes.tolist(),
            codes.edges.tolist(), codes.coupling_codes.tolist(), codes.input_codes.tolist(),
            () if codes.saturation_codes is None else codes.saturation_codes.tolist(),
        )  # fmt: skip
        if len(step) > self.board.build.operations:
            raise ConfigurationError(
                f"a step of this network takes {len(step)} operations; the board holds {self.board.build.operations}: "
                "take fewer couplings, or build the gateware with more operations"
            )
        self.board.write(Region.CONTROL, 0, [item.word for item in step])
        self.board.write(Region.COEFFICIENTS, 0, [item.coefficient for item in step])
        self.board.write(Region.REGISTERS, Register.LENGTH, [len(step)])
        self._slots.clear()
        self._loaded = self.board.generation

    def _run_shot(self, shot: CompiledShot) -> Capture:
        if shot.dt != self.step:
            raise ProgramError(f"the board is set up for a step of {self.step:g}, not {shot.dt:g}: open it with that")
        repeats = [self._run_once(shot) for _ in range(shot.repeats)]
        passes = tuple(together(readings) for readings in zip(*(item[0] for item in repeats), strict=True))
        return Capture(shot, passes, *repeats[0][1:])

    def _run_once(self, shot: CompiledShot) -> tuple[list[PassCapture], int, float, float]:
        """Readings of every pass, how many of them really ran, and when the first was to start, and did [s]."""
        begin, source = self._start(shot)
        captures, starts = [PassCapture()] * begin, []
        for index in range(begin, len(shot.passes)):
            item = shot.passes[index]
            keeps = item.keep and not isinstance(shot.prepare, Hold)
            target = self._slot_for(shot.state_key(index)) if keeps else _WORKING
            capture, *start = self._run_pass(item, source, target)
            captures.append(capture)
            starts.append(start)
            source = self._now = target
            if keeps:
                self._slots[shot.state_key(index)] = target
        return captures, len(shot.passes) - begin, *starts[0]

    def _start(self, shot: CompiledShot) -> tuple[int, int | None]:
        """The pass to begin with, and the slot of the state before it; None is rest."""
        if isinstance(shot.prepare, Hold):
            return 0, self._now
        for index in range(len(shot.passes) - 1, 0, -1):
            key = shot.state_key(index - 1)
            read_before = any(item.acquire.reads for item in shot.passes[:index])
            if shot.passes[index].reversal is Reversal.STATE_RESTORE and key in self._slots and not read_before:
                self._slots.move_to_end(key)
                return index, self._slots[key]
        if isinstance(shot.prepare, Rest):
            return 0, None
        form, start = self.board.build.state, shot.prepare
        given = [form.to_codes(start.position.values, "a position"), form.to_codes(start.momentum.values, "a momentum")]
        write_state(self.board, _WORKING, np.stack(given))
        return 0, _WORKING

    def _slot_for(self, key: str) -> int:
        """A slot for a state that will be wanted again, which holds no other: at worst that of the oldest one.

        The state is not there before its pass has run, so the key goes until then.
        """
        if key in self._slots:
            return self._slots.pop(key)
        free = set(range(1, self.board.build.slots)) - set(self._slots.values())
        return min(free) if free else self._slots.popitem(last=False)[1]

    def _run_pass(self, item: CompiledPass, source: int | None, target: int) -> tuple[PassCapture, float, float]:
        """Its readings, when it was to start, and when the board had said that it runs [s]."""
        board, form = self.board, self.board.build.state
        options = Option(0)
        if source is None:
            options |= Option.REST
        if item.reversal is not None:
            options |= Option.FLIP
        offset = self.model.value("input_offset", self._knobs)[:, None]
        forces = self.capabilities.ports_of(Kind.FORCE)
        drive = form.to_codes(played(item, self.model.inputs) + offset, "an input")
        kicks = form.to_codes(self.step * played(item, forces), "a kick")
        for region, codes, option in ((Region.INPUTS, drive, Option.DRIVEN), (Region.NUDGES, kicks, Option.NUDGED)):
            if codes.any():
                write_waveforms(board, region, codes)
                options |= option
        planned = self._clock()
        board.start(item.steps, options, source or 0, target)
        started = self._clock()
        if overflows := board.finish(item.steps):
            raise InstrumentError(
                f"{overflows} words of {self.capabilities.rig} did not fit in a pass of {item.steps} steps, so it was "
                f"not that of the network: lower the drive or eps, or build the gateware with fewer bits below the "
                f"point (words {form}, coefficients {board.build.coefficient}); q^2 must fit as well"
            )
        return self._capture(item, target), planned, started

    def _capture(self, item: CompiledPass, slot: int) -> PassCapture:
        form, every, steps = self.board.build.state, item.acquire.every, item.steps
        kinds = {self.capabilities.channel(name).kind for name in item.acquire.channels}
        moving = Kind.VELOCITY in kinds
        end = (
            read_state(self.board, slot, self.model.size)
            if moving or item.acquire.end_state
            else np.empty((2, 0), np.int64)
        )
        q = (
            read_traces(self.board, Region.POSITIONS, self.model.size, steps)
            if Kind.POSITION in kinds
            else np.empty((0, 0), np.int64)
        )
        v = np.empty((0, 0))
        if moving:
            p = form.to_values(
                np.column_stack([read_traces(self.board, Region.MOMENTA, self.model.size, steps), end[1]])
            )
            v = (p[:, :-1] + p[:, 1:]) / 2 / self._knobs["mass"][:, None]
        traces = {}
        for name in item.acquire.channels:
            channel, row = self.capabilities.channel(name), int(name[1:]) - 1
            if channel.kind is Kind.POSITION:
                codes = q[row, ::every].astype(np.int32)[None]
                values, scale = form.to_values(codes), form.resolution
            else:
                codes, values, scale = None, v[row, ::every][None], 1.0
            traces[name] = Trace(values, channel.unit, 0.0, self.step * every, codes=codes, scale=scale)
        state = State(*(form.to_values(part)[None] for part in end)) if item.acquire.end_state else None
        return PassCapture(traces, end_state=state)


def _check_size(build: Build, model: Network) -> None:
    missing = [name for name in ("edges", "force_unit", "shape_parameter") if not hasattr(model, name)]
    if missing:
        raise ConfigurationError(
            f"a board runs networks of oscillators (model.kind: oscillator_network), not {type(model).__name__}"
        )
    if model.size > build.units or len(model.inputs) > build.ports:
        raise ConfigurationError(
            f"the board has {build.units} oscillators and {build.ports} inputs; the model has {model.size} and "
            f"{len(model.inputs)}: build a larger gateware (docs/fpga-board.md), or take a smaller model"
        )
