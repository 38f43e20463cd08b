"""The QDevil QDAC-II, a source of 24 voltages.

Follows: QDAC-II user manual, SCPI commands, as the qcodes-contrib driver QDAC2 uses them.  Fixed voltages, ranges
(low +-2 V, high +-10 V), slew, and read-back; sweeps, lists and waves (`qdac2_generators`); current sensors beyond a
reading of zero are not there.  Channel lists such as (@1,3:5) are understood.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import ClassVar

from labrhel.arrays import Array
from simbackend.virtual_bench.instruments.instrument import channels
from simbackend.virtual_bench.instruments.qdac2_generators import (
    CHANNELS,
    TRIGGERS,
    Generators,
    Sum,
    generator_commands,
    generator_settings,
)
from simbackend.virtual_bench.scpi.scpi import Answer, ScpiError, command
from simbackend.virtual_bench.scpi.settings import Real, Setting, Whole, Word, number
from simbackend.virtual_bench.world.signals import Ramp, Varying

_REACH = {"LOW": 2.0, "HIGH": 10.0}
_MARKERS = tuple(range(1, 6))
_SLOWEST, _FASTEST = 0.01, 2e7  # V/s
_LIST = re.compile(rb"\(@([\d:, ]*)\)")


class VirtualQDac2(Generators):
    """A QDevil QDAC-II that drives simulated oscillators."""

    maker, models, firmware = "QDevil", ("QDAC-II",), "13-1.57"
    outputs = channels(24)
    more_commands = generator_commands()

    settings: ClassVar[Sequence[Setting]] = (
        *generator_settings(),
        Word("[SOURce#:]VOLTage:MODE", "mode", "FIX", CHANNELS, "FIXed LIST SWEep"),
        Word("[SOURce#:]DC:MODE", "dc_mode", "FIX", CHANNELS, "FIXed LIST SWEep"),
        Word("[SOURce#:]FILTer", "filter", "HIGH", CHANNELS, "DC MEDium HIGH"),
        Word("SENSe#:RANGe", "sense_range", "HIGH", CHANNELS, "LOW HIGH"),
        Real("SENSe#:NPLCycles", "nplc", 1.0, CHANNELS, 1.0, 100.0),
        Real("SENSe#:APERture", "aperture", 0.02, CHANNELS, 3e-4, 1.0),
        Real("SENSe#:DELay", "sense_delay", 0.0, CHANNELS, 0.0, 1e9),
        Whole("SENSe#:COUNt", "sense_count", 1.0, CHANNELS, 1.0, 16e6),
        Word("SENSe#:TRIGger:SOURce", "sense_trigger", "IMM", CHANNELS, TRIGGERS),
        Real("[SOURce#:]VOLTage:TRIGgered", "triggered", 0.0, CHANNELS, -10.0, 10.0),
        Real("OUTPut:TRIGger#:WIDTh", "width", 1e-3, _MARKERS, 1e-6, 60.0),
        Real("OUTPut:TRIGger#:DELay", "delay", 0.0, _MARKERS, 0.0, 3600.0),
        Word("OUTPut:TRIGger#:POLarity", "polarity", "NORM", _MARKERS, "NORMal INVert"),
        Word("OUTPut:TRIGger#:SOURce", "marker", "HOLD", _MARKERS, TRIGGERS),
    )

    def restore(self) -> None:
        """All channels at 0 V, in the high range."""
        super().restore()
        self._range = dict.fromkeys(CHANNELS, "HIGH")
        self._slew = dict.fromkeys(CHANNELS, math.inf)
        self._dc: dict[int, Varying] = {channel: Ramp() for channel in CHANNELS}
        for channel in CHANNELS:
            self.renew(channel)

    def real(self, value: float) -> str:
        """Short, as the instrument writes."""
        return f"{value:.9g}"

    def error_line(self, code: int, words: str) -> str:
        """With a blank, as the instrument writes."""
        return f'{code}, "{words}"'

    def _now(self, channel: int) -> float:
        return self._dc[channel].at(self.now())

    def volts(self, channel: int) -> float:
        """Without waves."""
        return self._now(channel)

    def base(self, channel: int) -> Varying:
        """A ramp, a sweep or a list."""
        return self._dc[channel]

    def dc(self, channel: int, moving: Varying) -> None:
        """With the waves that there are."""
        self._dc[channel] = moving
        self.renew(channel)

    def renew(self, channel: int) -> None:
        """DC voltage and waves together."""
        waves = tuple(wave for (own, _), wave in self.waves.items() if own == channel)
        self.turn(f"ch{channel}", Sum((self._dc[channel], *waves)) if waves else self._dc[channel])

    def require(self, channel: int, volts: Array) -> None:
        """The range of the channel."""
        if float(abs(volts).max()) > _REACH[self._range[channel]]:
            raise ScpiError(-222)

    def _channels(self, suffixes: tuple[int, ...], words: list[bytes]) -> tuple[list[int], list[bytes]]:
        """The channels of a command, by suffix or channel list, and its other parameters."""
        listed = _LIST.fullmatch(words[-1]) if words else None
        if listed is None:
            channels = [suffixes[0] if suffixes else 1]
        else:
            words, channels = words[:-1], []
            for part in listed[1].replace(b" ", b"").split(b","):
                low, _, high = part.partition(b":")
                channels += range(int(low), int(high or low) + 1)
        if not set(channels) <= set(CHANNELS):
            raise ScpiError(-114)
        return channels, words

    @command("[SOURce#:]VOLTage[:LEVel][:IMMediate][:AMPLitude]", "[SOURce#:]DC:VOLTage[:LEVel][:IMMediate]")
    def _set(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, words = self._channels(suffixes, words)
        if not words:
            raise ScpiError(-109)
        volts = number(words[0])
        if any(abs(volts) > _REACH[self._range[channel]] for channel in channels):
            raise ScpiError(-222)
        for channel in channels:
            self.dc(channel, Ramp(self.now(), self._now(channel), volts, self._slew[channel]))
        return None

    @command("[SOURce#:]VOLTage[:LEVel][:IMMediate][:AMPLitude]?", "[SOURce#:]DC:VOLTage[:LEVel][:IMMediate]?")
    def _read(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, _ = self._channels(suffixes, words)
        return ",".join(self.real(self._now(channel)) for channel in channels)

    @command("[SOURce#:]VOLTage[:LEVel]:LAST?", "[SOURce#:]DC:VOLTage:LAST?")
    def _last(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._read(suffixes, words)

    @command("[SOURce#:]VOLTage:SLEW", "[SOURce#:]DC:VOLTage:SLEW")
    def _set_slew(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, words = self._channels(suffixes, words)
        if not words:
            raise ScpiError(-109)
        endless = words[0].upper().startswith((b"INF", b"MAX"))
        slew = math.inf if endless else number(words[0])
        if not slew >= _SLOWEST or (slew > _FASTEST and not endless):
            raise ScpiError(-222)
        self._slew.update(dict.fromkeys(channels, slew))
        return None

    @command("[SOURce#:]VOLTage:SLEW?", "[SOURce#:]DC:VOLTage:SLEW?")
    def _read_slew(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, _ = self._channels(suffixes, words)
        return ",".join(self.real(min(self._slew[channel], _FASTEST)) for channel in channels)

    @command("[SOURce#:]VOLTage:RANGe", "[SOURce#:]RANGe")
    def _set_range(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, words = self._channels(suffixes, words)
        chosen = words[0].decode("ascii", "replace").upper() if words else ""
        if chosen not in _REACH:
            raise ScpiError(-224 if words else -109)
        if any(abs(self._now(channel)) > _REACH[chosen] for channel in channels):
            raise ScpiError(-221)
        self._range.update(dict.fromkeys(channels, chosen))
        return None

    @command("[SOURce#:]VOLTage:RANGe?", "[SOURce#:]RANGe?")
    def _read_range(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, _ = self._channels(suffixes, words)
        return ",".join(self._range[channel] for channel in channels)

    @command("[SOURce#:]RANGe:LOW:MINimum?")
    def _low_minimum(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(-_REACH["LOW"])

    @command("[SOURce#:]RANGe:LOW:MAXimum?")
    def _low_maximum(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(_REACH["LOW"])

    @command("[SOURce#:]RANGe:HIGH:MINimum?")
    def _high_minimum(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(-_REACH["HIGH"])

    @command("[SOURce#:]RANGe:HIGH:MAXimum?")
    def _high_maximum(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(_REACH["HIGH"])

    @command("READ#?", "FETCh#?", "SENSe#:DATA:LAST?")
    def _current(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, _ = self._channels(suffixes, words)
        return ",".join("0.0" for _ in channels)

    @command("SENSe#:NCLeft?", "SENSe#:DATA:POINts?")
    def _measured(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, _ = self._channels(suffixes, words)
        return ",".join("0" for _ in channels)

    @command("SYSTem:COMMunicate:LAN:MAC?")
    def _address(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return '"04-91-62-00-00-01"'

    @command("SYSTem:ERRor:COUNt?")
    def _error_count(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(len(self.errors))

    @command("SYSTem:ERRor:ALL?")
    def _all_errors(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        lines = [self.error_line(*error) for error in self.errors] or [self.error_line(0, "No error")]
        self.errors.clear()
        return ", ".join(lines)
