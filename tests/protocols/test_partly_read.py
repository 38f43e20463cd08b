"""Gradients of rigs that show only some of their positions."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.arrays import Array
from labrhel.errors import ProgramError
from labrhel.executor import execute
from labrhel.learning.gradient import Gradient
from protocols.rhel import RHEL
from simbackend.rigs.partly_read import PartlyRead, partly_read_rig

RESPONSE = 0.01
NAMES = ("stiffness", "cubic", "coupling", "input")
"""Masses are read off velocities, which differences of positions are only nearly."""


def flat(rig: PartlyRead, parts: object, *, local: bool) -> Array:
    assert isinstance(parts, dict)
    masks = {name: rig.local(name) if local else ~rig.local(name) for name in rig.names if name in parts}
    return np.concatenate([np.asarray(parts[name])[mask] for name, mask in masks.items()])


def error(rig: PartlyRead, gradient: Gradient, *, local: bool) -> float:
    exact = flat(rig, {name: rig.exact()[name] for name in gradient.values}, local=local)
    return float(np.linalg.norm(flat(rig, gradient.values, local=local) - exact) / np.linalg.norm(exact))


def asked_locally(rig: PartlyRead) -> Gradient:
    request = replace(rig.reference.request(NAMES), trained={name: rig.local(name) for name in NAMES})
    return execute(RHEL().gradient(request), rig.reference.handler())


def test_entries_local_to_read_oscillators_are_exact_whatever_the_model_is() -> None:
    rig = partly_read_rig(1, noise=0.0, steps=150)
    found = asked_locally(rig)
    assert error(rig, found, local=True) < 1e-7
    assert error(rig, rig.gradient(RHEL(), NAMES, whole=True), local=True) < 1e-7
    assert not flat(rig, found.values, local=False).any()


def test_what_acts_at_unread_oscillators_is_refused_by_name() -> None:
    rig = partly_read_rig(1, noise=0.0, steps=60)
    with pytest.raises(ProgramError, match=r"mass\[2\], mass\[5\]"):
        rig.gradient(RHEL(), ("mass",))


@pytest.mark.parametrize("folds", [0.0, 1.5])
def test_the_fitted_model_says_the_rest_with_its_error(folds: float) -> None:
    rig = partly_read_rig(3, folds=folds, noise=2e-4, steps=200)
    found = rig.gradient(RHEL(unread="smoothed", response=RESPONSE, repeats=3))  # type: ignore[arg-type]
    assert error(rig, found, local=True) < (0.03 if folds else 0.01)  # a model says what is compensated
    exact, said = (flat(rig, parts, local=False) for parts in (rig.exact(), found.values))
    assert exact @ said / np.linalg.norm(exact) / np.linalg.norm(said) > 0.99
    bars = flat(rig, found.uncertainty, local=False)
    assert np.mean(np.abs(said - exact) < 3 * bars) > 0.8  # entries of one rig are alike
    assert np.linalg.norm(bars) < 0.1 * np.linalg.norm(exact)
    assert found.measured["unread_error"] > 0


def test_a_model_that_cannot_be_fitted_says_nothing_and_the_read_rest_is_measured_all_the_same() -> None:
    rig = partly_read_rig(51, noise=2e-4)
    rule = RHEL(unread="smoothed", response=RESPONSE)  # type: ignore[arg-type]
    with pytest.raises(
        ProgramError, match=r"mass\[0\].* the model, fitted to what is read, misses it by .* times its noise"
    ):
        rig.gradient(rule)
    found = rig.gradient(rule, trained={name: rig.local(name) for name in rig.names})
    assert error(rig, found, local=True) < 0.01


def test_without_noise_the_fit_finds_a_rig_that_the_model_contains() -> None:
    rig = partly_read_rig(3, folds=1.5, noise=0.0, steps=200)
    found = rig.gradient(RHEL(unread="smoothed"))  # type: ignore[arg-type]
    assert error(rig, found, local=False) < 1e-2


def test_a_parameter_that_the_readings_do_not_tell_is_refused_by_name() -> None:
    rig = partly_read_rig(2, noise=0.3, steps=60)
    with pytest.raises(ProgramError, match=r"\[.*no channel shows where they act, and what is read does not tell it"):
        rig.gradient(RHEL(unread="smoothed", response=0.05))  # type: ignore[arg-type]
