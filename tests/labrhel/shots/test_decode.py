from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from labrhel.executor import Compiling, RigBackend, execute
from labrhel.learning.train import free_run
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.rig.wiring import Wire, Wiring
from labrhel.shots.capture import Capture, PassCapture, State, Trace
from labrhel.shots.compile import compile
from labrhel.shots.decode import decode
from labrhel.shots.program import Acquire, Pass, Rest, ShotProgram
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import reference_rig
from simbackend.rigs.simulated import SimulatedRig

RIG = SimulatedRig(OscillatorNetwork(2))
PROGRAM = ShotProgram(0.1, Rest(), (Pass(3, (), Acquire(("q1", "v2"))),))


def captured(values: Mapping[str, list[float]]) -> Capture:
    traces = {name: Trace(np.array([row]), "V", 0.0, 0.1) for name, row in values.items()}
    return Capture(compile(PROGRAM, RIG.capabilities), (PassCapture(traces),), 1)


def value(number: float, unit: str = "") -> CalibratedValue:
    return CalibratedValue(number, unit, 0.0, "declared")


def test_an_ideal_reading_is_passed_on_without_a_copy() -> None:
    capture = captured({"q1": [1.0, 2.0, 3.0], "v2": [0.0, 0.0, 1.0]})
    decoded = decode(capture, RIG.capabilities, Wiring(), CalibrationSet())
    assert decoded.last.traces["q1"].values is capture.last.traces["q1"].values


def test_wire_then_calibration_turn_a_reading_into_model_units() -> None:
    capture = captured({"q1": [1.0, 2.0, 3.0], "v2": [0.0, 0.0, 1.0]})
    wires = Wiring({"q1": Wire("CH1", gain=-2.0, offset=0.5)})
    calibration = CalibrationSet({"q1.gain": value(1.1), "q1.offset": value(0.01, "V"), "v2.delay": value(0.02, "s")})
    decoded = decode(capture, RIG.capabilities, wires, calibration).last.traces
    np.testing.assert_allclose(decoded["q1"].values[0], 1.1 * -2.0 * (np.array([1.0, 2.0, 3.0]) - 0.5) + 0.01)
    np.testing.assert_allclose(
        decoded["v2"].values[0], [0.0, 0.2, 1.2], atol=1e-12
    )  # straight on, a fifth of a step later
    assert decoded["v2"].t0 == 0.0


def test_a_late_channel_is_read_between_its_samples() -> None:
    times, late = 0.1 * np.arange(60), 0.03
    shown = np.sin(1.3 * (times - late))
    capture = captured({"q1": shown.tolist()})
    calibration = CalibrationSet({"q1.delay": value(late, "s")})
    decoded = decode(capture, RIG.capabilities, Wiring(), calibration).last.traces["q1"]
    np.testing.assert_allclose(decoded.values[0, 2:-2], np.sin(1.3 * times)[2:-2], atol=2e-5)
    np.testing.assert_allclose(decoded.values[0], np.sin(1.3 * times), atol=5e-4)


def test_a_wire_that_inverts_and_halves_is_undone_by_the_executor() -> None:
    reference = reference_rig()
    straight = execute(free_run(reference.task, reference.sequences, reference.theta), reference.handler())
    names = [channel.name for channel in reference.rig.capabilities.channels]

    class Inverting:
        """A rig whose channels are wired to instruments that show minus half of what is there."""

        capabilities = reference.rig.capabilities

        def run(self, shots: list) -> list[Capture]:
            return [scaled(capture) for capture in reference.rig.run(shots)]

        def __getattr__(self, name: str) -> object:
            return getattr(reference.rig, name)

    def scaled(capture: Capture) -> Capture:
        halved = {
            name: Trace(-0.5 * trace.values, trace.unit, trace.t0, trace.dt)
            for name, trace in capture.last.traces.items()
        }
        return Capture(capture.shot, (PassCapture(halved),), capture.passes_run)

    wires = Wiring({name: Wire(name, gain=-2.0) for name in names})
    handler = Compiling(RigBackend(Inverting()), reference.rig.capabilities, wires)
    wired = execute(free_run(reference.task, reference.sequences, reference.theta), handler)
    np.testing.assert_allclose(wired[0], straight[0], rtol=1e-14)


def test_a_decoded_trace_has_the_unit_of_the_model_and_all_else_as_it_was() -> None:
    traces = {"q1": Trace(np.array([[1.0, 2.0], [3.0, 5.0]]), "V", 0.25, 0.1, over_range=3, scale=0.01, offset=-1.0)}
    end = State(np.ones((2, 2)), np.zeros((2, 2)))
    first = PassCapture(traces, {"mass": np.ones((2, 2))}, end)
    second = PassCapture({"v2": Trace(np.ones((2, 3)), "V", 0.0, 0.1)})
    capture = Capture(compile(PROGRAM, RIG.capabilities), (first, second), 2, 1.0, 1.5)
    found = decode(capture, RIG.capabilities, Wiring({"q1": Wire("CH1", 4.0, 0.5, unit="mm")}), CalibrationSet())
    trace = found.passes[0].traces["q1"]
    assert trace.values.tolist() == [[2.0, 6.0], [10.0, 18.0]]
    assert (trace.unit, trace.t0, trace.dt, trace.over_range, trace.scale, trace.offset) == (
        "mm", 0.25, 0.1, 3, 0.01, -1.0,
    )  # fmt: skip
    assert found.passes[0].observables is first.observables and found.passes[0].end_state is end
    assert found.passes[1] is second
    assert (found.passes_run, found.planned_start, found.actual_start) == (2, 1.0, 1.5)


@pytest.mark.parametrize("known", [{"gain": 1.5}, {"offset": 0.5}, {"delay": 0.05}])
def test_each_calibrated_quantity_alone_changes_a_reading(known: dict[str, float]) -> None:
    capture = captured({"q1": [1.0, 2.0, 3.0], "v2": [0.0, 0.0, 1.0]})
    calibration = CalibrationSet({f"q1.{name}": value(number) for name, number in known.items()})
    found = decode(capture, RIG.capabilities, Wiring(), calibration).last.traces
    expected = {"gain": [1.5, 3.0, 4.5], "offset": [1.5, 2.5, 3.5], "delay": [1.5, 2.5, 3.5]}[next(iter(known))]
    assert np.allclose(found["q1"].values, [expected])
    assert found["q1"].unit == "V"
    assert found["v2"] is capture.last.traces["v2"]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_a_late_channel_is_read_by_a_cubic_where_there_are_samples_for_one_and_straight_where_not(count: int) -> None:
    places = np.arange(count)
    trace = Trace(np.stack([places**3.0, 2.0 * places]), "V", 0.0, 0.5)
    capture = Capture(compile(PROGRAM, RIG.capabilities), (PassCapture({"q1": trace}),), 1)
    rig = replace(RIG.capabilities, time_unit=1e-3)
    late = CalibrationSet({"q1.delay": value(1.25e-4, "s")})  # a quarter of a sample
    found = decode(capture, rig, Wiring(), late).last.traces["q1"].values
    if count == 1:
        assert np.array_equal(found, trace.values)
        return
    assert np.allclose(found[1], 2 * (places + 0.25))
    if count > 3:
        assert np.allclose(found[0], (places + 0.25) ** 3)
    else:
        steps = np.diff(places**3.0, append=np.nan)
        steps[-1] = steps[-2]
        assert np.allclose(found[0], places**3.0 + 0.25 * steps)


def test_a_clock_that_is_slow_is_read_at_the_times_of_the_outputs() -> None:
    times, rate, begins = 0.1 * np.arange(400), 2e-3, 0.7
    trace = Trace(np.sin(1.3 * (1 + rate) * (begins + times))[None], "V", begins, 0.1)
    capture = Capture(compile(PROGRAM, RIG.capabilities), (PassCapture({"q1": trace}),), 1)
    known = CalibrationSet({"clock.rate": value(rate), "q1.delay": value(0.0)})
    found = decode(capture, RIG.capabilities, Wiring(), known).last.traces["q1"].values[0]
    np.testing.assert_allclose(found, np.sin(1.3 * (begins + times)), atol=2e-5)
