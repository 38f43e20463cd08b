"""A rig on paper answers as an ideal simulated one does, and is behind wires that the host may take for others."""

import numpy as np
import pytest

from benchmarks.honesty import Sizes, undeclared_rig
from labrhel.errors import DivergedError, ProgramError
from labrhel.learning.task import Flip
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.shots.operations import Configure, RunShots
from labrhel.shots.program import Acquire, Hold, Pass, ShotProgram
from protocols.forward.nominal import NominalRig, idealised
from protocols.rhel import RHEL
from simbackend.imperfections.converters import ConverterErrors
from simbackend.rigs.reference import ReferenceTask

SHORT = Sizes(steps=60)
NAMES = ("stiffness", "friction", "mass", "input", "initial_position")


def on_paper(rig: ReferenceTask, believed: CalibrationSet | None = None, flip: Flip | None = None) -> NominalRig:
    known = CalibrationSet() if believed is None else believed
    return NominalRig(rig.model, rig.theta, idealised(rig.task.capabilities), known, flip)


def ideal() -> ReferenceTask:
    rig = undeclared_rig(3, {}, SHORT)
    paper = idealised(rig.task.capabilities)
    return rig.declaring(channels=paper.channels, accumulates=paper.accumulates, velocity_matrix=paper.velocity_matrix)


def test_a_gradient_on_paper_is_that_of_an_ideal_simulated_rig() -> None:
    rig, rule = ideal(), RHEL(eps=1e-4)
    found = on_paper(rig).carry_out(rule.gradient(rig.request(NAMES)))
    expected = rig.gradient(rule, NAMES)
    for name in NAMES:
        np.testing.assert_allclose(found.values[name], expected.values[name], rtol=1e-7, atol=1e-9)


def test_a_flip_that_is_calibrated_is_what_the_rig_on_paper_does() -> None:
    rig = ideal()
    flip = Flip(1.05, np.full(4, 0.02))
    missed = on_paper(rig, flip=flip).carry_out(RHEL(eps=1e-4).gradient(rig.request(("stiffness",))))
    assert missed.retrace_error is not None and missed.retrace_error > 0.01


def test_converters_noise_and_limits_do_not_go_onto_paper() -> None:
    rig = undeclared_rig(3, {"adc": ConverterErrors(4, 0.5), "dac": ConverterErrors(4, 20.0), "noise": 0.1}, SHORT)
    paper = idealised(rig.task.capabilities)
    assert all(item.converter is None for item in (*paper.ports, *paper.channels))
    assert all(channel.noise == 0 for channel in paper.channels)


def test_a_believed_gain_divides_what_is_sent_and_multiplies_what_is_read() -> None:
    rig = ideal()
    program = rig.task.forward(rig.sequences[0], rig.theta, ("q1", "q2", "q3", "q4"))

    def shown(**values: float) -> np.ndarray:
        believed = CalibrationSet({f"{n}.gain": CalibratedValue(v, "", 0.0, "") for n, v in values.items()})
        captures = on_paper(rig, believed).do(RunShots((program,)))
        assert isinstance(captures, list)
        return captures[0].last.stack(("q1", "q2", "q3", "q4"))

    true = shown()
    np.testing.assert_allclose(shown(q2=1.1)[1], 1.1 * true[1])
    np.testing.assert_allclose(shown(q2=1.1)[0], true[0])
    assert np.linalg.norm(shown(u1=2.0)) < 0.75 * np.linalg.norm(true)  # half of the drive, on a rig that stiffens


def test_paper_has_no_past_and_no_motion_without_bound() -> None:
    rig = ideal()
    held = ShotProgram(rig.task.step, Hold(), (Pass(4, (), Acquire(("q1",))),))
    with pytest.raises(ProgramError, match="a start of its own"):
        on_paper(rig).do(RunShots((held,)))
    wild = NominalRig(rig.model, {**rig.theta, "cubic": np.full(4, -5.0)}, rig.task.capabilities, CalibrationSet())
    with pytest.raises(DivergedError, match="the nominal model diverges"):
        wild.do(RunShots((rig.task.forward(rig.sequences[0], rig.theta, ("q1",)),)))
    assert on_paper(rig).do(Configure({"mass": np.ones(4)}))["mass"].tolist() == [1, 1, 1, 1]  # pyright: ignore
