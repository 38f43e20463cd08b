"""The inputs of a Red Pitaya: one record of both for each trigger, in its deep memory if the server has one.

A record is a ring, and the server says at which place of it the trigger came.  Samples are means over their spacing,
whose grid knows nothing of the trigger: t0 is right to half a spacing, so the finest spacing that fits is used.  Volts
are those of the server, which knows the calibration of its board; whether a sample was at the end of the converter is
asked of the codes of the largest and the smallest.
"""

from __future__ import annotations

import time
from abc import ABC
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar

import numpy as np
from qcodes.instrument import InstrumentChannel

from drivers.instruments._pitaya import FULL, HALF, MEMORY, RATES, SPARE, Place, place_of
from drivers.instruments._waiting import wait_until
from drivers.instruments.answers import flag, one_of, whole
from drivers.instruments.linked import LinkedInstrument, Range, asker, require_within
from drivers.roles import InputSpec, Record, Window
from drivers.transport import LinkError
from labrhel.arrays import Array
from labrhel.errors import ConfigurationError, InstrumentError, ProgramError

_INPUTS = ("in1", "in2")
_GAINS = {"LV": 1.0, "HV": 20.0}  # V
_TRIGGERS = {"external": "EXT_PE", "generator": "AWG_PE", "in1": "CH1_PE", "in2": "CH2_PE"}
_PROBE = 0.5  # s that a server may take to say how much deep memory it has
_NEAR = 0.75  # of the range: from there on it is asked whether a code is the last one


class PitayaInputs(LinkedInstrument, ABC):
    """The part that is a `drivers.roles.Digitizer`, but for `arm` and `wait`, which the generators share."""

    inputs: Mapping[str, InputSpec]
    triggers: ClassVar[tuple[str, ...]] = tuple(_TRIGGERS)
    """What it can be triggered by."""

    def _add_inputs(self, gain: str | Mapping[str, str]) -> None:
        """Raises ConfigurationError for gains that no jumper gives."""
        gains = dict.fromkeys(_INPUTS, gain) if isinstance(gain, str) else dict(gain)
        if set(gains) != set(_INPUTS) or not set(gains.values()) <= set(_GAINS):
            raise ConfigurationError(f'a gain is "LV" or "HV", as the jumpers of both or of each input, not {gain}')
        self._gains, self._deep = gains, self._deep_memory()
        self._memory = MEMORY if self._deep is None else self._deep[1] // (2 * len(_INPUTS))  # of two bytes each
        self._window: tuple[Window, str, float] | None = None
        self._place = Place(1, 0, 0, 0, MEMORY)
        self._recording = self._complete = False
        self._full = 0.0  # when the usual memory is full, by the clock of the host; 0: not triggered yet
        self.inputs = dict.fromkeys(_INPUTS, InputSpec(14, self._memory - 2 * SPARE, RATES))
        for own in _INPUTS:
            self.add_submodule(own, PitayaInput(self, own))

    def prepare(self, window: Window, trigger: str, level: float) -> float:
        """Set spacing, gains and trigger ("generator", "external", or an input at `level` [V], rising); its rate [Hz].

        As fast as its memory allows, up to 65536 samples of each input.
        """
        if self._window == (window, trigger, level):
            return 1 / self._place.dt
        if trigger not in _TRIGGERS:
            raise ProgramError(f"{self.name} is triggered by {', '.join(_TRIGGERS)}, not by {trigger!r}")
        place = place_of(self.name, window, self._memory, deep=self._deep is not None)
        for own, pair in window.ranges.items():
            for volts in pair:
                require_within(f"{self.name}.{own}", volts, self._range(own))
        at = []
        if trigger in _INPUTS:
            require_within(f"the trigger level of {self.name}", level, self._range(trigger))
            at = [f"ACQ:TRIG:LEV {level:.6g}"]
        gains = [f"ACQ:SOUR{own[2:]}:GAIN {self._gains[own]}" for own in _INPUTS]
        commands, kept = self._ring(place)
        with self.link.exclusive():
            self._window, self._recording, self._complete = None, False, False
            self._remembers = {key: value for key, value in self._remembers.items() if not key.startswith("ACQ")}
            answers, decimation = self._do_as(
                lambda texts: (texts, whole(texts[0])), "ACQ:RST", "ACQ:AVG ON", *gains, *commands, *at, *kept
            )
            if decimation != place.decimation:
                raise InstrumentError(
                    f"{self.name} divides its rate by {answers[0]} instead of {place.decimation}", answer=answers[0]
                )
            self._remembers |= dict(zip(kept, answers, strict=True))
            self._place, self._window = place, (window, trigger, level)
        return 1 / place.dt

    def read(self, terminals: Sequence[str]) -> dict[str, Record]:
        """The records of these inputs."""
        return {own: self._read(own) for own in terminals}

    def _ring(self, place: Place) -> tuple[list[str], list[str]]:
        """Commands for the memory, and the questions whose answers they set; the first one is the decimation."""
        if self._deep is None:
            return [f"ACQ:DEC {place.decimation}", f"ACQ:TRIG:DLY {place.after - HALF}"], ["ACQ:DEC?", "ACQ:TRIG:DLY?"]
        commands = [f"ACQ:AXI:DEC {place.decimation}"]
        for turn, own in enumerate(_INPUTS):
            source, start = f"ACQ:AXI:SOUR{own[2:]}", self._deep[0] + turn * 2 * self._memory
            commands += [
                f"{source}:SET:BUFFER {start},{2 * place.ring}",
                f"{source}:TRIG:DLY {place.after}",
                f"{source}:ENABLE ON",
            ]
        return commands, ["ACQ:AXI:DEC?", *(f"ACQ:AXI:SOUR{own[2:]}:TRIG:DLY?" for own in _INPUTS)]

    def _arm_inputs(self) -> None:
        if self._window is None:
            raise InstrumentError(f"{self.name} does not know what to record: prepare it before it is armed")
        with self.link.exclusive():
            self._recording, self._complete, self._full = False, False, 0.0
            self._do("ACQ:START")
        time.sleep(self._place.before)  # what lies before a trigger is recorded, or it is not there
        with self.link.exclusive():
            if self._window is None:
                raise InstrumentError(f"{self.name} has restarted: prepare and arm it again")
            trigger = self._window[1]
            (status,) = self._do(f"ACQ:TRIG {_TRIGGERS[trigger]}", "ACQ:TRIG:STAT?")
            if status != "WAIT" and trigger == "generator":
                raise InstrumentError(f"{self.name} does not begin to wait for a trigger", answer=status)
            self._recording = True

    def _await_record(self, seconds: float) -> None:
        """Raises DeadlineError, and InstrumentError if it was made safe meanwhile."""
        problem = f"{self.name} has not seen a trigger, or not recorded it to the end,"
        wait_until(self._is_recorded, seconds, problem)
        with self.link.exclusive():
            self._complete = self._recording

    def _is_recorded(self) -> bool:
        if not self._recording:
            raise InstrumentError(f"{self.name} has been made safe: prepare and arm it again")
        if self._deep is not None:
            return all(self.ask_as(f"ACQ:AXI:SOUR{own[2:]}:TRIG:FILL?", flag) for own in _INPUTS)
        if self.link.query("ACQ:TRIG:STAT?") != "TD":  # servers of OS 1.04 do not say when the memory is full
            return False
        self._full = self._full or time.monotonic() + self._place.after * self._place.dt
        return time.monotonic() >= self._full

    def _read(self, own: str) -> Record:
        span = self._range(own)[1]
        place, deep = self._place, "" if self._deep is None else "AXI:"
        source, units = f"ACQ:{deep}SOUR{own[2:]}", f"ACQ:{deep}DATA:UNITS"
        with self.link.exclusive():
            if not self._complete:
                raise InstrumentError(f"{self.name} has no complete record: arm it, and wait for its end")
            where = f"{source}:TRIG:POS?" if deep else "ACQ:TPOS?"
            came = self._do_as(lambda texts: whole(texts[0]), "ACQ:DATA:FORMAT BIN", f"{units} VOLTS", where)
            begin = came + place.first
            volts = self._samples(source, begin % place.ring, place.count, ">f4")
            clipped = 0
            for index in {volts.argmin().item(), volts.argmax().item()}:
                if not abs(volts[index]) < _NEAR * span:
                    self._do(f"{units} RAW")
                    (code,) = self._samples(source, (begin + index) % place.ring, 1, ">i2")
                    if not 1 - FULL <= code <= FULL - 2:
                        clipped += (volts == volts[index]).sum().item()
        scale = span / FULL
        return Record(np.rint(volts / scale).astype(np.int32), scale, 0.0, place.first * place.dt, place.dt, clipped)

    def _samples(self, source: str, start: int, count: int, kind: str) -> Array:
        size = np.dtype(kind).itemsize * count
        data = self.link.query_block(f"{source}:DATA:START:N? {start},{count}", length=size)
        return np.frombuffer(data, kind).astype(np.float64)

    def _range(self, own: str) -> Range:
        if own not in _INPUTS:
            raise ProgramError(f"{self.name} has no input {own!r}; it has in1 and in2")
        volts = _GAINS[self._gains[own]]
        return -volts, volts

    def _deep_memory(self) -> tuple[int, int] | None:
        """Address and size [bytes] of the deep memory; None if the server knows nothing of one."""
        try:
            start, size = (self.link.query_as(f"ACQ:AXI:{what}?", whole, timeout=_PROBE) for what in ("START", "SIZE"))
        except LinkError:  # a server does not answer a question that it does not understand; it keeps an error instead
            with suppress(InstrumentError):
                self._refuse(["ACQ:AXI:START?"])
            return None
        return start, size


class PitayaInput(InstrumentChannel):
    """One input; set by `PitayaInputs.prepare`."""

    def __init__(self, parent: PitayaInputs, own: str) -> None:
        super().__init__(parent, own)
        self.add_parameter(
            "gain", label="Jumpers", get_cmd=asker(self, f"ACQ:SOUR{own[2:]}:GAIN?", one_of(*_GAINS)), set_cmd=False
        )
