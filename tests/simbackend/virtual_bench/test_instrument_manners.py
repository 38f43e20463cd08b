"""Manners of the real instruments that surprise their users, and that drivers must live with."""

import numpy as np
import pytest

from simbackend.testing.plain_client import clients, station, upload
from simbackend.virtual_bench import virtual_bench


@pytest.fixture
def bench(tmp_path):
    with virtual_bench(station(tmp_path)) as opened:
        yield opened


def test_another_declared_load_renames_the_same_output(bench):
    with clients(bench, "awg") as (awg,):
        awg.write("FUNC DC;VOLT:OFFS 1;:OUTP1 ON")
        awg.ask("*OPC?")
        track = bench.world.output("awg.ch1")
        assert track.at(bench.clock.now()) == pytest.approx(2.0)
        assert float(awg.ask("OUTP1:LOAD INF;:VOLT:OFFS?")) == pytest.approx(2.0)
        assert track.at(bench.clock.now()) == pytest.approx(2.0)


def test_limits_of_the_generator_refuse_what_would_exceed_them_and_change_nothing(bench):
    with clients(bench, "awg") as (awg,):
        awg.write("OUTP1:LOAD INF;:VOLT 2;:VOLT:LIM:HIGH 1.5;LOW -1.5;STAT ON")
        assert awg.ask("SYST:ERR?") == '+0,"No error"'
        assert awg.ask("VOLT 4;:SYST:ERR?").startswith("-221") and float(awg.ask("VOLT?")) == 2.0
        assert awg.ask("VOLT:OFFS 0.6;:SYST:ERR?").startswith("-221") and float(awg.ask("VOLT:OFFS?")) == 0.0
        assert awg.ask("VOLT:LIM:STAT OFF;:VOLT 25;:SYST:ERR?").startswith("-222")


def test_uploads_that_are_wrong_are_refused_by_name(bench):
    with clients(bench, "awg") as (awg,):
        upload(awg, 1, np.hanning(64), rate=1e5, amplitude=1.0)
        assert awg.ask("DATA:VOL:CAT?;:DATA:VOL:FREE?") == '"W";+3999936'
        for words, code in (
            ("DATA:ARB w,0,0,0,0,0,0,0,0", "+786"),
            ("DATA:ARB few,0,1", "+781"),
            ("DATA:ARB big,0,0,0,0,0,0,0,2", "-222"),
            ("DATA:ARB odd,#15abcde", "-161"),
            ("DATA:ARB text,a,b,c,d,e,f,g,h", "-104"),
            ("FUNC:ARB none", "+785"),
            ("FUNC:ARB:SRAT 1e9", "-222"),
        ):
            awg.write(words)
            assert awg.ask("SYST:ERR?").startswith(code), words
        assert awg.ask("*TRG;*TRG;:SYST:ERR?") == '+0,"No error"'
        assert awg.ask("BURS:STAT OFF;*TRG;:SYST:ERR?").startswith("-211")


def test_the_probe_of_the_oscilloscope_is_ten_until_it_is_told_otherwise(bench):
    with clients(bench, "scope") as (scope,):
        assert float(scope.ask(":CHAN1:PROB?")) == 10.0
        scope.write(":CHAN1:SCAL 5")
        assert float(scope.ask(":CHAN1:PROB 1;SCAL?")) == pytest.approx(0.5)


def test_memory_that_is_not_there_is_not_read(bench):
    with clients(bench, "scope") as (scope,):
        assert scope.ask(":SING;:WAV:MODE RAW;:WAV:DATA?;:SYST:ERR?").startswith("-230")
        scope.write(":STOP;:RUN;:STOP;:WAV:STAR 1;STOP 1200")
        assert len(scope.block(":WAV:DATA?")) == 1200
        scope.write(":ACQ:MDEP 300000;:TIM:MAIN:SCAL 0.01;:RUN;:STOP;:WAV:STOP 300000")
        assert scope.ask(":WAV:DATA?;:SYST:ERR?").startswith("-222")


def test_a_continuous_output_drives_the_oscillators_until_it_is_switched_off(bench):
    with clients(bench, "awg", "scope") as (awg, scope):
        awg.write("OUTP1:LOAD INF;:FUNC SIN;:FREQ 170;:VOLT 0.2;:OUTP1 ON")
        awg.ask("*OPC?")
        scope.write(":CHAN1:PROB 1;SCAL 0.2;:TIM:MAIN:SCAL 0.005")
        scope.ask(":TRIG:STAT?")
        bench.clock.skip_to(bench.clock.now() + 1.0)
        moving = np.frombuffer(scope.block(":WAV:DATA?"), np.uint8).astype(float)
        awg.ask("OUTP1 OFF;*OPC?")
        bench.clock.skip_to(bench.clock.now() + 3.0)
        still = np.frombuffer(scope.block(":WAV:DATA?"), np.uint8).astype(float)
    assert np.ptp(moving) > 20 and np.ptp(still) == 0
