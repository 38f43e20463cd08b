"""A Keysight generator drives two oscillators, a Rigol oscilloscope sees them."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from drivers.instruments import open_instrument
from drivers.roles import Burst, Digitizer, Generator, Window
from drivers.testing.cut_wires import CutWire
from drivers.transport import Direction, TrafficLog
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
  awg: {kind: keysight_33600, model: 33522B, wires: [socket, hislip]}
  scope: {kind: rigol_ds1000z, noise: 1mV}
leads:
  - {wire: awg.ch1, to: f1}
  - {wire: awg.ch2, to: f2}
  - {wire: q1, to: scope.ch1}
  - {wire: q2, to: scope.ch2}
  - {wire: awg.sync, to: scope.ch4}
"""
RATE, COUNT, LSB = 20e3, 801, 0.02
WINDOW = Window(-2e-3, 0.06, 125e3, {"ch1": (-2.5, 2.5), "ch2": (-2.5, 2.5)})


def hill(seed=1, height=1.5, idle=0.0):
    samples = np.cumsum(np.random.default_rng(seed).standard_normal(COUNT))
    samples = (samples - np.linspace(samples[0], samples[-1], COUNT)) * np.hanning(COUNT)
    return Burst(idle + height * samples / np.abs(samples).max(), RATE, idle)


def shoot(awg, scope, bursts, window=WINDOW):
    played = awg.load(bursts)
    scope.prepare(window, "ch4", 1.0)
    awg.arm(source="software")
    scope.arm()
    awg.fire()
    awg.wait(5)
    scope.wait(5)
    return played, scope.read(["ch1", "ch2"])


def expected(motion, model, played, times):
    grid = 2e-6 * (np.arange(round((times[-1] + 1e-3) / 2e-6)) + 0.5)
    index = np.floor(grid * RATE).astype(int)
    drives = np.stack([played["ch1"], played["ch2"]])
    force = np.where(index < COUNT, drives[:, np.clip(index, 0, COUNT - 1)], 0.0)
    moved = motion(model, force, 2e-6 * 1e3)
    return np.array([np.interp(times, grid, q, left=0.0) for q in moved])


def state(bench, name="awg"):
    return dict(bench.hosts[name].device.values)


def level(bench, terminal="awg.ch1"):
    return bench.world.output(terminal).at(bench.clock.now())


@pytest.mark.parametrize("wire", ["socket", "hislip"])
def test_what_the_generator_plays_moves_the_oscillators_that_the_oscilloscope_sees(motion, start, opened, wire):
    bench = start(BENCH)
    awg, scope = opened(bench, "awg", wire), opened(bench, "scope")
    assert isinstance(awg, Generator) and isinstance(scope, Digitizer)
    bursts = {"ch1": hill(1), "ch2": hill(2, 0.7)}
    for _ in range(2):
        played, seen = shoot(awg, scope, bursts)
        for own, burst in bursts.items():
            assert np.abs(played[own] - burst.samples).max() <= 1.6 / 32767
        record = seen["ch1"]
        times = record.t0 + record.dt * np.arange(len(record.codes))
        assert times[0] == pytest.approx(WINDOW.start) and record.dt == 1 / WINDOW.rate
        assert times[-1] >= WINDOW.start + WINDOW.duration
        for own, truth in zip(("ch1", "ch2"), expected(motion, bench.model, played, times), strict=True):
            assert np.ptp(truth) > 20 * LSB and seen[own].over_range == 0
            assert np.abs(seen[own].volts - truth).max() < 0.5 * LSB + 6e-3


def test_a_record_longer_than_one_read_is_put_together_in_order(start, opened):
    bench = start(BENCH)
    awg, scope = opened(bench, "awg"), opened(bench, "scope")
    window = Window(0.0, 0.06, 5e6, {"ch1": (-2.5, 2.5)})
    _, seen = shoot(awg, scope, {"ch1": hill()}, window)
    record = seen["ch1"]
    assert len(record.codes) == 300_002
    coarse = shoot(awg, scope, {"ch1": hill()}, Window(0.0, 0.06, 125e3, {"ch1": (-2.5, 2.5)}))[1]["ch1"].volts
    assert np.abs(record.volts[::40] - coarse[: len(record.volts[::40])]).max() < 1.5 * LSB


def test_a_window_that_is_another_part_of_the_same_record_is_not_set_again(start, opened):
    bench, log = start(BENCH), TrafficLog()
    awg, scope = opened(bench, "awg"), opened(bench, "scope", log=log)
    shoot(awg, scope, {"ch1": hill()})
    said, longer = len(log.newest()), replace(WINDOW, duration=0.1)
    assert scope.prepare(longer, "ch4", 1.0) == pytest.approx(125e3)
    assert len(log.newest()) == said
    with pytest.raises(InstrumentError, match="no complete record"):  # that of the shot before is not read as its
        scope.read(["ch1"])
    record = shoot(awg, scope, {"ch1": hill()}, longer)[1]["ch1"]
    assert len(record.codes) == 12502
    said = len(log.newest())
    scope.prepare(replace(longer, start=-3e-3), "ch4", 1.0)
    assert len(log.newest()) > said


def test_opening_changes_nothing(start, opened):
    bench = start(BENCH)
    before = state(bench), state(bench, "scope")
    awg, scope = opened(bench, "awg"), opened(bench, "scope")
    assert awg.identity.startswith("Agilent Technologies,33522B") and scope.get_idn()["model"] == "DS1104Z"
    assert (state(bench), state(bench, "scope")) == before


def test_an_output_stays_at_its_idle_level_while_it_is_loaded_again_and_when_it_is_made_safe(start, opened):
    bench = start(BENCH)
    awg = opened(bench, "awg")
    awg.load({"ch1": hill(1, 1.5, -0.5)})
    awg.arm(source="software")
    assert level(bench) == pytest.approx(-0.5, abs=1e-12)
    track = bench.world.output("awg.ch1")
    since = track.still_from
    awg.load({"ch1": hill(2, 0.3, -0.5)})
    awg.arm(source="external")
    assert level(bench) == pytest.approx(-0.5, abs=1e-12) and track.still_from == since
    awg.make_safe()
    assert level(bench) == pytest.approx(-0.5, abs=1e-12) and track.still_from == since
    awg.load({"ch1": hill()})
    awg.arm(source="software")
    awg.make_safe()
    awg.make_safe()
    assert level(bench) == 0.0 and not state(bench)["output", 1]


def test_a_burst_that_its_limits_hold_only_on_one_side_is_played_from_its_middle(start, opened):
    bench = start(BENCH)
    awg = opened(bench, "awg", limits={"ch1": [-0.1, 3.0]})
    samples = np.concatenate([[0.0], np.linspace(0, 3.0, 50), [0.0]])
    played = awg.load({"ch1": Burst(samples, RATE)})["ch1"]
    assert np.abs(played - samples).max() < 1e-4
    assert awg.ch1.limit_low() == -0.1 and awg.ch1.limit_high() == 3.0
    assert state(bench)["limited", 1] and awg.ch1.amplitude() == pytest.approx(3.0)


def test_a_declared_load_halves_what_comes_out_without_it(start, opened):
    bench = start(BENCH)
    awg = opened(bench, "awg", load=50.0)
    assert awg.outputs["ch1"].high == 5.0
    awg.load({"ch1": Burst(np.array([1.0, 2.0, 1.0]), RATE, 1.0)})
    awg.arm(source="software")
    assert level(bench) == pytest.approx(2.0) and awg.ch1.load() == 50.0


def test_two_outputs_are_loaded_in_as_many_exchanges_as_one(start, opened):
    bench, log = start(BENCH), TrafficLog()
    awg = opened(bench, "awg", log=log)
    bursts = {"ch1": hill(1), "ch2": hill(2, 0.7)}
    played, before = awg.load(bursts), len(log.newest())
    for own, burst in bursts.items():
        assert np.abs(played[own] - burst.samples).max() < 1e-3
    assert awg.load({}) == {}
    awg.load(bursts)
    answers = [piece for piece in log.newest()[before:] if piece.direction is Direction.RECEIVED]
    assert len(answers) == 2 + 1  # and one for what is left out in between


def test_what_is_beyond_a_limit_is_refused_before_anything_is_sent(start, opened):
    bench = start(BENCH)
    awg, scope = opened(bench, "awg", limits=[-1.0, 1.0]), opened(bench, "scope")
    before = state(bench), state(bench, "scope")
    with pytest.raises(LimitError, match=r"awg.ch1 would get 1\.5 V; allowed is \[-1, 1\] V"):
        awg.load({"ch2": hill(1, 0.5), "ch1": Burst(np.array([0, 1.5, 0]), RATE)})
    with pytest.raises(LimitError):
        awg.load({"ch1": Burst(np.array([0, np.nan, 0]), RATE)})
    with pytest.raises(LimitError, match="samples a second"):
        awg.load({"ch1": Burst(np.zeros(3), 1e9)})
    with pytest.raises(LimitError, match="holds 1000000 samples"):
        awg.load({"ch1": Burst(np.zeros(1_000_001), RATE)})
    with pytest.raises(ProgramError, match="begins with its idle level"):
        awg.load({"ch1": Burst(np.array([0.5, 0.0]), RATE)})
    with pytest.raises(ProgramError, match="ch1 and ch2"):
        awg.load({"ch3": hill()})
    with pytest.raises(LimitError, match="cannot record"):
        scope.prepare(Window(0.0, 1.0, 250e6, {"ch1": (-1, 1)}), "ch4", 1.0)
    with pytest.raises(LimitError, match="cannot show"):
        scope.prepare(Window(0.0, 0.01, 125e3, {"ch1": (-100, 100)}), "ch4", 1.0)
    with pytest.raises(ProgramError, match="wire it to one"):
        scope.prepare(WINDOW, "external", 1.0)
    assert (state(bench), state(bench, "scope")) == before


def test_the_instrument_itself_refuses_what_goes_past_the_driver(start, opened):
    bench = start(BENCH)
    awg = opened(bench, "awg", limits=[-1.0, 1.0])
    awg.load({"ch1": hill(1, 0.5)})
    with pytest.raises(InstrumentError, match="exceed the voltage limits") as caught:
        awg.write(":SOUR1:VOLT 6")
    assert caught.value.answer.startswith("-221")
    assert awg.ch1.amplitude() == pytest.approx(1.0)


def test_options_and_identities_that_are_wrong_are_errors_of_the_file(start, opened):
    bench = start(BENCH)
    awg, scope = (bench.addresses[name]["socket"] for name in ("awg", "scope"))
    with pytest.raises(ConfigurationError, match=r"RIGOL TECHNOLOGIES,DS1104Z.*no Keysight33600"):
        open_instrument("keysight_33600", "other", scope)
    with pytest.raises(ConfigurationError, match="no RigolDS1000Z"):
        open_instrument("rigol_ds1000z", "other", awg)
    with pytest.raises(ConfigurationError, match="no option 'limitz'"):
        open_instrument("keysight_33600", "other", awg, limitz=[-1, 1])
    with pytest.raises(ConfigurationError, match="no driver 'keysight_3360'"):
        open_instrument("keysight_3360", "other", awg)
    for options in ({"limits": [-20, 20]}, {"limits": {"ch3": [0, 1]}}, {"load": 0.0}, {"reference": "maybe"}):
        with pytest.raises(ConfigurationError):
            open_instrument("keysight_33600", "other", awg, **options)
    first = opened(bench, "awg")
    with pytest.raises(ConfigurationError, match="open already"):
        open_instrument("keysight_33600", "awg", awg)
    first.close()
    opened(bench, "awg").reference("external")
    assert state(bench)["reference", 0] == "EXT"


def test_a_trigger_that_does_not_come_and_a_burst_that_does_not_end_are_deadline_errors(start, opened):
    bench = start(BENCH, speed=1.0)
    awg, scope = opened(bench, "awg", timeout=6.0), opened(bench, "scope")  # waited out once, before the wire is asked
    scope.prepare(WINDOW, "ch4", 1.0)
    scope.arm()
    with pytest.raises(DeadlineError, match="has not seen a trigger"):
        scope.wait(0.1)
    awg.load({"ch1": Burst(np.concatenate([[0.0], np.ones(2000)]), 50.0)})  # 40 s
    awg.arm(source="software")
    awg.fire()
    with pytest.raises(DeadlineError, match="has not ended"):
        awg.wait(0.1)
    awg.make_safe()
    assert level(bench) == 0.0


def test_a_wire_that_goes_silent_while_a_burst_is_waited_for_is_named_not_the_burst(start):
    bench = start(BENCH, speed=1.0)
    host, port = bench.addresses["awg"]["socket"].split("::")[1:3]
    wire = CutWire((host, int(port)))
    awg = open_instrument("keysight_33600", "awg", f"TCPIP::127.0.0.1::{wire.port}::SOCKET", timeout=0.5, patience=0.5)
    try:
        awg.load({"ch1": Burst(np.array([0.0, 1.0, 1.0, 0.0] * 4), 1e3)})
        awg.arm(source="software")
        awg.fire()
        wire.spoil("half-open")
        with pytest.raises(TransportError, match="no answer"):
            awg.wait(0.3)
    finally:
        wire.mend()
        awg.close()
        wire.close()


def test_an_output_is_off_at_once_when_it_is_made_safe_while_somebody_waits_for_its_burst(start, opened):
    bench = start(BENCH, speed=1.0)
    log = TrafficLog()
    awg = opened(bench, "awg", log=log)
    awg.load({"ch1": Burst(np.concatenate([[0.0], np.ones(5000)]), 50.0)})  # 100 s
    awg.arm(source="software")
    awg.fire()
    before = len(log.newest())
    problems = []

    def wait():
        try:
            awg.wait(200.0)
        except LabrhelError as error:
            problems.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_for(lambda: len(log.newest()) > before, "the question whether the burst has ended")
    wait_for(lambda: level(bench) > 0.9, "the second sample of the burst")
    awg.make_safe()
    assert level(bench) == 0.0
    waiting.join(PATIENCE)
    assert not waiting.is_alive()  # without waiting for the end of the burst
    assert "interrupted" in str(problems[0])
    with pytest.raises(InstrumentError, match="nothing to play"):
        awg.arm(source="software")
    with pytest.raises(InstrumentError, match="does not wait"):
        awg.fire()
    with pytest.raises(InstrumentError, match="nothing to play"):
        awg.ch1.output(True)


def test_a_generator_that_has_restarted_says_that_it_has_lost_its_waveform(start, opened):
    bench = start(BENCH)
    awg = opened(bench, "awg")
    awg.load({"ch1": hill()})
    bench.hosts["awg"].order(Fault.of("restart", 0.1))
    with pytest.raises(LabrhelError):
        awg.ch1.amplitude()
        awg.arm(source="software")
    with pytest.raises(InstrumentError, match="nothing to play"):
        awg.arm(source="software")
    assert not state(bench)["output", 1]
    awg.load({"ch1": hill()})
    awg.arm(source="software")
    assert state(bench)["limited", 1] and state(bench)["output", 1]


def test_memory_that_is_full_is_cleared(start, opened):
    bench = start(BENCH)
    awg = opened(bench, "awg")
    big = Burst(np.concatenate([[0.0], np.full(900_000, 0.5)]), 1e6)
    for _ in range(6):
        awg.load({"ch1": big})
    assert len(bench.hosts["awg"].device._arbs[1].names) < 6
    awg.arm(source="software")
    assert level(bench) == 0.0


def test_an_order_that_does_not_fit_is_refused_in_words(start, opened):
    bench = start(BENCH)
    awg, scope = opened(bench, "awg"), opened(bench, "scope")
    with pytest.raises(InstrumentError, match="prepare it"):
        scope.arm()
    with pytest.raises(InstrumentError, match="arm it"):
        scope.wait(1.0)
    with pytest.raises(InstrumentError, match="no complete record"):
        scope.read(["ch1"])
    with pytest.raises(ProgramError, match="external"):
        awg.arm(source="internal")


def test_snapshots_are_plain_data(start, opened):
    bench = start(BENCH)
    awg, scope = opened(bench, "awg"), opened(bench, "scope")
    shoot(awg, scope, {"ch1": hill()})
    assert "limit_high" in json.dumps(awg.snapshot(update=True))
    assert "time_scale" in json.dumps(scope.snapshot(update=True))


@pytest.mark.parametrize("kind", ["late", "lost", "terminator", "garbage", "reset", "restart", "busy", "error"])
@pytest.mark.parametrize("name", ["awg", "scope"])
def test_after_any_fault_a_shot_is_right_or_a_named_error(start, opened, name, kind):
    bench = start(BENCH)
    awg, scope = opened(bench, "awg", timeout=0.4), opened(bench, "scope", timeout=0.4)
    bursts = {"ch1": hill(1), "ch2": hill(2, 0.7)}
    played, truth = shoot(awg, scope, bursts)
    generator = np.random.default_rng(len(kind) + len(name))
    amount = {"late": 0.6, "busy": 0.6, "restart": 0.05}.get(kind)
    right = 0
    for after in generator.integers(0, 28, 5):
        bench.hosts[name].order(Fault.of(kind, amount), int(after))
        try:
            again, seen = shoot(awg, scope, bursts)
        except LabrhelError:
            awg.make_safe()
            assert level(bench) == 0.0 and level(bench, "awg.ch2") == 0.0
            continue
        finally:
            bench.hosts[name].station.faults.clear()
        right += 1
        for own in bursts:
            assert (again[own] == played[own]).all()
            assert np.abs(seen[own].volts - truth[own].volts).max() < 1.1 * LSB + 1e-9
    shoot(awg, scope, bursts)
    assert right or kind not in ("late", "busy")
