"""Commands of the Keysight 33500B and 33600A that say several settings, or one of them in other words.

Follows: Keysight Trueform Series Operating and Service Guide (33500-90911): APPLy, VOLTage:HIGH and LOW, and the period
and duty cycle of a pulse.  Each is obeyed as a whole or, where a limit or the amplifier forbids it, not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simbackend.virtual_bench.instruments.instrument import VirtualInstrument
from simbackend.virtual_bench.scpi.scpi import Answer, ScpiError, command, only
from simbackend.virtual_bench.scpi.settings import number

_SHAPES = ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "PRBS", "NOISe", "ARBitrary", "DC")
_DEFAULTS = {"frequency": 1e3, "amplitude": 0.1, "offset": 0.0, "rate": 40e3}


class Shorthand(VirtualInstrument):
    """What is said here is kept under `values`, where the plain settings are."""

    def change(self, channel: int, wanted: Mapping[str, Any]) -> None:
        """All of these settings of a channel, or none: ScpiError."""
        raise NotImplementedError

    def channel(self, suffixes: tuple[int, ...]) -> int:
        """The channel that a header names; ScpiError if there is none."""
        raise NotImplementedError

    def _levels(self, channel: int) -> tuple[float, float]:
        offset, half = self.values["offset", channel], self.values["amplitude", channel] / 2
        return offset - half, offset + half

    def _between(self, channel: int, low: float, high: float) -> None:
        if high <= low:
            raise ScpiError(-221, "the high level must be above the low level")
        self.change(channel, {"amplitude": high - low, "offset": (high + low) / 2})

    @command("[SOURce#:]VOLTage[:LEVel][:IMMediate]:HIGH")
    def _high(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel = self.channel(suffixes)
        self._between(channel, self._levels(channel)[0], number(only(words)))
        return None

    @command("[SOURce#:]VOLTage[:LEVel][:IMMediate]:LOW")
    def _low(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel = self.channel(suffixes)
        self._between(channel, number(only(words)), self._levels(channel)[1])
        return None

    @command("[SOURce#:]VOLTage[:LEVel][:IMMediate]:HIGH?")
    def _high_query(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self._levels(self.channel(suffixes))[1])

    @command("[SOURce#:]VOLTage[:LEVel][:IMMediate]:LOW?")
    def _low_query(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self._levels(self.channel(suffixes))[0])

    @command("[SOURce#:]FUNCtion:PULSe:PERiod", "[SOURce#:]FUNCtion:SQUare:PERiod")
    def _period(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        period = number(only(words))
        if not period > 0:
            raise ScpiError(-222)
        self.change(self.channel(suffixes), {"frequency": 1 / period})
        return None

    @command("[SOURce#:]FUNCtion:PULSe:PERiod?", "[SOURce#:]FUNCtion:SQUare:PERiod?")
    def _period_query(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(1 / self.values["frequency", self.channel(suffixes)])

    @command("[SOURce#:]FUNCtion:PULSe:DCYCle")
    def _duty(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel, share = self.channel(suffixes), number(only(words))
        if not 0 < share < 100:
            raise ScpiError(-222)
        self.change(channel, {"pulse_width": share / 100 / self.values["frequency", channel]})
        return None

    @command("[SOURce#:]FUNCtion:PULSe:DCYCle?")
    def _duty_query(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel = self.channel(suffixes)
        return self.real(100 * self.values["pulse_width", channel] * self.values["frequency", channel])

    @command("[SOURce#:]APPLy?")
    def _applied(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel = self.channel(suffixes)
        shape = self.values["shape", channel]
        first = "rate" if shape == "ARB" else "frequency"
        numbers = [self.real(self.values[key, channel]) for key in (first, "amplitude", "offset")]
        return f'"{shape} {",".join(numbers)}"'

    def _apply(self, shape: str, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        """Shape and up to three numbers; what is left out, or DEF, is the default; the output goes on."""
        channel, first = self.channel(suffixes), "rate" if shape == "ARB" else "frequency"
        if len(words) > 3:
            raise ScpiError(-108)
        wanted: dict[str, Any] = {"shape": shape, "burst": False, "output": True}
        for key, word in zip((first, "amplitude", "offset"), words, strict=False):
            wanted[key] = _DEFAULTS[key] if word.upper() in (b"DEF", b"DEFAULT") else number(word)
        self.change(channel, wanted)
        return None


def _applying(shape: str) -> Any:
    """The command APPLy:SHAPE."""
    short = "".join(letter for letter in shape if not letter.islower())

    @command(f"[SOURce#:]APPLy:{shape}")
    def apply(self: Shorthand, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._apply(short, suffixes, words)

    return apply


for _shape in _SHAPES:
    setattr(Shorthand, f"_apply_{_shape.lower()}", _applying(_shape))
