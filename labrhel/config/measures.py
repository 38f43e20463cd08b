"""Numbers with units, as a file or a URL writes them: `2us`, `1 mV`, `0.3%`, `20/s`; a bare number is in SI."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from labrhel.config.problems import describe
from labrhel.errors import ConfigurationError
from labrhel.units import factor

_MEASURE = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*")
_SHARES = {"": 1.0, "1": 1.0, "%": 1e-2, "ppm": 1e-6}
_EXACT = re.compile(r"\w+\.(gain|offset|delay)")


@dataclass(frozen=True, slots=True)
class Measure:
    """A finite number with the unit it was written with, "" for none; ValueError for another one."""

    value: float
    unit: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError("every value must be a finite number")

    def of(self, base: str) -> float:
        """The number in `base`; raises ConfigurationError for any unit but `base` with an SI prefix."""
        if not self.unit:
            return self.value
        if base in ("", "1"):
            raise ConfigurationError(f"expected a number without unit, not {self.value:g} {self.unit}")
        if not math.isfinite(value := self.value * factor(self.unit, base)):
            raise ConfigurationError("every value must be a finite number")
        return value


def _measure(value: Any) -> Measure:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = repr(value)
    found = _MEASURE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"expected a number, or one with its unit such as 2us or 1 mV, not {describe(value)}")
    return Measure(float(found[1]), found[2])


def _share(value: Any) -> float:
    measure = _measure(value)
    if measure.unit not in _SHARES:
        raise ValueError(f"expected a share such as 0.01, 1% or 5ppm, not {describe(value)}")
    return measure.value * _SHARES[measure.unit]


def _si(base: str) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        try:
            return _measure(value).of(base)
        except ConfigurationError as error:
            raise ValueError(error.problem) from None

    return convert


def _rate(value: Any) -> float:
    measure = _measure(value)
    try:
        return measure.value / factor(measure.unit.removeprefix("/"), "s") if measure.unit else measure.value
    except ConfigurationError:
        raise ValueError(f"expected a rate such as 20 or 20/s or 0.5/ms, not {describe(value)}") from None


def _not_negative(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def checked(value: Any) -> Any:
        converted = convert(value)
        if (converted.value if isinstance(converted, Measure) else converted) < 0:
            raise ValueError(f"must be 0 or more, not {value}")
        return converted

    return checked


def _positive(convert: Callable[[Any], Measure]) -> Callable[[Any], Measure]:
    def checked(value: Any) -> Measure:
        converted = convert(value)
        if not converted.value > 0:
            raise ValueError(f"must be more than 0, not {value}")
        return converted

    return checked


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        measure = _measure(value)
        if measure.unit or not measure.value.is_integer() or not low <= measure.value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}, not {describe(value)}")
        return int(measure.value)

    return convert


def _list_of_rates(value: Any) -> tuple[float, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not items:
        raise ValueError(f"expected a list of rates, one for each mode, not {describe(value)}")
    return tuple(_not_negative(_rate)(item) for item in items)


def _matrix(value: Any) -> tuple[tuple[float, ...], ...]:
    rows = value if isinstance(value, list) else []
    if not rows or any(not isinstance(row, list) or len(row) != len(rows) for row in rows):
        raise ValueError(f"expected a square matrix as a list of rows, not {describe(value)}")
    return tuple(tuple(_share(item) for item in row) for row in rows)


def _exact_values(value: Any) -> dict[str, Measure]:
    if not isinstance(value, dict):
        raise ValueError(f"expected values by port or channel, such as f1.delay: 2us, not {describe(value)}")
    for key in value:
        if not _EXACT.fullmatch(str(key)):
            raise ValueError(f"{key} is no gain, offset or delay of a port or channel, such as f1.delay or q4.gain")
    return {str(key): _measure(item) for key, item in value.items()}


_NUMBER = WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})
_LIST = {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "string"}]}, "minItems": 1}
_ROWS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}, "minItems": 1}
_MAPPING = {"type": "object", "additionalProperties": {"anyOf": [{"type": "number"}, {"type": "string"}]}}

Share = Annotated[float, BeforeValidator(_not_negative(_share)), _NUMBER]
SignedShare = Annotated[float, BeforeValidator(_share), _NUMBER]
Seconds = Annotated[float, BeforeValidator(_not_negative(_si("s"))), _NUMBER]
SignedSeconds = Annotated[float, BeforeValidator(_si("s")), _NUMBER]
Volts = Annotated[float, BeforeValidator(_si("V")), _NUMBER]
Hertz = Annotated[float, BeforeValidator(_not_negative(_si("Hz"))), _NUMBER]
Rate = Annotated[float, BeforeValidator(_not_negative(_rate)), _NUMBER]
Rates = Annotated[tuple[float, ...], BeforeValidator(_list_of_rates), WithJsonSchema(_LIST)]
Matrix = Annotated[tuple[tuple[float, ...], ...], BeforeValidator(_matrix), WithJsonSchema(_ROWS)]
Reading = Annotated[Measure, BeforeValidator(_not_negative(_measure)), _NUMBER]
Range = Annotated[Measure, BeforeValidator(_positive(_measure)), _NUMBER]
Number = Annotated[float, BeforeValidator(_not_negative(_si(""))), _NUMBER]
Bits = Annotated[
    int | None, BeforeValidator(_whole(1, 31)), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 31})
]
Seed = Annotated[int, BeforeValidator(_whole(0, 2**53)), WithJsonSchema({"type": "integer", "minimum": 0})]
Exact = Annotated[dict[str, Measure], BeforeValidator(_exact_values), WithJsonSchema(_MAPPING)]
