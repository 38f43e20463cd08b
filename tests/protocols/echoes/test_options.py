"""What each option of the rule does to shots, passes, error bars and warnings, on a rig that takes milliseconds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.executor import execute
from labrhel.learning.estimator import Estimator, Order
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.readout import READOUT
from labrhel.rig.capabilities import Converter, Reversal
from labrhel.shots.operations import Operation, RunShots
from protocols.echoes.options import Echo, Unread
from protocols.rhel import RHEL
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import FRICTION, small_rig

NAMES = ("stiffness", "friction", "mass", "initial_momentum")
LOSSLESS: dict[str, Any] = {"friction": np.zeros((3, 3))}


def measured(rig: ReferenceTask, rule: RHEL, *names: str, previous: NudgeRecord | None = None) -> Gradient:
    wanted = names or (*rig.model.parameters, *READOUT)
    return execute(rule.gradient(rig.request(wanted, previous)), rig.handler())


def test_options_that_are_words_are_known_by_their_words() -> None:
    words: dict[str, Any] = {"echo": "driven", "estimator": "one_sided", "order": "abba"}
    rule = RHEL(**words)
    assert rule.echo is Echo.DRIVEN and rule.estimator is Estimator.ONE_SIDED and rule.order is Order.ABBA
    for name in words:
        wrong: dict[str, Any] = {name: "backwards"}
        with pytest.raises(ConfigurationError, match=rf"{name} is one of \w+, .*, not 'backwards'"):
            RHEL(**wrong)


class Counting:
    """Passes everything on, and keeps the shots."""

    def __init__(self, rig: ReferenceTask) -> None:
        self._inner, self.batches = rig.handler(), []

    def do(self, operation: Operation) -> Any:
        if isinstance(operation, RunShots):
            self.batches.append(operation)
        return self._inner.do(operation)


# -- what it costs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "echoes"),
    [
        ({}, 2),
        ({"repeats": 3}, 2),
        ({"order": Order.ABBA}, 4),
        ({"estimator": Estimator.FOUR_POINT, "order": Order.ABBABAAB}, 16),
        ({"bound": True}, 4),
        ({"repeats": 2, "bound": True}, 3),  # once at twice the nudge, beside the first of two blocks
    ],
)
def test_shots_and_passes_are_counted_over_repeats_turns_and_the_bound(options: dict[str, Any], echoes: int) -> None:
    rig = small_rig()
    handler, repeats = Counting(rig), options.get("repeats", 1)
    program = RHEL(eps=1e-3, **options).gradient(rig.request(NAMES))
    gradient = execute(program, handler)
    shots = sum(len(batch.programs) for batch in handler.batches)
    assert gradient.shots == shots == 2 * repeats * (1 + echoes)
    assert gradient.passes == shots  # the rig restores the end of the forward pass
    assert gradient.repeats == repeats
    flipping = rig.declaring(reversals=frozenset({Reversal.MOMENTUM_FLIP}))
    flipped = measured(flipping, RHEL(eps=1e-3, **options), *NAMES)
    assert flipped.passes == 2 * repeats * (1 + 2 * echoes)


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({}, "free"),
        ({"order": Order.ABBA}, "fixed"),
        ({"repeats": 2}, "fixed"),
        ({"precision": 10.0}, "fixed"),
    ],
)
def test_echoes_keep_their_order_where_drift_or_spread_is_asked_about(options: dict[str, Any], order: str) -> None:
    rig = small_rig()
    handler = Counting(rig)
    execute(RHEL(eps=1e-3, **options).gradient(rig.request(NAMES)), handler)
    assert [batch.order for batch in handler.batches[:2]] == ["free", order]


@pytest.mark.parametrize("lock", [1, 2])
def test_the_echoes_of_a_lock_are_counted_in_shots_and_passes(lock: int) -> None:
    rig = small_rig().declaring(reversals=frozenset({Reversal.MOMENTUM_FLIP}))
    handler = Counting(rig)
    gradient = execute(RHEL(eps=1e-3, lock=lock).gradient(rig.request(NAMES)), handler)
    shots = [program for batch in handler.batches for program in batch.programs]
    assert gradient.shots == len(shots)
    assert gradient.passes == sum(len(program.passes) for program in shots)
    assert gradient.rule.endswith("/locked") and 1 <= gradient.measured["lock_rounds"] <= lock


# -- nudges ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noisy", "nominal", "target"),
    [(False, {}, 1e-5), (True, {}, 0.05), (True, {"cubic": 0.0}, 0.3)],
)
def test_the_response_aimed_at_is_small_without_noise_and_large_on_linear_rigs(
    noisy: bool,  # noqa: FBT001
    nominal: dict[str, Any],
    target: float,  # noqa: FBT001, RUF100
) -> None:
    rig = small_rig(1e-6 if noisy else 0.0, **nominal)
    assert RHEL().target_response(rig.task, rig.theta) == target
    assert RHEL(response=0.02).target_response(rig.task, rig.theta) == 0.02
    assert target / 3 < measured(rig, RHEL(), *NAMES).response_ratio < 3 * target


def test_a_channel_with_a_converter_counts_as_noisy() -> None:
    rig = small_rig()
    first, *others = rig.task.capabilities.channels
    coded = rig.declaring(channels=(replace(first, converter=Converter(16, -2.0, 2.0)), *others))
    assert RHEL().target_response(coded.task, coded.theta) == 0.05


def test_the_next_nudge_starts_from_the_last_in_proportion_to_its_response() -> None:
    rig = small_rig()
    first = measured(rig, RHEL(response=1e-3), *NAMES)
    doubled = replace(first.nudge, response_ratio=2 * first.response_ratio)
    second = measured(rig, RHEL(response=1e-3), *NAMES, previous=doubled)
    assert second.eps == pytest.approx(first.eps / 2 * 1e-3 / first.response_ratio)
    assert second.shots == 2 * 3  # half of what is aimed at is near enough
    far = measured(rig, RHEL(response=1e-3), *NAMES, previous=replace(first.nudge, eps=1e-3 * first.eps))
    assert far.response_ratio == pytest.approx(1e-3, rel=0.01)
    assert far.shots == 2 * 5


@pytest.mark.parametrize("value", [1e-101, 1e101, -1.0, np.inf])
@pytest.mark.parametrize("name", ["eps", "response"])
def test_a_nudge_whose_square_is_no_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a positive number from 1e-100 to 1e.100"):
        RHEL(**{name: value})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"eps": 1.0, "response": 0.1}, "give eps or response, not both"),
        ({"precision": 0.0}, "precision must be positive"),
        ({"precision": np.nan}, "precision must be positive"),
        ({"repeats": 0}, "repeats must be 1 or more, not 0"),
        ({"lock": -1}, "0 or more, not -1"),
    ],
)
def test_options_that_contradict_themselves_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        RHEL(**options)


def test_a_rule_without_options_is_symmetric_automatic_and_measures_once() -> None:
    assert RHEL() == RHEL(Estimator.SYMMETRIC, Echo.AUTO, None, None, 0, 1, None, 64, Order.AB, False, False)
    assert RHEL(eps=1e-100).eps == 1e-100 and RHEL(eps=1e100).eps == 1e100


def test_a_plain_echo_needs_no_port_on_lossy_oscillators_nor_does_a_partial_one() -> None:
    assert RHEL().needs.lossy_drive and RHEL(echo=Echo.DRIVEN).needs.lossy_drive
    assert not RHEL(echo=Echo.PLAIN).needs.lossy_drive
    assert not RHEL(partial=True).needs.lossy_drive
    assert RHEL().needs.reversal and RHEL().needs.positions and RHEL().needs.drive


def test_an_echo_needs_the_positions_where_it_is_asked_and_a_lock_all_of_them() -> None:
    assert RHEL().needs.local and not RHEL(lock=1).needs.local and RHEL(lock=1).needs.positions
    assert not RHEL(unread=Unread.SMOOTHED).needs.positions and not RHEL(unread=Unread.SMOOTHED, lock=1).needs.local


# -- plain or driven ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("echo", "nominal", "driven"),
    [
        (Echo.AUTO, {}, True),
        (Echo.AUTO, LOSSLESS, False),
        (Echo.DRIVEN, {}, True),
        (Echo.PLAIN, {}, False),
        (Echo.PLAIN, LOSSLESS, False),
    ],
)
def test_the_echo_is_driven_where_asked_or_where_the_rig_loses_energy(
    echo: Echo,
    nominal: dict[str, Any],
    driven: bool,  # noqa: FBT001
) -> None:
    rig = small_rig(**nominal)
    assert measured(rig, RHEL(echo=echo, eps=1e-4), *NAMES).rule == f"rhel/symmetric/{'driven' if driven else 'plain'}"
    assert np.array_equal(
        RHEL(echo=echo).plan(rig.task, rig.theta, NAMES).friction, FRICTION if driven else 0 * FRICTION
    )


@pytest.mark.parametrize(("echo", "lock", "drags"), [
    (Echo.AUTO, 0, False), (Echo.AUTO, 1, True), (Echo.PLAIN, 1, False), (Echo.DRIVEN, 0, True),
])  # fmt: skip
def test_a_lock_drives_the_echo_of_a_lossless_rig_too(echo: Echo, lock: int, *, drags: bool) -> None:
    rig = small_rig(**LOSSLESS)
    assert RHEL(echo=echo, lock=lock).plan(rig.task, rig.theta, NAMES).wanted.drags_mass is drags


def test_a_plan_is_made_with_the_options_of_the_rule() -> None:
    rig = small_rig().declaring(reversals=frozenset({Reversal.BY_DRIVE}))
    plan = RHEL(Estimator.FOUR_POINT, lock=1, order=Order.ABBA, partial=True).plan(rig.task, rig.theta, NAMES)
    assert (plan.estimator, plan.order, plan.reversal) == (Estimator.FOUR_POINT, Order.ABBA, Reversal.BY_DRIVE)
    assert plan.partial and plan.reads_preparation and plan.task is rig.task and plan.theta is rig.theta
    plain = RHEL().plan(rig.task, rig.theta, NAMES)
    assert not plain.partial and not plain.reads_preparation and plain.order is Order.AB


# -- errors and bias ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("estimator", "power"), [("one_sided", 1), ("symmetric", 2), ("four_point", 4)])
def test_the_bias_bound_is_what_twice_the_nudge_changes_over_two_to_the_order_minus_one(
    estimator: str, power: int
) -> None:
    rig, eps = small_rig(**LOSSLESS), 0.05
    rule = RHEL(Estimator(estimator), eps=eps)
    weak, strong = measured(rig, rule, "stiffness"), measured(rig, replace(rule, eps=2 * eps), "stiffness")
    bound = measured(rig, replace(rule, bound=True), "stiffness", "readout").bias_bound
    assert bound is not None
    change = np.abs(strong.values["stiffness"] - weak.values["stiffness"]) / (2**power - 1)
    # A mean echo between two nudges is off by the square of the response, which the bound counts on top.
    extra = bound["stiffness"] - change
    assert (extra > -1e-12).all()
    if estimator == "one_sided":
        assert np.allclose(bound["stiffness"], change, rtol=1e-6)
    assert not bound["readout"].any()


def test_of_a_rig_without_noise_repeats_have_no_spread_and_the_value_of_one() -> None:
    rig = small_rig()
    one, three = measured(rig, RHEL(eps=1e-3)), measured(rig, RHEL(eps=1e-3, repeats=3))
    assert three.standard_error is not None and one.standard_error is None
    for name in one.values:
        assert np.allclose(three.values[name], one.values[name], rtol=1e-9, atol=1e-12)
        assert np.abs(three.standard_error[name]).max() < 1e-9
    assert three.loss == pytest.approx(one.loss)


def test_a_floor_is_told_of_the_parameters_that_were_asked_for_and_of_no_others() -> None:
    rig = small_rig()
    first, *others = rig.task.capabilities.channels
    coded = rig.declaring(channels=(replace(first, converter=Converter(10, -4.0, 4.0)), *others))
    found = measured(coded, RHEL(eps=0.05, repeats=2), "stiffness")
    assert set(found.floor) == {"stiffness"} and (found.floor["stiffness"] > 0).all()


def test_repeats_go_on_until_the_error_is_the_share_asked_for() -> None:
    rig = small_rig(2e-3)

    def relative(gradient: Gradient) -> float:
        assert gradient.standard_error is not None
        norms = [
            np.sqrt(sum(float(np.sum(np.square(part[name]))) for name in NAMES))
            for part in (gradient.standard_error, gradient.values)
        ]
        return float(norms[0] / norms[1])

    found = measured(rig, RHEL(response=0.05, precision=0.1), *NAMES)
    assert relative(found) <= 0.1
    assert 3 <= found.repeats < 64
    least = measured(small_rig(2e-3), RHEL(response=0.05, precision=100.0), *NAMES)
    assert least.repeats == 3
    more = measured(small_rig(2e-3), RHEL(response=0.05, precision=100.0, repeats=5), *NAMES)
    assert more.repeats == 5
    most = measured(small_rig(2e-3), RHEL(response=0.05, precision=1e-6, most_repeats=4), *NAMES)
    assert most.repeats == 4
    assert any("4 repeats reached a precision of" in word and "not 1e-06" in word for word in most.warnings)
    assert not any("repeats reached" in word for word in found.warnings)


# -- warnings ----------------------------------------------------------------------------------------------------------


def test_a_gradient_with_nothing_to_doubt_says_nothing() -> None:
    assert measured(small_rig(), RHEL()).warnings == ()


def test_a_plain_echo_on_a_lossy_rig_says_how_much_is_lost_in_the_longest_pass() -> None:
    lost = np.mean(np.diag(FRICTION) / np.array([1.0, 0.7, 1.3])) * 39 * 0.1
    words = measured(small_rig(), RHEL(echo=Echo.PLAIN, eps=1e-4)).warnings
    assert any(f"loses {lost:.2g} e-folds of energy a pass" in word for word in words)
    assert any(word.startswith("the echo misses the forward path by") for word in words)


@pytest.mark.parametrize(("share", "said"), [(0.9, False), (1.1, True)])
def test_friction_is_worth_a_word_from_a_twentieth_of_an_e_fold_on(share: float, said: bool) -> None:  # noqa: FBT001
    mass = np.array([1.0, 0.7, 1.3])
    rig = small_rig(friction=np.diag(share * 0.05 / 3.9 * mass))
    words = measured(rig, RHEL(echo=Echo.PLAIN, eps=1e-4)).warnings
    assert any("e-folds" in word for word in words) is said


@pytest.mark.parametrize(("nominal", "said"), [({}, True), ({"cubic": 0.0}, False)])
def test_a_large_response_is_worth_a_word_on_rigs_that_are_not_linear(nominal: dict[str, Any], said: bool) -> None:  # noqa: FBT001
    words = measured(small_rig(**nominal), RHEL(response=0.2)).warnings
    assert any("is large for a nonlinear rig: lower eps" in word for word in words) is said
    assert not any("large" in word for word in measured(small_rig(**nominal), RHEL(response=0.02)).warnings)


def test_a_response_close_to_rounding_is_worth_a_word() -> None:
    assert any("close to rounding" in word for word in measured(small_rig(), RHEL(response=1e-10)).warnings)
    assert not any("close to rounding" in word for word in measured(small_rig(), RHEL(response=1e-7)).warnings)


def test_the_retrace_error_of_a_rig_that_is_what_the_host_thinks_is_rounding() -> None:
    gradient = measured(small_rig(), RHEL(), *NAMES)
    assert gradient.retrace_error < 1e-8
    plain = measured(small_rig(), RHEL(echo=Echo.PLAIN, eps=1e-4), *NAMES)
    assert plain.retrace_error > 0.01
