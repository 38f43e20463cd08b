"""The slow outputs of a Red Pitaya: four voltages from 0 to 1.8 V, 156 steps apart (pins AO0 to AO3)."""

from __future__ import annotations

from abc import ABC

from drivers.instruments.source import Source

_REACH, _CODES = 1.8, 156  # V, codes


class PitayaLevels(Source, ABC):
    """The part that is a `drivers.roles.LevelSource`."""

    reach = {f"aout{pin}": (0.0, _REACH) for pin in range(4)}  # noqa: RUF012
    resolution = tolerance = _REACH / _CODES
    patience = 0.0
    remedy = ": set it again"

    def set_command(self, own: str, volts: float) -> str:
        sent = min((round(volts / _REACH * _CODES) + 0.1) * _REACH / _CODES, _REACH)  # the server rounds down
        return f"ANALOG:PIN {own.upper()},{sent:.6f}"

    def question(self, own: str) -> str:
        return f"ANALOG:PIN? {own.upper()}"
