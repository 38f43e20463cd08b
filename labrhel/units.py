"""Units: reading `ms` and `millivolts`, and writing 0.000451 V as `0.451 mV`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from labrhel.errors import ConfigurationError

PREFIXES = {
    "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9,
    "T": 1e12,
}  # fmt: skip
"""Prefix -> factor; `u` may be written for micro."""

QUANTITIES = {
    "V": "voltage", "A": "current", "s": "time", "Hz": "frequency", "m": "length", "g": "mass", "N": "force",
    "rad": "angle", "Pa": "pressure", "K": "temperature", "W": "power", "J": "energy", "F": "capacitance",
    "H": "inductance", "Ω": "resistance", "T": "magnetic field", "C": "charge",
}  # fmt: skip
"""What is measured in each unit that may have a prefix."""

_WORDS = {
    "volt": "V", "ampere": "A", "amp": "A", "second": "s", "sec": "s", "hertz": "Hz", "meter": "m", "metre": "m",
    "gram": "g", "newton": "N", "radian": "rad", "pascal": "Pa", "kelvin": "K", "watt": "W", "joule": "J",
    "farad": "F", "henry": "H", "ohm": "Ω", "tesla": "T", "coulomb": "C",
}  # fmt: skip
_PREFIX_WORDS = {
    "femto": 1e-15, "pico": 1e-12, "nano": 1e-9, "micro": 1e-6, "milli": 1e-3, "": 1.0, "kilo": 1e3, "mega": 1e6,
    "giga": 1e9,
}  # fmt: skip
_OTHERS = {
    "min": (60.0, "s"), "minute": (60.0, "s"), "minutes": (60.0, "s"), "h": (3600.0, "s"), "hour": (3600.0, "s"),
    "hours": (3600.0, "s"), "deg": (math.pi / 180, "rad"), "degree": (math.pi / 180, "rad"), "v": (1.0, "V"),
    "degrees": (math.pi / 180, "rad"), "°": (math.pi / 180, "rad"), "mv": (1e-3, "V"), "uv": (1e-6, "V"),
    "kv": (1e3, "V"), "msec": (1e-3, "s"), "usec": (1e-6, "s"), "nsec": (1e-9, "s"), "secs": (1.0, "s"),
    "volts": (1.0, "V"), "cm": (1e-2, "m"), "bar": (1e5, "Pa"), "mbar": (1e2, "Pa"), "turn": (2 * math.pi, "rad"),
    "turns": (2 * math.pi, "rad"),
}  # fmt: skip
COUNTED = frozenset(
    ["count", "counts", "digit", "digits", "LSB", "ADU", "px", "pixel", "pixels", "div", "%", "a.u.", "arb"]
)
"""What people write for numbers that are compared with their like alone."""

_SAME = str.maketrans({"\u03bc": "µ", "\u2126": "Ω", "\u03c9": "Ω"})
_FIRST = re.compile(r"([^\s/*^·²³]+)(.*)", re.DOTALL)

_BY_POWER = {round(math.log10(size)): prefix for prefix, size in PREFIXES.items()}
_SIGNIFICANT = 3
_WITHOUT_PREFIX = ("", "1", "model")


@dataclass(frozen=True, slots=True)
class Unit:
    """`size` of a unit without prefix: 1e-3 and "V" for a millivolt."""

    size: float
    base: str

    @property
    def quantity(self) -> str:
        """What is measured in it."""
        return QUANTITIES[self.base]


def read_unit(words: str) -> Unit | None:
    """The unit that people and instruments write so many ways: mV, millivolts, Volt, SEC, µs with either mu, deg.

    None for what is no unit that is known here, products and powers of units among them.
    """
    unit = words.strip().translate(_SAME)
    if unit in _OTHERS:
        return Unit(*_OTHERS[unit])
    for base in QUANTITIES:
        prefix = unit.removesuffix(base)
        if unit.endswith(base) and prefix in PREFIXES:
            return Unit(PREFIXES[prefix], base)
    if unit.endswith(("DC", "dc")):  # VDC, of multimeters
        direct = read_unit(unit[:-2])
        return direct if direct is not None and direct.base in "VA" else None
    lowered = unit.lower()
    before = lowered.removesuffix("s").removesuffix("ohm")
    if "ohm" in lowered and (prefix := unit[: len(before)]) in PREFIXES:  # kOhm, where Ω is hard to type
        return Unit(PREFIXES[prefix], "Ω")
    for word, base in _WORDS.items():
        for end in (word, f"{word}s"):
            prefix = lowered.removesuffix(end)
            if lowered.endswith(end) and prefix in _PREFIX_WORDS:
                return Unit(_PREFIX_WORDS[prefix], base)
    return None


def ratio(unit: str, wanted: str) -> float | None:
    """How many `wanted` one `unit` is: 1e-3 for mV and V, 1e3 for V and mV; None if they measure different things."""
    if unit == wanted:
        return 1.0
    one, other = read_unit(unit), read_unit(wanted)
    return one.size / other.size if one and other and one.base == other.base else None


def factor(unit: str, base: str) -> float:
    """How many `base` one `unit` is: 1e-3 for "ms" and "s".  Raises ConfigurationError for any other unit."""
    unit = unit.translate(_SAME)
    prefix = unit.removesuffix(base)
    if not unit.endswith(base) or prefix not in PREFIXES:
        raise ConfigurationError(f"expected {base} with an SI prefix, such as m{base} or µ{base}, not {unit!r}")
    return PREFIXES[prefix]


def prefixed(size: float, base: str) -> str:
    """The unit that is `size` of `base`: "ms" for 1e-3 and "s"; "0.5 s" where no prefix fits."""
    power = math.log10(size)
    known = _BY_POWER.get(round(power)) if abs(power - round(power)) < 1e-9 else None
    return f"{size:g} {base}" if known is None else known + base


def product(powers: Mapping[str, int]) -> str:
    """A unit from its factors, "V/ms^2" for {"V": 1, "ms": -2}; units without dimension, "1", drop out."""

    def words(sign: int) -> list[str]:
        chosen = [(unit, power * sign) for unit, power in powers.items() if unit != "1" and power * sign > 0]
        return [unit if power == 1 else f"{unit}^{power}" for unit, power in chosen]

    above, below = words(1), words(-1)
    divisor = f"({' '.join(below)})" if len(below) > 1 else "".join(below)
    return (" ".join(above) or "1") + (f"/{divisor}" if below else "")


def interval(low: float, high: float, unit: str) -> str:
    """A range to four significant digits with the unit of its ends: "[-4.998 V, 5 V]"."""
    words = "" if unit in _WITHOUT_PREFIX else f" {unit}"
    return f"[{low:.4g}{words}, {high:.4g}{words}]"


def with_prefix(value: float, unit: str) -> str:
    """`value` to three significant digits, with the SI prefix that leaves 0.1 to 100 before the unit.

    A prefix that the unit has already is taken off first: 2940 mV are 2.94 V.  A unit whose first factor has a power,
    and one that is not known, get no prefix.
    """
    if unit in _WITHOUT_PREFIX:
        return f"{value:.{_SIGNIFICANT}g}"
    bare = _without_prefix(unit)
    if bare is None:
        return f"{value:.{_SIGNIFICANT}g} {unit}"
    value, unit = value * bare[0], bare[1]
    power = _power(value)
    if power is None:
        return f"{value:g} {unit}"
    mantissa = float(f"{value:.{_SIGNIFICANT - 1}e}") / 10.0**power
    decimals = max(0, _SIGNIFICANT - 1 - math.floor(math.log10(abs(mantissa)) + 1e-12))
    return f"{mantissa:.{decimals}f} {_BY_POWER[power]}{unit}"


def fitting(largest: float, unit: str) -> tuple[float, str]:
    """The unit in which `largest` [unit] is between 0.1 and 100, and how many of it one `unit` is: (1e6, "µV").

    (1, unit) where `with_prefix` would set no prefix either.
    """
    bare = _without_prefix(unit)
    power = None if bare is None else _power(largest * bare[0])
    if bare is None or power is None:
        return 1.0, unit
    return bare[0] / 10.0**power, _BY_POWER[power] + bare[1]


def _without_prefix(unit: str) -> tuple[float, str] | None:
    """Size and name of a unit whose first factor has lost its prefix; None for one that takes none."""
    first = _FIRST.fullmatch(unit)
    known = read_unit(first[1]) if first else None
    if first is None or known is None or first[2].lstrip().startswith(("^", "²", "³")):
        return None
    return (1.0, unit) if first[1] in _OTHERS else (known.size, known.base + first[2])


def _power(value: float) -> int | None:
    """The power of ten of the prefix; None for zero and what is not finite."""
    rounded = float(f"{value:.{_SIGNIFICANT - 1}e}")
    if rounded == 0 or not math.isfinite(rounded):
        return None
    power = 3 * math.floor((math.log10(abs(rounded)) + 1 + 1e-12) / 3)
    return min(max(power, min(_BY_POWER)), max(_BY_POWER))
