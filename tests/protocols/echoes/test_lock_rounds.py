"""The lock round by round, against a rig that is told what to miss, and when to refuse."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import LimitError
from labrhel.executor import execute
from labrhel.model.motion import run
from labrhel.shots.operations import Operation, Protocol, RunShots
from protocols.echoes.drive import EchoDrive
from protocols.echoes.lock import Locked, learned, lock, noise_floor, warm
from protocols.echoes.plan import EchoPlan
from protocols.forward.forward import ForwardPass, read_forward
from protocols.rhel import RHEL
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import small_rig

REFUSED = "refused"


def prepared(rig: ReferenceTask) -> tuple[EchoPlan, tuple[ForwardPass, ...], list[EchoDrive]]:
    plan = RHEL(lock=3).plan(rig.task, rig.theta, ("stiffness",))

    def protocol() -> Protocol[Any]:
        programs = tuple(rig.task.forward(item, rig.theta, plan.geometry.channels, keep=True) for item in rig.sequences)
        captures = yield RunShots(programs)
        return read_forward(rig.task, plan.geometry, rig.sequences, captures, rig.theta)

    passes = execute(protocol(), rig.handler()).passes
    return plan, passes, plan.drives(passes)


@dataclass
class Missing:
    """Echoes that miss their path by so much in every round, whatever they are driven with."""

    rig: ReferenceTask
    paths: list[np.ndarray]
    script: list[float | str]
    forces: list[list[np.ndarray]] = field(default_factory=list)

    def do(self, operation: Operation) -> Any:
        assert isinstance(operation, RunShots)
        self.forces.append([_compensation(program) for program in operation.programs])
        told = self.script.pop(0)
        if isinstance(told, str):
            raise LimitError(told)
        captures = self.rig.handler().do(operation)
        found = []
        for capture, path, shape in zip(captures, self.paths, shapes(), strict=True):
            values = path + told * shape
            traces = {
                name: replace(trace, values=values[[int(name[1]) - 1]]) if name[0] == "q" else trace
                for name, trace in capture.last.traces.items()
            }
            found.append(replace(capture, passes=(*capture.passes[:-1], replace(capture.last, traces=traces))))
        return found


def shapes() -> list[np.ndarray]:
    """What is missed, smooth and of another size for each sequence."""
    time = np.linspace(0.0, 3.0, 39)
    wave = np.stack([np.sin(time), np.cos(time), np.sin(2 * time)])
    return [wave, 0.5 * wave[::-1]]


def _compensation(program: Any) -> np.ndarray:
    rows = np.zeros((3, 39))
    for drive in program.passes[-1].drives:
        if drive.port.startswith("f"):
            rows[int(drive.port[1]) - 1] += drive.waveform.on_grid(0.1, 39)
    return rows


def told(script: Sequence[float | str], tolerance: float = 1e-3, most: int = 20) -> tuple[Locked, Missing, Any, float]:
    rig = small_rig()
    plan, passes, drives = prepared(rig)
    missing = Missing(rig, [drive.path for drive in drives], list(script))
    locked = execute(lock(plan, passes, drives, tolerance, most), missing)
    size = np.sqrt(sum(np.sum(item.q**2) for item in passes))
    unit = float(np.sqrt(sum(np.sum(shape**2) for shape in shapes())) / size)
    corrections = [learned(plan, drive, shape) for drive, shape in zip(drives, shapes(), strict=True)]
    return locked, missing, (drives, corrections), unit


def test_rounds_go_on_until_the_miss_is_the_tolerance_and_are_told_in_units_of_the_path() -> None:
    _, _, _, unit = told([0.0])
    locked, missing, _, _ = told([0.1, 0.01, 0.001], tolerance=0.0011 * unit)
    assert locked.misses == pytest.approx([0.1 * unit, 0.01 * unit, 0.001 * unit])
    assert (locked.shots, locked.passes, locked.refused) == (6, 6, "")
    assert not missing.script
    longer, missing, _, _ = told([0.1, 0.01, 0.001, 0.0], tolerance=0.0009 * unit)
    assert len(longer.misses) == 4


@pytest.mark.parametrize("most", [1, 3])
def test_there_are_so_many_rounds_at_most(most: int) -> None:
    locked, _, _, _ = told([0.1, 0.08, 0.06, 0.04], most=most)
    assert len(locked.misses) == most


def test_what_was_missed_is_taken_off_the_drive_that_was_tried() -> None:
    locked, missing, (drives, _), _ = told([0.001, 0.0])
    for place, drive in enumerate(drives):
        plan, _, _ = prepared(small_rig())
        correction = learned(plan, drive, 0.001 * shapes()[place])
        assert np.allclose(missing.forces[0][place], drive.force, atol=1e-12)
        assert np.allclose(missing.forces[1][place], drive.force + correction, atol=1e-9)
        assert np.allclose(locked.drives[place].force, drive.force + correction, atol=1e-9)


def test_a_round_that_is_worse_is_taken_back_and_half_of_it_tried_and_then_a_quarter() -> None:
    locked, missing, (drives, _), _ = told([0.001, 0.00125, 0.0013, 0.0])
    plan, _, _ = prepared(small_rig())
    correction = learned(plan, drives[0], 0.001 * shapes()[0])
    for sent, gain in zip(missing.forces, (0.0, 1.0, 0.5, 0.25), strict=True):
        assert np.allclose(sent[0] - drives[0].force, gain * correction, atol=1e-9)
    assert np.allclose(locked.drives[0].force, drives[0].force + 0.25 * correction, atol=1e-9)


def test_after_a_round_that_helped_twice_as_much_of_the_next_change_is_tried() -> None:
    locked, missing, (drives, _), _ = told([0.001, 0.00125, 0.0013, 0.0009, 0.0], tolerance=1e-6)
    plan, _, _ = prepared(small_rig())
    first = learned(plan, drives[0], 0.001 * shapes()[0])
    moved = replace(drives[0], force=drives[0].force + 0.25 * first)
    second = learned(plan, moved, 0.0009 * shapes()[0])
    assert np.allclose(missing.forces[4][0], moved.force + 0.5 * second, atol=1e-9)
    assert len(locked.misses) == 5


def test_a_round_that_is_a_fifth_worse_is_gone_on_from() -> None:
    _, missing, (drives, _), _ = told([0.001, 0.00119, 0.0])
    plan, _, _ = prepared(small_rig())
    first = learned(plan, drives[0], 0.001 * shapes()[0])
    second = learned(plan, replace(drives[0], force=drives[0].force + first), 0.00119 * shapes()[0])
    assert np.allclose(missing.forces[2][0], drives[0].force + first + second, atol=1e-9)


def test_a_lock_that_only_makes_things_worse_ends_with_the_drives_it_began_with() -> None:
    locked, missing, (drives, _), _ = told([0.1, 0.2, 0.2, 0.2, 0.2])
    assert not missing.script and len(locked.misses) == 5  # a whole, a half, a quarter and an eighth were tried
    assert np.allclose(locked.drives[1].force, drives[1].force)


def test_a_rig_that_refuses_a_drive_is_given_half_of_the_change_and_at_last_none() -> None:
    locked, missing, (drives, _), _ = told([0.001, REFUSED, REFUSED, REFUSED, REFUSED])
    assert locked.refused == REFUSED and len(locked.misses) == 1 and locked.shots == 2
    plan, _, _ = prepared(small_rig())
    correction = learned(plan, drives[0], 0.001 * shapes()[0])
    for sent, gain in zip(missing.forces, (0.0, 1.0, 0.5, 0.25, 0.125), strict=True):
        assert np.allclose(sent[0] - drives[0].force, gain * correction, atol=1e-9)
    assert np.allclose(locked.drives[0].force, drives[0].force)


def test_after_a_refusal_the_next_change_is_whole_again() -> None:
    _, missing, (drives, _), _ = told([0.001, REFUSED, 0.0005, 0.0], tolerance=1e-6)
    plan, _, _ = prepared(small_rig())
    first = learned(plan, drives[0], 0.001 * shapes()[0])
    moved = replace(drives[0], force=drives[0].force + 0.5 * first)
    second = learned(plan, moved, 0.0005 * shapes()[0])
    assert np.allclose(missing.forces[3][0], moved.force + second, atol=1e-9)


def test_a_rig_that_refuses_the_first_drive_is_not_locked() -> None:
    with pytest.raises(LimitError, match=REFUSED):
        told([REFUSED])


# -- what is learned ---------------------------------------------------------------------------------------------------


def test_what_is_learned_is_the_force_that_would_explain_the_miss() -> None:
    rig = small_rig()
    plan, passes, drives = prepared(rig)
    item, drive = passes[0], drives[0]
    start = (drive.path[:, :1], drive.path[:, :1])
    disturbance = 1e-6 * np.sin(np.linspace(0, 4, 39)) * np.array([[1.0], [-2.0], [0.5]])
    force = drive.force + rig.model.input_force(item.u[:, ::-1], rig.theta)
    begin = np.zeros((1, 3)), np.zeros((1, 3))
    del start
    still, moved = (run(rig.model, rig.theta, part, 0.1, *begin).q[0] for part in (force, force + disturbance))
    found = learned(plan, EchoDrive(still, drive.force, 0), moved - still)
    assert np.allclose(found[:, :-1], -disturbance[:, :-1], atol=2e-10)


def test_the_floor_is_one_and_a_half_times_the_noise_of_record_and_echo() -> None:
    rig = small_rig(0.01)
    plan, passes, _ = prepared(rig)
    squares = sum(float(np.sum(item.q**2)) for item in passes)
    assert noise_floor(plan, passes) == pytest.approx(1.5 * np.sqrt(2 * (39 + 39) * 3 * 0.01**2 / squares))
    quiet, passes, _ = prepared(small_rig())
    assert noise_floor(quiet, passes) == 0.0


def test_a_noisy_rig_is_locked_at_its_noise() -> None:
    rig = small_rig(0.01)
    plan, passes, drives = prepared(rig)
    locked = execute(lock(plan, passes, drives, 1e-9, 10), rig.handler())
    assert len(locked.misses) == 1 and locked.misses[0] <= noise_floor(plan, passes)


def test_what_was_learned_before_is_added_where_name_and_length_fit() -> None:
    drives = [EchoDrive(np.zeros((2, 3)), np.full((2, 3), float(place)), 0) for place in range(3)]
    known = {"a": np.ones((2, 3)), "b": np.ones((2, 4))}
    found = warm(drives, ["a", "b", "c"], known)
    assert [item.force[0, 0] for item in found] == [1.0, 1.0, 2.0]
    assert found[1] is drives[1] and found[2] is drives[2]


def test_of_a_rig_that_stands_still_the_floor_of_noise_is_told_as_it_is() -> None:
    plan, passes, _ = prepared(small_rig(0.01))
    still = [replace(item, q=0 * item.q) for item in passes]
    assert noise_floor(plan, still) == pytest.approx(1.5 * np.sqrt(2 * 2 * 39 * 3 * 0.01**2))
