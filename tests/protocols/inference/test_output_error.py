"""A model fitted to what some channels saw."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import DivergedError
from labrhel.shots.operations import RunShots
from protocols.forward.forward import ForwardBatch, read_forward
from protocols.forward.geometry import Geometry
from protocols.inference.output_error import Believed, fit_outputs
from simbackend.rigs.partly_read import PartlyRead, partly_read_rig

NOISE = 2e-4


def record(rig: PartlyRead) -> tuple[ForwardBatch, Geometry]:
    reference = rig.reference
    geometry = Geometry(reference.task.capabilities, partly=True)
    programs = tuple(reference.task.forward(item, reference.theta, geometry.channels) for item in reference.sequences)
    captures = reference.handler().do(RunShots(programs))
    return read_forward(reference.task, geometry, reference.sequences, captures, reference.theta), geometry


def fitted(rig: PartlyRead) -> Believed:
    batch, geometry = record(rig)
    reference = rig.reference
    return fit_outputs(reference.model, reference.theta, batch.passes, reference.task.step, geometry.information(NOISE))


def test_a_model_that_contains_the_rig_explains_the_readings_to_their_noise() -> None:
    rig = partly_read_rig(1, noise=NOISE, steps=120)
    found = fitted(rig)
    assert found.misfit < 1.2
    for name in ("stiffness", "coupling"):
        off = np.linalg.norm(found.theta[name] - rig.truth[name])
        assert off < np.linalg.norm(np.asarray(rig.reference.theta[name]) - rig.truth[name])


def test_what_the_readings_leave_open_is_as_wide_as_the_fit_is_wrong() -> None:
    rig = partly_read_rig(1, noise=NOISE, steps=120)
    found = fitted(rig)
    draws = np.stack([draw["stiffness"] for draw in found.draws(200)])
    off = np.abs(found.theta["stiffness"] - rig.truth["stiffness"])
    assert (off < 4 * draws.std(axis=0)).all()


def test_no_draw_has_a_mass_that_is_none() -> None:
    rig = partly_read_rig(2, noise=0.1, steps=20)
    found = fitted(rig)
    wide = replace(found, root=4 * found.root)
    assert all((draw["mass"] > 0).all() for draw in wide.draws(50))


def test_a_model_that_explodes_is_refused_with_what_to_do() -> None:
    rig = partly_read_rig(1, noise=NOISE, steps=120)
    wild = {**rig.reference.theta, "cubic": np.full(6, -50.0)}
    with pytest.raises(DivergedError, match="no bounded motion under these inputs"):
        fitted(replace(rig, reference=replace(rig.reference, theta=wild)))
