"""The QDevil QDAC-II: 24 voltages of 25 bits.

Speaks the SCPI commands of the QDAC-II user manual, as the qcodes-contrib driver QDAC2 uses them.  Not yet tried on the
physical instrument.

The instrument has ranges of +-2 V and +-10 V but no other limits of its own: those of this driver are the only ones.
A voltage goes to its new value with the slew rate, inside the instrument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qcodes.instrument import InstrumentChannel
from qcodes.validators import Numbers

from drivers.instruments._waiting import wait_until
from drivers.instruments.linked import LinkedInstrument, Ranges, closed_after, ranges_of, require_within, safe_levels
from labrhel.errors import ConfigurationError, InstrumentError, ProgramError

CHANNELS = tuple(range(1, 25))
_LEVELS = tuple(f"ch{number}" for number in CHANNELS)
_REACH = {"low": 2.0, "high": 10.0}
_SLEWS = (0.01, 2e7)  # V/s
_TOLERANCE = 1e-4  # V between what was set and what reads back


class QDac2(LinkedInstrument):
    """A `drivers.roles.LevelSource` with terminals ch1 to ch24.

    `limits` [V] for all or by terminal; `safe` [V] by terminal, off (0 V, all on their way at the same time: it has no
    switches) where nothing is said; `slew` [V/s] of every change,
    that of making safe included; `range` "low" or "high".  Range and slew are set with the first level.
    """

    def __init__(
        self,
        name: str,
        address: str,
        *,
        limits: Ranges = None,
        safe: Mapping[str, float] | None = None,
        slew: float = 100.0,
        range: str = "high",
        **link: Any,
    ) -> None:
        super().__init__(name, address, r"qdevil[^,]*,\s*QDAC-II", **link)
        try:
            if range not in _REACH or not _SLEWS[0] <= slew <= _SLEWS[1]:
                raise ConfigurationError(
                    f'the range of a QDAC-II is "low" or "high", not {range!r}; its slew {_SLEWS[0]:g} to '
                    f"{_SLEWS[1]:g} V/s, not {slew:g}"
                )
            reach = _REACH[range]
            self.levels: Mapping[str, tuple[float, float]] = ranges_of(limits, dict.fromkeys(_LEVELS, (-reach, reach)))
            self.resolution = 0.0
            self.held: Mapping[str, float] = safe_levels(self.levels, safe)
        except BaseException:
            closed_after(self)
            raise
        self._range, self._slew = range, slew
        self._is_set_up, self._orders = False, 0
        for own in _LEVELS:
            self.add_submodule(own, QDac2Channel(self, own))

    def set_levels(self, volts: Mapping[str, float]) -> dict[str, float]:
        """Set terminals [V]; returns what they read back as.  LimitError outside the range, and nothing moves."""
        for own, level in volts.items():
            require_within(f"{self.name}.{own}", level, self._allowed(own))
        if not volts:
            return {}
        with self.link.exclusive():
            self._set_up()
            before = self._send(volts)
            order = self._orders
        return self._await(volts, before, order)

    def get_levels(self, terminals: Sequence[str]) -> dict[str, float]:
        """What terminals read back as [V]."""
        for own in terminals:
            self._allowed(own)
        answer = self.link.query_as(f":sour:volt? {_listed(terminals)}", _numbers)
        if len(answer) != len(terminals):
            raise InstrumentError(f"{self.name} answers {len(answer)} of {len(terminals)} voltages", answer=str(answer))
        return dict(zip(terminals, answer, strict=True))

    def _allowed(self, own: str) -> tuple[float, float]:
        if own not in self.levels:
            raise ProgramError(f"{self.name} has no terminal {own!r}; it has ch1 to ch24")
        return self.levels[own]

    def _send(self, volts: Mapping[str, float]) -> dict[str, float]:
        """Send all on their way at the same time; returns where they were."""
        before = self.get_levels(list(volts))
        for own in volts:
            self._remembers.pop(_question(own), None)
        self._orders += 1
        self._do(*(f":sour{own[2:]}:volt {level:.9g}" for own, level in volts.items()))
        return before

    def _await(self, volts: Mapping[str, float], before: Mapping[str, float], order: int) -> dict[str, float]:
        """Until they are there; returns what they read back as."""
        now = dict(before)
        way = max(abs(volts[own] - before[own]) for own in volts)

        def arrived() -> bool:
            if order != self._orders:
                raise InstrumentError(f"{self.name} was given other levels before it had reached {dict(volts)}")
            now.update(self.get_levels(list(volts)))
            return all(abs(now[own] - volts[own]) <= _TOLERANCE for own in volts)

        wait_until(arrived, way / self._slew + 2.0, f"{self.name} has not reached {dict(volts)}")
        with self.link.exclusive():
            answers = self._do(*map(_question, volts))
            if order == self._orders:
                self._remembers |= dict(zip(map(_question, volts), answers, strict=True))
        return now

    def _set_up(self) -> None:
        """Range and slew of all channels, once; a range that it has already is not set again."""
        if self._is_set_up:
            return
        wanted = self._range.upper()
        ranges = self.link.query(f":sour:rang? {_listed(_LEVELS)}").split(",")
        others = [own for own, has in zip(_LEVELS, ranges, strict=True) if has.strip().upper() != wanted]
        change = [f":sour:rang {wanted},{_listed(others)}"] if others else []
        (slew,) = self._do(*change, f":sour:volt:slew {self._slew:.9g},{_listed(_LEVELS)}", ":sour1:volt:slew?")
        self._remembers[":sour1:volt:slew?"] = slew
        self._is_set_up = True

    def _make_safe(self) -> None:
        self._bring(dict.fromkeys(self.levels, 0.0) | dict(self.held))

    def _switch_off(self) -> None:
        self._bring({own: 0.0 for own in self.levels if own not in self.held})

    def _bring(self, volts: Mapping[str, float]) -> None:
        if volts:
            self._set_up()
            before = self._send(volts)
            self._await(volts, before, self._orders)

    def _forget(self) -> None:
        """Levels are held, not played."""

    def _lost(self) -> None:
        self._is_set_up = False


class QDac2Channel(InstrumentChannel):
    """One voltage."""

    def __init__(self, parent: QDac2, own: str) -> None:
        super().__init__(parent, own)
        self.voltage = self.add_parameter(
            "voltage",
            label="Voltage",
            unit="V",
            get_cmd=lambda: parent.get_levels([own])[own],
            set_cmd=lambda volts: parent.set_levels({own: volts}),
            vals=Numbers(),
            docstring="Reads back; LimitError outside its limits.",
        )
        self.add_parameter(
            "slew", label="Slew", unit="V/s", get_cmd=f":sour{own[2:]}:volt:slew?", get_parser=float, set_cmd=False
        )
        self.add_parameter("range", label="Range", get_cmd=f":sour{own[2:]}:rang?", set_cmd=False)


def _listed(terminals: Sequence[str]) -> str:
    return f"(@{','.join(own[2:] for own in terminals)})"


def _question(own: str) -> str:
    return f":sour{own[2:]}:volt?"


def _numbers(answer: str) -> list[float]:
    return [float(word) for word in answer.split(",")]
