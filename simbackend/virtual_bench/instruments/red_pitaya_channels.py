"""What a Red Pitaya's server says of one input where both share their trigger, which they do unless it is told to split
them: the common value.  (Splitting is not done here, and its commands are not known.)

Source: RP_Acq...ChQ in acquire.cpp of scpi-server, and acq_handler.cpp of rp-api.
"""

from __future__ import annotations

from simbackend.virtual_bench.instruments.red_pitaya_generator import CHANNELS
from simbackend.virtual_bench.scpi.scpi import Answer, Scpi, ScpiError, command


def require_channel(suffixes: tuple[int, ...]) -> None:
    """Raise ScpiError for an input that the board does not have."""
    if suffixes[-1] not in CHANNELS:
        raise ScpiError(-114)


class ChannelQueries(Scpi):
    """Settings of one input."""

    @command("ACQ:DEC:CH#?", "ACQ:DEC:Factor:CH#?")
    def _decimation_of(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        require_channel(suffixes)
        return str(int(self.values["decimation", 0]))

    @command("ACQ:AVG:CH#?")
    def _average_of(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        require_channel(suffixes)
        return "ON" if self.values["average", 0] else "OFF"

    @command("ACQ:TRig:DLY:CH#?")
    def _delay_of(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        require_channel(suffixes)
        return str(int(self.values["delay", 0]))
