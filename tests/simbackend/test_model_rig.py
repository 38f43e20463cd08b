"""The rig of any model: the same answers as the compiled rig of the oscillator network."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import InstrumentError
from labrhel.executor import execute
from labrhel.learning.train import free_run
from protocols.rhel import RHEL
from simbackend.model_rig import ModelRig
from simbackend.reference import ReferenceTask, lossy_rig


def on_model_rig(reference: ReferenceTask) -> ReferenceTask:
    rig = ModelRig(reference.model)
    return replace(reference, rig=rig, task=replace(reference.task, capabilities=rig.capabilities))


def test_it_runs_a_lossy_network_as_the_compiled_rig_does() -> None:
    reference = lossy_rig(np.random.default_rng(2))
    outputs = [
        execute(free_run(case.task, case.sequences, case.theta), case.handler())[0]
        for case in (reference, on_model_rig(reference))
    ]
    assert np.allclose(*outputs, atol=1e-11)


def test_driven_echoes_on_it_give_the_exact_gradient() -> None:
    reference = on_model_rig(lossy_rig(np.random.default_rng(2)))
    cosine, error = reference.compare(reference.gradient(RHEL()))
    assert error < 1e-6
    assert cosine > 1 - 1e-12


def test_knobs_are_set_and_read_back() -> None:
    rig = on_model_rig(lossy_rig(np.random.default_rng(2))).rig
    rig.configure({"stiffness": np.full(6, 2.0)})
    assert np.array_equal(rig.read(["stiffness"])["stiffness"], np.full(6, 2.0))


def test_a_motion_that_diverges_is_an_error_and_not_a_nan() -> None:
    reference = on_model_rig(lossy_rig(np.random.default_rng(2)))
    with pytest.raises(InstrumentError, match="diverged"):
        execute(
            free_run(reference.task, reference.sequences, {**reference.theta, "cubic": np.full(6, -50.0)}),
            reference.handler(),
        )
