"""What QCoDeS users do with instruments of a bench: set them, scan them, load them from a Station, monitor them."""

import json
import math
import warnings

import numpy as np
import pytest
from qcodes.dataset import do1d, load_or_create_experiment
from qcodes.dataset.sqlite.database import initialised_database_at
from qcodes.monitor.monitor import _get_metadata
from qcodes.parameters import ParameterWithSetpoints

from drivers.qcodes_station import qcodes_station
from drivers.roles import Burst, Window
from labrhel.errors import InstrumentError, LimitError
from simbackend.virtual_bench import station_text

RIGOL = """
instruments:
  awg: {kind: keysight_33600, model: 33522B}
  scope: {kind: rigol_ds1000z, noise: 1mV}
  bias: {kind: qdac2}
leads:
  - {wire: awg.ch1, to: f1}
  - {wire: awg.ch2, to: f2}
  - {wire: q1, to: scope.ch1}
  - {wire: q2, to: scope.ch2}
  - {wire: awg.sync, to: scope.ch4}
"""
KEYSIGHT = (
    RIGOL.replace("kind: rigol_ds1000z", "kind: infiniivision") + "  - {wire: awg.trigger_out, to: scope.trigger_in}\n"
)
PULSE = Burst(np.concatenate([[0.0], np.hanning(398), [0.0]]), 20e3)
WINDOW = Window(-1e-3, 0.03, 125e3, {"ch1": (-2.5, 2.5), "ch2": (-2.5, 2.5)})


@pytest.fixture(autouse=True)
def no_progress_bars(monkeypatch):
    """Without the thread that watches them: it stays."""
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)


def ready(awg, scope, trigger="ch4", window=WINDOW):
    awg.load({"ch1": PULSE})
    scope.prepare(window, trigger, 1.0)
    awg.arm(source="software")


@pytest.mark.parametrize(("bench", "trigger", "rate"), [(RIGOL, "ch4", 125e3), (KEYSIGHT, "external", 100e3)])
def test_a_scan_of_the_amplitude_records_traces_with_their_times(start, opened, tmp_path, bench, trigger, rate):
    bench = start(bench)
    awg, scope = opened(bench, "awg"), opened(bench, "scope")
    ready(awg, scope, trigger, Window(-1e-3, 0.03, rate, WINDOW.ranges))
    traces = scope.ch1.trace, scope.ch2.trace
    assert all(isinstance(trace, ParameterWithSetpoints) for trace in traces)
    with initialised_database_at(str(tmp_path / "lab.db")):
        load_or_create_experiment("scan", "bench")
        data, *_ = do1d(awg.ch1.amplitude, 0.4, 1.2, 3, 0.0, scope.arm, awg.fire, *traces, show_progress=False)
        found = data.to_xarray_dataset()
        data.conn.close()
    volts, times = found["scope_ch1_trace"].values, found["scope_ch1_time"].values
    assert volts.shape == (3, len(times)) and times[0] == pytest.approx(-1e-3, abs=2 / rate)
    assert np.diff(times) == pytest.approx(1 / rate, rel=1e-3)
    heights = np.abs(volts).max(1)
    assert heights[1] / heights[0] == pytest.approx(2.0, rel=0.15)
    assert heights[2] / heights[0] == pytest.approx(3.0, rel=0.2)
    assert found["scope_ch2_trace"].values.shape == volts.shape


def test_inputs_show_one_record_and_whichever_is_asked_twice_waits_for_the_next(start, opened):
    bench = start(RIGOL)
    awg, scope = opened(bench, "awg"), opened(bench, "scope")
    with pytest.raises(InstrumentError, match="does not know what to record: prepare it first"):
        scope.ch1.trace()
    ready(awg, scope)
    scope.arm()
    awg.fire()
    first = scope.ch1.trace()
    assert np.array_equal(scope.read(["ch1"])["ch1"].volts, first) and len(scope.ch1.time()) == len(first)
    scope.ch2.trace()
    number = bench.hosts["scope"].device._recorder.record.number
    scope.arm()
    awg.fire()
    assert not np.array_equal(scope.ch1.trace(), first)  # noise of its own
    assert bench.hosts["scope"].device._recorder.record.number == number + 1


def test_a_value_that_is_set_stays_within_the_limits_and_the_next_burst_is_what_it_should_be(start, opened):
    bench = start(RIGOL)
    awg = opened(bench, "awg", limits=[-1.0, 2.0])
    awg.load({"ch1": PULSE})
    awg.ch1.amplitude(1.0)
    awg.ch1.offset(1.25)
    assert (awg.ch1.amplitude(), awg.ch1.offset()) == (1.0, 1.25)
    for parameter, value in ((awg.ch1.offset, 1.75), (awg.ch1.amplitude, 1.6), (awg.ch1.offset, -1.0)):
        with pytest.raises(LimitError, match=r"awg.ch1 would get .* V; allowed is \[-1, 2\] V; nothing was sent"):
            parameter(value)
    assert (awg.ch1.amplitude(), awg.ch1.offset()) == (1.0, 1.25)
    played = awg.load({"ch1": PULSE})["ch1"]
    assert np.abs(played - PULSE.samples).max() < 1e-3 and awg.ch1.offset() == 0.0


def test_another_load_means_other_volts_with_the_output_off_and_limits_that_hold(start, opened):
    bench = start(RIGOL)
    awg = opened(bench, "awg", limits={"ch1": [-4.0, 4.0]})
    ready_ = {"ch1": PULSE, "ch2": PULSE}
    awg.load(ready_)
    awg.arm(source="software")
    awg.ch1.load(50.0)
    assert awg.ch1.load() == 50.0 and awg.ch1.output() is False
    assert (awg.outputs["ch1"].low, awg.outputs["ch1"].high) == (-4.0, 4.0)
    with pytest.raises(InstrumentError, match="nothing to play: load it before"):
        awg.arm(source="software")
    awg.load(ready_)
    assert awg.ch1.limit_high() == 4.0
    awg.ch2.load(50.0)
    assert awg.outputs["ch2"].high == 5.0  # nobody has limited it
    awg.ch2.load(math.inf)
    assert awg.ch2.load() == math.inf and awg.outputs["ch2"].high == 10.0
    with pytest.raises(LimitError, match="by its limits, would get -4 V; allowed is"):
        awg.ch1.load(5.0)
    with pytest.raises(LimitError, match=r"a load has 1 Ohm to infinity, not 0\.5"):
        awg.ch1.load(0.5)
    assert awg.ch1.load() == 50.0


@pytest.mark.parametrize("bench", [RIGOL, KEYSIGHT])
def test_a_scale_that_is_set_by_hand_is_set_back_when_a_window_is_prepared(start, opened, bench):
    bench = start(bench)
    awg, scope = opened(bench, "awg"), opened(bench, "scope")
    ready(awg, scope, window=Window(-1e-3, 0.03, 50e3, WINDOW.ranges))
    before = scope.ch1.scale()
    scope.ch1.scale(0.1)
    scope.ch1.offset(0.25)
    assert (scope.ch1.scale(), scope.ch1.offset()) == (pytest.approx(0.1), pytest.approx(0.25))
    with pytest.raises(LimitError, match="nothing was sent"):
        scope.ch1.scale(1e3)
    with pytest.raises(InstrumentError, match="prepare it"):
        scope.arm()
    scope.prepare(Window(-1e-3, 0.03, 50e3, WINDOW.ranges), "ch4", 1.0)
    assert scope.ch1.scale() == before


def test_a_station_loads_the_instruments_of_a_station_file_without_a_warning(start, tmp_path):
    bench = start(RIGOL)
    (tmp_path / "station.yaml").write_text(station_text(bench), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        station = qcodes_station(tmp_path / "station.yaml")
        boxes = {name: station.load_instrument(name) for name in ("awg", "scope", "bias")}
    try:
        boxes["bias"].ch3.voltage(0.5)
        assert station.snapshot()["instruments"]["bias"]["submodules"]["ch3"]["parameters"]["voltage"]["value"] == 0.5
        shown = _get_metadata(boxes["bias"].ch3.voltage, boxes["awg"].ch1.amplitude, boxes["scope"].ch1.trace)
        names = [item["name"] for part in shown["parameters"] for item in part["parameters"]]
        assert len(names) == 3 and json.dumps(shown)
    finally:
        for box in boxes.values():
            box.close()
        station.close_all_registered_instruments()
