"""Power supplies of the Keysight E36300 series, as E36312A: three outputs of 6 V, 25 V and 25 V.

Follows: E36300 Series Programming Guide (E36311-90008).  Outputs are selected by INSTrument, or named by a channel
list (@1:3); set voltage and current, protection, measured values, output switch.  Without load the measured current
is zero; an over-voltage protection below the set voltage trips and switches its output off.
"""

from __future__ import annotations

import re

from simbackend.virtual_bench.instruments.instrument import VirtualInstrument, channels
from simbackend.virtual_bench.scpi.scpi import Answer, ScpiError, command
from simbackend.virtual_bench.scpi.settings import number

CHANNELS: tuple[int, ...] = (1, 2, 3)
_NAMES = {b"P6V": 1, b"P25V": 2, b"N25V": 3, b"OUT1": 1, b"OUT2": 2, b"OUT3": 3, b"CH1": 1, b"CH2": 2, b"CH3": 3}
_VOLTS = {1: 6.18, 2: 25.75, 3: 25.75}
_AMPERES = {1: 5.15, 2: 1.03, 3: 1.03}
_PROTECTION = 1.1  # of the largest voltage: where it is after a reset
_LIST = re.compile(rb"\(@([\d:, ]*)\)")


class VirtualE36300(VirtualInstrument):
    """A Keysight E36300 that drives simulated oscillators."""

    maker, models, firmware = "Keysight Technologies", ("E36312A",), "2.1.3-1.0.4-1.12"
    outputs, reach, level_range = channels(3), 6.0, (0.0, 6.0)

    def restore(self) -> None:
        """Switch all outputs off, at 0 V."""
        super().restore()
        self._selected = 1
        self._volts = dict.fromkeys(CHANNELS, 0.0)
        self._amperes = dict(_AMPERES)
        self._on = dict.fromkeys(CHANNELS, False)
        self._protection = {channel: _PROTECTION * volts for channel, volts in _VOLTS.items()}
        self._tripped = dict.fromkeys(CHANNELS, False)
        for channel in CHANNELS:
            self._apply(channel)

    def real(self, value: float) -> str:
        """As in the guide: +5.00000000E+00."""
        return f"{value:+.8E}"

    def _at_terminals(self, channel: int) -> float:
        return self._volts[channel] if self._on[channel] else 0.0

    def _apply(self, channel: int) -> None:
        if self._on[channel] and self._volts[channel] > self._protection[channel]:
            self._tripped[channel], self._on[channel] = True, False
        self.turn(f"ch{channel}", self._at_terminals(channel))

    def _channels(self, words: list[bytes]) -> tuple[list[int], list[bytes]]:
        """The channels of a channel list, or the selected one, and the other parameters."""
        listed = _LIST.fullmatch(words[-1]) if words else None
        if listed is None:
            return [self._selected], words
        channels: list[int] = []
        for part in listed[1].replace(b" ", b"").split(b","):
            low, _, high = part.partition(b":")
            channels += range(int(low), int(high or low) + 1)
        if not set(channels) <= set(CHANNELS):
            raise ScpiError(-222)
        return channels, words[:-1]

    def _assign(self, words: list[bytes], values: dict[int, float], highest: dict[int, float]) -> Answer:
        channels, words = self._channels(words)
        if not words:
            raise ScpiError(-109)
        for channel in channels:
            text = words[0].upper()
            value = (
                0.0 if text.startswith(b"MIN") else highest[channel] if text.startswith(b"MAX") else number(words[0])
            )
            if not 0 <= value <= highest[channel]:
                raise ScpiError(-222)
            values[channel] = value
            self._apply(channel)
        return None

    def _say(self, words: list[bytes], values: dict[int, float]) -> str:
        channels, _ = self._channels(words)
        return ",".join(self.real(values[channel]) for channel in channels)

    @command("INSTrument[:SELect]")
    def _select(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        if not words or words[0].upper() not in _NAMES:
            raise ScpiError(-224 if words else -109)
        self._selected = _NAMES[words[0].upper()]
        return None

    @command("INSTrument[:SELect]?")
    def _selected_query(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f"CH{self._selected}"

    @command("INSTrument:NSELect")
    def _select_number(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        if not words or number(words[0]) not in CHANNELS:
            raise ScpiError(-222 if words else -109)
        self._selected = round(number(words[0]))
        return None

    @command("INSTrument:NSELect?")
    def _selected_number(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f"{self._selected:+d}"

    @command("APPLy")
    def _apply_both(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        if words and words[0].upper() in _NAMES:
            self._selected, words = _NAMES[words[0].upper()], words[1:]
        if not words:
            raise ScpiError(-109)
        channels, _ = self._channels(words)
        listed = words[-1:] if _LIST.fullmatch(words[-1]) else []
        plain = words[: len(words) - len(listed)]
        if len(plain) > 1:
            self._assign([plain[1], *listed], self._amperes, _AMPERES)
        return self._assign([plain[0], *listed], self._volts, _VOLTS) if channels else None

    @command("[SOURce:]VOLTage[:LEVel][:IMMediate][:AMPLitude]")
    def _set_volts(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._assign(words, self._volts, _VOLTS)

    @command("[SOURce:]VOLTage[:LEVel][:IMMediate][:AMPLitude]?")
    def _read_volts(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._say(words, self._volts)

    @command("[SOURce:]CURRent[:LEVel][:IMMediate][:AMPLitude]")
    def _set_amperes(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._assign(words, self._amperes, _AMPERES)

    @command("[SOURce:]CURRent[:LEVel][:IMMediate][:AMPLitude]?")
    def _read_amperes(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._say(words, self._amperes)

    @command("[SOURce:]VOLTage:PROTection[:LEVel]")
    def _set_protection(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._assign(words, self._protection, {c: _PROTECTION * volts for c, volts in _VOLTS.items()})

    @command("[SOURce:]VOLTage:PROTection[:LEVel]?")
    def _read_protection(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._say(words, self._protection)

    @command("[SOURce:]VOLTage:PROTection:TRIPped?")
    def _is_tripped(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, _ = self._channels(words)
        return ",".join(str(int(self._tripped[channel])) for channel in channels)

    @command("[SOURce:]VOLTage:PROTection:CLEar", "OUTPut:PROTection:CLEar")
    def _clear_trip(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, _ = self._channels(words)
        self._tripped.update(dict.fromkeys(channels, False))
        return None

    @command("MEASure[:SCALar][:VOLTage][:DC]?")
    def _measure_volts(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._say(words, {channel: self._at_terminals(channel) for channel in CHANNELS})

    @command("MEASure[:SCALar]:CURRent[:DC]?")
    def _measure_amperes(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._say(words, dict.fromkeys(CHANNELS, 0.0))

    @command("OUTPut[:STATe]")
    def _switch(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, words = self._channels(words)
        on = {b"ON": True, b"1": True, b"OFF": False, b"0": False}.get(words[0].upper() if words else b"")
        if on is None:
            raise ScpiError(-224 if words else -109)
        for channel in channels:
            self._on[channel] = on and not self._tripped[channel]
            self._apply(channel)
        return None

    @command("OUTPut[:STATe]?")
    def _is_on(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels, _ = self._channels(words)
        return ",".join(str(int(self._on[channel])) for channel in channels)
