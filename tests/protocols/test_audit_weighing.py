"""How an audit weighs its answers, by closed forms, on a small rig that takes milliseconds."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_t

from labrhel.errors import ConfigurationError
from labrhel.executor import execute
from labrhel.learning.gradient import Gradient
from protocols import audit as audit_module
from protocols.audit import Audit, Verdict, _Point, _ratio, _Straight, model_loss
from protocols.forward.moving import MovedLoss
from simbackend.dynamics.adjoint import exact_gradient
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import FRICTION, small_rig

NAMES = ("stiffness", "friction", "initial_position")


def gradient_of(rig: ReferenceTask, names: tuple[str, ...] = NAMES, **changes: Any) -> Gradient:
    loss, values = exact_gradient(rig.task, rig.sequences, rig.theta)
    found = Gradient({name: values[name] for name in names}, loss, "exact", 1, 1)
    return replace(found, **changes)


def audited(rig: ReferenceTask, gradient: Gradient, **options: Any) -> Verdict:
    return execute(Audit(**options).of(rig.task, rig.sequences, rig.theta, gradient), rig.handler())


# -- the parameters as one vector --------------------------------------------------------------------------------------


def errors_of(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    errors = {name: 0.1 + 0.01 * np.arange(value.size).reshape(value.shape) for name, value in values.items()}
    return errors | {"friction": errors["friction"] + errors["friction"].T}


def test_a_slope_along_a_direction_is_the_gradient_times_what_is_moved_and_each_free_entry_counts_once() -> None:
    rig = small_rig()
    gradient = gradient_of(rig)
    point = _Point.of(rig.task, rig.theta, gradient)
    assert len(point.slope) == 3 + 6 + 3
    random = np.random.default_rng(0)
    for _ in range(5):
        v = random.normal(size=len(point.slope))
        moved = point.direction(v)
        assert np.array_equal(moved["friction"], moved["friction"].T)
        assert point.slope @ v == pytest.approx(sum(float(np.sum(gradient.values[n] * moved[n])) for n in NAMES))
    sizes = {name: float(np.sqrt(np.mean(np.square(rig.theta[name])))) for name in NAMES}
    assert np.allclose(point.direction(np.ones(12))["stiffness"], sizes["stiffness"])
    assert np.allclose(point.direction(np.ones(12))["friction"], sizes["friction"])


def test_entries_that_are_not_trained_are_asked_nothing_and_moved_by_nothing() -> None:
    rig = small_rig()
    trained = {"stiffness": np.array([True, False, True]), "friction": np.eye(3, dtype=bool)}
    point = _Point.of(rig.task, rig.theta, gradient_of(rig), trained)
    moved = point.direction(np.ones(len(point.slope)))
    assert len(point.slope) == 2 + 3 + 3
    assert moved["stiffness"][1] == 0 and np.array_equal(moved["friction"], np.diag(np.diag(moved["friction"])))


def test_the_doubt_of_an_entry_that_stands_twice_is_twice_its_error() -> None:
    rig = small_rig()
    gradient = gradient_of(rig)
    errors = errors_of({**gradient.values})
    point = _Point.of(rig.task, rig.theta, replace(gradient, standard_error=errors))
    for place in range(12):
        moved = point.direction(np.eye(12)[place])
        expected = sum(float(np.sum(errors[name] * np.abs(moved[name]))) for name in NAMES)
        assert point.doubt[place] == pytest.approx(expected)
    assert not _Point.of(rig.task, rig.theta, gradient).doubt.any()


def test_only_what_can_be_moved_is_asked_about() -> None:
    rig = small_rig()
    full = gradient_of(rig)
    values = {**full.values, "readout": np.ones((2, 2))}
    assert len(_Point.of(rig.task, rig.theta, replace(full, values=values)).slope) == 12
    no_knobs = rig.declaring(knobs=()).task
    assert list(_Point.of(no_knobs, rig.theta, full).shapes) == ["initial_position"]
    with pytest.raises(ConfigurationError, match="none of the parameters can be moved"):
        _Point.of(no_knobs, rig.theta, gradient_of(rig, ("stiffness",)))
    with pytest.raises(ConfigurationError, match="the gradient is zero"):
        _Point.of(rig.task, rig.theta, replace(full, values={"stiffness": np.zeros(3)}))


# -- the loss by the model, and steps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [{}, {"initial_position": [0, 0, 0], "initial_momentum": [0, 0, 0]}])
def test_the_loss_by_the_model_is_that_of_an_ideal_rig(start: dict[str, Any]) -> None:
    rig = small_rig(**start)
    moved = MovedLoss(rig.task, rig.sequences, rig.theta)
    shifted = {"stiffness": np.array([1.1, 1.5, 0.9]), "friction": 1.2 * FRICTION}
    measured = execute(moved.at(shifted), rig.handler())
    assert model_loss(rig.task, rig.sequences, {**rig.theta, **shifted}) == pytest.approx(measured, rel=1e-12)


def straight() -> tuple[ReferenceTask, _Point, _Straight, Callable[[np.ndarray, float], float]]:
    rig = small_rig()
    point = _Point.of(rig.task, rig.theta, gradient_of(rig))

    def difference(direction: np.ndarray, step: float) -> float:
        by = point.direction(direction)
        ends = [
            model_loss(rig.task, rig.sequences, {**rig.theta, **{n: rig.theta[n] + s * step * by[n] for n in by}})
            for s in (1, -1)
        ]
        return (ends[0] - ends[1]) / (2 * step)

    return rig, point, _Straight(MovedLoss(rig.task, rig.sequences, rig.theta), point), difference


def test_a_step_is_as_long_as_the_curvature_allows_and_says_what_the_curvature_does() -> None:
    _, point, ruler, difference = straight()
    direction = point.slope / np.linalg.norm(point.slope)
    slope = float(np.linalg.norm(point.slope))
    whole = abs(difference(direction, 0.1) - slope)
    step, bent = ruler.step(direction, 0.1, 1.01 * whole)
    assert step == 0.1
    assert bent == pytest.approx(difference(direction, 0.1) - slope, rel=1e-4)
    allowed = whole / 30
    step, bent = ruler.step(direction, 0.1, allowed)
    assert abs(bent) <= allowed
    assert bent == pytest.approx(difference(direction, step) - slope, rel=1e-2)
    # The error grows with the square of the step, and a tenth is left: the step is 0.9 of what would just do.
    assert 0.78 * allowed <= abs(bent)
    assert step == pytest.approx(0.9 * 0.1 / math.sqrt(30), rel=0.02)


def test_a_direction_without_curvature_is_taken_at_full_length() -> None:
    rig = small_rig(cubic=0.0, friction=np.zeros((3, 3)))
    point = _Point.of(rig.task, rig.theta, gradient_of(rig, ("initial_position",)))
    ruler = _Straight(MovedLoss(rig.task, rig.sequences, rig.theta), point)
    step, bent = ruler.step(np.eye(3)[1], 0.7, 1e-6)
    assert step == 0.7 and abs(bent) < 1e-7


def test_where_every_step_leads_out_of_bounds_the_shortest_is_taken_and_nothing_is_taken_off() -> None:
    rig = small_rig(cubic=-0.5)
    point = _Point.of(rig.task, rig.theta, gradient_of(rig, ("initial_position",)))
    ruler = _Straight(MovedLoss(rig.task, rig.sequences, rig.theta), point)
    step, bent = ruler.step(np.ones(3), 1e30, 1.0)
    assert step == pytest.approx(1e22)
    assert bent == 0.0


# -- weighing ----------------------------------------------------------------------------------------------------------


def weighed(error: np.ndarray, **options: Any) -> tuple[Verdict, float, tuple[float, float, float], _Point, np.ndarray]:
    """The verdict on answers off by v . error, and its odds by the densities of SciPy."""
    rig = small_rig()
    gradient = gradient_of(rig)
    gradient = replace(gradient, standard_error={n: 0.002 * np.abs(g) + 1e-4 for n, g in gradient.values.items()})
    point = _Point.of(rig.task, rig.theta, gradient)
    random = np.random.default_rng(8)
    norm, size = float(np.linalg.norm(point.slope)), len(point.slope)
    v = np.array([
        point.slope / norm if row % 2 == 0 else random.choice([-1.0, 1.0], size=size) / np.sqrt(size)
        for row in range(12)
    ])  # fmt: skip
    sigma = 0.02 * norm * random.uniform(0.5, 2.0, 12)
    y = v @ (point.slope + error * norm) + 0.3 * sigma * random.normal(size=12)
    audit = Audit(**options)
    verdict = audit._weigh(point, v, y, sigma, 99)
    tolerance, degrees = audit.tolerance, audit.samples - 1
    null = np.diag(sigma**2) + v @ np.diag(point.doubt**2) @ v.T
    wide = null + v @ np.eye(size) * (tolerance * norm) ** 2 / size @ v.T

    def density(factor: float, shape: np.ndarray) -> float:
        return float(multivariate_t(factor * (v @ point.slope), shape, df=degrees).logpdf(y))

    still = density(1, null)
    ratios = (
        math.exp(density(1 + tolerance, null) - still),
        math.exp(density(1 - tolerance, null) - still),
        math.exp(density(1, wide) - still),
    )
    return verdict, (ratios[0] + ratios[1]) / 4 + ratios[2] / 2, ratios, point, v


ALONG = 0.06


def error_along() -> np.ndarray:
    rig = small_rig()
    slope = _Point.of(rig.task, rig.theta, gradient_of(rig)).slope
    return ALONG * slope / np.linalg.norm(slope)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("samples", [3, 10])
def test_a_gradient_is_wrong_from_the_odds_on_that_students_densities_give(sign: int, samples: int) -> None:
    _, odds, *_ = weighed(sign * error_along(), samples=samples)
    assert odds > 3
    below = weighed(sign * error_along(), samples=samples, alpha=1.0001 / odds)[0]
    above = weighed(sign * error_along(), samples=samples, alpha=0.9999 / odds)[0]
    assert below.right is False and above.right is None


def test_a_gradient_is_right_once_both_scales_are_as_unlikely_as_asked_and_no_other_error_is_likelier() -> None:
    *_, ratios, _, _ = weighed(np.zeros(12), tolerance=0.15)
    longer, shorter, anywhere = ratios
    assert max(longer, shorter) < 0.5 and anywhere < 1
    alpha = max(longer, shorter)
    assert weighed(np.zeros(12), tolerance=0.15, alpha=1.0001 * alpha)[0].right is True
    assert weighed(np.zeros(12), tolerance=0.15, alpha=0.9999 * alpha)[0].right is None


def test_a_gradient_is_not_right_while_an_error_in_any_direction_is_likelier_than_none() -> None:
    rig = small_rig()
    slope = _Point.of(rig.task, rig.theta, gradient_of(rig)).slope
    aside = np.random.default_rng(1).normal(size=12)
    aside -= slope * (aside @ slope) / (slope @ slope)
    aside /= np.linalg.norm(aside)
    verdicts = {}
    for size in np.linspace(0.02, 0.3, 29):
        _, _, (longer, shorter, anywhere), _, _ = weighed(size * aside, tolerance=0.15)
        alpha = 1.001 * max(longer, shorter)
        if 0.5 < anywhere < 2 and alpha < 0.4:
            verdicts[anywhere] = weighed(size * aside, tolerance=0.15, alpha=alpha)[0].right
    assert any(anywhere > 1 for anywhere in verdicts) and any(anywhere < 1 for anywhere in verdicts)
    assert all((right is True) == (anywhere <= 1) for anywhere, right in verdicts.items())


def test_a_verdict_says_the_slope_along_the_gradient_its_error_and_the_likeliest_error() -> None:
    rig = small_rig()
    point = _Point.of(rig.task, rig.theta, gradient_of(rig))
    norm, size = float(np.linalg.norm(point.slope)), len(point.slope)
    doubt = 0.01 * norm * np.linspace(0.5, 2, size)
    point = replace(point, doubt=doubt)
    random = np.random.default_rng(3)
    along = point.slope / norm
    v = np.array([along, random.normal(size=size), along, random.normal(size=size)])
    sigma = norm * np.array([0.1, 0.2, 0.3, 0.05])
    y = np.array([1.2, 0.3, 0.9, -0.2]) * norm
    verdict = Audit(tolerance=0.1)._weigh(point, v, y, sigma, 7)
    weights = np.array([1 / 0.1**2, 1 / 0.3**2])
    assert verdict.ratio == pytest.approx(float(weights @ [1.2, 0.9] / weights.sum()))
    spread = np.hypot(1 / np.sqrt(weights.sum()), np.linalg.norm(doubt * along) / norm)
    assert verdict.ratio_error == pytest.approx(spread)
    # Bayes, by the normal equations instead of by the covariance of the answers.
    prior = (0.1 * norm) ** 2 / size
    null = np.diag(sigma**2) + v @ np.diag(doubt**2) @ v.T
    precision = v.T @ np.linalg.solve(null, v) + np.eye(size) / prior
    likeliest = np.linalg.solve(precision, v.T @ np.linalg.solve(null, y - v @ point.slope))
    assert verdict.error == pytest.approx(float(np.linalg.norm(likeliest)) / norm)
    assert (verdict.pairs, verdict.shots) == (4, 7)


def test_few_answers_call_no_gradient_right_however_well_they_fit() -> None:
    rig = small_rig()
    point = _Point.of(rig.task, rig.theta, gradient_of(rig))
    norm = float(np.linalg.norm(point.slope))
    for pairs, right in ((9, None), (10, True)):
        v = np.array([point.slope / norm] * pairs)
        y = v @ point.slope
        assert Audit()._weigh(point, v, y, np.full(pairs, 1e-3 * norm), 1).right is right


# -- a whole audit -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (1.1, False), (0.9, False)])
def test_an_audit_of_a_quiet_rig_tells_ten_percent(factor: float, right: bool) -> None:  # noqa: FBT001
    rig = small_rig(noise=1e-6)
    exact = gradient_of(rig)
    values = {name: factor * value for name, value in exact.values.items()}
    verdict = audited(rig, replace(exact, values=values))
    assert verdict.right is right
    assert verdict.ratio == pytest.approx(1 / factor, abs=0.02)
    # Two sequences: ten samples of the noise, and two ends of every pair.
    assert verdict.shots == 2 * (10 + 2 * verdict.pairs)
    assert ("right after" if right else "WRONG after") in str(verdict)
    assert f"after {verdict.shots} shots: along the gradient the loss moves {verdict.ratio:.3f}" in str(verdict)
    assert str(verdict).endswith(f"likeliest error {100 * verdict.error:.1f} % of it")


def test_an_audit_takes_as_many_shots_as_it_may_and_no_more() -> None:
    rig = small_rig(noise=0.3)
    verdict = audited(rig, gradient_of(rig), most=60, samples=4)
    assert verdict.right is None and "undecided after 60 shots" in str(verdict)
    assert (verdict.shots, verdict.pairs) == (2 * (4 + 2 * 13), 13)
    again = audited(rig, gradient_of(rig), most=59, samples=4)
    assert again.pairs == 12


def test_too_few_shots_for_one_difference_are_refused() -> None:
    rig = small_rig(noise=0.1)
    with pytest.raises(ConfigurationError, match="23 shots are too few for one difference"):
        audited(rig, gradient_of(rig), most=23)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tolerance": 0.0}, "tolerance must be between 0 and 1, not 0.0"),
        ({"tolerance": 1.0}, "tolerance"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 1.0}, "alpha"),
        ({"samples": 1}, "2 or more samples"),
        ({"samples": 5, "most": 6}, "more shots than those"),
    ],
)
def test_an_audit_that_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Audit(**options)


def test_the_smallest_audit_and_what_one_is_without_options() -> None:
    assert Audit(samples=2, most=4).samples == 2
    plain = Audit()
    assert (plain.tolerance, plain.alpha, plain.most, plain.samples, plain.seed) == (0.05, 0.01, 200, 10, 0)


# -- one difference after the other, with losses as a script tells them ------------------------------------------------


class Scripted:
    """Losses without a move go up and down by `noise` around 2; counts shots as a rig with one sequence."""

    sequences = ("one",)

    def __init__(self, noise: float) -> None:
        self.noise, self.shots = noise, 0

    def at(self, moved: dict[str, np.ndarray]) -> Any:
        assert not moved
        self.shots += 1
        return 2.0 + self.noise * (-1) ** self.shots
        yield


@pytest.mark.parametrize(
    ("noise", "longest"),
    [
        (1e-9, "smallest"),
        (0.005, "sharp"),
        (1e3, "largest"),
    ],
)
def test_a_step_makes_noise_a_quarter_of_the_tolerance_within_what_a_difference_bears(
    noise: float, longest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = small_rig()
    point = _Point.of(rig.task, rig.theta, gradient_of(rig))
    scale = 8.0 / float(np.linalg.norm(point.slope))
    point = replace(point, slope=scale * point.slope)  # of norm 8
    asked: list[tuple[float, float]] = []
    seen: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]] = []

    class Bent:
        def __init__(self, *_: Any) -> None: ...

        def step(self, direction: np.ndarray, longest: float, allowed: float) -> tuple[float, float]:
            asked.append((longest, allowed))
            return 0.25, 0.5

    def ends(moved: Scripted, direction: dict[str, np.ndarray], step: float) -> Any:
        assert step == 0.25
        moved.shots += 2
        return 2.6, 1.8
        yield

    def weigh(audit: Audit, point: _Point, v: np.ndarray, y: np.ndarray, sigma: np.ndarray, shots: int) -> Verdict:
        seen.append((v, y, sigma, shots))
        return Verdict(None, 1.0, 0.0, 0.0, len(y), shots)

    monkeypatch.setattr(audit_module, "_Straight", Bent)
    monkeypatch.setattr(audit_module, "ends_along", ends)
    monkeypatch.setattr(Audit, "_weigh", weigh)
    audit = Audit(tolerance=0.1, samples=4, most=11)
    verdict = execute(audit._ask(Scripted(noise), point), None)  # type: ignore[arg-type]
    spread = noise * np.sqrt(4 / 3)  # of +, -, +, -
    limits = {"smallest": audit_module._SMALLEST_SWING, "largest": audit_module._LARGEST_SWING}
    wanted = limits[longest] * 2.0 / 8.0 if longest in limits else spread / np.sqrt(2) / (0.25 * 0.8)
    assert asked == [(pytest.approx(wanted), pytest.approx(audit_module._CURVED * 0.8))] * 3
    # Four without a move, and as many pairs as eleven shots allow.
    assert verdict.shots == 10 and [item[3] for item in seen] == [6, 8, 10]
    v, y, sigma, _ = seen[-1]
    along = point.slope / 8.0
    assert np.allclose(v[[0, 2]], along) and not np.allclose(v[1], along)
    assert np.allclose(y, (2.6 - 1.8) / 0.5 - 0.5)
    shaken = spread * np.hypot(2.6, 1.8) / 2.0 / 0.5
    expected = np.sqrt(shaken**2 + (audit_module._FINEST * 0.8) ** 2 + (audit_module._MISTAKEN * 0.5) ** 2)
    assert np.allclose(sigma, expected)


def test_odds_are_those_of_their_logarithm_as_far_as_a_number_has_them() -> None:
    assert [_ratio(log) for log in (0.0, 2.0, -3.0)] == pytest.approx([1.0, math.exp(2), math.exp(-3)], rel=1e-12)
    assert _ratio(1e4) == pytest.approx(math.exp(700), rel=1e-9)
    assert _ratio(-1e4) == pytest.approx(math.exp(-700), rel=1e-9, abs=0.0)
