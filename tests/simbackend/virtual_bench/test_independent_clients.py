"""Drivers that others wrote, as they stand, talk to the virtual instruments."""

import time
from contextlib import closing

import numpy as np
import pytest

from simbackend.testing.plain_client import arm, clients, station, upload
from simbackend.virtual_bench import virtual_bench

pymeasure_agilent = pytest.importorskip("pymeasure.instruments.agilent", reason="pymeasure is not installed")


@pytest.fixture
def bench(tmp_path):
    with virtual_bench(station(tmp_path)) as opened:
        yield opened


def address(bench, name):
    return bench.addresses[name]["socket"]


def test_the_stock_qcodes_33xxx_driver_connects_sets_and_reads(bench):
    from qcodes.instrument_drivers.Keysight import Keysight33522B

    awg = Keysight33522B("awg_of_qcodes", address(bench, "awg"), silent=True, pyvisa_sim_file=None, visalib="@py")
    try:
        assert awg.IDN()["model"] == "33522B" and awg.num_channels == 2
        awg.ch1.output_polarity("NORM")
        awg.ch2.amplitude(2.5)
        awg.ch2.offset(0.5)
        awg.ch2.function_type("ARB")
        awg.ch2.burst_state("ON")
        awg.ch2.burst_mode("N Cycle")
        awg.ch2.burst_ncycles(3)
        awg.ch2.trigger_source("BUS")
        awg.ch2.output("ON")
        awg.sync.output("OFF")
        awg.sync.source(2)
        assert (awg.ch2.amplitude(), awg.ch2.offset(), awg.ch2.function_type()) == (2.5, 0.5, "ARB")
        assert (awg.ch2.burst_state(), awg.ch2.burst_ncycles(), awg.ch2.output()) == ("ON", 3, "ON")
        assert (awg.sync.output(), awg.sync.source()) == ("OFF", 2)
        awg.snapshot(update=True)
        awg.force_trigger()
        awg.sync_channel_phases()
        assert awg.error() == (0, "No error")
    finally:
        awg.close()


def test_the_stock_qcodes_ds1074z_driver_connects_sets_and_reads_a_trace(bench):
    from qcodes.instrument_drivers.rigol import RigolDS1074Z

    with clients(bench, "awg", "scope") as (plain, scope):
        upload(plain, 1, np.hanning(400), rate=1e5, amplitude=4.0)
        arm(scope, scale=0.001, volts=0.1, position=0.004)
        plain.ask("*TRG;*OPC?")
        scope.write(":WAV:MODE NORM;STAR 1;STOP 1200")
        assert scope.ask(":SYST:ERR?") == '0,"No error"'
    driver = RigolDS1074Z("scope_of_qcodes", address(bench, "scope"), visalib="@py")
    try:
        driver.trigger_edge_source("ch4")
        driver.trigger_edge_slope("positive")
        driver.trigger_level(1.25)
        assert driver.trigger_edge_source() == "ch4" and float(driver.trigger_level()) == 1.25
        assert driver.channels[0].vertical_scale() == pytest.approx(0.1)
        driver.data_source("ch1")
        # The driver leaves the newline after a block unread, as message-based wires (USB, VXI-11) allow it to; on a
        # socket somebody has to take it.
        volts = driver.channels[0]._get_full_trace()
        assert driver.visa_handle.read() == ""
        times = driver.time_axis()
        assert volts.shape == times.shape == (1200,)
        assert np.abs(volts[times < 0]).max() < 0.005 and np.abs(volts).max() > 0.2
    finally:
        driver.close()


@pytest.mark.parametrize("form", ["DAC", "float"])
def test_pymeasure_uploads_its_ascii_arb_and_it_is_played(bench, form):
    awg = pymeasure_agilent.Agilent33500(address(bench, "awg"), visa_library="@py", read_termination="\n")
    try:
        samples = np.hanning(5000)
        channel = awg.channels[1] if hasattr(awg, "channels") else awg.ch_1
        channel.data_volatile_clear()
        channel.output_load = "INF"
        values = [round(32767 * x) for x in samples] if form == "DAC" else [round(x, 6) for x in samples]
        channel.data_arb("hill", values, data_format=form)
        channel.arb_file = "hill"
        channel.shape = "ARB"
        channel.arb_srate = 1e6
        channel.amplitude = 3.0
        channel.burst_state = True
        channel.burst_ncycles = 1
        awg.trigger_source = "BUS"
        channel.output = True
        assert channel.arb_file.strip('"') == "HILL" and channel.amplitude == 3.0 and channel.output is True
        awg.trigger()
        assert awg.ask("SYST:ERR?").strip() == '+0,"No error"'
        track = bench.world.output("awg.ch1")
        start = track.still_from - 5e-3
        assert track.mean(start + np.array([0.0, 2.5e-3, 5e-3])) == pytest.approx([0.75, 0.75], rel=1e-3)
        assert track.at(start + 2.5e-3) == pytest.approx(1.5, rel=1e-3)
    finally:
        awg.adapter.close()


def hislip_station(folder):
    file = station(folder)
    text = file.read_text(encoding="utf-8").replace("model: 33522B", "model: 33522B, wires: [socket, hislip]")
    text = text.replace("kind: rigol_ds1000z", "kind: infiniivision, wires: [socket, hislip]")
    text = text.replace("{wire: awg.sync, to: scope.ch4}", "{wire: awg.trigger_out, to: scope.trigger_in}")
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def hislip_bench(tmp_path):
    with virtual_bench(hislip_station(tmp_path)) as opened:
        yield opened


@pytest.mark.filterwarnings("ignore:It is not known whether this device support SCPI")
def test_pymeasure_reads_a_keysight_oscilloscope(hislip_bench):
    from pymeasure.instruments.keysight import KeysightDSOX1102G

    with clients(hislip_bench, "awg", "scope") as (awg, scope):
        upload(awg, 1, np.hanning(400), rate=1e5, amplitude=4.0)
        awg.ask("OUTP:TRIG ON;*OPC?")
        driver = KeysightDSOX1102G(hislip_bench.addresses["scope"]["hislip"], visa_library="@py")
        try:
            driver.reset()
            driver.timebase_mode = "main"
            driver.timebase_range = 0.01
            driver.timebase_offset = 0.004
            driver.ch1.scale = 0.6
            driver.ch1.offset = 0.1
            driver.ch1.coupling = "dc"
            assert driver.timebase_range == pytest.approx(0.01) and driver.ch1.range == pytest.approx(4.8)
            driver.write(":TRIG:SOUR EXT")
            driver.single()
            assert driver.ask(":OPER:COND?").strip() == "+8"
            awg.ask("*TRG;*OPC?")
            assert scope.ask(":OPER:COND?;:TER?") == "+0;+1"
            volts, preamble = driver.download_data("channel1", 1000)
        finally:
            driver.adapter.close()
    assert preamble["points"] == 1000 == len(volts) and preamble["format"] == "BYTE"
    times = preamble["xorigin"] + preamble["xincrement"] * np.arange(1000)
    assert times[0] == pytest.approx(-0.001)
    assert np.abs(volts[times < 0]).max() < 0.024 and 1.0 < np.abs(volts).max() < 3.0


def every_property(device, ask):
    """What a stock driver's properties read, each set to what it read; and the errors that any of it left."""
    found, errors = {}, []
    for name in dir(type(device)):
        item = getattr(type(device), name)
        if isinstance(item, property) and not name.startswith("_"):
            try:
                found[name] = getattr(device, name)
                if name != "arb_file":  # nothing is chosen yet
                    setattr(device, name, found[name])
            except (LookupError, AttributeError) as error:
                assert "Property can not be" in str(error) or "has no setter" in str(error), (name, error)
            while not (said := ask("SYST:ERR?")).startswith(("+0", "0")):
                errors.append((name, said))
    return found, errors


@pytest.mark.filterwarnings("ignore:It is not known whether this device support SCPI")
def test_pymeasure_reads_and_sets_every_property_of_a_generator_and_an_oscilloscope(hislip_bench):
    from pymeasure.instruments.keysight import KeysightDSOX1102G

    awg = pymeasure_agilent.Agilent33500(address(hislip_bench, "awg"), visa_library="@py", read_termination="\n")
    scope = KeysightDSOX1102G(hislip_bench.addresses["scope"]["hislip"], visa_library="@py")
    try:
        for device, ask, least in (
            (awg, awg.ask, 30), (awg.ch_1, awg.ask, 25), (scope, scope.ask, 10), (scope.ch1, scope.ask, 8)
        ):  # fmt: skip
            found, errors = every_property(device, ask)
            assert errors == [] and len(found) >= least
    finally:
        awg.adapter.close()
        scope.adapter.close()


def test_a_generator_is_set_by_apply_by_its_levels_and_by_the_period_of_a_pulse(bench):
    with clients(bench, "awg") as (awg,):
        assert (
            awg.ask("APPL:SQU 2e3,3,-0.5;:APPL?")
            == '"SQU +2.00000000000000E+03,+3.00000000000000E+00,-5.00000000000000E-01"'
        )
        assert [float(x) for x in awg.ask("VOLT:HIGH?;LOW?;:OUTP1?;:FUNC:PULS:PER?").split(";")] == [1.0, -2.0, 1, 5e-4]
        assert [float(x) for x in awg.ask("VOLT:HIGH 2;LOW -1;:VOLT?;:VOLT:OFFS?").split(";")] == [3.0, 0.5]
        assert float(awg.ask("FUNC:PULS:PER 1e-3;DCYC 25;:FUNC:PULS:WIDT?")) == pytest.approx(2.5e-4)
        assert awg.ask("APPL:DC DEF,DEF,1.5;:SYST:ERR?;:VOLT:OFFS?").startswith('+0,"No error";+1.5')
        track = bench.world.output("awg.ch1")
        assert track.at(bench.clock.now()) == pytest.approx(3.0)  # of a generator that expects 50 Ohm, without load
        # What cannot be is refused as a whole.
        for wrong, code in (
            ("VOLT:HIGH -3", -221),
            ("APPL:SIN 1e3,20,0", -221),
            ("APPL:SIN 1e9", -222),
        ):
            assert awg.ask(f"{wrong};:SYST:ERR?").startswith(str(code))
            assert awg.ask("APPL?").startswith('"DC')
        assert float(awg.ask("VOLT:OFFS?")) == 1.5


def test_pyvisa_speaks_hislip_with_blocks_status_and_device_clear(hislip_bench):
    import pyvisa

    manager = pyvisa.ResourceManager("@py")
    addresses = hislip_bench.addresses
    awg = manager.open_resource(addresses["awg"]["hislip"], read_termination="\n", write_termination="\n")
    scope = manager.open_resource(addresses["scope"]["hislip"], read_termination="\n", write_termination="\n")
    try:
        assert awg.read_stb() == 0  # on a fresh link
        assert awg.query("*IDN?").startswith("Agilent Technologies,33522B")
        samples = np.random.default_rng(0).uniform(-1, 1, 1_000_000).astype("f4")  # some megabytes: many fragments
        awg.write_binary_values("DATA:ARB big,", samples, is_big_endian=True)
        awg.write("FUNC:ARB big")
        assert awg.query("FUNC:ARB:POIN?;:SYST:ERR?") == '+1000000;+0,"No error"'
        awg.write("NONSENSE")
        awg.query("*OPC?")
        assert awg.read_stb() == 4
        assert awg.query("*ESE 32;*ESE?") == "+32"
        assert awg.read_stb() == 4 + 32
        assert awg.query("SYST:ERR?").startswith("-113")
        scope.query(":TRIG:SOUR EXT;:WAV:FORM WORD;:WAV:POIN 60000;:TIM:RANG 0.1;*OPC?")
        scope.write(":DIG")
        scope.write("*IDN?")  # waits for a trigger that does not come
        time.sleep(0.1)
        scope.clear()
        assert scope.query(":SYST:ERR?") == '+0,"No error"'
        scope.write(":RUN")
        codes = scope.query_binary_values(":WAV:DATA?", datatype="H", is_big_endian=True, container=np.array)
        assert len(codes) == 60000 and (codes == 32768).all()
    finally:
        awg.close()
        scope.close()
        manager.close()


def test_a_hislip_client_is_told_of_a_service_request_once_and_polls_it(tmp_path):
    import pyvisa
    from pyvisa_py.protocols.hislip import AsyncServiceRequest

    with virtual_bench(hislip_station(tmp_path), speed=1.0) as bench, closing(pyvisa.ResourceManager("@py")) as manager:
        address = bench.addresses["awg"]["hislip"]
        with manager.open_resource(address, read_termination="\n", write_termination="\n") as awg:
            urgent = manager.visalib.sessions[awg.session].interface._async
            urgent.settimeout(20.0)
            awg.write("*CLS;*ESE 33;*SRE 32;NONSENSE")
            assert AsyncServiceRequest(urgent).control_code == 4 + 32 + 64
            assert awg.read_stb() == 4 + 32 + 64
            assert awg.read_stb() == 4 + 32  # it was polled
            assert awg.query("*STB?") == "+100"  # the summary stays until its reason is gone
            awg.write("*CLS;:BURS:STAT ON;:FREQ 10;:BURS:NCYC 2;:TRIG1:SOUR BUS")
            begun = time.monotonic()
            awg.write("*TRG;*OPC")
            assert AsyncServiceRequest(urgent).control_code == 32 + 64
            assert time.monotonic() - begun > 0.19  # after the burst, and not when *OPC is obeyed
            assert awg.query("*ESR?") == "+1"


def test_a_source_answers_over_a_serial_line_and_sets_a_coupling():
    import serial

    with virtual_bench("coupled_oscillators") as bench:
        path = bench.addresses["bias"]["serial"].removeprefix("ASRL").removesuffix("::INSTR")
        with serial.Serial(path, timeout=5) as line:
            line.write(b"*IDN?\n")
            assert line.readline().startswith(b"QDevil,QDAC-II,")
            line.write(b"sour2:rang low;:sour2:volt 1.5;:sour2:volt?;:sour2:volt 3;:syst:err?\n")
            assert line.readline() == b'1.5;-222, "Data out of range"\n'
        coupling = bench.world._oscillators.parameters(bench.clock.now())["coupling"]
        assert coupling[1] == pytest.approx(0.3) and coupling[0] == 0.0
