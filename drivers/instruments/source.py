"""What sources of slow voltages share: limits, safe levels, read-back, waiting until a level is reached.

A driver says what the terminals of its instrument reach and the words it understands (docs/adding-an-instrument.md):

    class GS200(Source):
        expected = r"yokogawa,\\s*GS2[01]0"
        reach = {"out": (-30.0, 30.0)}

        def set_command(self, own, volts): return f":SOUR:LEV {volts:.6g}"
        def question(self, own): return ":SOUR:LEV?"

Levels go out together and are there when they read back; what was set is remembered, so that a source that has
restarted says so.
"""  # noqa: D301

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from qcodes.instrument import InstrumentChannel
from qcodes.validators import Numbers

from drivers.instruments._waiting import wait_until
from drivers.instruments.answers import number
from drivers.instruments.linked import (
    LinkedInstrument,
    Range,
    Ranges,
    Reading,
    add_readings,
    closed_after,
    ranges_of,
    require_within,
    safe_levels,
)
from labrhel.errors import ConfigurationError, InstrumentError, ProgramError


class Source(LinkedInstrument):
    """A `drivers.roles.LevelSource`.

    `limits` [V] for all or by terminal, what the instrument reaches where nothing is said; `safe` [V] by terminal, off
    (0 V) where nothing is said.
    """

    reach: Mapping[str, Range]
    """What each terminal can ever be set to [V]."""
    resolution: float = 0.0
    """The step between levels [V]; 0: finer than matters."""
    tolerance: ClassVar[float] = 1e-3
    """How near a level counts as reached [V]."""
    patience: ClassVar[float] = 3.0
    """How long a level may take, once it has come to it at its slew [s]."""
    level_words: ClassVar[tuple[str, str]] = ("Voltage", "Reads back; LimitError outside its limits.")
    """Label and documentation of the parameter `voltage`."""
    slew: float = math.inf
    """How fast it goes from level to level [V/s]."""
    remedy: ClassVar[str] = ""
    """What to look at if a level is not reached."""

    def __init__(
        self,
        name: str,
        address: str,
        *,
        limits: Ranges = None,
        safe: Mapping[str, float] | None = None,
        **link: Any,
    ) -> None:
        super().__init__(name, address, **link)
        try:
            self.levels: Mapping[str, Range] = ranges_of(limits, self.reach)
            self.held: Mapping[str, float] = safe_levels(self.levels, safe)
            self._require_safe_at_zero()
        except BaseException:
            closed_after(self)
            raise
        self._orders, self._prepared = 0, set[str]()
        for own in self.reach:
            self.add_submodule(own, SourceChannel(self, own))

    @abstractmethod
    def set_command(self, own: str, volts: float) -> str:
        """What sets a terminal."""

    @abstractmethod
    def question(self, own: str) -> str:
        """What asks for the level of a terminal as it was set."""

    def measured(self, terminals: Sequence[str]) -> list[float]:
        """What the terminals are at [V]; left alone, what `question` answers for each."""
        return [self.ask_as(self.question(own), number, repeat=True) for own in terminals]

    def on_commands(self, terminals: Sequence[str]) -> list[str]:
        """What switches terminals on, once their level is set; none where that is not needed."""
        return []

    def off_commands(self, own: str) -> list[str]:
        """What switches a terminal off, so that it is at 0 V; None: it has no switch, and is set to 0 V."""
        return []

    def preparation(self, terminals: Sequence[str]) -> list[str]:
        """What has to be said before terminals are first set, and again after a restart."""
        return []

    def readings(self, own: str) -> Sequence[Reading]:
        """What else a terminal is asked for, as QCoDeS parameters."""
        return ()

    def _require_safe_at_zero(self) -> None:
        """What has no switch and no safe level is made safe at 0 V, which has to be allowed there."""
        for own, (low, high) in self.levels.items():
            if own not in self.held and not low <= 0 <= high and not self.off_commands(own):
                raise ConfigurationError(
                    f"{self.name}.{own} is made safe at 0 V, outside its limits [{low:g}, {high:g}] V: give it a safe "
                    f"level, init: {{safe: {{{own}: ...}}}}, or limits with 0 V"
                )

    def set_levels(self, volts: Mapping[str, float]) -> dict[str, float]:
        """Set terminals [V]; returns what they read back as.  LimitError outside the range, and nothing moves."""
        for own, level in volts.items():
            require_within(f"{self.name}.{own}", level, self._allowed(own))
        if not volts:
            return {}
        with self.link.exclusive():
            seconds = self._send(volts)
            order = self._orders
        now = self._arrive(volts, seconds, order)
        with self.link.exclusive():
            questions = list(map(self.question, volts))
            answers = self._do(*questions)
            if order == self._orders:
                self._remembers |= dict(zip(questions, answers, strict=True))
        return now

    def get_levels(self, terminals: Sequence[str]) -> dict[str, float]:
        """What terminals read back as [V]."""
        for own in terminals:
            self._allowed(own)
        answer = self.measured(terminals)
        if len(answer) != len(terminals):
            raise InstrumentError(f"{self.name} answers {len(answer)} of {len(terminals)} voltages", answer=str(answer))
        return dict(zip(terminals, answer, strict=True))

    def _allowed(self, own: str) -> Range:
        if own not in self.levels:
            names = list(self.levels)
            known = ", ".join(names) if len(names) < 3 else f"{names[0]} to {names[-1]}"
            raise ProgramError(f"{self.name} has no terminal {own!r}; it has {known}")
        return self.levels[own]

    def _send(self, volts: Mapping[str, float]) -> float:
        """Send all on their way; returns how long that takes at most [s]."""
        self._prepare(volts)
        seconds = self.patience
        if math.isfinite(self.slew):
            now = self.get_levels(list(volts))
            seconds += max(abs(volts[own] - now[own]) for own in volts) / self.slew
        self._orders += 1
        for own in volts:
            self._remembers.pop(self.question(own), None)
        self._do(*(self.set_command(own, level) for own, level in volts.items()), *self.on_commands(list(volts)))
        return seconds

    def _arrive(self, volts: Mapping[str, float], seconds: float, order: int) -> dict[str, float]:
        """Wait until they are there; returns what they read back as."""
        now: dict[str, float] = {}

        def arrived() -> bool:
            if order != self._orders:
                raise InstrumentError(f"{self.name} was given other levels before it had reached {dict(volts)}")
            now.update(self.get_levels(list(volts)))
            return all(abs(now[own] - volts[own]) <= self.tolerance for own in volts)

        wait_until(arrived, seconds, f"{self.name} has not reached {dict(volts)}{self.remedy}")
        return now

    def _prepare(self, terminals: Iterable[str]) -> None:
        """Say what has to be said before terminals are set, once."""
        fresh = [own for own in terminals if own not in self._prepared]
        if fresh and (commands := self.preparation(fresh)):
            self._do(*commands)
        self._prepared |= set(fresh)

    def _make_safe(self) -> None:
        self._switch_off()
        self._bring(self.held)

    def _switch_off(self) -> None:
        """Off, one message each; at 0 V, all at the same time, where the instrument has no switches."""
        off = {own: 0.0 for own in self.levels if own not in self.held}
        commands = [command for own in off for command in self.off_commands(own)]
        if not commands:
            self._bring(off)
            return
        self._orders += 1
        for own in off:
            self._remembers.pop(self.question(own), None)
        self._each(commands)
        self._arrive(off, self.patience, self._orders)

    def _bring(self, volts: Mapping[str, float]) -> None:
        if volts:
            self._arrive(volts, self._send(volts), self._orders)

    def _forget(self) -> None:
        """Levels are held, not played."""

    def _lost(self) -> None:
        self._prepared.clear()


class SourceChannel(InstrumentChannel):
    """One voltage."""

    def __init__(self, parent: Source, own: str) -> None:
        super().__init__(parent, own)
        label, words = parent.level_words
        self.voltage = self.add_parameter(
            "voltage",
            label=label,
            unit="V",
            get_cmd=lambda: parent.get_levels([own])[own],
            set_cmd=lambda volts: parent.set_levels({own: volts}),
            vals=Numbers(),
            docstring=words,
        )
        add_readings(self, parent.readings(own))
