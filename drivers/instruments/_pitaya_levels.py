"""The slow outputs of a Red Pitaya: four voltages from 0 to 1.8 V, 156 steps apart (pins AO0 to AO3)."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence

from qcodes.instrument import InstrumentChannel
from qcodes.validators import Numbers

from drivers.instruments.linked import LinkedInstrument, Range, Ranges, ranges_of, require_within, safe_levels
from labrhel.errors import InstrumentError, ProgramError

_LEVELS = tuple(f"aout{pin}" for pin in range(4))
_REACH, _CODES = 1.8, 156  # V, codes


class PitayaLevels(LinkedInstrument, ABC):
    """The part that is a `drivers.roles.LevelSource`."""

    levels: Mapping[str, Range]
    held: Mapping[str, float]

    def _add_levels(self, limits: Ranges, safe: Mapping[str, float] | None) -> None:
        """Raises ConfigurationError for limits and safe levels [V] beyond what they reach."""
        self.levels = ranges_of(limits, dict.fromkeys(_LEVELS, (0.0, _REACH)))
        self.resolution = _REACH / _CODES
        self.held = safe_levels(self.levels, safe)
        for own in _LEVELS:
            self.add_submodule(own, PitayaLevel(self, own))

    def set_levels(self, volts: Mapping[str, float]) -> dict[str, float]:
        """Set terminals [V]; returns what they read back as.  LimitError outside the range, and nothing moves."""
        for own, level in volts.items():
            require_within(f"{self.name}.{own}", level, self._allowed(own))
        if not volts:
            return {}
        with self.link.exclusive():
            commands, questions = [], [_question(own) for own in volts]
            for own, level in volts.items():
                self._remembers.pop(_question(own), None)
                sent = min((round(level / _REACH * _CODES) + 0.1) * _REACH / _CODES, _REACH)  # the server rounds down
                commands.append(f"ANALOG:PIN {own.upper()},{sent:.6f}")
            answers = self._do(*commands, *questions)
            found = {own: float(answer) for own, answer in zip(volts, answers, strict=True)}
            for own, level in volts.items():
                if not abs(found[own] - level) <= _REACH / _CODES:
                    raise InstrumentError(
                        f"{self.name}.{own} is at {found[own]:g} V instead of {level:g} V: set it again",
                        answer=str(answers),
                    )
            self._remembers |= dict(zip(questions, answers, strict=True))
        return found

    def get_levels(self, terminals: Sequence[str]) -> dict[str, float]:
        """What terminals read back as [V]."""
        for own in terminals:
            self._allowed(own)
        return {own: self.link.query_as(_question(own), float) for own in terminals}

    def _allowed(self, own: str) -> Range:
        if own not in self.levels:
            raise ProgramError(f"{self.name} has no level {own!r}; it has aout0 to aout3")
        return self.levels[own]


class PitayaLevel(InstrumentChannel):
    """One slow output."""

    def __init__(self, parent: PitayaLevels, own: str) -> None:
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


def _question(own: str) -> str:
    return f"ANALOG:PIN? {own.upper()}"
