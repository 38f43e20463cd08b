from collections.abc import Mapping

import numpy as np

from labrhel.executor import Compiling, RigBackend, execute
from labrhel.learning.train import free_run
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.rig.wiring import Wire, Wiring
from labrhel.shots.capture import Capture, PassCapture, Trace
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
