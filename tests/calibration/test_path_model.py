"""What a rig with given errors would show."""

import numpy as np
import pytest

from calibration import path_model
from calibration.path_model import BenchModel, Record
from labrhel.model.motion import run
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

STEP, STEPS, CHANNELS = 0.1, 80, ("q1", "q2")
MODEL = OscillatorNetwork(2, coupling="chain", nominal={"coupling": 0.3, "stiffness": [1.0, 1.4]})
WAVE = np.sin(0.7 * STEP * np.arange(STEPS))
SHOT, FLIPPED = Record({"f1": WAVE}, {"q1": WAVE}), Record({"f2": WAVE}, {"q1": WAVE}, flipped=True)
KNOWN = {"f1.gain": 1.02, "f2.gain": 0.97, "f1.offset": 0.01, "f2.delay": 0.02, "q1.gain": 1.1, "q2.offset": 0.03}
KNOWN |= {"q2.delay": 0.04, "flip.gain": 1.03, "flip[1].offset": 0.02, "coupling[0].factor": 0.9}


def bench() -> BenchModel:
    return BenchModel(MODEL, {}, SimulatedRig(MODEL).capabilities, STEP)


def test_what_was_remembered_is_what_another_model_of_the_rig_computes() -> None:
    remembering = bench()
    for name in ("", *KNOWN):
        values = KNOWN | ({name: KNOWN[name] + 0.01} if name else {})
        for shot in (SHOT, FLIPPED):
            for found, wanted in zip(
                remembering.shows(shot, values, CHANNELS, STEPS),
                bench().shows(shot, values, CHANNELS, STEPS),
                strict=True,
            ):
                assert (found is None) == (wanted is None)
                assert found is None or np.array_equal(found, wanted)


def test_a_motion_that_a_value_leaves_as_it_is_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    count = []
    monkeypatch.setattr(path_model, "run", lambda *asked: [count.append(1), run(*asked)][1])
    model, moving = bench(), []
    for name in ("", *KNOWN):
        before = len(count)
        model.shows(SHOT, KNOWN | ({name: KNOWN[name] + 0.01} if name else {}), CHANNELS, STEPS)
        moving += [name] * (len(count) > before)
    assert moving == ["", "f1.gain", "f1.offset", "coupling[0].factor"]
