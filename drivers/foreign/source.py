"""A source of levels with somebody else's driver: a parameter is set, and read back until it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drivers.foreign.box import Box, values_of
from drivers.foreign.speech import is_message
from drivers.instruments._waiting import wait_until
from drivers.instruments.linked import Range, require_within, safe_levels
from labrhel.config.driver_sections import LevelsSection
from labrhel.errors import ConfigurationError, InstrumentError, ProgramError


class ForeignSource(Box):
    """A `drivers.roles.LevelSource`; `section` says how a level is set, read and switched."""

    def __init__(self, *box: Any, section: LevelsSection) -> None:
        super().__init__(*box)
        self._section = section
        low, high = section.limits
        self.levels: Mapping[str, Range] = dict.fromkeys(section.terminals, (low, high))
        self.held: Mapping[str, float] = safe_levels(self.levels, section.safe)
        self._prepared = set[str]()
        self._orders = 0
        if section.output is None and not low <= 0 <= high and (left := self.levels.keys() - self.held.keys()):
            raise ConfigurationError(
                f"{self.name}.{min(left)} is made safe at 0 V, outside its limits [{low:g}, {high:g}] V: give it a "
                "safe level, levels: {safe: ...}, an `output`, or limits with 0 V"
            )
        for own in self.levels:
            for name in filter(None, (section.level, section.output)):
                self._speech.settable(name, values_of(own))
        self._check([*section.prepare, *([section.read] if section.read else [])], section.terminals)
        self._check([section.errors] if section.errors else [])

    def set_levels(self, volts: Mapping[str, float]) -> dict[str, float]:
        """Set terminals [V]; returns what they read back as.  LimitError outside the range, and nothing moves."""
        for own, level in volts.items():
            require_within(f"{self.name}.{own}", level, self._allowed(own))
        with self._wire.exclusive():
            self._orders += 1
            order = self._orders
            for own, level in volts.items():
                if own not in self._prepared:
                    self._do(self._section.prepare, values_of(own))
                    self._prepared.add(own)
                self._speech.set(self._section.level, float(level), values_of(own))
                self._turn(own, self._section, on=True)
            self._require_no_error(self._section.errors, f"{', '.join(volts)} were set")
        return self._arrive(volts, order)

    def get_levels(self, terminals: Sequence[str]) -> dict[str, float]:
        """What terminals read back as [V]."""
        found = {}
        for own in terminals:
            self._allowed(own)
            found[own] = self._number(self._section.read or self._section.level, values_of(own))
        return found

    def _arrive(self, volts: Mapping[str, float], order: int) -> dict[str, float]:
        """Wait until they are there; those that are not read back are asked again."""
        now: dict[str, float] = {}

        def arrived() -> bool:
            if order != self._orders:
                raise InstrumentError(f"{self.name} was given other levels before it had reached {dict(volts)}")
            left = [own for own in volts if own not in now or abs(now[own] - volts[own]) > self._section.tolerance]
            now.update(self.get_levels(left))
            return all(abs(now[own] - volts[own]) <= self._section.tolerance for own in left)

        wait_until(arrived, self._section.patience, f"{self.name} has not reached {dict(volts)}")
        return {own: now[own] for own in volts}

    def _allowed(self, own: str) -> Range:
        if own not in self.levels:
            raise ProgramError(f"{self.name} has no terminal {own!r}; it has {', '.join(self.levels)}")
        return self.levels[own]

    def _require_sense(self) -> None:
        section, terminals = self._section, list(self.levels)
        self._switches("levels", terminals, section)
        self._takes("levels.read" if section.read else "levels.level", section.read or section.level, terminals)
        if self.held:
            for index, step in enumerate(section.prepare):
                self._takes(f"levels.prepare.{index}", step, list(self.held))
        if section.output is None:
            off = [own for own in terminals if own not in self.held]
            if off:
                self._takes("levels.level", {section.level: 0.0}, off)
        if not all(map(is_message, section.prepare)):
            return  # it may choose a range, and with it what the driver takes
        for own, volts in self.held.items():
            self._takes(f"levels.safe.{own}", {section.level: volts}, [own])
        for volts in section.limits:
            self._takes("levels.limits", {section.level: volts}, terminals)

    def _switch_off(self) -> None:
        """Off, or to 0 V where there is no switch, whatever becomes of the others; the first failure is said."""
        self._orders += 1
        off = [own for own in self.levels if own not in self.held]
        if self._section.output is not None:
            self._all_off(off, self._section)
            return
        first: Exception | None = None
        for own in off:
            try:
                self._speech.set(self._section.level, 0.0, values_of(own))
            except Exception as error:
                first = first or error
        if first is not None:
            raise first
        self._arrive(dict.fromkeys(off, 0.0), self._orders)

    def _make_safe(self) -> None:
        self._switch_off()
        if self.held:
            self.set_levels(self.held)

    def _forget(self) -> None:
        """Levels are held, not played."""
