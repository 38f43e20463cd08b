"""What the SCPI server of a Red Pitaya knows of its board: pins, lights, daisy chain, clock, serial line.

Nothing of it moves an oscillator, so it is kept and answered, as the server's own source says (scpi-server: dpin.cpp,
led.cpp, api_cmd.cpp, uart.cpp, common.cpp): names for what is chosen, digits for the level of a pin.  What other models
of the board have, and this one has not, is refused as there: its PLL, a load of 50 Ohm, AC coupling, a trigger level.
"""

from __future__ import annotations

from simbackend.virtual_bench.instruments.red_pitaya_generator import Switch
from simbackend.virtual_bench.scpi.scpi import Answer, Scpi, ScpiError, command
from simbackend.virtual_bench.scpi.settings import Real, Whole, Word, whole

_PINS = (
    *(f"LED{number}" for number in range(8)),
    *(f"DIO{number}_{side}" for side in "PN" for number in range(8)),
)
_CLOCK = ((0, 23), (0, 59), (0, 59))  # hours, minutes, seconds
_CALENDAR = ((1900, 9999), (1, 12), (1, 31))


BOARD = (
    Switch("LED:MMC", "led_mmc", True),
    Switch("LED:HB", "led_hb", True),
    Switch("LED:ETH", "led_eth", True),
    Switch("DAISY:SYNC:TRig", "daisy_trigger", False),
    Switch("DAISY:SYNC:CLK", "daisy_clock", False),
    Switch("DAISY:TRIG_O:ENable", "trigger_output", False),
    Word("DAISY:TRIG_O:SOUR", "trigger_output_source", "ADC", (0,), "ADC DAC"),
    Switch("DAISY:TRig:Out:ENable", "trigger_output", False),
    Word("DAISY:TRig:Out:SOUR", "trigger_output_source", "ADC", (0,), "ADC DAC"),
    Real("ACQ:TRig:EXT:DEBouncer[:US]", "input_debouncer", 500.0, (0,), 0.0, 8388.0),
    Real("SOUR:TRig:EXT:DEBouncer[:US]", "output_debouncer", 500.0, (0,), 0.0, 8388.0),
    Word("UART:BITS", "uart_bits", "CS8", (0,), "CS6 CS7 CS8"),
    Word("UART:STOPB", "uart_stop", "STOP1", (0,), "STOP1 STOP2"),
    Word("UART:PARITY", "uart_parity", "NONE", (0,), "NONE EVEN ODD MARK SPACE"),
    Whole("UART:SPEED", "uart_speed", 9600.0, (0,), 1200.0, 4e6),
    Whole("UART:TIMEOUT", "uart_timeout", 0.0, (0,), 0.0, 255.0),
)
"""Settings that change nothing here."""


class BoardCommands(Scpi):
    """The part of the server that is neither generator nor input."""

    def reset_board(self) -> None:
        """Every pin an input, and low; the lights are as the system has them."""
        self._levels = dict.fromkeys(_PINS, 0)
        self._directions = {pin: "OUT" if pin.startswith("LED") else "IN" for pin in _PINS}
        self._time, self._date = [0, 0, 0], [2024, 1, 1]

    @command("DIG:RST")
    def _reset_pins(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.reset_board()
        return None

    @command("DIG:PIN")
    def _set_pin(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        pin = _named(words, 0, _PINS)
        self._levels[pin] = whole(words, 1, 0, 1)
        return None

    @command("DIG:PIN?")
    def _pin_level(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(self._levels[_named(words, 0, _PINS)])

    @command("DIG:PIN:DIR")
    def _set_direction(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        direction = _named(words, 0, ("IN", "OUT"))
        self._directions[_named(words, 1, _PINS)] = direction
        return None

    @command("DIG:PIN:DIR?")
    def _direction(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._directions[_named(words, 0, _PINS)]

    @command("RP:INit", "RP:RELease", "RP:DIg[:loop]")
    def _obeyed(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return None

    @command(
        "RP:PLL:ENable", "RP:PLL:ENable?", "RP:PLL:STATE?", "SOUR#:LOAD", "SOUR#:LOAD?", "ACQ:SOUR#:COUP",
        "ACQ:SOUR#:COUP?", "TRig:EXT:LEV", "TRig:EXT:LEV?",
    )  # fmt: skip
    def _of_other_models(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        raise ScpiError(-200)

    @command("SYSTem:ERRor:COUNt?")
    def _count_errors(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(len(self.errors))

    @command("RP:REset")
    def _reset_all(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        for message in (b"ACQ:RST", b"ANALOG:RST", b"DIG:RST", b"GEN:RST"):
            self.execute(message)
        return None

    @command("RP:LOGmode")
    def _log(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        _named(words, 0, ("OFF", "CONSOLE", "SYSLOG"))
        return None

    @command("SYSTem:BRD:ID?")
    def _board(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return "2"  # the place of this board in the list of its library

    @command("SYSTem:BRD:Name?")
    def _board_name(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return "STEMlab 125-14 v1.1"

    @command("SYSTem:TIME")
    def _set_time(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._time = [whole(words, place, *ends) for place, ends in enumerate(_CLOCK)]
        return None

    @command("SYSTem:TIME?")
    def _ask_time(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return ":".join(f"{part:02d}" for part in self._time)

    @command("SYSTem:DATE")
    def _set_date(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._date = [whole(words, place, *ends) for place, ends in enumerate(_CALENDAR)]
        return None

    @command("SYSTem:DATE?")
    def _ask_date(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return "-".join(f"{part:02d}" for part in self._date)


def _named(words: list[bytes], index: int, known: tuple[str, ...]) -> str:
    """Parameter `index`, one of these names, whatever the case."""
    if len(words) <= index:
        raise ScpiError(-109)
    word = words[index].decode("ascii", "replace").upper()
    if word not in known:
        raise ScpiError(-224)
    return word
