"""The commands of a Red Pitaya's server for its board: each is known, keeps what it is told, and refuses the rest."""

import pytest

from simbackend.testing.plain_client import clients
from simbackend.virtual_bench import virtual_bench

KEPT = {
    "LED:MMC": ("OFF", "ON"), "LED:HB": ("OFF", "ON"), "LED:ETH": ("OFF", "ON"),
    "DAISY:SYNC:TRIG": ("ON", "OFF"), "DAISY:SYNC:CLK": ("ON", "OFF"), "DAISY:TRIG_O:EN": ("ON", "OFF"),
    "DAISY:TRIG_O:SOUR": ("DAC", "ADC"), "UART:BITS": ("CS6", "CS7", "CS8"), "UART:STOPB": ("STOP2", "STOP1"),
    "UART:PARITY": ("EVEN", "ODD", "MARK", "SPACE", "NONE"), "UART:SPEED": ("115200",), "UART:TIMEOUT": ("10", "255"),
    "DAISY:TR:O:EN": ("ON", "OFF"), "DAISY:TRig:Out:SOUR": ("DAC", "ADC"), "SPI:SET:MODE": ("HIST", "LISL"),
    "SPI:SET:CSMODE": ("HIGH", "NORMAL"), "SPI:SET:SPEED": ("1000000",), "SPI:SET:WORD": ("16", "8"),
    "I2C:FMODE": ("1", "0"), "ACQ:TR:EXT:DEB:US": ("20", "500"), "SOUR:TR:EXT:DEB": ("20", "500"),
    "ACQ:DEC:F": ("64", "1"), "SOUR2:BURS:INITV": ("0.5", "0"),
}  # fmt: skip
WRONG = {
    "LED:MMC BLUE": -224, "DAISY:TRIG_O:SOUR OSC": -224, "UART:BITS CS9": -224, "UART:TIMEOUT 256": -222,
    "DIG:PIN DIO8_P,1": -224, "DIG:PIN DIO1_P": -109, "DIG:PIN:DIR UP,DIO1_P": -224, "DIG:PIN?": -109,
    "SYST:TIME 24,0,0": -222, "SYST:DATE 2024,13,1": -222, "RP:LOG LOUD": -224, "RP:NONSENSE": -113,
    "RP:PLL:STATE?": -200, "SOUR1:LOAD L50": -200, "ACQ:SOUR1:COUP?": -200, "TR:EXT:LEV 1": -200,
    "SPI:RELEASE;:SPI:SET:DEF": -200, "SPI:MSG0:RX?": -200, "SPI:SET:MODE FAST": -224,
    "I2C:DEV200 \"/dev/i2c-0\"": -200,
    "I2C:DEV80": -109, "I2C:S:R1?": -200, "I2C:S:W1 5": -200, "I2C:S:W1:B2 5,6": -200, "I2C:S:W1:B2 5": -200,
    "UART:RELEASE;:UART:WRITE2 1,2": -200, "UART:INIT;:UART:WRITE2 1": -200, "UART:INIT;:UART:READ4?": -200,
}  # fmt: skip


@pytest.fixture(scope="module")
def pitaya():
    with virtual_bench("red_pitaya") as bench, clients(bench, "pitaya") as (client,):
        yield client


def asked(client, text):
    return client.ask(text).rstrip("\r")


@pytest.mark.parametrize("header", KEPT)
def test_what_is_chosen_is_answered_by_its_name(pitaya, header):
    for word in KEPT[header]:
        assert asked(pitaya, f"{header} {word.lower()};:{header}?;:SYST:ERR?") == f'{word};0,"No error"'


def test_pins_have_a_level_and_a_direction_until_they_are_reset(pitaya):
    for number in range(8):
        for pin in (f"DIO{number}_P", f"DIO{number}_N", f"LED{number}"):
            assert (
                asked(pitaya, f"DIG:PIN:DIR OUT,{pin};:DIG:PIN {pin},1;:DIG:PIN? {pin};:DIG:PIN:DIR? {pin}") == "1;OUT"
            )
    assert asked(pitaya, "DIG:RST;:DIG:PIN? DIO3_N;:DIG:PIN:DIR? DIO3_N") == "0;IN"


def test_the_board_says_its_name_and_its_clock(pitaya):
    assert asked(pitaya, "SYST:BRD:ID?;:SYST:BRD:Name?") == "2;STEMlab 125-14 v1.1"
    assert asked(pitaya, "SYST:TIME 9,5,7;:SYST:TIME?;:SYST:DATE 2026,3,4;:SYST:DATE?") == "09:05:07;2026-03-04"


@pytest.mark.parametrize(
    "text", ["RP:IN", "RP:REL", "RP:DI", "RP:LOG CONSOLE", "UART:INIT", "UART:INIT;:UART:SETUP", "UART:RELEASE"]
)
def test_what_only_sets_up_is_obeyed(pitaya, text):
    assert asked(pitaya, f"{text};:SYST:ERR?") == '0,"No error"'


def test_a_reset_of_the_board_resets_generators_inputs_and_pins(pitaya):
    asked(pitaya, "SOUR1:VOLT 0.3;:ACQ:DEC 64;:DIG:PIN LED1,1;:ANALOG:PIN AOUT1,1.0;:SYST:ERR?")
    assert asked(pitaya, "RP:RE;:SOUR1:VOLT?;:ACQ:DEC?;:DIG:PIN? LED1;:ANALOG:PIN? AOUT1") == "0.8;1;0;0"


@pytest.mark.parametrize(("text", "code"), WRONG.items())
def test_what_the_server_does_not_take_is_refused(pitaya, text, code):
    pitaya.write(text)
    assert asked(pitaya, "SYST:ERR?").startswith(f"{code},")
    assert asked(pitaya, "SYST:ERR?").startswith("0,")


def test_messages_on_spi_are_sent_and_idle_lines_read_as_zeros(pitaya):
    setup = "SPI:INIT;:SPI:MSG:CREATE 3;:SPI:MSG0:TX3:RX 1,200,3;:SPI:MSG1:RX2:CS;:SPI:MSG2:TX2:CS 7,8"
    assert asked(pitaya, f"{setup};:SPI:MSG:SIZE?;:SPI:MSG0:TX?;:SPI:MSG1:CS?;:SPI:MSG0:CS?") == "3;{1,-56,3};1;0"
    assert asked(pitaya, "SPI:PASS;:SPI:MSG0:RX?;:SPI:MSG1:RX?;:SPI:MSG2:TX?;:SYST:ERR?") == (
        '{0,0,0};{0,0};{7,8};0,"No error"'
    )
    pitaya.write("SPI:MSG3:TX1 5")  # there are three
    assert asked(pitaya, "SYST:ERR:COUN?;:SYST:ERR?") == '1;-200,"Execution error"'
    assert asked(pitaya, "SPI:MSG:DEL;:SPI:RELEASE;:SYST:ERR?") == '0,"No error"'


def test_a_device_on_i2c_is_chosen_and_nobody_is_there_to_acknowledge(pitaya):
    assert asked(pitaya, 'I2C:DEV80 "/dev/i2c-0";:I2C:DEV?') == "80"
    pitaya.write("I2C:IO:R:B4?")
    assert asked(pitaya, "SYST:ERR?") == '-200,"Execution error"'


def test_a_delay_is_told_in_samples_or_nanoseconds(pitaya):
    assert asked(pitaya, "ACQ:DEC 8;:ACQ:TR:DLY:NS 6400;:ACQ:TRIG:DLY?;:ACQ:TRIG:DLY:NS?;:ACQ:RST") == "100;6400"
