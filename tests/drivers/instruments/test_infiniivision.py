"""A Keysight InfiniiVision oscilloscope sees two oscillators that a Keysight generator drives."""

import json
import threading

import numpy as np
import pytest

from drivers.instruments import open_instrument
from drivers.roles import Burst, Digitizer, Window
from drivers.transport import TrafficLog
from labrhel.errors import ConfigurationError, DeadlineError, InstrumentError, LabrhelError, LimitError, ProgramError
from labrhel.testing.waiting import PATIENCE, wait_for
from simbackend.virtual_bench import Fault

BENCH = """
instruments:
  awg: {kind: keysight_33600, model: 33522B, wires: [socket, hislip]}
  scope: {kind: infiniivision, noise: 0.2mV, wires: [socket, hislip]}
leads:
  - {wire: awg.ch1, to: f1}
  - {wire: awg.ch2, to: f2}
  - {wire: q1, to: scope.ch1}
  - {wire: q2, to: scope.ch2}
  - {wire: awg.sync, to: scope.ch4}
  - {wire: awg.trigger_out, to: scope.trigger_in}
"""
RATE, COUNT = 20e3, 801
WINDOW = Window(-2e-3, 0.06, 100e3, {"ch1": (-2.5, 2.5), "ch2": (-2.0, 3.0)})
LSB = 5.0 / 200


def hill(seed, height):
    samples = np.cumsum(np.random.default_rng(seed).standard_normal(COUNT))
    samples = (samples - np.linspace(samples[0], samples[-1], COUNT)) * np.hanning(COUNT)
    return Burst(height * samples / np.abs(samples).max(), RATE, 0.0)


BURSTS = {"ch1": hill(1, 1.2), "ch2": hill(2, 0.7)}


def shoot(awg, scope, window=WINDOW, trigger="external", level=1.0):
    played = awg.load(BURSTS)
    rate = scope.prepare(window, trigger, level)
    assert rate == pytest.approx(window.rate, rel=1e-4)
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
    moved = motion(model, force, 2e-3)
    return np.array([np.interp(times, grid, q, left=0.0) for q in moved])


@pytest.mark.parametrize("wire", ["socket", "hislip"])
@pytest.mark.parametrize(("trigger", "level"), [("external", 1.0), ("ch4", 1.5)])
def test_a_record_is_what_the_oscillators_did_to_the_last_bit(motion, start, opened, wire, trigger, level):
    bench = start(BENCH)
    awg, scope = opened(bench, "awg", wire), opened(bench, "scope", wire)
    assert isinstance(scope, Digitizer)
    played, seen = shoot(awg, scope, trigger=trigger, level=level)
    for row, own in enumerate(("ch1", "ch2")):
        record = seen[own]
        times = record.t0 + record.dt * np.arange(len(record.codes))
        assert record.t0 <= WINDOW.start and times[-1] >= WINDOW.start + WINDOW.duration
        truth = expected(motion, bench.model, played, times)[row]
        assert record.scale == pytest.approx(LSB)
        assert np.abs(truth).max() > 0.5
        assert np.abs(record.volts - truth).max() < 0.6 * LSB + 1e-3
        assert record.over_range == 0


def test_samples_at_the_ends_of_the_converter_are_counted(start, opened):
    bench = start(BENCH)
    awg, scope = opened(bench, "awg"), opened(bench, "scope")
    narrow = Window(-2e-3, 0.06, 100e3, {"ch1": (-0.1, 0.1), "ch2": (-2.5, 2.5)})
    _, seen = shoot(awg, scope, narrow)
    assert seen["ch1"].over_range > 100 and seen["ch2"].over_range == 0


def test_a_level_of_zero_on_an_input_that_is_not_read_is_a_trigger_like_any_other(start, opened):
    bench = start(BENCH)
    scope = opened(bench, "scope")
    assert scope.prepare(WINDOW, "ch3", 0.0) == pytest.approx(WINDOW.rate)
    assert scope.ch3.range() == pytest.approx(2.0)


def test_what_it_cannot_do_is_refused_before_anything_is_sent(start, opened):
    bench = start(BENCH)
    scope = opened(bench, "scope")
    before = dict(bench.hosts["scope"].device.values)
    with pytest.raises(LimitError, match="cannot record"):
        scope.prepare(Window(0.0, 1.0, 2e9, {"ch1": (-1, 1)}), "ch4", 1.0)
    with pytest.raises(LimitError, match="cannot show"):
        scope.prepare(Window(0.0, 0.01, 100e3, {"ch1": (-30, 30)}), "ch4", 1.0)
    with pytest.raises(LimitError, match="cannot show"):
        scope.prepare(Window(0.0, 0.01, 100e3, {"ch1": (0.0, float("nan"))}), "ch4", 1.0)
    with pytest.raises(ProgramError, match="or external, not on 'ext'"):
        scope.prepare(WINDOW, "ext", 1.0)
    with pytest.raises(ProgramError, match="no input 'ch5'"):
        scope.prepare(Window(0.0, 0.01, 100e3, {"ch5": (-1, 1)}), "ch4", 1.0)
    assert dict(bench.hosts["scope"].device.values) == before


def test_an_order_that_does_not_fit_is_refused_in_words(start, opened):
    bench = start(BENCH)
    scope = opened(bench, "scope")
    with pytest.raises(InstrumentError, match="prepare it"):
        scope.arm()
    with pytest.raises(InstrumentError, match="arm it"):
        scope.wait(1.0)
    with pytest.raises(InstrumentError, match="no complete record"):
        scope.read(["ch1"])
    with pytest.raises(ConfigurationError, match="no RigolDS1000Z"):
        open_instrument("rigol_ds1000z", "other", bench.addresses["scope"]["hislip"])
    assert "time_range" in json.dumps(scope.snapshot(update=True))


def test_it_waits_in_vain_or_is_made_safe_from_another_thread(start, opened):
    bench = start(BENCH, speed=1.0)
    log = TrafficLog()
    scope = opened(bench, "scope", log=log)
    scope.prepare(WINDOW, "external", 1.0)
    scope.arm()
    with pytest.raises(DeadlineError, match="has not seen a trigger"):
        scope.wait(0.1)
    problems, before = [], len(log.newest())

    def wait():
        try:
            scope.wait(200.0)
        except LabrhelError as error:
            problems.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_for(lambda: len(log.newest()) > before, "the question whether the record is complete")
    scope.make_safe()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    assert "made safe" in str(problems[0]) or "interrupted" in str(problems[0])


def test_an_oscilloscope_that_has_restarted_gives_no_record(start, opened):
    bench = start(BENCH)
    awg, scope = opened(bench, "awg"), opened(bench, "scope")
    _, truth = shoot(awg, scope)
    bench.hosts["scope"].order(Fault.of("restart", 0.05))
    for words in ("may have acted", "has lost what it was given"):
        with pytest.raises(LabrhelError, match=words):
            scope.read(["ch1"])
    with pytest.raises(InstrumentError, match="no complete record"):
        scope.read(["ch1"])
    _, seen = shoot(awg, scope)
    assert np.abs(seen["ch1"].volts - truth["ch1"].volts).max() < 1.1 * LSB


@pytest.mark.parametrize("wire", ["socket", "hislip"])
@pytest.mark.parametrize("kind", ["late", "lost", "terminator", "garbage", "reset", "restart", "busy", "error"])
def test_after_any_fault_a_record_is_right_or_there_is_a_named_error(start, opened, kind, wire):
    if wire == "hislip" and kind == "terminator":
        pytest.skip("a HiSLIP message ends without a terminator of its own")
    bench = start(BENCH)
    awg, scope = opened(bench, "awg"), opened(bench, "scope", wire, timeout=0.4)
    _, truth = shoot(awg, scope)
    amount = {"late": 0.6, "busy": 0.6, "restart": 0.05}.get(kind)
    right = 0
    for after in np.random.default_rng(len(kind)).integers(0, 12, 5):
        bench.hosts["scope"].order(Fault.of(kind, amount), int(after))
        try:
            _, seen = shoot(awg, scope)
        except LabrhelError:
            scope.make_safe()
            continue
        finally:
            bench.hosts["scope"].station.faults.clear()
        right += 1
        for own in BURSTS:
            assert np.abs(seen[own].volts - truth[own].volts).max() < 1.1 * LSB + 1e-9
    shoot(awg, scope)
    assert right or kind not in ("late", "busy")
