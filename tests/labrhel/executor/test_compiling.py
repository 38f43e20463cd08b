"""What was achieved is what is answered: knobs read back, through maps that are neither diagonal nor symmetric."""

from typing import Any

import numpy as np

from labrhel.executor import Compiling
from labrhel.frozen import FrozenArray
from labrhel.rig.wiring import LinearKnob, Wiring
from labrhel.shots.operations import Configure, Operation, Publish
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
