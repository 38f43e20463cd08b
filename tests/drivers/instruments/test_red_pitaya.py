"""A Red Pitaya drives two oscillators and sees them, in one box."""

import json
import threading

import numpy as np
import pytest

from drivers.instruments import open_instrument
from drivers.roles import Burst, Digitizer, Generator, LevelSource, Window
from drivers.transport import TrafficLog, read_traffic
from labrhel.errors import (
    ConfigurationError,
    DeadlineError,
    InstrumentError,
    LabrhelError,
    LimitError,
    ProgramError,
    TransportError,
)
from labrhel.testing.waiting import PATIENCE, wait_for
from simbackend.virtual_bench import Fault

BENCH = """
instruments:
  pitaya: {kind: red_pitaya, noise: 0.2mV}
leads:
  - {wire: pitaya.ch1, to: f1}
  - {wire: pitaya.ch2, to: f2}
  - {wire: q1, to: pitaya.in1, gain: 3.3333333333333335}
  - {wire: q2, to: pitaya.in2, gain: 3.3333333333333335}
  - {wire: pitaya.aout1, to: "coupling[0]", at_zero: 0.15, per_volt: 0.1}
"""
OLD = BENCH.replace("kind: red_pitaya,", "kind: red_pitaya, model: INSTR2014,")
RATE, COUNT, GAIN = 20e3, 801, 0.3
RANGES = {"in1": (-1.0, 1.0), "in2": (-1.0, 1.0)}
WINDOW = Window(-1e-3, 0.045, 100e3, RANGES)
STEP = 2 / 8192  # V without load, of an output


def hill(seed=1, height=1.2, idle=0.0):
    samples = np.cumsum(np.random.default_rng(seed).standard_normal(COUNT))
    samples = (samples - np.linspace(samples[0], samples[-1], COUNT)) * np.hanning(COUNT)
    return Burst(idle + height * samples / np.abs(samples).max(), RATE, idle)


BURSTS = {"ch1": hill(1), "ch2": hill(2, 0.7)}


def shoot(pitaya, bursts=BURSTS, window=WINDOW, trigger="generator"):
    played = pitaya.load(bursts)
    pitaya.prepare(window, trigger, 0.1)
    pitaya.arm(source="software")
    pitaya.arm()
    pitaya.fire()
    pitaya.wait(5)
    return played, pitaya.read(["in1", "in2"])


def expected(motion, model, played, times):
    """Volts at the inputs."""
    grid = 2e-6 * (np.arange(round((times[-1] + 1e-3) / 2e-6)) + 0.5)
    index = np.floor(grid * RATE).astype(int)
    drives = np.stack([played.get(own, np.zeros(COUNT)) for own in ("ch1", "ch2")])
    force = np.where(index < COUNT, drives[:, np.clip(index, 0, COUNT - 1)], 0.0)
    moved = motion(model, force, 2e-6 * 1e3)
    return GAIN * np.array([np.interp(times, grid, q, left=0.0) for q in moved])


def times_of(record):
    return record.t0 + record.dt * np.arange(len(record.codes))


def state(bench):
    return dict(bench.hosts["pitaya"].device.values)


def level(bench, terminal="ch1"):
    return bench.world.output(f"pitaya.{terminal}").at(bench.clock.now())


def levels(bench):
    return [bench.world._oscillators.sources[f"pitaya.aout{pin}"].at(bench.clock.now()) for pin in range(4)]


def test_it_plays_three_roles(start, opened):
    pitaya = opened(start(BENCH), "pitaya")
    assert all(isinstance(pitaya, role) for role in (Generator, Digitizer, LevelSource))
    assert pitaya.identity.startswith("REDPITAYA,INSTR2023") and pitaya.get_idn()["vendor"] == "REDPITAYA"
    assert pitaya.inputs["in1"].memory > 500_000 and pitaya.outputs["ch2"].memory == 16384


@pytest.mark.parametrize("text", [BENCH, OLD])
def test_what_it_plays_moves_the_oscillators_that_it_sees(motion, start, opened, text):
    bench = start(text)
    pitaya = opened(bench, "pitaya")
    for _ in range(2):
        played, seen = shoot(pitaya)
        for own, burst in BURSTS.items():
            assert np.abs(played[own] - burst.samples).max() <= 1.51 * STEP
        times = times_of(seen["in1"])
        assert times[0] <= WINDOW.start and times[-1] >= WINDOW.start + WINDOW.duration
        for own, truth in zip(("in1", "in2"), expected(motion, bench.model, played, times), strict=True):
            assert np.ptp(truth) > 0.1 and seen[own].over_range == 0
            error = seen[own].volts - truth
            assert np.abs(error).max() < 2e-3 and abs(error.mean()) < 2e-4
            assert np.abs(seen[own].volts[times < -1e-4]).max() < 1.5e-3


def test_an_old_server_has_16384_samples_and_refuses_more(start, opened):
    bench = start(OLD)
    pitaya = opened(bench, "pitaya")
    assert pitaya.inputs["in1"].memory == 16384 - 16
    assert shoot(pitaya)[1]["in1"].dt == 512 / 125e6
    before = state(bench)
    with pytest.raises(LimitError, match="memory of 16384 samples"):
        pitaya.prepare(Window(0.0, 0.1, 1e6, RANGES), "generator", 0.0)
    with pytest.raises(InstrumentError, match="Undefined header"):
        pitaya.load({"ch1": hill(1, 0.5, 0.25)})  # it knows no other idle level than 0 V
    assert state(bench) | {("frequency", 1): 0} == before | {("frequency", 1): 0}


@pytest.mark.parametrize("rate", [125e6, 10e6, 3.3e6])
def test_outputs_are_exact_to_the_sample(start, opened, rate):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya")
    samples = np.random.default_rng(3).uniform(-1.99, 1.99, 16384)
    samples[[0, -1]] = 0.0
    played = pitaya.load({"ch2": Burst(samples, rate)})["ch2"]
    pitaya.prepare(Window(0.0, 1e-4, 1e6, RANGES), "generator", 0.0)
    pitaya.arm(source="software")
    pitaya.arm()
    pitaya.fire()
    track = bench.world.output("pitaya.ch2")
    piece = next(item for item in track._pieces if len(item.samples) == 16384)
    assert piece.rate == pytest.approx(rate, rel=1e-5)
    assert (piece.samples == played).all()
    assert np.abs(played - samples).max() <= 1.51 * STEP
    assert piece.stop - piece.start == pytest.approx(16384 / rate, rel=1e-5)
    pitaya.wait(5)
    assert level(bench, "ch2") == 0.0


def test_a_short_burst_ends_when_it_should(start, opened):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya")
    pitaya.load({"ch1": Burst(np.array([0.0, 1.0, 1.0, 0.0]), 1e3)})
    pitaya.arm(source="software")
    pitaya.fire()
    track = bench.world.output("pitaya.ch1")
    start_of = track._pieces[-2].start
    edges = start_of + 1e-3 * np.arange(6)
    assert track.mean(edges) == pytest.approx([0.0, 1.0, 1.0, 0.0, 0.0], abs=2 * STEP)


def test_opening_and_closing_change_nothing(start, opened):
    bench = start(BENCH)
    before = state(bench)
    pitaya = opened(bench, "pitaya")
    assert state(bench) == before
    pitaya.close()
    assert state(bench) == before


def test_an_output_stays_at_its_idle_level_while_it_is_loaded_again_and_when_it_is_made_safe(start, opened):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya")
    shoot(pitaya, {"ch1": hill(1, 0.8, -0.5)})
    track = bench.world.output("pitaya.ch1")
    assert level(bench) == pytest.approx(-0.5, abs=STEP)
    since = track.still_from
    pitaya.load({"ch1": hill(2, 0.3, -0.5)})
    pitaya.arm(source="software")
    assert level(bench) == pytest.approx(-0.5, abs=STEP) and track.still_from == since
    pitaya.make_safe()
    assert level(bench) == pytest.approx(-0.5, abs=STEP) and track.still_from == since
    pitaya.load({"ch1": hill()})
    pitaya.arm(source="software")
    pitaya.make_safe()
    pitaya.make_safe()
    assert level(bench) == 0.0 and not state(bench)["output", 1]


def test_a_generator_is_not_triggered_by_being_told_what_to_wait_for(start, opened):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya")
    for source in ("external", "software", "external"):
        pitaya.load({"ch1": hill(), "ch2": hill(2)})
        pitaya.arm(source=source)
        assert all(bench.world.output(f"pitaya.{own}").still_from < bench.clock.now() for own in ("ch1", "ch2"))
        assert [state(bench)["trigger", number] for number in (1, 2)] == [
            "EXT_PE" if source == "external" else "INT"
        ] * 2
    assert bench.world.pulses("pitaya.generator") == [] or bench.world._oscillators.shots <= 2
    with pytest.raises(InstrumentError, match="does not wait"):
        pitaya.fire()


def test_an_external_trigger_starts_outputs_and_inputs_together(motion, start, opened):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya")
    for _ in range(2):
        played = pitaya.load(BURSTS)
        pitaya.prepare(WINDOW, "external", 0.0)
        pitaya.arm(source="external")
        pitaya.arm()
        with bench.clock.lock:
            bench.world.pulse("pitaya.trigger_in", bench.clock.now())
        pitaya.wait(5)
        record = pitaya.read(["in2"])["in2"]
        truth = expected(motion, bench.model, played, times_of(record))[1]
        assert np.ptp(truth) > 0.1 and np.abs(record.volts - truth).max() < 2e-3
    pitaya.load(BURSTS)
    pitaya.arm(source="external")
    with pytest.raises(InstrumentError, match="wait for whoever fires"):
        pitaya.wait(0.1)


def test_a_trigger_on_an_input_is_where_the_record_says(start, opened):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya")
    _, seen = shoot(pitaya, window=Window(-5e-3, 0.02, 100e3, RANGES), trigger="in1")
    record = seen["in1"]
    after = record.volts[times_of(record) > 0]
    assert record.volts[times_of(record) < 0].max() < 0.101 and after[:20].mean() == pytest.approx(0.1, abs=5e-3)


def test_a_declared_load_halves_what_comes_out_without_it(start, opened):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya", load=50.0)
    assert pitaya.outputs["ch1"].high == 1.0
    pitaya.load({"ch1": Burst(np.array([0.5, 0.8, 0.5]), RATE, 0.5)})
    pitaya.arm(source="software")
    assert level(bench) == pytest.approx(1.0)


def test_what_is_beyond_a_limit_is_refused_before_anything_is_sent(start, opened, tmp_path):
    bench = start(BENCH)
    options = {"limits": [-1.0, 1.0], "level_limits": {"aout1": [0.2, 1.0]}, "safe": {"aout1": 0.5}}
    log = TrafficLog(tmp_path / "wire")
    pitaya = opened(bench, "pitaya", log=log, **options)
    before, sent = state(bench), len(list(read_traffic(tmp_path / "wire")))
    with pytest.raises(LimitError, match=r"pitaya.ch1 would get 1\.5 V; allowed is \[-1, 1\] V"):
        pitaya.load({"ch2": hill(1, 0.5), "ch1": Burst(np.array([0, 1.5, 0]), RATE)})
    with pytest.raises(LimitError):
        pitaya.load({"ch1": Burst(np.array([0, np.nan, 0]), RATE)})
    with pytest.raises(LimitError, match="samples a second"):
        pitaya.load({"ch1": Burst(np.zeros(3), 1e9)})
    with pytest.raises(LimitError, match="holds 16384 samples"):
        pitaya.load({"ch1": Burst(np.zeros(16385), RATE)})
    with pytest.raises(ProgramError, match="begins with its idle level"):
        pitaya.load({"ch1": Burst(np.array([0.5, 0.0]), RATE)})
    with pytest.raises(ProgramError, match="ch1 and ch2"):
        pitaya.load({"ch3": hill()})
    with pytest.raises(LimitError, match="cannot record"):
        pitaya.prepare(Window(0.0, 1.0, 125e6, RANGES), "generator", 0.0)
    with pytest.raises(LimitError, match=r"in1 would get -3 V; allowed is \[-1, 1\]"):
        pitaya.prepare(Window(0.0, 0.01, 125e3, {"in1": (-3.0, 3.0)}), "generator", 0.0)
    with pytest.raises(LimitError, match="trigger level"):
        pitaya.prepare(WINDOW, "in1", 2.0)
    with pytest.raises(ProgramError, match="is triggered by"):
        pitaya.prepare(WINDOW, "ch4", 1.0)
    with pytest.raises(LimitError, match=r"aout1 would get 1\.2 V"):
        pitaya.set_levels({"aout0": 0.3, "aout1": 1.2})
    with pytest.raises(ProgramError, match="aout0 to aout3"):
        pitaya.get_levels(["aout4"])
    assert len(list(read_traffic(tmp_path / "wire"))) == sent
    assert state(bench) == before and levels(bench) == [0.0] * 4
    pitaya.close()
    assert len(list(read_traffic(tmp_path / "wire"))) > sent
    log.close()


def test_jumpers_at_high_voltage_widen_the_range(start, opened):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya", gain={"in1": "HV", "in2": "LV"})
    _, seen = shoot(pitaya, window=Window(-1e-3, 0.045, 100e3, {"in1": (-15.0, 15.0), "in2": (-1.0, 1.0)}))
    assert seen["in1"].scale == pytest.approx(20 / 8192) and seen["in2"].scale == pytest.approx(1 / 8192)
    assert pitaya.in1.gain() == "HV"


def test_samples_at_the_ends_of_the_converter_are_counted(start, opened):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya")
    assert shoot(pitaya)[1]["in1"].over_range == 0
    bench.hosts["pitaya"].order(Fault.of("clip"))
    _, seen = shoot(pitaya)
    assert seen["in1"].over_range > 100
    assert seen["in1"].over_range == np.count_nonzero((seen["in1"].codes == 8191) | (seen["in1"].codes == -8192))
    bench.hosts["pitaya"].order(Fault.of("clip", 1.0))
    assert shoot(pitaya)[1]["in1"].over_range == 0


def test_slow_outputs_turn_what_they_are_wired_to_and_return_to_their_safe_level(start, opened):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya", safe={"aout1": 0.3})
    got = pitaya.set_levels({"aout1": 1.25, "aout3": 1.8})
    assert got == pytest.approx({"aout1": 1.25, "aout3": 1.8}, abs=0.6 * 1.8 / 156)
    assert pitaya.get_levels(["aout1"])["aout1"] == got["aout1"]
    coupling = bench.world._oscillators.parameters(bench.clock.now())["coupling"]
    assert coupling[0] == pytest.approx(0.15 + 0.1 * got["aout1"], abs=1e-6)
    assert pitaya.aout1.voltage() == got["aout1"]
    pitaya.make_safe()
    assert levels(bench) == pytest.approx([0.0, 0.3, 0.0, 0.0], abs=0.6 * 1.8 / 156)


def test_options_and_identities_that_are_wrong_are_errors_of_the_file(start, opened):
    bench = start(BENCH)
    address = bench.addresses["pitaya"]["socket"]
    for options in (
        {"limits": [-3, 3]},
        {"limits": {"ch3": [0, 1]}},
        {"load": 0.0},
        {"gain": "MV"},
        {"gain": {"in1": "LV"}},
        {"level_limits": [0, 2]},
        {"safe": {"aout1": 2.0}},
        {"limitz": [0, 1]},
        {"terminator": "\t"},
    ):
        with pytest.raises(ConfigurationError):
            open_instrument("red_pitaya", "other", address, **options)
    opened(bench, "pitaya")


def test_another_instrument_is_no_red_pitaya(start):
    bench = start("instruments:\n  bias: {kind: qdac2}\n")
    with pytest.raises((ConfigurationError, TransportError)):
        open_instrument("red_pitaya", "other", bench.addresses["bias"]["socket"], timeout=0.3, patience=0.3)


def test_a_trigger_that_does_not_come_and_a_burst_that_does_not_end_are_deadline_errors(start, opened):
    bench = start(BENCH, speed=1.0)
    pitaya = opened(bench, "pitaya")
    pitaya.prepare(WINDOW, "generator", 0.0)
    pitaya.arm()
    with pytest.raises(DeadlineError, match="has not seen a trigger"):
        pitaya.wait(0.1)
    pitaya.make_safe()
    pitaya.load({"ch1": Burst(np.concatenate([[0.0], np.ones(2000)]), 1e3)})  # 2 s
    pitaya.arm(source="software")
    with pytest.raises(InstrumentError, match="whether it has been triggered"):
        pitaya.wait(0.1)
    pitaya.fire()
    with pytest.raises(DeadlineError, match="has not ended"):
        pitaya.wait(0.1)
    pitaya.make_safe()
    assert level(bench) == 0.0


@pytest.mark.parametrize("idle", [0.0, 0.25])
def test_an_output_is_idle_at_once_when_it_is_made_safe_while_somebody_waits_for_its_burst(start, opened, idle):
    bench = start(BENCH, speed=1.0)
    log = TrafficLog()
    pitaya = opened(bench, "pitaya", log=log)
    pitaya.load({"ch1": Burst(np.concatenate([[idle], np.ones(16000), [idle]]), 1e3, idle)})  # 16 s
    pitaya.prepare(Window(0.0, 15.0, 1e3, RANGES), "generator", 0.0)
    pitaya.arm(source="software")
    pitaya.arm()
    pitaya.fire()
    problems, before = [], len(log.newest())

    def wait():
        try:
            pitaya.wait(200.0)
        except LabrhelError as error:
            problems.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_for(lambda: len(log.newest()) > before, "the question whether the record is complete")
    wait_for(lambda: level(bench) > 0.9, "the burst")
    pitaya.make_safe()
    assert level(bench) == pytest.approx(idle, abs=STEP)
    waiting.join(PATIENCE)
    assert not waiting.is_alive()  # without waiting for the end of the burst
    assert "interrupted" in str(problems[0]) or "made safe" in str(problems[0])
    with pytest.raises(InstrumentError, match="nothing to play"):
        pitaya.arm(source="software")
    with pytest.raises(InstrumentError, match="does not wait"):
        pitaya.fire()
    with pytest.raises(InstrumentError, match="nothing to play"):
        pitaya.ch1.output(True)
    with pytest.raises(InstrumentError, match="no complete record"):
        pitaya.read(["in1"])


def test_a_box_that_has_restarted_says_what_it_has_lost(start, opened):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya")
    pitaya.set_levels({"aout1": 1.0})
    pitaya.load(BURSTS)
    pitaya.prepare(WINDOW, "generator", 0.0)
    bench.hosts["pitaya"].order(Fault.of("restart", 0.1))
    with pytest.raises(LabrhelError):
        pitaya.ch1.amplitude()
        pitaya.arm(source="software")
    with pytest.raises(InstrumentError, match="nothing to play"):
        pitaya.arm(source="software")
    with pytest.raises(InstrumentError, match="prepare it"):
        pitaya.arm()
    assert not state(bench)["output", 1]
    _, seen = shoot(pitaya)
    assert np.ptp(seen["in1"].volts) > 0.1


def test_an_order_that_does_not_fit_is_refused_in_words(start, opened):
    pitaya = opened(start(BENCH), "pitaya")
    with pytest.raises(InstrumentError, match="prepare it"):
        pitaya.arm()
    with pytest.raises(InstrumentError, match="arm it"):
        pitaya.wait(1.0)
    with pytest.raises(InstrumentError, match="no complete record"):
        pitaya.read(["in1"])
    with pytest.raises(ProgramError, match="no input 'ch1'"):
        pitaya.read(["ch1"])
    with pytest.raises(ProgramError, match="external"):
        pitaya.arm(source="internal")


def test_snapshots_are_plain_data(start, opened):
    pitaya = opened(start(BENCH), "pitaya")
    shoot(pitaya)
    text = json.dumps(pitaya.snapshot(update=True))
    assert "frequency" in text and "LV" in text


@pytest.mark.parametrize("kind", ["late", "lost", "terminator", "garbage", "reset", "restart", "busy", "error"])
def test_after_any_fault_a_shot_is_right_or_a_named_error(start, opened, kind):
    bench = start(BENCH)
    pitaya = opened(bench, "pitaya", timeout=0.4)
    played, truth = shoot(pitaya)
    generator = np.random.default_rng(len(kind))
    amount = {"late": 0.6, "busy": 0.6, "restart": 0.05}.get(kind)
    right = 0
    for after in generator.integers(0, 40, 5):
        bench.hosts["pitaya"].order(Fault.of(kind, amount), int(after))
        try:
            again, seen = shoot(pitaya)
        except LabrhelError:
            pitaya.make_safe()
            assert level(bench) == 0.0 and level(bench, "ch2") == 0.0
            continue
        finally:
            bench.hosts["pitaya"].station.faults.clear()
        right += 1
        for own in BURSTS:
            assert (again[own] == played[own]).all()
        for own in RANGES:
            assert np.abs(seen[own].volts - truth[own].volts).max() < 3e-3
    shoot(pitaya)
    assert right or kind not in ("late", "busy")
