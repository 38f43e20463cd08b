"""What was achieved is what is answered: knobs read back, through maps that are neither diagonal nor symmetric."""

from typing import Any

import numpy as np

from labrhel.executor import Compiling, RigBackend
from labrhel.frozen import FrozenArray
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.rig.wiring import LinearKnob, Wire, Wiring
from labrhel.shots.operations import Configure, Operation, Publish, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

CROSSTALK = np.array([[2.0, 0.5], [0.0, 4.0]])
BIAS = np.array([1.0, -3.0])
RIG = SimulatedRig(OscillatorNetwork(2)).capabilities


class Coarse:
    """A rig whose knobs have steps of a quarter: it says what it was set to, not what it was asked."""

    def __init__(self) -> None:
        self.seen: list[Operation] = []

    def do(self, operation: Operation) -> Any:
        self.seen.append(operation)
        if isinstance(operation, Configure):
            return {name: np.round(4 * np.asarray(value)) / 4 for name, value in operation.knobs.items()}
        return "answer"


def test_a_setting_is_sent_through_the_map_and_answered_with_what_the_knobs_came_to() -> None:
    rig = Coarse()
    knobs = Wiring(knobs={"stiffness": LinearKnob(FrozenArray(CROSSTALK), FrozenArray(BIAS))})
    asked = {"stiffness": np.array([0.31, 0.72]), "mass": np.array([1.1, 0.9])}
    achieved = Compiling(rig, RIG, knobs).do(Configure(asked))
    (sent,) = rig.seen
    assert isinstance(sent, Configure) and sent.parameters is asked
    assert np.allclose(sent.knobs["stiffness"], CROSSTALK @ asked["stiffness"] + BIAS)
    assert np.allclose(sent.knobs["mass"], asked["mass"])
    set_to = np.array([2.0, 0.0])  # of 1.98 and -0.12, in steps of a quarter
    assert np.allclose(achieved["stiffness"], np.linalg.solve(CROSSTALK, set_to - BIAS))
    assert np.allclose(achieved["mass"], [1.0, 1.0])


def test_what_is_neither_shot_nor_setting_goes_through_as_it_is() -> None:
    rig, said = Coarse(), Publish(3, {"loss": 1.0})
    assert Compiling(rig, RIG).do(said) == "answer"
    assert rig.seen == [said]


def test_a_calibration_is_inverted_in_front_of_the_wiring_and_counted_in_what_is_answered() -> None:
    rig = Coarse()
    known = {"stiffness[1].factor": 0.8, "stiffness[0].added": 0.1, "friction[0,1].added": 0.05, "mass[0].factor": 1.25}
    calibration = CalibrationSet({name: CalibratedValue(number, "", 0.01, "fit") for name, number in known.items()})
    knobs = Wiring(knobs={"stiffness": LinearKnob(FrozenArray(CROSSTALK), FrozenArray(BIAS))})
    asked = {"stiffness": np.array([0.31, 0.72]), "friction": np.array([[0.5, 0.3], [0.3, 1.0]]), "mass": [1, 2]}
    achieved = Compiling(rig, RIG, knobs, calibration).do(Configure(asked))
    (sent,) = rig.seen
    assert isinstance(sent, Configure)
    assert np.allclose(sent.knobs["stiffness"], CROSSTALK @ [0.21, 0.9] + BIAS)
    assert np.allclose(sent.knobs["friction"], [[0.5, 0.25], [0.25, 1.0]])
    assert np.allclose(sent.knobs["mass"], [0.8, 2.0])
    set_to = np.linalg.solve(CROSSTALK, np.round(4 * sent.knobs["stiffness"]) / 4 - BIAS)
    assert np.allclose(achieved["stiffness"], set_to * [1, 0.8] + [0.1, 0])
    assert np.allclose(achieved["friction"], [[0.5, 0.3], [0.3, 1.0]])
    assert np.allclose(achieved["mass"], [0.75 * 1.25, 2.0])


def test_shots_are_sent_through_the_wiring_and_read_back_through_it() -> None:
    model = OscillatorNetwork(2, nominal={"stiffness": [1.0, 1.3], "input": [[0.7], [0.2]]})
    rig = SimulatedRig(model)
    wave = Waveform.of(np.sin(np.arange(20)), 0.1)
    program = ShotProgram(0.1, Rest(), (Pass(20, (Drive("u1", wave, Role.INPUT),), Acquire(("q1", "q2"))),))
    plain = Compiling(RigBackend(rig), rig.capabilities).do(RunShots((program,)))[0]
    wires = Wiring({"q1": Wire("CH1", gain=-2.0, offset=0.5, unit="mm")})
    known = CalibrationSet({"q2.gain": CalibratedValue(1.5, "", 0.01, "fit")})
    found = Compiling(RigBackend(rig), rig.capabilities, wires, known).do(RunShots((program,)))[0]
    assert np.allclose(found.last.traces["q1"].values, -2.0 * (plain.last.traces["q1"].values - 0.5))
    assert np.allclose(found.last.traces["q2"].values, 1.5 * plain.last.traces["q2"].values)
    assert found.shot.calibration == known.digest != plain.shot.calibration
    assert found.shot.program == program
