"""SI prefixes: reading `ms` as 1e-3 of a second, and writing 0.000451 V as `0.451 mV`."""

from __future__ import annotations

import math
from collections.abc import Mapping

from labrhel.errors import ConfigurationError

PREFIXES = {
    "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9,
    "T": 1e12,
}  # fmt: skip
"""Prefix -> factor; `u` may be written for micro."""

_BY_POWER = {round(math.log10(size)): prefix for prefix, size in PREFIXES.items()}
_SIGNIFICANT = 3
_WITHOUT_PREFIX = ("", "1", "model")


def factor(unit: str, base: str) -> float:
    """How many `base` one `unit` is: 1e-3 for "ms" and "s".  Raises ConfigurationError for any other unit."""
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
    """`value` to three significant digits, with the SI prefix that leaves 0.1 to 100 before the unit."""
    if unit in _WITHOUT_PREFIX:
        return f"{value:.{_SIGNIFICANT}g}"
    rounded = float(f"{value:.{_SIGNIFICANT - 1}e}")
    if rounded == 0 or not math.isfinite(rounded):
        return f"{value:g} {unit}"
    power = 3 * math.floor((math.log10(abs(rounded)) + 1 + 1e-12) / 3)
    power = min(max(power, min(_BY_POWER)), max(_BY_POWER))
    mantissa = rounded / 10.0**power
    decimals = max(0, _SIGNIFICANT - 1 - math.floor(math.log10(abs(mantissa)) + 1e-12))
    return f"{mantissa:.{decimals}f} {_BY_POWER[power]}{unit}"
