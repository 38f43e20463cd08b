"""Power supplies of the Keysight E36300 series, as E36312A: one output of 6 V and two of 25 V, none of them negative.

Speaks the commands of the E36300 Series Programming Guide (E36311-90008).  Not yet tried on the physical instrument.

A level is the voltage at the terminals: an output is switched on when it is first given one, and off when it is made
safe, unless it has a safe level.  Its over-voltage protection is set just above the limit, so the instrument itself switches off what goes
past the driver; its current limit is that of the station file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qcodes.instrument import InstrumentChannel
from qcodes.validators import Numbers

from drivers.instruments._waiting import wait_until
from drivers.instruments.linked import LinkedInstrument, Ranges, closed_after, ranges_of, require_within, safe_levels
from labrhel.errors import ConfigurationError, InstrumentError, ProgramError

_REACH = {"ch1": (0.0, 6.18), "ch2": (0.0, 25.75), "ch3": (0.0, 25.75)}
_AMPERES = {"ch1": 5.15, "ch2": 1.03, "ch3": 1.03}
_TOLERANCE = 0.02  # V between what was set and what is measured
_ABOVE = (1.02, 0.1)  # protection: factor and V above the limit, so that noise does not trip it
_PATIENCE = 3.0  # s for a level to be reached


class E36300(LinkedInstrument):
    """A `drivers.roles.LevelSource` with terminals ch1 to ch3.

    `limits` [V] for all or by terminal; `safe` [V] by terminal, switched off where nothing is said; `current` [A]
    by terminal, left as it is where nothing is said.
    """

    def __init__(
        self,
        name: str,
        address: str,
        *,
        limits: Ranges = None,
        safe: Mapping[str, float] | None = None,
        current: Mapping[str, float] | None = None,
        **link: Any,
    ) -> None:
        super().__init__(name, address, r"(agilent|keysight)[^,]*,\s*E3631[123]A", **link)
        try:
            self.levels: Mapping[str, tuple[float, float]] = ranges_of(limits, _REACH)
            self.resolution = 1e-3
            self.held: Mapping[str, float] = safe_levels(self.levels, safe)
            for own, amperes in (current or {}).items():
                if own not in _AMPERES or not 0 < amperes <= _AMPERES[own]:
                    raise ConfigurationError(f"{own}: {amperes:g} A is no current of ch1 (5.15 A), ch2 or ch3 (1.03 A)")
        except BaseException:
            closed_after(self)
            raise
        self._current = dict(current or {})
        self._is_set_up: set[str] = set()
        for own in _REACH:
            self.add_submodule(own, E36300Channel(self, own))

    def set_levels(self, volts: Mapping[str, float]) -> dict[str, float]:
        """Set terminals [V]; returns what is measured there.  LimitError outside the range, and nothing moves."""
        for own, level in volts.items():
            require_within(f"{self.name}.{own}", level, self._allowed(own))
        if not volts:
            return {}
        with self.link.exclusive():
            for own in volts:
                self._remembers.pop(_question(own), None)
            self._do(*(command for own in volts for command in self._set_up(own)))
            self._is_set_up |= set(volts)
            self._do(*(f":VOLT {level:.6g},{_at(own)}" for own, level in volts.items()), f":OUTP ON,{_at(*volts)}")
            self._remembers |= dict(zip(map(_question, volts), self._do(*map(_question, volts)), strict=True))
        return self._await(volts)

    def get_levels(self, terminals: Sequence[str]) -> dict[str, float]:
        """What is measured at terminals [V]."""
        for own in terminals:
            self._allowed(own)
        question = f":MEAS:VOLT? {_at(*terminals)}"  # of this supply it changes nothing, and may be asked again
        answer = self.link.query_as(question, lambda text: [float(x) for x in text.split(",")], repeat=True)
        if len(answer) != len(terminals):
            raise InstrumentError(f"{self.name} answers {len(answer)} of {len(terminals)} voltages", answer=str(answer))
        return dict(zip(terminals, answer, strict=True))

    def _allowed(self, own: str) -> tuple[float, float]:
        if own not in self.levels:
            raise ProgramError(f"{self.name} has no terminal {own!r}; it has ch1, ch2 and ch3")
        return self.levels[own]

    def _set_up(self, own: str) -> list[str]:
        """Protection and current limit, before an output is first switched on."""
        if own in self._is_set_up:
            return []
        highest = min(self.levels[own][1] * _ABOVE[0] + _ABOVE[1], 1.1 * _REACH[own][1])
        commands = [f":VOLT:PROT {highest:.6g},{_at(own)}"]
        if own in self._current:
            commands.append(f":CURR {self._current[own]:.6g},{_at(own)}")
        return commands

    def _await(self, volts: Mapping[str, float]) -> dict[str, float]:
        now: dict[str, float] = {}

        def arrived() -> bool:
            now.update(self.get_levels(list(volts)))
            return all(abs(now[own] - level) <= _TOLERANCE for own, level in volts.items())

        words = f"{self.name} does not reach {dict(volts)}: is its protection tripped, or its current limit too low?"
        wait_until(arrived, _PATIENCE, words)
        return now

    def _make_safe(self) -> None:
        self._switch_off()
        if self.held:
            for own in self.held:
                self._remembers.pop(_question(own), None)
            levels = (f":VOLT {level:.6g},{_at(own)}" for own, level in self.held.items())
            self._do(*levels, f":OUTP ON,{_at(*self.held)}")
            self._await(self.held)

    def _switch_off(self) -> None:
        off = [own for own in self.levels if own not in self.held]
        for own in off:
            self._remembers.pop(_question(own), None)
        self._each(f":OUTP OFF,{_at(own)}" for own in off)
        if off:
            self._await(dict.fromkeys(off, 0.0))

    def _forget(self) -> None:
        """Levels are held, not played."""

    def _lost(self) -> None:
        self._is_set_up.clear()


class E36300Channel(InstrumentChannel):
    """One output."""

    def __init__(self, parent: E36300, own: str) -> None:
        super().__init__(parent, own)
        self.voltage = self.add_parameter(
            "voltage",
            label="Voltage at the terminals",
            unit="V",
            get_cmd=lambda: parent.get_levels([own])[own],
            set_cmd=lambda volts: parent.set_levels({own: volts}),
            vals=Numbers(),
            docstring="Is measured; LimitError outside its limits.",
        )
        for key, words, unit, label in (
            ("current", ":MEAS:CURR?", "A", "Current"),
            ("current_limit", ":CURR?", "A", "Current limit"),
            ("protection", ":VOLT:PROT?", "V", "Over-voltage protection"),
        ):
            question = f"{words} {_at(own)}"
            self.add_parameter(key, label=label, unit=unit, get_cmd=question, get_parser=float, set_cmd=False)


def _at(*terminals: str) -> str:
    return f"(@{','.join(own[2:] for own in terminals)})"


def _question(own: str) -> str:
    return f":VOLT? {_at(own)}"
