"""The kit asks whether knobs go where a rig says that they are safe."""

from dataclasses import replace

import numpy as np

from labrhel.conformance import Outcome, Result, Subject, chosen, judge
from labrhel.rig.capabilities import SafeState
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

STEP = 0.2
MODEL = OscillatorNetwork(
    2, coupling="chain", nominal={"stiffness": [1.0, 1.3], "coupling": 0.4, "input": [[0.7], [0.2]]}
)


class Biased(SimulatedRig):
    """Its springs are safe at 1.0 and 2.5, and go there, `off` apart."""

    def __init__(self, off: float) -> None:
        super().__init__(MODEL)
        self.off = off
        states = {"stiffness": (SafeState(1.0), SafeState(2.5))}
        knobs = tuple(replace(knob, safe=states.get(knob.name, ())) for knob in self.capabilities.knobs)
        self.capabilities = replace(self.capabilities, knobs=knobs)

    def make_safe(self) -> None:
        self.configure({"stiffness": np.array([1.0, 2.5 + self.off])})
        super().make_safe()


def judged(off: float) -> Result:
    with Subject(lambda: Biased(off), MODEL, STEP) as subject:
        (result,) = judge(subject, chosen("every knob that has a safe state"))
    return result


def test_a_rig_whose_knobs_go_where_they_are_safe_passes() -> None:
    assert judged(0.0).outcome is Outcome.PASSED


def test_a_rig_that_leaves_one_elsewhere_is_found() -> None:
    result = judged(0.03)
    assert result.outcome is Outcome.FAILED
    assert "stiffness is off by 0.03" in str(result)
