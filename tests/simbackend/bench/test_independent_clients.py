"""Drivers that others wrote, as they stand, talk to the virtual instruments."""

import numpy as np
import pytest
from plain_client import arm, clients, station, upload

from simbackend.bench import virtual_bench

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
