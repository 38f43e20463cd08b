"""Power supplies of the Keysight E36300 series, as E36312A: one output of 6 V and two of 25 V, none of them negative.

Speaks the commands of the E36300 Series Programming Guide (E36311-90008).  Not yet tried on the physical instrument.

A level is the voltage at the terminals: an output is switched on when it is first given one, and off when it is made
safe, unless it has a safe level.  Its over-voltage protection is set just above the limit, so the instrument itself
switches off what goes past the driver; its current limit is that of the station file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drivers.instruments.answers import numbers
from drivers.instruments.linked import Reading
from drivers.instruments.source import Source
from labrhel.errors import ConfigurationError

_AMPERES = {"ch1": 5.15, "ch2": 1.03, "ch3": 1.03}
_ABOVE = (1.02, 0.1)  # protection: factor and V above the limit, so that noise does not trip it


class E36300(Source):
    """A `drivers.roles.LevelSource` with terminals ch1 to ch3.

    `limits` [V] for all or by terminal; `safe` [V] by terminal, switched off where nothing is said; `current` [A]
    by terminal, left as it is where nothing is said.
    """

    expected = r"(agilent|keysight)[^,]*,\s*E3631[123]A"
    reach = {"ch1": (0.0, 6.18), "ch2": (0.0, 25.75), "ch3": (0.0, 25.75)}  # noqa: RUF012
    resolution = 1e-3
    tolerance = 0.02
    level_words = ("Voltage at the terminals", "Is measured; LimitError outside its limits.")
    remedy = ": is its protection tripped, or its current limit too low?"

    def __init__(self, name: str, address: str, *, current: Mapping[str, float] | None = None, **source: Any) -> None:
        for own, amperes in (current or {}).items():
            if own not in _AMPERES or not 0 < amperes <= _AMPERES[own]:
                raise ConfigurationError(f"{own}: {amperes:g} A is no current of ch1 (5.15 A), ch2 or ch3 (1.03 A)")
        self._current = dict(current or {})
        super().__init__(name, address, **source)

    def set_command(self, own: str, volts: float) -> str:
        return f":VOLT {volts:.9g},{_at(own)}"

    def question(self, own: str) -> str:
        return f":VOLT? {_at(own)}"

    def measured(self, terminals: Sequence[str]) -> list[float]:
        question = f":MEAS:VOLT? {_at(*terminals)}"  # of this supply it changes nothing, and may be asked again
        return self.ask_as(question, numbers(len(terminals)), repeat=True)

    def on_commands(self, terminals: Sequence[str]) -> list[str]:
        return [f":OUTP ON,{_at(*terminals)}"]

    def off_commands(self, own: str) -> list[str]:
        return [f":OUTP OFF,{_at(own)}"]

    def preparation(self, terminals: Sequence[str]) -> list[str]:
        """Protection and current limit."""
        highest = {own: min(self.levels[own][1] * _ABOVE[0] + _ABOVE[1], 1.1 * self.reach[own][1]) for own in terminals}
        limited = [own for own in terminals if own in self._current]
        return [
            *(f":VOLT:PROT {volts:.6g},{_at(own)}" for own, volts in highest.items()),
            *(f":CURR {self._current[own]:.6g},{_at(own)}" for own in limited),
        ]

    def readings(self, own: str) -> Sequence[Reading]:
        return (
            Reading("current", f":MEAS:CURR? {_at(own)}", "Current", "A"),
            Reading("current_limit", f":CURR? {_at(own)}", "Current limit", "A"),
            Reading("protection", f":VOLT:PROT? {_at(own)}", "Over-voltage protection", "V"),
        )


def _at(*terminals: str) -> str:
    return f"(@{','.join(own[2:] for own in terminals)})"
