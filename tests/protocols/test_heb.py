"""Hamiltonian Echo Backpropagation: the plain echo of a loss at the end, and no other."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.executor import RigBackend, execute, stack
from labrhel.frozen import FrozenArray
from labrhel.learning.estimator import Estimator
from labrhel.learning.needs import objections
from labrhel.rig.capabilities import Kind
from labrhel.shots.operations import RunShots
from labrhel.shots.program import ShotProgram
from protocols.differences import FiniteDifferences
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


def without_ports(**changes: Any) -> ReferenceTask:
    """The rig of `final` as an analog computer declares it: started anywhere, never driven, nothing reversed."""
    rig = final()
    offered = rig.task.capabilities
    ports = tuple(port for port in offered.ports if port.kind is Kind.INPUT)
    return rig.declaring(
        reversals=frozenset(), ports=ports, drive_matrix=FrozenArray(np.zeros((offered.size, 0))), **changes
    )


@pytest.mark.parametrize("reads", [True, False], ids=["state read", "positions alone"])
def test_a_rig_that_is_started_anywhere_needs_no_port_and_no_reversal(reads: bool) -> None:  # noqa: FBT001
    rig, names = without_ports(reads_state=reads), ("stiffness", "cubic", "coupling", "mass", "input")
    gradient = rig.gradient(HEB(), names)
    differences = rig.gradient(FiniteDifferences(step=2e-4), names)
    for name in names:
        size = np.linalg.norm(differences.values[name])
        assert np.linalg.norm(gradient.values[name] - differences.values[name]) < 1e-6 * size, name
    assert rig.compare(gradient)[1] < 1e-8
    assert gradient.shots == 5 * len(rig.sequences)  # two echoes to find the nudge
    assert gradient.retrace_error < 1e-10
    if reads:
        names = ("initial_position", "initial_momentum")
        assert rig.compare(rig.gradient(HEB(), names))[1] < 1e-8


def test_where_a_port_and_a_reversal_are_there_the_echo_is_as_it_was() -> None:
    rig = final()
    assert any(len(item.passes) == 2 for item in _fired(rig))
    assert all(len(item.passes) == 1 for item in _fired(without_ports()))


def _fired(rig: ReferenceTask) -> list[ShotProgram]:
    backend = Counted(RigBackend(rig.rig))
    execute(HEB().gradient(rig.request(("stiffness",))), stack(backend, rig.task.capabilities))
    return backend.programs


class Counted:
    """A backend that keeps what it was asked to fire."""

    def __init__(self, within: RigBackend) -> None:
        self.within = within
        self.programs: list[ShotProgram] = []

    def do(self, operation: Any) -> Any:
        if isinstance(operation, RunShots):
            self.programs += operation.programs
        return self.within.do(operation)


def test_a_rig_that_lacks_all_three_is_refused_with_what_would_do() -> None:
    rig = without_ports(prepares=frozenset({"rest"}))
    found = objections(HEB.needs, rig.task, rig.sequences, rig.theta, NAMES)
    assert any("no way to reverse its state, and cannot be started in any state" in words for words in found)
    assert not objections(HEB.needs, (able := without_ports()).task, able.sequences, able.theta, NAMES)
