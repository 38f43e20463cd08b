"""Settings that an instrument merely keeps: one line each for the command that sets it and the query that reads it.

MINimum, MAXimum and DEFault are understood by numbers, both when set and when asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from simbackend.virtual_bench.scpi.headers import pattern_of
from simbackend.virtual_bench.scpi.scpi import Answer, Command, Scpi, ScpiError, only

_UNITS = {b"MA": 1e6, b"K": 1e3, b"M": 1e-3, b"U": 1e-6, b"N": 1e-9}
_NAMED = (b"MIN", b"MINIMUM", b"MAX", b"MAXIMUM", b"DEF", b"DEFAULT", b"INF", b"INFINITY")
_INFINITE = 9.9e37  # how SCPI writes infinity


@dataclass(frozen=True, slots=True)
class Setting(ABC):
    """A value under `key` for each of `places` (numeric suffixes; 0: the header has none), reached by `pattern`.

    Where the header has several suffixes, the first one counts.
    """

    pattern: str
    key: str
    default: Any
    places: Sequence[int] = (0,)

    @abstractmethod
    def parse(self, word: bytes) -> Any:
        """The value of a parameter; raises ScpiError."""

    @abstractmethod
    def write(self, device: Scpi, value: Any) -> str:
        """The value as the instrument answers it."""

    def commands(self) -> dict[str, Command]:
        """The two commands, to be bound to an instrument."""
        return {self.pattern: self._set, f"{self.pattern}?": self._get}

    def _place(self, suffixes: tuple[int, ...]) -> int:
        place = suffixes[0] if suffixes and tuple(self.places) != (0,) else self.places[0]
        if place not in self.places:
            raise ScpiError(-114)
        return place

    def _set(self, device: Scpi, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        word = only(words)
        place = (self.key, self._place(suffixes))
        value = self.parse(word)
        before, device.values[place] = device.values[place], value
        try:
            device.changed(*place, before)
        except ScpiError:
            device.values[place] = before
            raise
        return None

    def _get(self, device: Scpi, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        place = self._place(suffixes)
        return self.write(device, self.parse(words[0]) if words else device.values[self.key, place])


@dataclass(frozen=True, slots=True)
class Real(Setting):
    """A number from `low` to `high`; beyond them it is refused, or moved to the end if `coerced`."""

    low: float = -_INFINITE
    high: float = _INFINITE
    coerced: bool = False

    def parse(self, word: bytes) -> float:
        """A number with or without its SI prefix and unit, or MIN, MAX, DEF, INF."""
        named = {b"MIN": self.low, b"MAX": self.high, b"DEF": self.default, b"INF": _INFINITE}
        text = word.upper()
        value = named[text[:3]] if text in _NAMED else number(word)
        if self.coerced:
            return min(max(value, self.low), self.high)
        if not self.low <= value <= self.high:
            raise ScpiError(-222)
        return value

    def write(self, device: Scpi, value: float) -> str:
        """As the instrument writes real numbers."""
        return device.real(value)


@dataclass(frozen=True, slots=True)
class Whole(Real):
    """A whole number."""

    def write(self, device: Scpi, value: float) -> str:
        """Infinity as SCPI writes it."""
        return device.real(value) if value >= _INFINITE else f"{round(value):d}"


@dataclass(frozen=True, slots=True)
class Flag(Setting):
    """ON or OFF, 1 or 0; answered as 1 or 0."""

    def parse(self, word: bytes) -> bool:
        """Parse the word or the digit."""
        known = {b"ON": True, b"1": True, b"OFF": False, b"0": False}
        if word.upper() not in known:
            raise ScpiError(-224)
        return known[word.upper()]

    def write(self, device: Scpi, value: Any) -> str:
        """Answer with a digit."""
        return str(int(value))


@dataclass(frozen=True, slots=True)
class Word(Setting):
    """One of `choices`, written as in manuals; kept and answered in short form, or `long`."""

    choices: str = ""
    long: bool = False

    def parse(self, word: bytes) -> str:
        """Long or short form, in any case."""
        text = word.decode("ascii", "replace").upper()
        for choice in self.choices.split():
            if pattern_of(choice).fullmatch(text):
                return choice.upper() if self.long else "".join(filter(lambda c: not c.islower(), choice))
        raise ScpiError(-224)

    def write(self, device: Scpi, value: str) -> str:
        """Answer with the word as it is kept."""
        return value


@dataclass(frozen=True, slots=True)
class Text(Setting):
    """A quoted string."""

    def parse(self, word: bytes) -> str:
        """Parse the string without its quotes."""
        return word.decode("ascii", "replace").strip("\"'")

    def write(self, device: Scpi, value: str) -> str:
        """Answer with the string in quotes."""
        return f'"{value}"'


def number(word: bytes) -> float:
    """A decimal number, perhaps with a unit such as 10 mV or 1kHz."""
    text = word.strip().upper()
    digits = text.rstrip(b"ABCDFGHIJKLMNOPQRSTUVWXYZ% ")
    unit = text[len(digits) :].strip()
    try:
        value = float(digits)
    except ValueError:
        raise ScpiError(-104) from None
    if unit == b"MHZ":  # the one unit whose M is mega
        return value * 1e6
    for prefix, factor in _UNITS.items():
        if unit.startswith(prefix) and len(unit) > len(prefix):
            return value * factor
    return value


def whole(words: list[bytes], index: int, low: int, high: int, convert: Callable[[bytes], float] = number) -> int:
    """Parameter `index` as a whole number from `low` to `high`."""
    if len(words) <= index:
        raise ScpiError(-109)
    value = convert(words[index])
    if not low <= value <= high:
        raise ScpiError(-222)
    return round(value)
