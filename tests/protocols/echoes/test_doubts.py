"""What is said against a gradient, and what is not: each sentence beside the figure from which on it is said."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.executor import execute
from protocols.echoes import doubts
from protocols.echoes.aim import Aim, Sample
from protocols.echoes.beliefs import Inherited
from protocols.echoes.blocks import Block
from protocols.echoes.directed import Asymmetric
from protocols.echoes.lock import Locked
from protocols.echoes.measurement import Measurement
from protocols.echoes.plan import EchoReading
from protocols.echoes.unmodelled import Unmodelled
from protocols.inference.record import Found, Record
from protocols.rhel import RHEL
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import small_rig


def aim(noise: float = 0.0, bias: float = 0.0, distortion: float = 0.0) -> Aim:
    return Aim(1.0, 0.02, noise, bias, distortion, 0.1, ())


def said(words: Any) -> str:
    return " | ".join(words)


# -- the aim -----------------------------------------------------------------------------------------------------------


def test_nothing_is_said_of_an_aim_that_was_not_needed_or_is_good() -> None:
    assert not said(doubts.of_aim(None, 0))
    assert not said(doubts.of_aim(aim(bias=0.01), 5))
    assert not said(doubts.of_aim(aim(bias=0.024), 5))


@pytest.mark.parametrize(
    ("made", "cause", "remedy"),
    [
        ({"noise": 2.0}, "most of it by noise from echo to echo", "repeats: R averages it by the root of R"),
        ({"bias": 0.026}, "most of it by the strength of the nudge", "the rig amplifies it: shorten the pass, or low"),
        ({"distortion": 0.026}, "most of it by the converters of the drive ports", "a smaller range, or more bits"),
    ],
)
def test_an_aim_that_is_off_names_its_worst_part_and_what_to_do(made: Any, cause: str, remedy: str) -> None:
    found = said(doubts.of_aim(aim(**made), 7))
    assert found.startswith("at the best nudge found in 7 shots (response ratio 0.02) a gradient is off by about ")
    assert cause in found and remedy in found
    refused = doubts.refusal(aim(**made), 7)
    assert cause in refused and remedy in refused and refused.endswith("response: R takes it as it is")


def test_an_error_without_bound_is_more_than_the_gradient() -> None:
    assert "is off by more than its size, most of it by noise" in doubts.refusal(aim(noise=float("inf")), 3)
    assert "is off by about 0.3 of its size" in doubts.refusal(aim(bias=0.3), 3)


def test_a_rig_that_needs_several_sets_of_echoes_is_called_noisy_where_their_mean_is_good() -> None:
    some = aim(noise=0.03)
    assert some.pairs == 4
    assert said(doubts.of_aim(some, 9)) == (
        "this rig is noisier than it declares: each gradient is the mean of 4 sets of echoes at response ratio 0.02 "
        "(found in 9 shots), and good to 0.015 of its size"
    )


# -- growth ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amplified", "ratio", "is_said"),
    [(0.9e-4, 0.01, False), (1.1e-4, 0.01, True), (0.0, 0.01, False), (1.0, 0.0, False)],
)
def test_rounding_is_said_from_a_hundredth_of_the_response_on(amplified: float, ratio: float, *, is_said: bool) -> None:
    found = said(doubts.of_growth(amplified, ratio))
    assert bool(found) is is_said
    if is_said:
        assert "rounding grows to 0.0001 of the motion in an echo, where the nudge moves it by 0.01" in found


def test_growth_that_leaves_all_numbers_is_refused_with_a_number() -> None:
    assert "rounding grows to 1e+99 of the motion" in doubts.refusal_of_growth(float("inf"))
    assert "rounding grows to 0.3 of the motion" in doubts.refusal_of_growth(0.3)


# -- the record --------------------------------------------------------------------------------------------------------


SURE = Found(0.0, 0.01)
HIDDEN = "a locked echo hides them: labrhel audit"


@pytest.mark.parametrize(
    ("record", "lock", "is_said"),
    [
        (None, 2, True),
        (None, 0, False),
        (Record(SURE, SURE, SURE, SURE), 2, False),
        (Record(SURE, Found(0.0, 0.3), SURE, SURE), 2, True),
        (Record(SURE, SURE, Found(0.0, 0.3), SURE), 2, True),
        (Record(SURE, Found(0.0, 0.3), SURE, SURE), 0, False),
    ],
)
def test_a_lock_is_doubted_where_the_record_cannot_tell(record: Record | None, lock: int, *, is_said: bool) -> None:
    assert (HIDDEN in said(doubts.of_record(record, RHEL(lock=lock)))) is is_said


def test_what_the_record_says_is_said_whether_the_echo_is_locked_or_not() -> None:
    record = Record(Found(0.1, 0.001), SURE, SURE, SURE)
    for lock in (0, 2):
        assert "couplings pull 10 % harder one way" in said(doubts.of_record(record, RHEL(lock=lock)))


# -- the echoes --------------------------------------------------------------------------------------------------------


def measured(rig: ReferenceTask, rule: RHEL) -> Measurement:
    run = Measurement(rule, rig.request(("stiffness",)))
    execute(run.first_block(), rig.handler())
    return run


def of_echoes(run: Measurement, ratio: float = 0.01, retrace: float = 0.0, jitter: float = 0.0) -> str:
    return said(doubts.of_echoes(run.plan, run.options, run.blocks, ratio, retrace, jitter, missed=False))


def test_a_good_echo_has_nothing_said_of_it() -> None:
    assert not of_echoes(measured(small_rig(), RHEL(eps=1e-3)))


def test_friction_that_is_not_given_back_is_said_in_e_folds_of_energy() -> None:
    run = measured(small_rig(), RHEL(eps=1e-3, echo="plain"))  # type: ignore[arg-type]
    # 39 kicks of 0.1, at the mean of friction over mass.
    lost = np.mean([0.2 / 1.0, 0.1 / 0.7, 0.15 / 1.3]) * 3.9
    assert f"plain echo on a rig that loses {lost:.2g} e-folds of energy a pass" in of_echoes(run)
    (block,) = run.blocks
    long, short = block.batch.passes
    short = replace(short, q=short.q[:, :5], v=short.v[:, :5], error=short.error[:, :5])
    for passes in ((long, short), (short, long)):  # the longest pass counts
        uneven = [replace(block, batch=replace(block.batch, passes=passes))]
        found = said(doubts.of_echoes(run.plan, run.options, uneven, 0.01, 0.0, 0.0, missed=False))
        assert f"loses {lost:.2g} e-folds" in found
    slight = small_rig(friction=np.diag([0.01, 0.007, 0.013]))  # 0.01 of the mass: 0.039 a pass
    assert not of_echoes(measured(slight, RHEL(eps=1e-3, echo="plain")))  # type: ignore[arg-type]


def test_a_miss_is_said_beyond_a_hundredth_of_the_path_and_jitter_with_it() -> None:
    run = measured(small_rig(), RHEL(eps=1e-3))
    assert not of_echoes(run, retrace=0.01)
    found = of_echoes(run, retrace=0.0101)
    assert found.startswith("the echo misses the forward path by 0.01 of its size; ") and "gains differ" not in found
    assert "(gains differ by 0.004 from shot to shot, which is taken off)" in of_echoes(run, retrace=0.5, jitter=0.004)
    again = said(doubts.of_echoes(run.plan, run.options, run.blocks, 0.01, 0.5, 0.0, missed=True))
    assert again == "the echo misses the forward path by 0.5 of its size"  # the gradient before has told why


def test_a_large_response_is_said_of_nonlinear_rigs_with_what_was_asked_for() -> None:
    nonlinear, fixed = (measured(small_rig(), rule) for rule in (RHEL(), RHEL(eps=1e-3)))
    assert "response ratio 0.11 is large for a nonlinear rig: give response: 0.03" in of_echoes(nonlinear, ratio=0.11)
    assert "is large for a nonlinear rig: lower eps" in of_echoes(fixed, ratio=0.11)
    assert not of_echoes(fixed, ratio=0.1)
    linear = measured(small_rig(cubic=0.0), RHEL(eps=1e-3))
    assert not of_echoes(linear, ratio=0.5)


def test_a_small_response_is_said_unless_there_is_nothing_to_answer_to() -> None:
    run = measured(small_rig(), RHEL(eps=1e-3))
    assert "response ratio 5e-10 is close to rounding: raise eps" in of_echoes(run, ratio=5e-10)
    assert not of_echoes(run, ratio=1e-9)
    batch = run.blocks[0].batch
    still = replace(batch, passes=tuple(replace(item, error=0 * item.error) for item in batch.passes))
    silent = [replace(run.blocks[0], batch=still)]
    assert said(doubts.of_echoes(run.plan, run.options, silent, 0.0, 0.0, 0.0, missed=False)) == (
        "the error is zero everywhere, and so is this gradient"
    )


def test_a_calibration_is_said_beyond_a_twentieth_of_the_gradient_with_its_worst_value() -> None:
    values = {"mass": np.array([3.0, 0.0]), "stiffness": np.array([4.0]), "readout": np.array([100.0])}

    def of(*errors: float) -> str:
        passed_on = Inherited({"mass": np.array(errors[:1]), "stiffness": np.array(errors[1:])}, "q4.gain", 0.75)
        return said(doubts.of_calibration(passed_on, values))

    assert not of(0.15, 0.19)  # 0.24 of 5
    assert of(0.15, 0.21).startswith(
        "what the calibration knows only to an uncertainty puts this gradient off by about 0.052 of its size, "
        "75 % of that through q4.gain: calibrate again"
    )
    assert not said(doubts.of_calibration(Inherited({}), values))
    nothing = {"mass": np.zeros(1), "stiffness": np.zeros(1)}
    assert not said(doubts.of_calibration(Inherited({"mass": np.ones(1)}, "q4.gain", 1.0), nothing))


# -- converters, effort, bias ------------------------------------------------------------------------------------------


def block(value: float = 1.0, distortion: float = 0.0) -> Block:
    reading = EchoReading({"mass": np.array([value])}, 1.0, ())
    return Block(None, (), reading, 1e-3, distortion=distortion)  # type: ignore[arg-type]


def test_the_worst_distortion_of_a_nudge_is_said_beyond_a_twentieth() -> None:
    assert not said(doubts.of_distortion([block(distortion=0.01), block(distortion=0.05)]))
    found = said(doubts.of_distortion([block(distortion=0.01), block(distortion=0.06)]))
    assert "the gradient is off by about 0.06 of its size: raise the response" in found


@pytest.mark.parametrize(("refused", "is_said"), [("more than the port gives", True), ("", False)])
def test_a_lock_that_was_refused_is_said_with_its_best_round(refused: str, *, is_said: bool) -> None:
    locked = Locked((), (0.5, 0.2, 0.3), 6, 6, refused=refused)
    found = said(doubts.of_effort(RHEL(lock=2), locked, [block()], {}))
    assert found == ("the echo lock took what drive there is, and stopped at a miss of 0.2" if is_said else "")


def test_a_precision_that_was_not_reached_is_said_beside_what_was() -> None:
    pair = [block(9.0), block(11.0)]  # 10, give or take 1
    with_precision = RHEL(precision=0.01, most_repeats=2)
    assert said(doubts.of_effort(with_precision, None, pair, {})) == (
        "2 repeats reached a precision of 0.1, not 0.01; raise eps or most_repeats"
    )
    floor = {"mass": np.array([1.0])}
    assert "a precision of 0.14, not 0.01" in said(doubts.of_effort(with_precision, None, pair, floor))
    assert not said(doubts.of_effort(replace(with_precision, most_repeats=3), None, pair, {}))
    assert not said(doubts.of_effort(RHEL(repeats=2), None, pair, {}))


def test_a_bias_that_the_model_predicts_is_said_beyond_a_hundredth() -> None:
    assert not said(doubts.of_bias({})) and not said(doubts.of_bias({"predicted_bias": 0.01}))
    assert "bias this gradient by 0.011 of its size" in said(doubts.of_bias({"predicted_bias": 0.011}))


def test_a_noise_that_is_hardly_worth_a_second_set_of_echoes_takes_none() -> None:
    one = Aim(1.0, 0.02, 0.015, 0.0, 0.0, 0.1, (Sample(1.0, 1.0, 1.0, 1.0, np.ones(1)),))
    assert one.pairs == 1 and not said(doubts.of_aim(one, 3))


def test_what_answers_told_of_directed_couplings_is_not_said_by_the_record_once_more() -> None:
    record = Record(Found(0.1, 0.001), Found(0.2, 0.001), SURE, SURE)
    one_way, late = "couplings pull 10 % harder one way", "readings come 0.2 kicks after"
    both, rest = (said(doubts.of_record(record, RHEL(), told=told)) for told in (False, True))
    assert one_way in both and late in both
    assert one_way not in rest and late in rest


# -- directed couplings ------------------------------------------------------------------------------------------------

PLACES = ((0, 2), (3, 1))


@pytest.mark.parametrize(
    ("told", "begins", "calibrated", "is_said"),
    [(False, True, False, True), (True, True, False, False), (False, False, False, False), (False, True, True, False)],
)
def test_couplings_that_nothing_tells_of_are_said_once_unless_they_were_calibrated(
    *, told: bool, begins: bool, calibrated: bool, is_said: bool
) -> None:
    found = said(doubts.of_one_sided(Unmodelled(told=told), begins=begins, calibrated=calibrated))
    assert found.startswith("whether couplings are directed otherwise") is is_said
    assert bool(found) is is_said


@pytest.mark.parametrize(("share", "is_said"), [(0.01, False), (0.011, True)])
def test_what_is_corrected_and_what_is_not_sure_is_said_beyond_a_hundredth_with_its_place(
    share: float, *, is_said: bool
) -> None:
    certain = said(doubts.of_one_sided(Unmodelled(share=share, told=True, where=PLACES), begins=True, calibrated=False))
    unsure = said(doubts.of_one_sided(Unmodelled(unsure=share, told=True, where=PLACES), begins=True, calibrated=False))
    assert bool(certain) is bool(unsure) is is_said
    if is_said:
        assert "oscillators 1 and 3 most of all: this gradient is corrected for it, by 0.011 of its size" in certain
        assert "oscillators 4 and 2 most of all, or masses or channels differ" in unsure
        assert "may put this gradient off by 0.011 of its size" in unsure


@pytest.mark.parametrize(
    ("share", "unsure", "words"),
    [
        (0.01, 0.01, ""),
        (0.2, 0.03, "oscillators 1 and 3 most of all, or that .* is off by 0.2 of its size"),
        (0.03, 0.2, "oscillators 4 and 2 most of all, or that .* is off by 0.2 of its size"),
    ],
)
def test_a_model_without_directed_couplings_is_told_the_larger_of_what_they_may_do(
    share: float, unsure: float, words: str
) -> None:
    found = Unmodelled(share=share, unsure=unsure, told=True, where=PLACES)
    heard = said(doubts.of_reciprocal(found))
    assert re.search(words, heard) if words else not heard
    assert not said(doubts.of_reciprocal(replace(found, told=False))) and not said(doubts.of_reciprocal(None))


def asymmetric(remaining: float, **fields: Any) -> Asymmetric:
    """After one pair of echoes."""
    return Asymmetric(changes=[np.sqrt(2 * remaining)], terms=[{"mass": np.array([3.0, 4.0])}], **fields)


def test_a_plain_nudge_of_directed_couplings_is_said_beyond_a_hundredth() -> None:
    assert not said(doubts.of_directed(None, 0.0, 0.01))
    assert "this gradient is off by 0.011 of its size" in said(doubts.of_directed(None, 0.0, 0.011))
    assert not said(doubts.of_directed(asymmetric(0.0), 0.0, 0.5))


def test_a_mode_that_flutters_is_said_beyond_three_e_folds_in_a_pass() -> None:
    assert not said(doubts.of_directed(None, 3.0, 0.0))
    assert said(doubts.of_directed(None, 3.1, 0.0)).startswith(
        "by the model the directed couplings make a mode grow by 3"
    )
    assert "(by it a mode grows by 3.1 e-folds in a pass)" in doubts.refusal_of_transposing((1.0,), 3.1)
    assert "a mode grows" not in doubts.refusal_of_transposing((1.0,), 3.0)


def test_a_correction_that_does_not_converge_is_told_with_its_last_three_changes() -> None:
    assert "changed the adjoint by 0.5, 0.6, 0.7 of its size" in doubts.refusal_of_transposing(
        (0.1, 0.5, 0.6, 0.7), 0.0
    )


def test_what_a_correction_leaves_is_said_beyond_a_hundredth_unless_it_is_noise() -> None:
    assert not said(doubts.of_directed(asymmetric(0.0099), 0.0, 0.0))
    assert said(doubts.of_directed(asymmetric(0.02), 0.0, 0.0)).startswith(
        "after 1 pairs of echoes the correction for directed couplings leaves about 0.02 of the gradient's size"
    )
    assert not said(doubts.of_directed(asymmetric(0.02, ended_at_floor=True), 0.0, 0.0))


def test_what_ports_left_to_the_model_is_said_beyond_half_a_hundredth_of_the_gradient() -> None:
    def of(size: float) -> str:
        return said(doubts.of_directed(asymmetric(0.0, unplayed={"mass": np.array([size, 0.0])}), 0.0, 0.0))

    assert not of(0.0249)  # of 5
    assert "which may put this gradient off by 0.0051 of its size" in of(0.0255)
    still = Asymmetric(changes=[0.0], terms=[{"mass": np.zeros(2)}], unplayed={"mass": np.array([0.0, 0.3])})
    assert "off by 0.3 of its size" in said(doubts.of_directed(still, 0.0, 0.0))


# -- what no channel shows ---------------------------------------------------------------------------------------------


def test_what_the_model_said_in_place_of_readings_is_said_beyond_a_twentieth() -> None:
    assert not said(doubts.of_unread({})) and not said(doubts.of_unread({"unread_error": 0.05}))
    found = said(doubts.of_unread({"unread_error": 0.051}))
    assert "puts this gradient off by about 0.051 of its size" in found and "misses it" not in found


def test_a_model_that_misses_what_is_read_by_three_times_its_noise_is_not_this_rig() -> None:
    assert not said(doubts.of_unread({"unread_misfit": 3.0}))
    found = said(doubts.of_unread({"unread_misfit": 3.1}))
    assert (
        "misses it by 3.1 times its noise, so it is not this rig" in found and "no channel shows was said" not in found
    )
