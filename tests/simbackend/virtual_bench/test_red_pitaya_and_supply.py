import numpy as np
import pytest

from simbackend.testing.plain_client import clients
from simbackend.virtual_bench import virtual_bench


@pytest.fixture
def pitaya():
    with virtual_bench("red_pitaya") as bench, clients(bench, "pitaya") as (client,):
        yield client


def play(pitaya, samples, period):
    pitaya.write("GEN:RST")
    for words in (
        "FUNC ARBITRARY",
        f"FREQ:FIX {len(samples) / period / 16384}",
        "VOLT 0.5",
        "BURS:STAT BURST",
        "BURS:NCYC 1",
    ):
        pitaya.write(f"SOUR1:{words}")
    pitaya.write("SOUR1:TRAC:DATA:DATA " + ",".join(f"{value:.6f}" for value in samples))
    pitaya.write("OUTPUT1:STATE ON")
    assert pitaya.ask("SYST:ERR?") == '0,"No error"\r'


def test_a_burst_is_seen_in_the_usual_memory_with_the_trigger_in_the_middle(pitaya):
    play(pitaya, np.hanning(1000), 1e-3)
    for words in (
        "ACQ:RST",
        "ACQ:DEC 16",
        "ACQ:DATA:UNITS VOLTS",
        "ACQ:DATA:FORMAT BIN",
        "ACQ:START",
        "ACQ:TRIG AWG_PE",
    ):
        pitaya.write(words)
    assert pitaya.ask("ACQ:TRIG:STAT?;:ACQ:TRIG:FILL?") == "WAIT;0\r"
    pitaya.write("SOUR1:TRIG:INT")
    assert pitaya.ask("ACQ:TRIG:STAT?;:ACQ:TRIG:FILL?;:ACQ:TPOS?") == "TD;1;8192\r"
    volts = np.frombuffer(read_block(pitaya, "ACQ:SOUR1:DATA?"), ">f4")
    assert len(volts) == 16384
    assert np.abs(volts[:8192]).max() < 0.002 and np.abs(volts[8192:]).max() > 0.02
    pitaya.write("ACQ:DATA:UNITS RAW")
    codes = np.frombuffer(read_block(pitaya, "ACQ:SOUR1:DATA:STArt:N? 8192,500"), ">i2")
    assert codes / 8192 == pytest.approx(volts[8192:8692], abs=1e-6)
    pitaya.write("ACQ:DATA:FORMAT ASCII")
    for latest in ("LAT", "LATest"):
        text = pitaya.ask(f"ACQ:SOUR1:DATA:{latest}:N? 3").strip("{}\r")
        assert [int(word) for word in text.split(",")] == pytest.approx(volts[-3:] * 8192, abs=1e-3)
    pitaya.write("ACQ:DATA:UNITS VOLTS")
    for mode, first, count in (("PRE_TRIG", 8092, 101), ("post_trig", 8192, 101), ("PRE_POST_TRIG", 8092, 201)):
        text = pitaya.ask(f"ACQ:SOUR1:DATA:TRig? 100,{mode}").strip("{}\r")
        assert [float(word) for word in text.split(",")] == pytest.approx(volts[first : first + count], abs=1e-6)
    assert pitaya.ask("ACQ:SOUR1:DATA:TRig? 100,ALL;:SYST:ERR?").startswith("-224")


def test_inputs_that_share_their_trigger_are_asked_for_one_by_one_and_samples_of_a_generator_come_back(pitaya):
    for words in ("ACQ:RST", "ACQ:DEC 16", "ACQ:AVG OFF", "ACQ:TRIG:DLY 100", "ACQ:DATA:FORMAT ASCII"):
        pitaya.write(words)
    for question in (
        "DEC",
        "DEC:F",
        "AVG",
        "SRAT",
        "TRIG:DLY",
        "TRIG:DLY:NS",
        "TRIG:STAT",
        "TRIG:FILL",
        "WPOS",
        "TPOS",
    ):
        for channel in (1, 2):
            assert pitaya.ask(f"ACQ:{question}:CH{channel}?") == pitaya.ask(f"ACQ:{question}?"), question
    pitaya.write("ACQ:DEC:CH3?")
    assert pitaya.ask("SYST:ERR?").startswith("-114")
    pitaya.write("SOUR2:TRAC:DATA:DATA 0.5,-0.25,1")
    assert pitaya.ask("SOUR2:TRAC:DATA:DATA?") == "{0.500000,-0.250000,1.000000}\r"
    pitaya.write("ACQ:DATA:FORMAT BIN")
    sent = np.frombuffer(read_block(pitaya, "SOUR2:TRAC:DATA:DATA?"), ">f4")
    assert list(sent) == [0.5, -0.25, 1.0]


def test_the_deep_memory_holds_more_and_says_where_the_trigger_is(pitaya):
    play(pitaya, np.hanning(1000), 1e-3)
    start = int(pitaya.ask("ACQ:AXI:START?"))
    for words in ("ACQ:RST", "ACQ:AXI:DEC 8", "ACQ:AXI:DATA:UNITS VOLTS", "ACQ:DATA:FORMAT BIN"):
        pitaya.write(words)
    for words in (f"SET:Buffer {start},200000", "Trig:Dly 90000", "ENable ON"):
        pitaya.write(f"ACQ:AXI:SOUR1:{words}")
    pitaya.write("ACQ:START")
    pitaya.write("ACQ:TRIG AWG_PE")
    pitaya.write("SOUR1:TRIG:INT")
    assert pitaya.ask("ACQ:AXI:SOUR1:TRIG:FILL?;:SYST:ERR?") == '1;0,"No error"\r'
    trigger = int(pitaya.ask("ACQ:AXI:SOUR1:Trig:Pos?"))
    volts = np.frombuffer(read_block(pitaya, f"ACQ:AXI:SOUR1:DATA:Start:N? {trigger - 5000},90000"), ">f4")
    assert len(volts) == 90000
    assert np.abs(volts[:5000]).max() < 0.002 and np.abs(volts[5000:]).max() > 0.02


def test_a_supply_is_set_measured_and_protected(tmp_path):
    file = tmp_path / "bench.yaml"
    file.write_text(
        "model: coupled_oscillators\nring_down: 60ms\ninstruments:\n  psu: {kind: e36300}\n"
        'leads: [{wire: psu.ch2, to: "stiffness[0]", at_zero: 1.0, per_volt: 0.1}]\n',
        encoding="utf-8",
    )
    with virtual_bench(file) as bench, clients(bench, "psu") as (psu,):
        assert psu.ask("APPL CH2,5.0,0.5;:INST?;:VOLT?;:MEAS:VOLT?") == "CH2;+5.00000000E+00;+0.00000000E+00"
        assert psu.ask("OUTP ON,(@2);:OUTP? (@1:3);:MEAS:VOLT? (@1,2)") == "0,1,0;+0.00000000E+00,+5.00000000E+00"
        stiffness = bench.world._oscillators.parameters(bench.clock.now())["stiffness"]
        assert stiffness[0] == pytest.approx(1.5) and stiffness[1] == 1.3
        assert psu.ask("VOLT 30;:SYST:ERR?") == '-222,"Data out of range"'
        assert psu.ask("VOLT:PROT 4;PROT:TRIP?;:OUTP?;:MEAS:VOLT?") == "1;0;+0.00000000E+00"


def read_block(client, query):
    client.write(query)
    digits = int(client._exactly(2)[1:])
    data = client._exactly(int(client._exactly(digits)))
    assert client.read() == b"\r\n"
    return data
