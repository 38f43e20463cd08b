import select
import threading
import time

import numpy as np
import pytest

from labrhel.config import load
from labrhel.errors import ConfigurationError
from labrhel.experiment.model import model_of
from labrhel.model.leapfrog import leapfrog
from simbackend.testing.plain_client import arm, clients, station, trace, upload
from simbackend.virtual_bench import Fault, virtual_bench

RATE, COUNT = 20e3, 800  # of the waveform: 40 ms
AMPLITUDE = 4.0  # Vpp, of samples between -1 and 1


def waveform(seed=1):
    samples = np.cumsum(np.random.default_rng(seed).standard_normal(COUNT))
    samples = (samples - np.linspace(samples[0], samples[-1], COUNT)) * np.hanning(COUNT)
    return np.round(0.9 * samples / np.abs(samples).max(), 3)


def expected(folder, drives, times, delay=0.0):
    """What the readable leapfrog says, with steps of 2 us; `drives` (2, COUNT) in volts at the ports."""
    model = model_of(load(folder / "pair.yaml"))
    step, until = 2e-6, times[-1] + 1e-3
    grid = step * (np.arange(round(until / step)) + 0.5)
    index = np.floor((grid - delay) * RATE).astype(int)
    force = np.where((index >= 0) & (index < COUNT), drives[:, np.clip(index, 0, COUNT - 1)], 0.0)
    ran = leapfrog(
        lambda q: model.force(q, {}), model.mass({}), model.friction({}), force, step * 1e3, np.zeros(2), np.zeros(2)
    )
    return np.array([np.interp(times, grid, q, left=0.0) for q in ran.q])


def shoot(bench, samples, **how):
    with clients(bench, "awg", "scope") as (awg, scope):
        for channel, values in enumerate(samples, start=1):
            upload(awg, channel, values, rate=RATE, amplitude=AMPLITUDE)
        arm(scope, scale=0.005, volts=how.pop("volts", 0.5), position=0.02)
        assert awg.ask("SYST:ERR?") == '+0,"No error"' and scope.ask(":SYST:ERR?") == '0,"No error"'
        assert awg.ask("*TRG;*OPC?") == "1"
        assert scope.ask(":TRIG:STAT?") == "STOP"
        return [trace(scope, channel) for channel in (1, 2)]


def test_a_waveform_that_is_played_moves_the_oscillators_as_the_readable_leapfrog_says(tmp_path):
    with virtual_bench(station(tmp_path)) as bench:
        samples = np.stack([waveform(1), waveform(2)])
        seen = shoot(bench, samples)
    times = seen[0][0]
    assert times[0] == pytest.approx(-0.01) and len(times) == 30000
    truth = expected(tmp_path, samples * AMPLITUDE / 2, times)
    lsb = 0.5 / 25
    assert np.abs(truth).max() > 20 * lsb
    for (_, volts), wanted in zip(seen, truth, strict=True):
        assert np.abs(volts - wanted).max() < 0.55 * lsb
        assert np.abs(volts[times < 0]).max() == 0


def test_directed_and_gyroscopic_couplings_act_on_a_bench_as_in_the_model(tmp_path):
    file = station(tmp_path)
    pair = tmp_path / "pair.yaml"
    kinds = "coupling: {springs: chain, directed: [[1, 0]], gyroscopic: [[0, 1]]}"
    text = pair.read_text(encoding="utf-8").replace("coupling: chain", kinds)
    pair.write_text(
        text.replace("coupling: 0.15", "coupling: 0.15, directed: -0.15, gyroscopic: 0.1"), encoding="utf-8"
    )
    with virtual_bench(file) as bench:
        samples = np.stack([waveform(1), np.zeros(COUNT)])
        seen = shoot(bench, samples)
    truth = expected(tmp_path, samples * AMPLITUDE / 2, seen[0][0])
    lsb = 0.5 / 25
    assert np.abs(truth[1]).max() > 10 * lsb
    for (_, volts), wanted in zip(seen, truth, strict=True):
        assert np.abs(volts - wanted).max() < 0.55 * lsb


def test_latency_gain_offset_delay_and_load_act_where_the_file_says(tmp_path):
    file = station(
        tmp_path, awg=", latency: 1ms", drive=", delay: 0.4ms, gain: 2, load: 50", sense=", gain: 2, offset: 0.3"
    )
    with virtual_bench(file) as bench:
        samples = np.stack([waveform(1), np.zeros(COUNT)])
        (times, volts), _ = shoot(bench, samples, volts=0.3)
    # Declared open and loaded with 50 Ohm: half.  Latency moves the sync with the output, so the lead's delay is seen.
    truth = 0.5 * expected(tmp_path, samples * AMPLITUDE / 2, times, delay=0.4e-3)[0] + 0.3
    assert np.abs(volts - truth).max() < 0.55 * 0.3 / 25


def test_noise_is_the_same_at_each_reading_and_another_at_each_shot(tmp_path):
    file = station(tmp_path, scope=", noise: 40mV")
    with virtual_bench(file) as bench, clients(bench, "awg", "scope") as (awg, scope):
        upload(awg, 1, np.zeros(64), rate=RATE, amplitude=1.0)
        records = []
        for _ in range(2):
            arm(scope, scale=0.005, volts=0.05, position=0.02)
            awg.ask("*TRG;*OPC?")
            records += [trace(scope, 1)[1], trace(scope, 1)[1]]
    assert (records[0] == records[1]).all() and (records[2] == records[3]).all()
    assert np.std(records[0]) == pytest.approx(0.04, rel=0.05)
    assert abs(np.corrcoef(records[0], records[2])[0, 1]) < 0.05


def test_shots_start_from_rest_and_repeat_to_the_bit(tmp_path):
    with virtual_bench(station(tmp_path)) as bench:
        samples = np.stack([waveform(1), waveform(2)])
        first, second = shoot(bench, samples), shoot(bench, samples)
    assert (first[0][1] == second[0][1]).all() and (first[1][1] == second[1][1]).all()


def test_a_switched_off_output_gives_nothing_and_a_burst_idles_at_its_first_sample(tmp_path):
    with virtual_bench(station(tmp_path)) as bench, clients(bench, "awg") as (awg,):
        samples = np.full(64, -0.25)
        samples[10:20] = 1.0
        upload(awg, 1, samples, rate=RATE, amplitude=2.0)
        track, now = bench.world.output("awg.ch1"), bench.clock.now
        awg.ask("*OPC?")
        assert track.at(now()) == pytest.approx(-0.25, abs=1e-4)
        awg.ask("*TRG;*OPC?")
        assert track.at(now()) == pytest.approx(-0.25, abs=1e-4)
        awg.ask("OUTP1 OFF;*OPC?")
        assert track.at(now()) == 0.0 and track.still_from <= now()


def test_an_output_switched_off_in_a_burst_stops_at_once(tmp_path):
    with virtual_bench(station(tmp_path), speed=1.0) as bench, clients(bench, "awg") as (awg,):
        upload(awg, 1, np.ones(1000), rate=1000.0, amplitude=2.0)  # 1 s
        awg.write("*TRG")
        awg.ask("SYST:ERR?")
        track = bench.world.output("awg.ch1")
        assert track.at(bench.clock.now()) > 0.9
        awg.ask("OUTP1 OFF;:SYST:ERR?")
        assert track.at(bench.clock.now()) == 0.0 and track.still_from < bench.clock.now()


def test_a_clipped_input_shows_the_ends_of_the_converter(tmp_path):
    with virtual_bench(station(tmp_path)) as bench:
        samples = np.stack([waveform(1), waveform(2)])
        bench.hosts["scope"].order(Fault.of("clip"))
        (_, volts), _ = shoot(bench, samples)
        codes = np.rint(volts / 0.02 + 127)
        assert (codes == 0).any() and (codes == 255).any()
        bench.hosts["scope"].order(Fault.of("clip", 1))
        (_, volts), _ = shoot(bench, samples)
        assert np.rint(volts / 0.02 + 127).min() > 0


def test_ac_coupling_takes_the_offset_away(tmp_path):
    with virtual_bench(station(tmp_path, sense=", offset: 1")) as bench, clients(bench, "scope") as (scope,):
        scope.write(":CHAN1:PROB 1;SCAL 1")
        means = []
        for coupling in ("DC", "AC"):
            scope.write(f":CHAN1:COUP {coupling}")
            codes = np.frombuffer(scope.block(":WAV:DATA?"), np.uint8)
            means.append((codes.mean() - 127) / 25)
    assert means[0] == pytest.approx(1.0, abs=0.02) and means[1] == pytest.approx(0.0, abs=0.02)


def test_nothing_is_left_when_a_bench_closes(tmp_path):
    before = set(threading.enumerate())
    bench = virtual_bench(station(tmp_path))
    with clients(bench, "awg", "awg", "scope") as opened:
        assert [client.ask("*IDN?").split(",")[1] for client in opened] == ["33522B", "33522B", "DS1104Z"]
        bench.close()
        assert set(threading.enumerate()) <= before
        for client in opened:
            with pytest.raises(OSError):
                client.ask("*IDN?")


def test_at_the_speed_of_a_real_bench_status_and_waiting_take_their_time(tmp_path):
    with virtual_bench(station(tmp_path), speed=1.0) as bench, clients(bench, "awg", "scope") as (awg, scope):
        upload(awg, 1, np.hanning(200), rate=1000.0, amplitude=1.0)  # 0.2 s
        arm(scope, scale=0.05, volts=0.5, position=0.25, depth=3000)
        begun = time.monotonic()
        awg.write("*TRG")
        states = []
        while not states or states[-1] != "STOP":
            states.append(scope.ask(":TRIG:STAT?"))
            time.sleep(0.01)
        assert time.monotonic() - begun > 0.5
        assert [state for state, before in zip(states, [None, *states], strict=False) if state != before][-2:] == [
            "TD",
            "STOP",
        ]
        begun = time.monotonic()
        assert awg.ask("*TRG;*OPC?") == "1"
        assert time.monotonic() - begun > 0.19


def test_a_second_session_is_served_while_the_first_one_waits_and_can_stop_it(tmp_path):
    with virtual_bench(station(tmp_path), speed=1.0) as bench, clients(bench, "awg", "awg") as (first, second):
        upload(first, 1, np.hanning(100), rate=25.0, amplitude=1.0)  # 4 s
        first.write("*TRG;*OPC?")
        second.ask("*IDN?")
        assert not select.select([first.socket], [], [], 0)[0]
        second.ask("OUTP1 OFF;*IDN?")
        assert bench.world.output("awg.ch1").at(bench.clock.now()) == 0.0
        assert first.read() == b"1\n"


def test_a_source_that_is_slow_reaches_its_value_in_time_and_moves_the_parameter():
    with virtual_bench("coupled_oscillators", speed=0.01) as bench, clients(bench, "bias") as (bias,):
        bias.ask("sour1:volt:slew 10;:sour1:volt 5;*OPC?")
        now = bench.clock.now()
        early = bench.world._oscillators.parameters(now)["coupling"][0]
        late = bench.world._oscillators.parameters(now + 1.0)["coupling"][0]
        assert early < 0.2 and late == pytest.approx(1.0)
        assert 0.0 <= float(bias.ask("sour1:volt?")) < 2.0


def test_imperfections_that_belong_to_instruments_are_refused(tmp_path):
    file = station(tmp_path)
    with (tmp_path / "pair.yaml").open("a", encoding="utf-8") as model:
        model.write("imperfections: {adc_bits: 8}\n")
    with pytest.raises(ConfigurationError, match="takes no adc_bits"):
        virtual_bench(file)


def test_a_device_of_a_seed_has_other_parameters_and_the_same_ones_each_time(tmp_path):
    samples, seen = np.stack([waveform(1), waveform(2)]), []
    file = station(tmp_path)
    nominal = file.read_text(encoding="utf-8")
    for imperfections in (
        "",
        "imperfections: {seed: 7, mismatch: 0.05}\n",
        "imperfections: {seed: 7, mismatch: 0.05}\n",
    ):
        file.write_text(nominal + imperfections, encoding="utf-8")
        with virtual_bench(file) as bench:
            seen.append(shoot(bench, samples)[0][1])
    assert np.abs(seen[0] - seen[1]).max() > 0.1 and (seen[1] == seen[2]).all()
