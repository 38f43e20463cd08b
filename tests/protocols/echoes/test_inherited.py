"""Error bars hold what a calibration knows only to an uncertainty."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.honesty import LINEAR_NAMES, Sizes, covered, undeclared_rig
from labrhel.executor import RigBackend, execute, stack
from labrhel.frozen import FrozenArray
from labrhel.learning.gradient import Gradient
from labrhel.learning.task import Flip
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.rig.capabilities import Kind, Reversal
from protocols.differences import SPSA, FiniteDifferences
from protocols.echoes.beliefs import Belief, Inherited, beliefs
from protocols.echoes.inherited import Procedure, inherited, with_inherited
from protocols.equilibrium import Equilibrium
from protocols.rhel import RHEL
from simbackend.imperfections.paths import PathErrors
from simbackend.imperfections.timing import ClockErrors
from simbackend.rigs.reference import ReferenceTask, relaxing_rig

SHORT = Sizes(cubic=(0.0, 0.0), steps=120)


def known(**values: tuple[float, float]) -> CalibrationSet:
    """Of `f1__gain=(value, error)`."""
    return CalibrationSet(
        {
            name.replace("__", "."): CalibratedValue(value, "1", error, "drawn")
            for name, (value, error) in values.items()
        }
    )


def rig_of(calibration: CalibrationSet, seed: int = 1, sizes: Sizes = SHORT, **wrong: Any) -> ReferenceTask:
    """A rig that is read by positions alone and flips."""
    rig = undeclared_rig(seed, {"noise": 1e-4, **wrong}, sizes)
    declared = rig.task.capabilities
    rig = rig.declaring(
        channels=tuple(channel for channel in declared.channels if channel.kind is Kind.POSITION),
        velocity_matrix=FrozenArray(np.zeros((0, declared.size))),
        reversals=frozenset({Reversal.MOMENTUM_FLIP}),
        accumulates=frozenset(),
    )
    return replace(rig, task=replace(rig.task, calibration=calibration))


def gradient(rig: ReferenceTask, rule: Procedure = RHEL(repeats=2)) -> Gradient:  # noqa: B008
    handler = stack(RigBackend(rig.rig), rig.task.capabilities, calibration=rig.task.calibration)
    return execute(rule.gradient(rig.request(LINEAR_NAMES)), handler)


def flat(parts: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(parts[name]) for name in LINEAR_NAMES])


@pytest.mark.parametrize(
    ("path", "quantity", "error"),
    [("q4", "gain", 0.01), ("u1", "gain", 0.01), ("f4", "gain", 0.01), ("q4", "offset", 0.01), ("f2", "delay", 0.02)],
)
def test_a_calibration_that_is_off_by_one_error_puts_the_gradient_off_by_what_it_says(
    path: str, quantity: str, error: float
) -> None:
    true = 1.1 if quantity == "gain" else 0.05
    exact = {f"{path}.{quantity}": true}
    wrong: dict[str, Any] = {"noise": 0.0, "ports": PathErrors(exact=exact), "channels": PathErrors(exact=exact)}
    found = [
        gradient(rig_of(known(**{f"{path}__{quantity}": (value, error)}), **wrong), RHEL(eps=1e-3, repeats=2))
        for value in (true, true + error)
    ]
    moved = flat(dict(found[1].values)) - flat(dict(found[0].values))
    assert np.linalg.norm(moved) > 1e-4 * np.linalg.norm(flat(dict(found[0].values)))
    told = flat(dict(found[0].calibration_error))
    np.testing.assert_allclose(told, np.abs(moved), rtol=0.1, atol=0.05 * np.abs(moved).max())


def test_clocks_that_are_known_to_an_uncertainty_are_in_the_error_bar() -> None:
    calibration, wrong = known(clock__rate=(5e-5, 2e-5)), ClockErrors(apart=5e-5)
    found = gradient(rig_of(calibration, clock=wrong, noise=0.0, sizes=Sizes(cubic=(0.0, 0.0))))
    off = gradient(rig_of(known(clock__rate=(7e-5, 0.0)), clock=wrong, noise=0.0, sizes=Sizes(cubic=(0.0, 0.0))))
    moved = np.linalg.norm(flat(dict(off.values)) - flat(dict(found.values)))
    assert np.linalg.norm(flat(dict(found.calibration_error))) == pytest.approx(moved, rel=0.1)


def test_the_three_parts_are_reported_apart_and_together() -> None:
    found = gradient(rig_of(known(q4__gain=(1.0, 0.01))))
    assert found.standard_error is not None
    spread, passed_on = flat(dict(found.standard_error)), flat(dict(found.calibration_error))
    assert (spread > 0).all() and (passed_on > 0).any()
    np.testing.assert_allclose(flat(found.uncertainty), np.hypot(spread, passed_on))
    size = np.linalg.norm(flat(dict(found.values)))
    assert found.measured["spread_error"] == pytest.approx(np.linalg.norm(spread) / size)
    assert found.measured["calibration_error"] == pytest.approx(np.linalg.norm(passed_on) / size)
    assert "floor_error" not in found.measured
    low, high = found.interval()["stiffness"]
    assert (high - low > 2 * 1.9 * found.calibration_error["stiffness"]).all()


def test_a_calibration_that_spoils_the_gradient_is_said_with_the_value_it_comes_from() -> None:
    found = gradient(rig_of(known(q4__gain=(1.0, 0.3), q1__gain=(1.0, 0.001))))
    (words,) = [text for text in found.warnings if "the calibration knows" in text]
    assert "through q4.gain" in words and "calibrate again" in words


def test_nothing_is_run_on_paper_where_no_error_bar_is_asked_for_or_all_is_certain() -> None:
    rig = rig_of(known(q4__gain=(1.0, 0.01)))
    assert not gradient(rig, RHEL()).calibration_error
    certain = rig_of(known(q4__gain=(1.0, 0.0)))
    assert not gradient(certain).calibration_error


def test_friction_springs_and_flips_that_are_uncertain_are_believed_otherwise_one_at_a_time() -> None:
    calibration = known(
        **{"friction[0,1]__added": (0.0, 0.01), "stiffness[2]__factor": (1.0, 0.02), "flip__gain": (1.0, 0.01)},
        **{"flip[1]__offset": (0.0, 0.1), "mode[0]__loss": (1.0, 0.1), "stiffness[9]__factor": (1.0, 0.1)},
    )
    rig = rig_of(calibration)
    task = replace(rig.task, flip=Flip(1.0, np.zeros(4)))
    moved = {item.name: item for item in beliefs(task, rig.theta)}
    assert set(moved) == {"friction[0,1].added", "stiffness[2].factor", "flip.gain", "flip[1].offset"}
    friction = moved["friction[0,1].added"].theta
    assert friction is not None
    added = np.zeros((4, 4))
    added[0, 1] = added[1, 0] = 0.01
    np.testing.assert_allclose(friction["friction"] - rig.theta["friction"], added, atol=1e-12)
    springs = moved["stiffness[2].factor"].theta
    assert springs is not None and springs["stiffness"][2] == pytest.approx(1.02 * rig.theta["stiffness"][2])
    asked = replace(rig.request(LINEAR_NAMES), task=task)
    found = inherited(RHEL(), asked, 1e-3)
    assert found.worst in moved and 0 < found.share <= 1
    rig_only = np.linalg.norm(flat(dict(found.errors))) / np.linalg.norm(flat(dict(rig.exact()[1])))
    assert found.relative == pytest.approx(rig_only, rel=0.2)
    assert all(np.isfinite(term).all() and term.any() for term in found.errors.values())


def test_a_belief_is_the_value_one_standard_error_on_as_ideal_wires_and_parameters_would_show_it() -> None:
    calibration = known(
        **{"q4__gain": (1.25, 0.05), "q4__offset": (0.3, 0.0), "u1__offset": (0.7, 0.02), "f2__delay": (0.1, 0.03)},
        **{"clock__rate": (5e-5, 2e-5), "stiffness[2]__factor": (2.0, 0.1), "friction[1,2]__factor": (0.5, 0.1)},
        **{"friction[1,1]__added": (0.4, 0.01), "flip__gain": (0.9, 0.01), "flip[1]__offset": (0.2, 0.05)},
        **{"nobody__gain": (1.0, 0.1), "mass[1,1]__factor": (1.0, 0.1), "wish[0]__added": (1.0, 0.1)},
    )
    rig = rig_of(calibration)
    flip = Flip(0.9, np.array([0.0, 0.2, 0.0, 0.0]))
    found = {item.name: item for item in beliefs(replace(rig.task, flip=flip), rig.theta)}
    wires = {name: {key: value.value for key, value in item.wires.values.items()} for name, item in found.items()}
    assert {name: values for name, values in wires.items() if values} == {
        # 4 % more of what the calibration has taken off and multiplied before: y = 1.25 x + 0.3.
        "q4.gain": {"q4.gain": pytest.approx(1.04), "q4.offset": pytest.approx(-0.04 * 0.3)},
        "u1.offset": {"u1.offset": 0.02},
        "f2.delay": {"f2.delay": 0.03},
        "clock.rate": {"clock.rate": 2e-5},
    }
    moved = {name: item.theta for name, item in found.items() if item.theta is not None}
    assert set(moved) == {"stiffness[2].factor", "friction[1,2].factor", "friction[1,1].added"}
    for name, parameter, places, by in [
        ("stiffness[2].factor", "stiffness", [(2,)], 0.05 * rig.theta["stiffness"][2]),
        ("friction[1,2].factor", "friction", [(1, 2), (2, 1)], 0.2 * rig.theta["friction"][1, 2]),
        ("friction[1,1].added", "friction", [(1, 1)], 0.01),
    ]:
        expected = np.array(rig.theta[parameter])
        for place in places:
            expected[place] += by
        np.testing.assert_allclose(moved[name][parameter], expected, rtol=1e-12)
    flips = {name: item.flip for name, item in found.items() if item.flip is not None}
    assert set(flips) == {"flip.gain", "flip[1].offset"} and set(found) == {*wires} == {*moved, *flips, *(
        name for name, values in wires.items() if values)}  # fmt: skip
    assert flips["flip.gain"].gain == pytest.approx(0.91) and flips["flip.gain"].offset is flip.offset
    assert flips["flip[1].offset"].gain == 0.9 and flips["flip[1].offset"].offset[1] == pytest.approx(0.25)
    assert flip.offset[1] == 0.2


def test_a_locked_echo_by_drive_is_run_on_paper_with_its_lock() -> None:
    rig = rig_of(known(f1__gain=(1.0, 0.01), q2__gain=(1.0, 0.01)), sizes=SHORT, noise=1e-3)
    by_drive = rig.declaring(reversals=frozenset({Reversal.BY_DRIVE}), reads_state=False)
    found = inherited(RHEL(lock=3), by_drive.request(LINEAR_NAMES), 1e-2)
    # A lock takes the error of a drive port out of the path, and leaves that of the nudge.
    assert all(np.isfinite(term).all() for term in found.errors.values())
    assert 0 < np.linalg.norm(flat(dict(found.errors))) < 0.1 * np.linalg.norm(flat(by_drive.exact()[1]))


def test_uncertain_values_add_in_squares_and_the_worst_is_that_of_the_rigs_parameters() -> None:
    names, options = (*LINEAR_NAMES, "readout"), RHEL()
    one, other = {"q4__gain": (1.0, 0.01)}, {"q1__offset": (0.0, 0.02)}

    def of(**values: tuple[float, float]) -> Inherited:
        return inherited(options, rig_of(known(**values), noise=0.0).request(names), 1e-3)

    alone, beside, both = of(**one), of(**other), of(**one, **other)
    for name in names:
        np.testing.assert_allclose(both.errors[name], np.hypot(alone.errors[name], beside.errors[name]), rtol=1e-9)
    sizes = [np.sum(flat(dict(part.errors)) ** 2) for part in (alone, beside)]
    assert alone.share == beside.share == 1.0 and (alone.worst, beside.worst) == ("q4.gain", "q1.offset")
    assert both.worst == (alone if sizes[0] > sizes[1] else beside).worst
    assert both.share == pytest.approx(max(sizes) / sum(sizes)) and both.errors["readout"].any()
    assert of(q4__gain=(1.0, 0.0)) == Inherited({}) == Inherited({}, "", 0.0)


def test_errors_that_were_fitted_together_add_as_they_go_together() -> None:
    one, other = {"q4__gain": (1.0, 0.01)}, {"u1__gain": (1.0, 0.01)}

    def of(correlation: float, **values: tuple[float, float]) -> np.ndarray:
        free = known(**values).values
        if correlation:
            free = {**free, "u1.gain": replace(free["u1.gain"], correlations={"q4.gain": correlation})}
        return flat(dict(inherited(RHEL(), rig_of(CalibrationSet(free), noise=0.0).request(LINEAR_NAMES), 1e-3).errors))

    first, second = of(0, **one), of(0, **other)
    together, apart, half = (of(r, **one, **other) for r in (1.0, -1.0, 0.5))
    np.testing.assert_allclose(np.maximum(together, apart), first + second, rtol=1e-9)
    np.testing.assert_allclose(np.minimum(together, apart), np.abs(first - second), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(half**2, (3 * together**2 + apart**2) / 4, rtol=1e-9)


# -- rules that are none of echoes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["q4", "u1"])
def test_finite_differences_inherit_a_gain_that_their_loss_is_read_with(path: str) -> None:
    exact = {f"{path}.gain": 1.1}
    wrong: dict[str, Any] = {"noise": 0.0, "ports": PathErrors(exact=exact), "channels": PathErrors(exact=exact)}
    found = [
        gradient(rig_of(known(**{f"{path}__gain": (value, 0.01)}), **wrong), FiniteDifferences(repeats=2))
        for value in (1.1, 1.11)
    ]
    moved, told = flat(dict(found[1].values)) - flat(dict(found[0].values)), flat(dict(found[0].calibration_error))
    assert np.linalg.norm(moved) > 1e-3 * np.linalg.norm(flat(dict(found[0].values)))
    np.testing.assert_allclose(told, np.abs(moved), rtol=0.1, atol=0.05 * np.abs(moved).max())
    assert found[0].measured["calibration_error"] > 0


def test_random_directions_inherit_what_differences_along_the_entries_do_and_nothing_without_an_error_bar() -> None:
    rig = rig_of(known(q4__gain=(1.0, 0.01)))
    entries = gradient(rig, FiniteDifferences(step=0.01, repeats=2)).calibration_error
    directions = gradient(rig, SPSA(step=0.01, directions=2)).calibration_error
    np.testing.assert_allclose(flat(dict(directions)), flat(dict(entries)), rtol=1e-9)
    assert not gradient(rig, FiniteDifferences()).calibration_error


def test_a_rig_that_settles_says_in_its_first_gradient_what_the_calibration_does() -> None:
    rig = relaxing_rig(np.random.default_rng(0))
    names = ("stiffness", "cubic")

    def of(value: float, previous: Gradient | None = None) -> Gradient:
        believed = known(**{f"{rig.task.channels[0]}__gain": (value, 0.01)})
        task = replace(rig.task, calibration=believed)
        asked = replace(rig.request(names), task=task, previous=None if previous is None else previous.nudge)
        handler = stack(RigBackend(rig.rig), rig.task.capabilities, calibration=believed)
        return execute(Equilibrium().gradient(asked), handler)

    here = of(1.0)
    moved = {name: of(1.01).values[name] - here.values[name] for name in names}
    told = {name: here.calibration_error[name] for name in names}
    assert max(np.abs(term).max() for term in moved.values()) > 0
    for name in names:
        np.testing.assert_allclose(told[name], np.abs(moved[name]), rtol=0.05, atol=1e-3 * np.abs(moved[name]).max())
    assert not of(1.0, here).calibration_error


def test_a_rig_whose_model_has_no_motion_says_that_the_calibration_is_in_no_error_bar() -> None:
    rig = rig_of(known(q4__gain=(1.0, 0.01)))
    asked = rig.request(LINEAR_NAMES)
    wild = replace(asked, theta={**asked.theta, "cubic": np.full(4, -50.0)})
    bare = gradient(rig, FiniteDifferences())
    found = with_inherited(bare, FiniteDifferences(), wild)
    assert any("in no error bar of this gradient" in words for words in found.warnings)
    assert found.values is bare.values


def test_what_is_configured_becomes_what_the_rig_makes_of_it_and_not_what_the_host_believes() -> None:
    rig = {"stiffness": np.array([1.0, 2.0])}
    factor = Belief("stiffness[1].factor", theta={"stiffness": np.array([1.0, 2.5])})
    added = Belief("stiffness[1].added", theta={"stiffness": np.array([1.0, 2.5])})
    set_to = {"stiffness": np.array([1.2, 3.0])}
    assert factor.becomes(rig, set_to)["stiffness"].tolist() == [1.2, pytest.approx(2.4)]
    assert added.becomes(rig, set_to)["stiffness"].tolist() == [pytest.approx(1.2), pytest.approx(2.5)]
    assert Belief("q1.gain").becomes(rig, set_to)["stiffness"].tolist() == [1.2, 3.0]


def test_what_is_passed_on_is_that_of_the_nudge_whatever_chose_it_and_however_often_it_was_measured() -> None:
    """On a rig that bends, where a strong nudge says something else."""
    rig = rig_of(known(q4__gain=(1.0, 0.01)), sizes=Sizes(cubic=(0.5, 0.5), steps=120), noise=0.0)
    rules = RHEL(), RHEL(response=0.3), RHEL(eps=0.5), RHEL(repeats=3), RHEL(precision=0.1, bound=True)
    parts = [flat(dict(inherited(rule, rig.request(LINEAR_NAMES), 0.5).errors)) for rule in rules]
    assert parts[0].any() and all(np.array_equal(part, parts[0]) for part in parts)
    other = flat(dict(inherited(RHEL(), rig.request(LINEAR_NAMES), 1e-3).errors))
    assert np.linalg.norm(other - parts[0]) > 1e-3 * np.linalg.norm(other)


@pytest.mark.slow
@pytest.mark.parametrize("row", ["gains of 1 % calibrated to 0.3 %", "clocks 10 ppm apart, 600 samples"])
def test_intervals_of_calibrated_rigs_cover_the_exact_gradient(row: str) -> None:
    shares = [covered(seed, row)[0] for seed in range(6)]
    assert np.mean(shares) > 0.8  # the benchmark counts 200 rigs
