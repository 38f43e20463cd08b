"""One gradient while it is measured: what is told as it was seen, and what the next step starts from."""

from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.executor import execute
from labrhel.learning.gradient import NudgeRecord
from labrhel.rig.capabilities import Converter, Reversal
from labrhel.shots.operations import Operation, RunShots
from protocols.echoes.aim import FIRST_RESPONSE, Aim
from protocols.echoes.bias import bias_of_retrace
from protocols.echoes.blocks import Block
from protocols.echoes.floors import of_inputs, of_rounding
from protocols.echoes.forecast import undistorted
from protocols.echoes.growth import ROUNDING
from protocols.echoes.measurement import Measurement
from protocols.echoes.plan import Achieved, EchoPlan, EchoReading, first_eps
from protocols.forward.forward import ForwardBatch
from protocols.rhel import RHEL
from simbackend.imperfections import Imperfections
from simbackend.imperfections.paths import PathErrors
from simbackend.rigs.partly_read import showing
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig
from simbackend.testing.small_rig import small_rig

BY_DRIVE = frozenset({Reversal.BY_DRIVE})


def jittery(jitter: float = 0.01) -> ReferenceTask:
    """The small rig, prepared by drive, with gains that differ from shot to shot."""
    rig = small_rig()
    shaken = SimulatedRig(rig.model, imperfections=Imperfections(seed=3, ports=PathErrors(jitter=jitter)))
    return replace(rig, rig=shaken).declaring(reversals=BY_DRIVE, accumulates=frozenset())


class Keeping:
    """Keeps the captures of the last shots."""

    def __init__(self, rig: ReferenceTask) -> None:
        self._inner, self.last = rig.handler(), []

    def do(self, operation: Operation) -> Any:
        answer = self._inner.do(operation)
        if isinstance(operation, RunShots):
            self.last = answer
        return answer


def test_what_the_echoes_missed_is_told_as_it_was_seen_and_their_terms_at_common_gains() -> None:
    rig = jittery()
    handler = Keeping(rig)
    run = Measurement(RHEL(eps=0.05, lock=1), rig.request(("stiffness",)))
    execute(run.first_block(), handler)
    (block,) = run.blocks
    seen = run.plan.read(block.batch.passes, handler.last, block.eps)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(block.reading.miss, seen.miss, strict=True))
    assert not np.allclose(block.reading.terms["stiffness"], seen.terms["stiffness"], rtol=1e-3)
    assert 0.002 < block.jitter < 0.05


def test_what_was_learned_of_the_rig_is_believed_with_a_lock_alone() -> None:
    rig = small_rig()
    moved = NudgeRecord(0.01, 0.01, {"stiffness": np.array([0.1, -0.2, 0.3])}, {"s0": np.ones((3, 39))})
    asked = rig.request(("stiffness",), moved)
    with_lock, without = (Measurement(RHEL(lock=lock), asked) for lock in (2, 0))
    assert np.allclose(with_lock.plan.theta["stiffness"], np.array([1.0, 1.6, 0.8]) + [0.1, -0.2, 0.3])  # noqa: RUF005
    assert np.allclose(without.plan.theta["stiffness"], [1.0, 1.6, 0.8])
    assert list(with_lock.learned) == ["s0"] and not without.learned and not without.deviations


def test_a_lock_that_was_learned_for_all_sequences_is_not_done_again() -> None:
    rig = small_rig()
    first = Measurement(RHEL(eps=1e-3, lock=2), rig.request(("stiffness",)))
    execute(first.first_block(), rig.handler())
    assert first.locked is not None and set(first.learned) == {"s0", "s1"}
    known = NudgeRecord(1e-3, 0.01, first.deviations, first.learned)
    again = Measurement(RHEL(eps=1e-3, lock=2), rig.request(("stiffness",), known))
    execute(again.first_block(), rig.handler())
    assert again.locked is None and again.shots == 2 * 3
    half = NudgeRecord(1e-3, 0.01, first.deviations, {"s0": first.learned["s0"]})
    partly = Measurement(RHEL(eps=1e-3, lock=2), rig.request(("stiffness",), half))
    execute(partly.first_block(), rig.handler())
    assert partly.locked is not None


def test_an_echo_that_did_not_retrace_is_locked_again_and_fired_again() -> None:
    rig = small_rig()
    wrong = NudgeRecord(1e-3, 0.01, {}, {"s0": 0.5 * np.ones((3, 39)), "s1": np.zeros((3, 39))})
    run = Measurement(RHEL(eps=1e-3, lock=4), rig.request(("stiffness",), wrong))
    execute(run.first_block(), rig.handler())
    assert run.locked is not None
    assert run.blocks[0].retrace_error < 1e-3
    assert run.shots == 2 + 4 + run.locked.shots + 4


@pytest.mark.parametrize("repeats", [2, 3])
def test_every_block_has_a_forward_pass_of_its_own_and_a_preparation_of_its_own_as_long_as_the_first(
    repeats: int,
) -> None:
    rig = jittery()
    run = Measurement(RHEL(eps=0.05, lock=1, repeats=repeats), rig.request(("stiffness",)))
    handler = rig.handler()
    execute(run.first_block(), handler)
    while not run.is_precise:
        execute(run.another_block(), handler)
    assert len(run.blocks) == repeats
    first, last = run.blocks[0].drives[0], run.blocks[-1].drives[0]
    # A preparation that is frozen to the first record keeps its noise out of the spread of the blocks.
    assert not np.array_equal(first.preparation_force, last.preparation_force)
    assert np.allclose(first.preparation_force, last.preparation_force, rtol=0.2, atol=0.2)
    assert first.prepared == last.prepared > 0
    assert run.blocks[0].batch is not run.blocks[-1].batch


# -- what the host looks at, and when ----------------------------------------------------------------------------------


def measured(rule: RHEL, rig: ReferenceTask, previous: NudgeRecord | None = None, **wrong: float) -> Measurement:
    """A first block by a host that takes these parameters for so many times what they are."""
    theta = {**rig.theta, **{name: factor * np.asarray(rig.theta[name]) for name, factor in wrong.items()}}
    run = Measurement(rule, replace(rig.request(("stiffness",), previous), theta=theta))
    execute(run.first_block(), rig.handler())
    return run


def test_rounding_is_forecast_for_a_first_gradient_and_for_a_later_one_that_is_in_doubt() -> None:
    rig, rule = small_rig(), RHEL(eps=1e-4)
    first = measured(rule, rig)
    assert 1e-16 < first.amplified < 1e-12
    later = NudgeRecord(1e-4, first.blocks[0].response_ratio)
    calm, doubtful = measured(rule, rig, later), measured(rule, rig, later, friction=0.5)
    assert calm.amplified == 0.0
    assert doubtful.amplified == pytest.approx(measured(rule, rig, friction=0.5).amplified)
    noisy = measured(rule, small_rig(1e-6), later, friction=0.5)
    assert noisy.amplified == 0.0  # whatever it missed, rounding is not it


def test_what_an_echo_missed_beside_the_one_that_locked_it_is_not_expected() -> None:
    run = measured(RHEL(eps=1e-4, lock=1), small_rig(), friction=0.8)
    (block,) = run.blocks
    locked = run.locked
    assert locked is not None and len(locked.misses) == 1
    assert block.retrace_error == pytest.approx(locked.misses[0], rel=1e-3)  # one round, and its drive was not changed
    assert run._sample(block).miss < 1e-3 * block.retrace_error
    off = sum(np.sum((a - b) ** 2) for a, b in zip(block.reading.miss, locked.missed, strict=True))
    assert run._sample(block).miss == pytest.approx(np.sqrt(off / block.batch.size), rel=1e-9)
    for place in range(2):  # another drive, of whatever sequence, was never fired without a nudge
        drives = [replace(drive) if place == index else drive for index, drive in enumerate(block.drives)]
        other = replace(block, drives=tuple(drives))
        assert run._sample(other).miss == pytest.approx(block.retrace_error)


def test_a_fit_moves_parameters_of_the_model_by_what_it_found() -> None:
    rig = small_rig()
    run = measured(RHEL(eps=1e-3, lock=1), rig, friction=0.8)
    assert set(run.deviations) <= set(rig.model.parameters)
    assert np.allclose(run.deviations["friction"], 0.2 * np.asarray(rig.theta["friction"]), atol=1e-3)
    assert np.allclose(run.plan.theta["friction"], rig.theta["friction"], atol=1e-3)
    assert np.array_equal(run.plan.theta["readout"], rig.theta["readout"])


def test_the_slope_of_a_sample_is_the_gradient_of_all_parameters_as_one_vector() -> None:
    rig = small_rig()
    run = Measurement(RHEL(eps=1e-3), rig.request(("stiffness", "friction", "readout")))
    execute(run.first_block(), rig.handler())
    (block,) = run.blocks
    sample = run._sample(block)
    assert np.array_equal(sample.slope, np.concatenate([np.ravel(term) for term in block.reading.terms.values()]))
    assert sample.slope.shape == (3 + 9,)
    assert (sample.asked, sample.eps, sample.response) == (1e-3, block.eps, block.response_ratio)
    direct = Measurement(RHEL(eps=1e-3), rig.request(("readout",)))
    execute(direct.first_block(), rig.handler())
    assert direct._sample(direct.blocks[0]).slope.shape == (0,)


# -- how a nudge is settled: echoes as a script tells them -------------------------------------------------------------


class Told(Measurement):
    """Its echoes respond by `ratios`, one after the other, and miss by `doubt` of that; `clips` says which clip."""

    def __init__(self, rule: RHEL, rig: ReferenceTask, ratios: list[float], **script: Any) -> None:
        super().__init__(rule, rig.request(("stiffness",), script.get("previous")))
        self.ratios, self.script = list(ratios), script
        self.fired: list[float] = []

    def _echo(self, batch: ForwardBatch, drives: Any) -> Any:
        self.fired.append(self._eps)
        number, ratio = len(self.fired) - 1, self.ratios.pop(0)
        missed = ratio * self.script.get("doubt", 0.0) * np.sqrt(batch.size)
        miss = np.zeros((3, 39))
        miss[0, 0] = missed
        reading = EchoReading({"stiffness": np.ones(3)}, ratio**2 * batch.size, (miss, 0 * miss))
        clipped = {"q1": 4} if number in self.script.get("clips", ()) else {}
        achieved = self.script.get("scale", 1.0) * self._eps
        return Block(batch, tuple(drives), reading, achieved, asked=self._eps, clipped=clipped)
        yield

    def settle(self, target: float, **batch: Any) -> Block:
        """From a first nudge of 1."""
        (block,) = known().blocks
        self._eps = 1.0
        return execute(self._at_response(replace(block.batch, **batch), block.drives, target), None)  # type: ignore[arg-type]


@cache
def known() -> Measurement:
    return measured(RHEL(eps=1e-3), small_rig())


AUTOMATIC, ASKED, FIXED = RHEL(), RHEL(response=0.01), RHEL(eps=1.0)


@pytest.mark.parametrize("rule", [AUTOMATIC, ASKED])
@pytest.mark.parametrize(("ratio", "count"), [(0.0034, 1), (0.029, 1), (0.0033, 2), (0.031, 2), (0.0, 1)])
def test_a_response_is_settled_within_a_factor_of_three(rule: RHEL, ratio: float, count: int) -> None:
    run = Told(rule, small_rig(), [ratio, 0.01])
    block = run.settle(0.01)
    assert len(run.fired) == count and block.asked == run.fired[-1]
    if count == 2:
        assert run.fired == pytest.approx([1.0, 0.01 / ratio])


def test_a_response_that_is_far_off_is_corrected_twice_and_then_taken_as_it_is() -> None:
    run = Told(ASKED, small_rig(), [0.1, 1e-12, 1e-5], scale=0.5)
    block = run.settle(0.01)
    # Of what was achieved, half of what was asked for, and by a factor of a million at most.
    assert run.fired == pytest.approx([1.0, 0.5 * 0.1, 0.25 * 0.1 * 1e6])
    assert block.response_ratio == pytest.approx(1e-5)
    strong = Told(ASKED, small_rig(), [1e6, 0.01])
    strong.settle(0.01)
    assert strong.fired == pytest.approx([1.0, 1e-6])


def test_a_nudge_that_is_fixed_or_has_nothing_to_nudge_with_is_fired_once() -> None:
    fixed = Told(FIXED, small_rig(), [0.5])
    fixed.settle(0.01)
    silent = Told(AUTOMATIC, small_rig(), [0.5])
    passes = tuple(replace(item, error=0 * item.error) for item in known().blocks[0].batch.passes)
    silent.settle(0.01, passes=passes)
    assert len(fixed.fired) == len(silent.fired) == 1


def test_an_echo_that_misses_by_more_than_it_answers_is_no_measure_of_a_nudge() -> None:
    for rule, rig, doubt, count in [
        (AUTOMATIC, small_rig(), 0.06, 1),
        (AUTOMATIC, small_rig(), 0.04, 2),
        (ASKED, small_rig(), 0.06, 2),  # what was asked for by name is aimed at all the same
        (AUTOMATIC, small_rig(1e-6), 0.06, 2),  # and noise that is declared explains it
    ]:
        run = Told(rule, rig, [0.5, 0.01], doubt=doubt)
        run.settle(0.01)
        assert len(run.fired) == count


def test_echoes_that_clip_are_nudged_by_half_or_less_and_aimed_lower() -> None:
    run = Told(AUTOMATIC, small_rig(), [0.012, 0.005], clips=(0,))
    run.blocks = [run.settle(0.01)]
    assert run.fired == pytest.approx([1.0, 0.5])  # now half of 0.01 is aimed at
    assert run.target == pytest.approx(0.005)
    strong = Told(AUTOMATIC, small_rig(), [0.1, 0.0016, 0.005], clips=(0,))
    strong.blocks = [strong.settle(0.01)]
    assert strong.fired[:2] == pytest.approx([1.0, 0.1]) and len(strong.fired) == 3  # below a third of 0.005
    weak = Told(AUTOMATIC, small_rig(), [0.002, 0.0012], clips=(0,))
    weak.blocks = [weak.settle(0.01)]
    assert weak.fired == pytest.approx([1.0, 0.5]) and weak.target == pytest.approx(0.0012)  # half of 0.002
    always = Told(AUTOMATIC, small_rig(), [0.01, 0.005, 0.0025], clips=(0, 1, 2))
    always.settle(0.01)
    assert len(always.fired) == 3


def test_clipping_lowers_no_nudge_that_was_asked_for_nor_where_the_forward_pass_clips_too() -> None:
    for rule, batch in ((ASKED, {}), (FIXED, {}), (AUTOMATIC, {"clipped": {"q1": 2}})):
        run = Told(rule, small_rig(), [0.01], clips=(0,))
        run.blocks = [run.settle(0.01, **batch)]
        assert run.fired == [1.0] and run.target is None


# -- doubts and histories ----------------------------------------------------------------------------------------------


def block_of(ratio: float, doubt: float, distortion: float = 0.0) -> Block:
    run = Told(FIXED, small_rig(), [ratio], doubt=doubt)
    return replace(run.settle(0.01), distortion=distortion)


@pytest.mark.parametrize(
    ("doubt", "distortion", "usual", "noise", "is_doubted"),
    [
        (0.0101, 0.0, None, 0.0, True),
        (0.0099, 0.0, None, 0.0, False),
        (0.0, 0.0101, None, 0.0, True),
        (0.0, 0.0099, None, 0.0, False),
        (0.29, 0.29, 0.1, 0.0, False),  # three times what is usual
        (0.31, 0.0, 0.1, 0.0, True),
        (0.0, 0.31, 0.1, 0.0, True),
        (0.0101, 0.0, 0.001, 0.0, True),
        (0.11, 0.0, None, 1e-9, True),  # noise explains what it is, and a tenth
        (0.09, 0.0, None, 1e-9, False),
    ],
)
def test_more_than_noise_and_a_small_nudge_explain_is_in_doubt(
    doubt: float, distortion: float, usual: float | None, noise: float, *, is_doubted: bool
) -> None:
    previous = None if usual is None else NudgeRecord(1.0, 0.01, doubt=usual)
    run = Measurement(AUTOMATIC, small_rig(noise).request(("stiffness",), previous))
    assert run._is_in_doubt(block_of(0.01, doubt, distortion)) is is_doubted


@pytest.mark.parametrize(("times", "is_doubted"), [(0.95, False), (1.05, True)])
def test_noise_that_is_declared_explains_a_miss_of_its_own_size(times: float, *, is_doubted: bool) -> None:
    noise = 1e-3
    run = Measurement(AUTOMATIC, small_rig(noise).request(("stiffness",)))
    batch = known().blocks[0].batch
    floor = 1.5 * np.sqrt(2 * 2 * 39 * 3 * noise**2 / batch.size)  # one and a half times that of record and echo
    explained = np.hypot(floor / 0.005, 0.1)
    assert floor / 0.005 > 0.2 and run._is_in_doubt(block_of(0.005, times * explained)) is is_doubted


def test_a_miss_below_the_square_of_the_response_needs_no_lock() -> None:
    run = Measurement(RHEL(lock=2), small_rig().request(("stiffness",)))
    assert not run._does_not_retrace(block_of(0.1, 0.099))  # 0.0099 of 0.01
    assert run._does_not_retrace(block_of(0.1, 0.101))
    assert not run._does_not_retrace(block_of(0.01, 0.099))  # 0.00099 of a thousandth
    assert run._does_not_retrace(block_of(0.01, 0.101))
    noisy = Measurement(RHEL(lock=2), small_rig(0.05).request(("stiffness",)))
    assert not noisy._does_not_retrace(block_of(0.01, 0.101))


def test_the_usual_doubt_is_that_of_the_first_block_and_later_that_of_the_first_gradient() -> None:
    fresh = Measurement(AUTOMATIC, small_rig().request(("stiffness",)))
    fresh.blocks = [block_of(0.02, 0.3)]
    assert fresh.doubt == pytest.approx(0.3)
    fresh.blocks = [block_of(0.0, 0.0)]
    assert fresh.doubt == 0.0
    later = Measurement(AUTOMATIC, small_rig().request(("stiffness",), NudgeRecord(1.0, 0.01, doubt=0.07, pairs=3)))
    later.blocks = [block_of(0.02, 0.3)]
    assert later.doubt == 0.07 and later.pairs == 3 and later.target is None
    later.aim = Aim(1.0, 0.2, 0.03, 0.0, 0.0, 0.1, ())  # which was searched anew
    assert later.doubt == pytest.approx(0.3) and later.pairs == 4 and later.target == 0.2
    fixed = Measurement(FIXED, small_rig().request(("stiffness",), NudgeRecord(1.0, 0.01, pairs=3)))
    assert fixed.pairs == 1


# -- how many blocks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "pairs", "count"),
    [
        ({}, 1, 1),
        ({"repeats": 3}, 1, 3),
        ({}, 4, 4),
        ({"repeats": 3}, 4, 4),
        ({"precision": 0.2}, 1, 3),  # before a spread is believed
        ({"precision": 0.06}, 1, 4),  # of 9 and 11 in turn: a standard error of 1.15/2 of 10
        ({"precision": 1e-9, "most_repeats": 5}, 1, 5),
    ],
)
def test_blocks_are_measured_until_there_are_enough(options: dict[str, Any], pairs: int, count: int) -> None:
    previous = NudgeRecord(1.0, 0.01, pairs=pairs)
    run = Measurement(RHEL(**options), small_rig().request(("stiffness",), previous))
    for number in range(8):
        if run.blocks and run.is_precise:
            break
        made = block_of(0.01, 0.0)
        run.blocks.append(
            replace(made, reading=replace(made.reading, terms={"stiffness": np.array([9.0 + 2 * (number % 2)])}))
        )
    assert len(run.blocks) == count


def test_where_there_is_no_error_a_precision_is_not_waited_for() -> None:
    run = Measurement(RHEL(precision=1e-9), small_rig().request(("stiffness",)))
    made = block_of(0.01, 0.0)
    passes = tuple(replace(item, error=0 * item.error) for item in made.batch.passes)
    run.blocks = 3 * [replace(made, batch=replace(made.batch, passes=passes))]
    assert run.is_precise


@pytest.mark.parametrize(("rule", "coded", "factors"), [
    (AUTOMATIC, True, [1.0, 1.1, 0.95, 1.05, 0.9, 1.0]), (AUTOMATIC, False, [1.0] * 6), (FIXED, True, [1.0] * 6),
])  # fmt: skip
def test_where_a_converter_rounds_the_nudges_of_repeats_differ(
    rule: RHEL, factors: list[float], *, coded: bool
) -> None:
    rig = small_rig()
    if coded:  # one of all
        first, *others = rig.task.capabilities.ports
        rig = rig.declaring(ports=(replace(first, converter=Converter(16, -9.0, 9.0)), *others))
    run = Told(rule, small_rig(), [0.01] * 6)
    run._rounds = Measurement(rule, rig.request(("stiffness",)))._rounds
    run.blocks = [replace(run.settle(0.01), asked=0.3)]
    run._eps = 0.3
    handler = small_rig().handler()
    for _ in range(5):
        execute(run.another_block(), handler)
    assert run.fired[1:] == pytest.approx([0.3 * factor for factor in factors[1:]])


# -- converters of the nudge -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beside", "distortion"),
    [(0.0009, "none"), (0.0011, "repaired"), (0.49, "repaired"), (0.51, "told")],
)
def test_what_converters_add_to_a_nudge_is_taken_off_where_it_is_small_and_told_where_it_is_not(
    beside: float, distortion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = small_rig()
    plain = measured(RHEL(eps=0.01), rig).blocks[0]
    random = np.random.default_rng(2)
    added = tuple(random.normal(size=item.error.shape) for item in plain.batch.passes)
    achieved = Achieved(1.25, beside, added)
    monkeypatch.setattr(EchoPlan, "achieved", lambda *_: achieved)
    found = measured(RHEL(eps=0.01), rig).blocks[0]
    assert found.asked == 0.01 and found.eps == pytest.approx(0.0125)
    # The gradient is by what was achieved.
    expected, floor = plain.reading.terms["stiffness"] / 1.25, {}
    if distortion == "repaired":
        run = known()
        reading = replace(plain.reading, terms={"stiffness": expected})
        repaired, floor = undistorted(run.plan, plain.batch.passes, reading, achieved)
        expected = repaired.terms["stiffness"]
    assert np.allclose(found.reading.terms["stiffness"], expected, rtol=1e-3)
    size = np.linalg.norm(floor["stiffness"]) / np.linalg.norm(expected) if floor else 0.0
    assert found.distortion == pytest.approx({"none": 0.0, "repaired": size, "told": beside}[distortion], rel=1e-3)
    assert bool(found.floor) is (distortion == "repaired")


def test_an_echo_block_keeps_its_captures_and_what_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = Keeping(small_rig())
    run = Measurement(RHEL(eps=1e-3), small_rig().request(("stiffness",)))
    monkeypatch.setattr("protocols.echoes.measurement.over_range", lambda captures: {"q1": len(captures)})
    execute(run.first_block(), handler)
    assert run.blocks[0].captures == tuple(handler.last) and run.blocks[0].clipped == {"q1": 4}


def test_rounding_that_hides_every_nudge_is_refused_of_a_first_automatic_gradient_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch, seen = known().blocks[0].batch, FIRST_RESPONSE / ROUNDING
    later = NudgeRecord(1.0, 0.01)
    for rule, previous, growth, is_refused in [
        (AUTOMATIC, None, 1.01 * seen, True),
        (AUTOMATIC, None, 0.99 * seen, False),
        (AUTOMATIC, later, 1.01 * seen, False),
        (ASKED, None, 1.01 * seen, False),
        (RHEL(repeats=2), None, 1.01 * seen, False),
        (RHEL(precision=0.1), None, 1.01 * seen, False),
    ]:
        monkeypatch.setattr("protocols.echoes.measurement.growth_of_rounding", lambda *_, growth=growth: growth)
        run = Measurement(rule, small_rig().request(("stiffness",), previous))
        with pytest.raises(ProgramError, match=r"rounding grows to 0\.03") if is_refused else nullcontext():
            run._forecast(batch)
        assert run.amplified == pytest.approx(growth * ROUNDING)


def test_a_search_that_found_no_good_nudge_is_refused_of_a_first_gradient_that_is_measured_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = NudgeRecord(1.0, 0.01)
    for rule, previous, error, is_refused in [
        (AUTOMATIC, None, 0.051, True),
        (AUTOMATIC, None, 0.049, False),
        (AUTOMATIC, later, 0.051, False),
        (RHEL(repeats=2), None, 0.051, False),
        (RHEL(precision=0.1), None, 0.051, False),
    ]:

        def searched(fire: Any, first: Any, start: float, error: float = error) -> Any:
            again = yield from fire(0.02, anew=True)
            return Aim(0.02, 0.3, 0.0, error, 0.0, 0.1, (first, again))

        monkeypatch.setattr("protocols.echoes.measurement.searched", searched)
        run = Told(rule, small_rig(), [0.01, 0.02], previous=previous)
        first = run.settle(0.01)
        run.shots = 7
        with pytest.raises(ProgramError, match="found in 2 shots") if is_refused else nullcontext():
            execute(run._search(first), Keeping(small_rig()))
        if not is_refused:
            assert run.blocks[0] is first and [block.asked for block in run.blocks] == [1.0, 0.02]
            assert run.search_shots == 2 and run.target == 0.3  # the forward passes of the second


# -- what no repeat shows ----------------------------------------------------------------------------------------------


def on_converters(*, ports: bool) -> ReferenceTask:
    """The small rig, one of whose channels rounds, and one of whose ports does if wanted."""
    rig = small_rig()
    first, *others = rig.task.capabilities.channels
    channels = (replace(first, converter=Converter(10, -4.0, 4.0)), *others)
    port, *rest = rig.task.capabilities.ports
    return rig.declaring(
        channels=channels, ports=(replace(port, converter=Converter(12, -9.0, 9.0)) if ports else port, *rest)
    )


@pytest.mark.parametrize("ports", [False, True])
def test_a_floor_holds_the_squares_of_all_that_repeats_cannot_show(*, ports: bool) -> None:
    rig = on_converters(ports=ports)
    run = Measurement(RHEL(eps=0.05, repeats=2), rig.request(("stiffness", "readout")))
    execute(run.first_block(), rig.handler())
    assert run.floor() == {}  # nobody asks for an error bar
    execute(run.another_block(), rig.handler())
    left = np.array([3.0, 0.0, 1.0])
    run.blocks[0] = replace(run.blocks[0], floor={"stiffness": left})
    parts = [
        {"stiffness": left},
        bias_of_retrace(run.plan, run.blocks),
        of_rounding(run.plan, rig.sequences, run.blocks),
    ]
    if ports:
        parts.append(of_inputs(run.plan, rig.sequences, run.blocks[0].batch))
    found = run.floor()
    for name in ("stiffness", "readout"):
        squares = sum(np.square(part[name]) for part in parts if name in part)
        assert np.allclose(found[name], np.sqrt(squares)), name


def test_the_floor_of_exact_readings_is_what_is_left_of_a_distorted_nudge() -> None:
    run = Measurement(RHEL(eps=0.05, repeats=2), small_rig().request(("stiffness",)))
    run.blocks = [replace(known().blocks[0], floor={"stiffness": np.array([1.0, -2.0, 0.0])})] * 2
    assert np.array_equal(run.floor()["stiffness"], [1.0, 2.0, 0.0])


def test_rounding_is_drawn_anew_for_each_block_up_to_the_fifth_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def of_rounding(plan: Any, sequences: Any, blocks: list[Block]) -> dict[str, np.ndarray]:
        drawn.append(len(blocks))
        return {"stiffness": np.full(3, float(len(blocks)))}

    monkeypatch.setattr("protocols.echoes.measurement.of_rounding", of_rounding)
    run = Measurement(RHEL(eps=0.05, precision=0.1), small_rig().request(("stiffness",)))
    for count in range(2, 9):
        run.blocks = [known().blocks[0]] * count
        assert run.floor()["stiffness"][0] == run.floor()["stiffness"][0] == min(count, 5)
    assert drawn == [2, 3, 4, 5]


# -- the first block ---------------------------------------------------------------------------------------------------


def begun(rule: RHEL, previous: NudgeRecord | None = None, **script: Any) -> Told:
    run = Told(rule, small_rig(), [0.01] * 3, previous=previous, **script)
    execute(run.first_block(), small_rig().handler())
    return run


def test_a_first_nudge_is_the_one_that_is_fixed_or_that_of_the_response_that_is_aimed_at() -> None:
    batch, task = known().blocks[0].batch, small_rig().task
    theta = small_rig().theta
    assert begun(RHEL(eps=0.7)).fired == [0.7]
    assert begun(RHEL(response=0.01)).fired == [pytest.approx(first_eps(task, batch, theta, 0.01, None))]
    last = NudgeRecord(0.3, 0.02, aim=0.012)
    # What a search found best before is aimed at, but not against the word of the user.
    assert begun(RHEL(), last).fired == [pytest.approx(0.3 * 0.012 / 0.02)]
    assert begun(RHEL(response=0.01), last).fired == [pytest.approx(0.3 * 0.01 / 0.02)]
    assert begun(RHEL(eps=0.7), last).fired == [0.7]


@pytest.mark.parametrize(
    ("rule", "doubt", "is_searched"),
    [(RHEL(), 0.02, True), (RHEL(), 0.005, False), (RHEL(eps=1.0), 0.02, False), (RHEL(response=0.01), 0.02, False)],
)
def test_a_search_is_for_automatic_nudges_that_are_in_doubt(
    rule: RHEL, doubt: float, *, is_searched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[Block] = []

    def search(self: Told, block: Block) -> Any:
        searches.append(block)
        return
        yield

    monkeypatch.setattr(Told, "_search", search)
    run = begun(rule, NudgeRecord(1.0, 0.01), doubt=doubt)
    assert searches == (run.blocks if is_searched else [])
    assert run.search_shots == 0 and run.aim is None  # which a search alone sets


def test_the_record_of_a_first_gradient_is_looked_at_where_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def of_record(model: Any, theta: Any, passes: Any, step: float) -> str:
        looked.append(len(passes))
        return "seen"

    monkeypatch.setattr("protocols.echoes.measurement.of_record", of_record)
    assert begun(RHEL(eps=1.0)).record == "seen"
    assert begun(RHEL(eps=1.0), NudgeRecord(1.0, 0.01)).record is None
    inner = small_rig().handler()

    class Clipping:
        def do(self, operation: Operation) -> Any:
            answer = inner.do(operation)
            trace = answer[0].last.traces["q1"]
            traces = {**answer[0].last.traces, "q1": replace(trace, over_range=1)}
            return [replace(answer[0], passes=(replace(answer[0].last, traces=traces),)), *answer[1:]]

    run = Told(RHEL(eps=1.0), small_rig(), [0.01])
    execute(run.first_block(), Clipping())
    assert run.record is None and run.blocks[0].batch.clipped
    assert looked == [2]


@pytest.mark.parametrize(("unread", "needed"), [("refused", [False, True, False]), ("smoothed", None)])
def test_what_no_channel_shows_is_refused_unless_the_model_may_say_it(unread: Any, needed: list[bool] | None) -> None:
    rig = small_rig(friction=np.diag([0.2, 0.0, 0.15]))
    rig = replace(rig, task=replace(rig.task, capabilities=showing(rig.task.capabilities, (0, 2))))
    whole = rig.request(("stiffness",))
    with pytest.raises(ProgramError, match=r"stiffness\[1\]: no channel") if needed else nullcontext():
        Measurement(RHEL(unread=unread), whole)
    part = Measurement(RHEL(unread=unread), replace(whole, trained={"stiffness": np.array([True, False, True])}))
    assert {name: mask.tolist() for name, mask in part.unknown.items()} == ({"stiffness": needed} if needed else {})
