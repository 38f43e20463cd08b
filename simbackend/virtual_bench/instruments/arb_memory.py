"""The volatile memory of a waveform generator: arbitrary waveforms by name, uploaded as floats or DAC codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from simbackend.virtual_bench.scpi.scpi import ScpiError, block_content

_LONGEST = 4_000_000  # samples
_PERIOD = 1000  # samples of a built-in shape


@dataclass(frozen=True, slots=True)
class Format:
    """Of the samples of an upload: the number that is full scale, and the type in a binary block."""

    full_scale: float
    binary: str


FLOATS = Format(1.0, "f4")
CODES = Format(32767.0, "i2")


class ArbMemory:
    """Waveform memory of one channel; samples are between -1 and 1."""

    def __init__(self, shortest: int) -> None:
        self._shortest = shortest
        self._known: dict[str, Array] = {}
        self.chosen = ""

    @property
    def names(self) -> list[str]:
        """Names of the waveforms that are loaded."""
        return list(self._known)

    @property
    def free(self) -> int:
        """Samples that still fit."""
        return _LONGEST - sum(map(len, self._known.values()))

    @property
    def samples(self) -> Array:
        """Of the chosen waveform; zeros before one is chosen."""
        return self._known.get(self.chosen, np.zeros(self._shortest))

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
        self.chosen = ""

    def choose(self, words: list[bytes]) -> None:
        """Take a waveform by its name; raises ScpiError if there is none."""
        name = _name(words)
        if name not in self._known:
            raise ScpiError(785, "Specified arb waveform does not exist")
        self.chosen = name

    def store(self, words: list[bytes], form: Format, *, swapped: bool) -> None:
        """Keep an upload: a name, then numbers or a block.  Raises ScpiError for what the instrument refuses."""
        name = _name(words)
        if len(words) < 2:
            raise ScpiError(-109)
        if name in self._known:
            raise ScpiError(786, "Specified arb waveform already exists")
        samples = _binary(words[1], form, swapped=swapped) if words[1].startswith(b"#") else _numbers(words[1:])
        if not self._shortest <= len(samples) <= min(self.free, _LONGEST):
            raise ScpiError(781, f"an arb has {self._shortest} to {self.free} points")
        if not np.abs(samples).max() <= form.full_scale * (1 + 1e-6):  # not a number is refused, too
            raise ScpiError(-222)
        self._known[name] = samples / form.full_scale


def built_in(name: str, duty: float) -> Array:
    """One period of a built-in shape between -1 and 1; zeros for DC and for shapes that are not simulated."""
    turn = np.arange(_PERIOD) / _PERIOD
    if name == "SIN":
        return np.sin(2 * np.pi * turn)
    if name == "SQU":
        return np.where(turn < duty, 1.0, -1.0)
    if name == "TRI":
        return 1 - 4 * np.abs(turn - 0.5)
    return 2 * turn - 1 if name == "RAMP" else np.zeros(_PERIOD)


def _name(words: list[bytes]) -> str:
    if not words:
        raise ScpiError(-109)
    return words[0].decode("ascii", "replace").strip('"').upper()


def _numbers(words: list[bytes]) -> Array:
    try:
        return np.array([float(word) for word in words])
    except ValueError:
        raise ScpiError(-104) from None


def _binary(block: bytes, form: Format, *, swapped: bool) -> Array:
    data = block_content(block)
    if len(data) % int(form.binary[1]):
        raise ScpiError(-161)
    return np.frombuffer(data, ("<" if swapped else ">") + form.binary).astype(float)
