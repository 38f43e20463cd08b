from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Capabilities, Channel, Kind, Port
from labrhel.shots.capture import PassCapture, Trace
from labrhel.shots.operations import RunShots
from protocols.forward.geometry import Geometry
from simbackend.rigs.reference import lossy_rig, reference_rig

RANDOM = np.random.default_rng(8)
DRIVES = RANDOM.normal(size=(3, 3))
SEES = RANDOM.normal(size=(4, 3))  # more channels than oscillators: least squares
FAST = RANDOM.normal(size=(3, 3))
MIXED = Capabilities(
    "mixed",
    3,
    tuple(Port(name, Kind.FORCE) for name in "zxy"),
    tuple(Channel(f"p{i}", Kind.POSITION) for i in range(4)) + tuple(Channel(f"s{i}", Kind.VELOCITY) for i in range(3)),
    (),
    FrozenArray(DRIVES),
    FrozenArray(SEES),
    FrozenArray(FAST),
)


def capture(q: np.ndarray, v: np.ndarray) -> PassCapture:
    rows = {f"p{i}": row for i, row in enumerate(SEES @ q)} | {f"s{i}": row for i, row in enumerate(FAST @ v)}
    return PassCapture({name: Trace(row[None], "", 0.0, 0.1) for name, row in rows.items()})


def test_positions_and_velocities_come_back_through_mixing_matrices() -> None:
    q, v = RANDOM.normal(size=(2, 3, 20))
    found = Geometry(MIXED).state(capture(q, v), 0.1)
    assert np.allclose(found[0], q, atol=1e-12)
    assert np.allclose(found[1], v, atol=1e-12)


def test_forces_through_the_ports_and_the_drive_matrix_are_the_forces_wanted() -> None:
    forces = RANDOM.normal(size=(3, 20))
    ports = Geometry(MIXED).to_ports(forces)
    assert tuple(ports) == ("z", "x", "y")
    assert np.allclose(DRIVES @ np.stack(list(ports.values())), forces, atol=1e-12)


def test_an_error_on_channels_acts_on_the_oscillators_they_see() -> None:
    error = RANDOM.normal(size=(2, 20))
    assert np.allclose(Geometry(MIXED).on_oscillators(("p3", "p1"), error), SEES[[3, 1]].T @ error)


def test_ports_with_nothing_to_play_are_left_out() -> None:
    geometry = Geometry(reference_rig().rig.capabilities)
    forces = np.zeros((6, 5))
    assert geometry.to_ports(forces) == {}
    forces[3] = 1.0
    assert list(geometry.to_ports(forces)) == ["f4"]


def test_an_oscillator_no_port_reaches_is_named_counting_from_one() -> None:
    capabilities = replace(MIXED, ports=MIXED.ports[:1], drive_matrix=FrozenArray([[1.0], [0.0], [0.0]]))
    with pytest.raises(ProgramError, match="no drive port of rig mixed reaches oscillator 2, 3;"):
        Geometry(capabilities).to_ports(np.ones((3, 4)))


def test_a_rig_without_drive_ports_is_refused_when_a_force_is_needed() -> None:
    capabilities = replace(MIXED, ports=(), drive_matrix=FrozenArray(np.zeros((3, 0))))
    geometry = Geometry(capabilities)
    assert geometry.to_ports(np.zeros((3, 4))) == {}
    with pytest.raises(ProgramError, match="no drive port"):
        geometry.to_ports(np.ones((3, 4)))


@pytest.mark.parametrize("matrix", [SEES[:2], np.ones((3, 3))])
def test_a_rig_that_does_not_show_all_positions_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ProgramError, match="of 3 oscillators; this rule needs all of them"):
        Geometry(replace(MIXED, position_matrix=FrozenArray(matrix)))


def test_without_velocity_channels_velocities_are_exact_differences_of_the_positions_between_the_ends() -> None:
    full = lossy_rig(np.random.default_rng(2))
    capabilities = full.rig.capabilities
    blind = full.declaring(
        channels=tuple(item for item in capabilities.channels if item.kind is Kind.POSITION),
        velocity_matrix=FrozenArray(np.zeros((0, 6))),
    )
    program = full.task.forward(full.sequences[0], full.theta, Geometry(capabilities).channels)
    captured = full.handler().do(RunShots((program,)))[0].last
    seen, guessed = (Geometry(item.task.capabilities).state(captured, full.task.step) for item in (full, blind))
    assert len(Geometry(blind.task.capabilities).channels) == 6
    assert np.array_equal(seen[0], guessed[0])
    assert np.allclose(seen[1][:, 1:-1], guessed[1][:, 1:-1], atol=1e-12)
    # One-sided there: a third of step^2 times the third derivative of the position, here up to 12.
    assert np.abs(seen[1] - guessed[1])[:, [0, -1]].max() < 5 * full.task.step**2
