import pytest

from simbackend.virtual_bench.scpi.headers import HeaderTable
from simbackend.virtual_bench.scpi.messages import Framer, block_of, split_parameters, units
from simbackend.virtual_bench.scpi.scpi import Scpi, ScpiError, command
from simbackend.virtual_bench.scpi.settings import Flag, Real, Whole, Word, number


class Lamp(Scpi):
    settings = (
        Real("[SOURce#:]LEVel", "level", 1.0, (1, 2), 0.0, 10.0),
        Flag("OUTPut[:STATe]", "on", False),
        Word("MODE", "mode", "BLIN", (0,), "BLINk STEady"),
        Whole("COUNt", "count", 1.0, (0,), 1.0, 9.9e37),
    )

    @command("DATA")
    def _data(self, suffixes, words):
        self.data = words
        return

    @command("FAIL?")
    def _fail(self, suffixes, words):
        raise ScpiError(-230)


def lamp():
    return Lamp(("Maker", "Lamp", "1", "0"))


def test_headers_match_in_short_and_long_form_and_in_no_other():
    table = HeaderTable({"[SOURce#:]VOLTage[:LEVel]:OFFSet?": "offset", "*IDN?": "who"})
    for header in ("VOLT:OFFS?", "source2:voltage:level:offset?", "SOUR2:VOLT:LEV:OFFS?"):
        assert table.find(header)[0] == "offset"
    assert table.find("SOUR2:VOLT:OFFS?")[1] == (2,) and table.find("VOLT:OFFS?")[1] == (1,)
    for header in ("VOLTA:OFFS?", "VOLT:OFFSE?", "VOLT:OFFS", "SOUR2VOLT:OFFS?", "LEV:OFFS?"):
        assert table.find(header) is None


def test_a_newline_inside_a_block_does_not_end_a_message_however_the_bytes_arrive():
    stream = b"DATA a," + block_of(b"\n;#1\n" * 3) + b";MODE BLIN\n*IDN?\n"
    for size in (1, 2, 7, len(stream)):
        framer = Framer()
        cut = [stream[i : i + size] for i in range(0, len(stream), size)]
        assert [message for part in cut for message in framer.feed(part)] == [stream[:-7], b"*IDN?"]


def test_units_and_parameters_are_split_outside_quotes_blocks_and_parentheses():
    block = block_of(b"1;2,3\n")
    assert [unit.header for unit in units(b'TEXT "a;b";:MODE STE; DATA ' + block)] == ["TEXT", ":MODE", "DATA"]
    assert split_parameters(b'"a,b" , (@1,2), ' + block) == [b'"a,b"', b"(@1,2)", block]
    assert split_parameters(b" ") == []


def test_settings_are_set_asked_limited_and_reset():
    device = lamp()
    assert device.execute(b"SOUR2:LEV 2.5;:SOUR2:LEV?;:LEV?;:LEV? MAX") == (
        b"+2.50000000000000E+00;+1.00000000000000E+00;+1.00000000000000E+01"
    )
    assert device.execute(b"OUTP ON;OUTP?;:MODE steady;MODE?;COUN INF;COUN?") == b"1;STE;+9.90000000000000E+37"
    device.execute(b"LEV 11;:LEV MAX")
    assert device.execute(b"SYST:ERR?;:LEV?") == b'-222,"Data out of range";+1.00000000000000E+01'
    assert device.execute(b"*RST;LEV?;OUTP?") == b"+1.00000000000000E+00;0"


def test_a_relative_header_continues_the_path_and_a_colon_starts_anew():
    device = lamp()
    assert device.execute(b"SOUR2:LEV 3;LEV?;:LEV?") == b"+3.00000000000000E+00;+1.00000000000000E+00"
    assert device.execute(b"SOUR2:LEV 3;OUTP ON") is None
    assert device.execute(b"SYST:ERR?") == b'-113,"Undefined header"'


def test_errors_go_to_the_queue_and_the_registers_and_the_rest_of_a_message_is_dropped():
    device = lamp()
    assert device.execute(b"NONSENSE;*IDN?") is None
    assert device.execute(b"FAIL?") is None
    assert device.execute(b"*STB?;*ESR?;*ESR?") == b"+4;+176;+0"  # 128: it was switched on
    assert device.execute(b"SYST:ERR?;:SYST:ERR:NEXT?;:SYST:ERR?") == (
        b'-113,"Undefined header";-230,"Data corrupt or stale";+0,"No error"'
    )
    for word in (b"LEV", b"LEV 1,2", b"LEV one", b"SOUR3:LEV 1", b"OUTP maybe"):
        device.execute(word)
    codes = [int(device.execute(b"SYST:ERR?").split(b",")[0]) for _ in range(6)]
    assert codes == [-109, -108, -104, -114, -224, 0]
    for _ in range(30):
        device.execute(b"NONSENSE")
    found = [device.execute(b"SYST:ERR?") for _ in range(21)]
    assert found[19] == b'-350,"Queue overflow"' and found[20] == b'+0,"No error"'
    device.execute(b"NONSENSE;*CLS")
    device.execute(b"*CLS")
    assert device.execute(b"SYST:ERR?;*ESR?") == b'+0,"No error";+0'


def test_the_status_byte_sums_up_what_is_enabled_and_asks_for_service():
    device = lamp()
    assert device.execute(b"*ESE?;*SRE?;*STB?") == b"+0;+0;+0"
    device.execute(b"*ESE 32;*SRE 36;NONSENSE")
    assert device.execute(b"*ESE?;*SRE?;*STB?") == b"+32;+36;+100"
    device.execute(b"*SRE 16")
    assert device.status_byte() == 36 and device.status_byte(answer=True) == 36 + 16 + 64
    assert device.execute(b"*ESR?;*STB?") == b"+160;+4"
    device.execute(b"*CLS")
    assert device.execute(b"*ESE?;*SRE?;*STB?") == b"+32;+16;+0"  # what is enabled stays so
    device.execute(b"*SRE 64")
    assert device.execute(b"*SRE?") == b"+0"  # the summary cannot enable itself
    for wrong, code in ((b"*ESE 256", b"-222"), (b"*ESE", b"-109"), (b"*SRE x", b"-104"), (b"*SRE 1,2", b"-108")):
        device.execute(wrong)
        assert device.execute(b"SYST:ERR?").startswith(code)


def test_operation_complete_is_an_event_once_nothing_is_pending():
    device = lamp()
    device.execute(b"*CLS;*OPC")
    assert device.execute(b"*ESR?") == b"+1"
    device.is_busy = lambda: True
    device.execute(b"*OPC")
    assert device.execute(b"*ESR?") == b"+0"
    device.is_busy = lambda: False
    assert device.execute(b"*ESR?;*ESR?") == b"+1;+0"
    device.is_busy = lambda: True
    device.execute(b"*OPC;*CLS")
    device.is_busy = lambda: False
    assert device.execute(b"*ESR?") == b"+0"  # *CLS has forgotten it


def test_the_registers_of_scpi_are_kept_and_preset():
    device = lamp()
    assert device.execute(b"SYST:VERS?;:STAT:OPER?;:STAT:QUES:COND?") == b"1999.0;+0;+0"
    device.execute(b"STAT:OPER:ENAB 16;NTR 3;:STAT:QUES:ENAB 1;PTR 2")
    assert device.execute(b"STAT:OPER:ENAB?;NTR?;PTR?;:STAT:QUES:ENAB?;PTR?") == b"+16;+3;+32767;+1;+2"
    device.status.operation.event = 48
    assert device.execute(b"*STB?;:STAT:OPER:EVEN?;:STAT:OPER?;*STB?") == b"+128;+48;+0;+0"
    device.execute(b"STAT:PRES")
    assert device.execute(b"STAT:OPER:ENAB?;NTR?;:STAT:QUES:PTR?") == b"+0;+0;+32767"


def test_numbers_carry_units():
    words = (b"10 mV", b"1.5e3", b"2kHz", b"3 MHz", b"4 V", b"5us")
    assert [number(word) for word in words] == pytest.approx([0.01, 1500.0, 2000.0, 3e6, 4.0, 5e-6])
