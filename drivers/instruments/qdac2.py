"""The QDevil QDAC-II: 24 voltages of 25 bits.

Speaks the SCPI commands of the QDAC-II user manual, as the qcodes-contrib driver QDAC2 uses them.  Not yet tried on the
physical instrument.

The instrument has ranges of +-2 V and +-10 V but no other limits of its own: those of this driver are the only ones.
A voltage goes to its new value with the slew rate, inside the instrument.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from drivers.instruments.answers import fields, numbers, one_of
from drivers.instruments.linked import Reading
from drivers.instruments.source import Source
from labrhel.errors import ConfigurationError

_LEVELS = tuple(f"ch{number}" for number in range(1, 25))
_REACH = {"low": 2.0, "high": 10.0}
_SLEWS = (0.01, 2e7)  # V/s


class QDac2(Source):
    """A `drivers.roles.LevelSource` with terminals ch1 to ch24.

    `limits` [V] for all or by terminal; `safe` [V] by terminal, 0 V, all on their way at the same time, where
    nothing is said (it has no switches); `slew` [V/s] of every change, that of making safe included; `range` "low" or
    "high".  Range and slew are set with the first level.
    """

    expected = r"(qdevil|quantum machines)[^,]*,\s*QDAC-II"
    tolerance = 1e-4
    patience = 2.0

    def __init__(self, name: str, address: str, *, slew: float = 100.0, range: str = "high", **source: Any) -> None:
        if range not in _REACH or not _SLEWS[0] <= slew <= _SLEWS[1]:
            raise ConfigurationError(
                f'the range of a QDAC-II is "low" or "high", not {range!r}; its slew {_SLEWS[0]:g} to {_SLEWS[1]:g} '
                f"V/s, not {slew:g}"
            )
        self._range, self.slew = range, slew
        self.reach = dict.fromkeys(_LEVELS, (-_REACH[range], _REACH[range]))
        super().__init__(name, address, **source)

    def set_command(self, own: str, volts: float) -> str:
        return f":sour{own[2:]}:volt {volts:.9g}"

    def question(self, own: str) -> str:
        return f":sour{own[2:]}:volt?"

    def measured(self, terminals: Sequence[str]) -> list[float]:
        return self.ask_as(f":sour:volt? {_listed(terminals)}", numbers(len(terminals)))

    def readings(self, own: str) -> Sequence[Reading]:
        return (
            Reading("slew", f":sour{own[2:]}:volt:slew?", "Slew", "V/s"),
            Reading("range", f":sour{own[2:]}:rang?", "Range", parser=None),
        )

    def _prepare(self, terminals: Iterable[str]) -> None:
        """Range and slew of all channels, once; a range that it has already is not set again."""
        if self._prepared:
            return
        wanted = self._range.upper()
        ranges = self.ask_as(f":sour:rang? {_listed(_LEVELS)}", _ranges)
        others = [own for own, has in zip(_LEVELS, ranges, strict=True) if has != wanted]
        change = [f":sour:rang {wanted},{_listed(others)}"] if others else []
        (slew,) = self._do(*change, f":sour:volt:slew {self.slew:.9g},{_listed(_LEVELS)}", ":sour1:volt:slew?")
        self._remembers[":sour1:volt:slew?"] = slew
        self._prepared |= set(_LEVELS)


def _ranges(text: str) -> list[str]:
    return [one_of("LOW", "HIGH")(part) for part in fields(text, len(_LEVELS))]


def _listed(terminals: Sequence[str]) -> str:
    return f"(@{','.join(own[2:] for own in terminals)})"
