"""Hamiltonian Echo Backpropagation: the plain echo of a loss at the end, and no other."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.executor import execute
from labrhel.learning.estimator import Estimator
from protocols.echoes.options import Echo
from protocols.heb import HEB
from protocols.rhel import RHEL
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import small_rig

NAMES = ("stiffness", "friction", "mass", "initial_momentum")


def final() -> ReferenceTask:
    rig = small_rig(friction=np.zeros((3, 3)))
    last = np.zeros(20)
    last[-1] = 2.0
    return replace(rig, sequences=tuple(replace(item, weight=last) for item in rig.sequences))


@pytest.mark.parametrize("estimator", list(Estimator))
def test_hamiltonian_echo_backpropagation_is_the_plain_echo_of_a_loss_at_the_end(estimator: Estimator) -> None:
    rig = final()
    options: dict[str, Any] = {"estimator": estimator, "eps": 1e-3, "repeats": 2}
    ours = execute(HEB(**options).gradient(rig.request(NAMES)), rig.handler())
    plain = RHEL(echo=Echo.PLAIN, **options)
    echo = execute(plain.gradient(rig.request(NAMES)), rig.handler())
    for name in NAMES:
        assert np.array_equal(ours.values[name], echo.values[name])
    assert (ours.rule, ours.repeats, ours.eps) == (f"heb/{estimator}", 2, echo.eps)
    response = HEB(response=1e-3).gradient(rig.request(NAMES))
    assert execute(response, rig.handler()).response_ratio == pytest.approx(1e-3, rel=2.1)


def test_a_loss_that_counts_earlier_samples_is_refused_by_name() -> None:
    rig = final()
    early = replace(rig.sequences[1], weight=np.eye(20)[18] + np.eye(20)[19])
    program = HEB().gradient(rig.request(NAMES, sequences=(rig.sequences[0], early)))
    with pytest.raises(ProgramError, match="last sample only, and s1 counts others"):
        execute(program, rig.handler())
    assert HEB.needs.lossless and HEB.needs.final and HEB.needs.reversal and HEB.needs.drive and HEB.needs.positions
