"""The asymmetric echo on rigs with directed couplings, of which the host's model is wrong."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.arrays import Array, Arrays
from labrhel.config.fields import LARGEST_PAIRS
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.executor import DryBackend, execute, stack
from labrhel.learning.estimator import Order
from labrhel.learning.gradient import NudgeRecord
from labrhel.learning.needs import objections
from labrhel.model.motion import antisymmetry_along, hessian_along
from labrhel.rig.capabilities import Reversal
from protocols.adjoint_only import AdjointOnly
from protocols.differences import FiniteDifferences
from protocols.echoes.directed import Asymmetric, _noise, growth_in_pass
from protocols.echoes.measurement import Measurement
from protocols.echoes.options import MOST_PAIRS
from protocols.echoes.plan import EchoReading
from protocols.echoes.unmodelled import Unmodelled
from protocols.heb import HEB
from protocols.recorded_correlation import RecordedCorrelation
from protocols.rhel import RHEL
from protocols.twin import FittedTwin
from simbackend.dynamics.separable_adjoint import exact_gradient as separable_gradient
from simbackend.imperfections import Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.directed import NAMES, directed_rig
from simbackend.rigs.reference import ReferenceTask, lossy_rig
from simbackend.rigs.simulated import SimulatedRig
from simbackend.testing.small_rig import small_rig

KNOWN = 1  # rounds of lock, of which a drive that is known takes none


def test_every_pair_of_echoes_brings_digits_where_the_model_alone_has_none() -> None:
    rig = directed_rig(1, 0.2)
    errors = [rig.error(rig.gradient(RHEL(directed=pairs, lock=KNOWN))) for pairs in range(5)]
    assert errors[0] > 0.1
    assert rig.error(rig.gradient(FittedTwin(refit=False))) > 0.05
    assert errors[1] < 0.05
    assert errors[2] < 2e-3
    assert errors[3] < 5e-5
    assert errors[4] < 1e-6


def test_gyroscopic_forces_at_half_of_the_friction_are_corrected_as_well() -> None:
    rig = directed_rig(1, 0.0, gyroscopic=0.5)
    assert rig.error(rig.gradient(RHEL(directed=0, lock=KNOWN))) > 0.1
    assert rig.error(rig.gradient(RHEL(directed=3, lock=KNOWN))) < 1e-3
    known = directed_rig(0, 0.2, gyroscopic=0.5, stiffness=0.0, others=0.0)
    gradient = known.gradient(RHEL(), tuple(known.reference.model.parameters), known_drive=False)
    exact = known.exact()
    for name, value in gradient.values.items():  # the initial state among them
        assert np.linalg.norm(value - exact[name]) < 1e-7 * np.linalg.norm(exact[name]), name


class NonlinearLinks(OscillatorNetwork):
    """i feels tanh(q_j): a directed coupling whose stiffness changes along the path, and which no kernel runs."""

    is_polynomial = False

    def force(self, q: Array, theta: Arrays) -> Array:
        total = super().force(q, {**theta, "directed": np.zeros(len(self.links))})
        pull = self.value("directed", theta)[(slice(None),) + (None,) * (q.ndim - 1)] * np.tanh(q[self.links[:, 1]])
        for row, each in zip(self.links[:, 0], pull, strict=True):
            total[row] = total[row] - each
        return total

    def is_directed(self, theta: Arrays) -> bool:
        return bool(np.any(self.value("directed", theta)))

    def pulled(self, name: str, q: Array, weights: Array, theta: Arrays) -> Array:
        return -np.sum(weights[self.links[:, 0]] * np.tanh(q[self.links[:, 1]]), axis=1)

    def hessian(self, q: Array, theta: Arrays) -> Array:
        return hessian_along(self, theta, q[:, None])[0]


def test_directed_couplings_may_be_nonlinear() -> None:
    rig = directed_rig(0, 0.5, 10.0, stiffness=0.0, others=0.0)
    nominal = {name: rig.truth[name] for name in rig.reference.model.parameters}
    coupling = {"springs": "all", "directed": "all"}
    model = NonlinearLinks(6, coupling=coupling, inputs=("u1", "u2"), nominal=nominal)
    made = SimulatedRig(model)
    task = replace(rig.reference.task, model=model, capabilities=made.capabilities)
    reference = ReferenceTask(model, made, task, rig.reference.sequences, rig.truth)
    gradient = reference.gradient(RHEL(), (*NAMES, "initial_position"))
    exact = separable_gradient(task, reference.sequences, rig.truth)[1]
    for name, value in gradient.values.items():
        assert np.linalg.norm(value - exact[name]) < 1e-5 * np.linalg.norm(exact[name]), name


def test_left_to_itself_it_goes_on_until_what_remains_is_a_thousandth_and_reports_it() -> None:
    rig = directed_rig(0, 0.5)
    gradient = rig.gradient(RHEL(lock=KNOWN))
    remaining, error = gradient.measured["remaining_error"], rig.error(gradient)
    assert error < 1e-3
    assert remaining < 1e-3
    assert error / 3 < remaining < 30 * error
    assert gradient.measured["directed_pairs"] >= 2
    assert gradient.shots == 1 + 2 * gradient.measured["directed_pairs"]
    size = np.linalg.norm(np.concatenate([np.ravel(value) for value in gradient.values.values()]))
    floor = np.linalg.norm(np.concatenate([np.ravel(value) for value in gradient.floor.values()]))
    assert remaining / 5 < floor / size < 5 * remaining


def test_precision_asks_for_more_pairs() -> None:
    rig = directed_rig(0, 0.5)
    gradient = rig.gradient(RHEL(lock=KNOWN, precision=1e-6, repeats=3))
    assert rig.error(gradient) < 1e-6


def test_it_is_what_differences_of_the_rig_say() -> None:
    rig = directed_rig(3, 0.3, 5.0, stiffness=0.0, others=0.0)
    reference = replace(rig.reference, task=replace(rig.reference.task, capabilities=rig.reference.rig.capabilities))
    echoed = reference.gradient(RHEL(), ("directed", "stiffness"))
    moved = reference.gradient(FiniteDifferences(step=1e-3), ("directed", "stiffness"))
    for name, value in moved.values.items():
        assert np.linalg.norm(echoed.values[name] - value) < 1e-4 * np.linalg.norm(value), name


def test_a_rig_with_reciprocal_couplings_gets_the_same_bits_and_not_a_shot_more() -> None:
    found = [lossy_rig(np.random.default_rng(2)).gradient(RHEL(directed=pairs)) for pairs in (None, 0, 5)]
    for other in found[1:]:
        assert (other.shots, other.rule) == (found[0].shots, found[0].rule)
        assert all(np.array_equal(other.values[name], value) for name, value in found[0].values.items())


def test_a_lock_and_the_fit_before_it_serve_a_rig_of_which_the_friction_is_wrong() -> None:
    rig = directed_rig(1, 0.3)
    unlocked = rig.gradient(RHEL(), known_drive=False)
    assert rig.error(unlocked) > 0.05
    assert any("misses the forward path" in words for words in unlocked.warnings)
    locked = rig.gradient(RHEL(lock=8), known_drive=False)
    assert rig.error(locked) < 1e-3
    assert locked.rule == "rhel/symmetric/driven/locked/directed"


def test_a_rig_that_is_prepared_by_drive_runs_its_transpose_as_well() -> None:
    rig = directed_rig(2, 0.3, stiffness=0.0, others=0.0)
    offered = replace(rig.reference.task.capabilities, reversals=frozenset({Reversal.BY_DRIVE}))
    rig = replace(rig, reference=rig.reference.declaring(reversals=offered.reversals))
    assert rig.error(rig.gradient(RHEL(), known_drive=False)) < 1e-5


def test_oscillators_without_a_port_are_left_to_the_model_and_reported() -> None:
    rig = directed_rig(0, 0.3, folds=0.02, deaf=(0, 4))
    plain, gradient = (rig.gradient(RHEL(directed=pairs, partial=True), known_drive=False) for pairs in (0, None))
    assert rig.error(gradient) < rig.error(plain) / 2
    assert any("drive ports that are missing, or round" in words for words in gradient.warnings)
    size = np.sqrt(sum(np.sum(value**2) for value in gradient.values.values()))
    floor = np.sqrt(sum(np.sum(value**2) for value in gradient.floor.values()))
    assert 1 / 5 < floor / size / rig.error(gradient) < 5


def test_noise_ends_the_pairs_and_repeats_say_how_much_of_it_there_is() -> None:
    rig = directed_rig(0, 0.2, imperfections=Imperfections(seed=3, noise=2e-3))
    gradient = rig.gradient(RHEL(lock=KNOWN, repeats=4))
    assert gradient.measured["directed_pairs"] < 8
    assert not any("give directed more pairs" in words for words in gradient.warnings)
    once = rig.gradient(RHEL(lock=KNOWN))
    assert once.measured["directed_pairs"] < 8
    assert gradient.standard_error is not None
    exact = rig.exact()
    off = np.concatenate([np.ravel(gradient.values[name] - exact[name]) for name in NAMES])
    bar = np.concatenate([np.ravel(gradient.uncertainty[name]) for name in NAMES])
    assert np.mean(np.abs(off[bar > 0]) < 3 * bar[bar > 0]) > 0.8
    assert rig.error(gradient) < 0.1


def test_a_model_that_is_too_wrong_is_refused_in_one_sentence() -> None:
    rig = directed_rig(1, 1.0, 60.0, stiffness=0.3)
    with pytest.raises(ProgramError, match=r"does not converge: .* directed: N takes"):
        rig.gradient(RHEL(lock=KNOWN))
    taken = rig.gradient(RHEL(lock=KNOWN, directed=3))
    assert taken.measured["remaining_error"] > 0.01
    assert any("the correction for directed couplings leaves" in words for words in taken.warnings)


def test_flutter_is_foretold() -> None:
    rig = directed_rig(0, 2.0, 60.0, stiffness=0.0, others=0.0, folds=0.5)
    gradient = rig.gradient(RHEL(directed=2), known_drive=False)
    assert gradient.measured["flutter"] > 3
    assert any("(flutter)" in words for words in gradient.warnings)


def test_a_dry_run_counts_the_pairs() -> None:
    rig = directed_rig(0, 0.2).reference
    reference = rig.declaring(knobs=rig.rig.capabilities.knobs)
    for rule, pairs in ((RHEL(), 4), (RHEL(directed=6), 6)):
        backend = DryBackend(reference.task.capabilities)
        execute(rule.gradient(reference.request(NAMES)), stack(backend, reference.task.capabilities))
        assert backend.cost.shots == 1 + 2 * pairs


@pytest.mark.parametrize("rule", [HEB(), AdjointOnly(), RecordedCorrelation()])
def test_rules_that_take_the_rig_for_its_own_transpose_are_refused_by_name(rule: object) -> None:
    reference = directed_rig(0, 0.2).reference
    found = objections(rule.needs, reference.task, reference.sequences, reference.theta, ("directed",))  # type: ignore[attr-defined]
    assert any("couplings of the model are directed" in words for words in found)


@pytest.mark.parametrize("pairs", [-1])
def test_a_number_of_pairs_is_a_number(pairs: int) -> None:
    with pytest.raises(ConfigurationError, match="0 or more, or auto"):
        RHEL(directed=pairs)


def test_more_pairs_than_auto_would_take_are_refused_in_a_sentence() -> None:
    assert MOST_PAIRS == LARGEST_PAIRS
    with pytest.raises(ConfigurationError, match="a number of pairs of echoes, 12 at most, or auto, not 1000"):
        RHEL(directed=1000)


def test_the_nudge_is_set_anew_for_each_pair_and_a_fixed_one_stays() -> None:
    rig = directed_rig(1, 0.5)
    gradient = rig.gradient(RHEL(lock=KNOWN, eps=1e-6, directed=2))
    assert gradient.eps == pytest.approx(1e-6)
    held = rig.gradient(RHEL(lock=KNOWN, response=1e-4, directed=3))
    assert held.response_ratio == pytest.approx(1e-4, rel=0.1)
    assert isinstance(held.nudge, NudgeRecord)


# -- when pairs end ----------------------------------------------------------------------------------------------------


def after(*changes: float, gradients: tuple[float, ...] = (), **fields: Any) -> Asymmetric:
    """After pairs that changed the adjoint so much, with a gradient of one entry after each."""
    terms = [{"mass": np.array([value])} for value in gradients or (1.0,) * len(changes)]
    return Asymmetric(changes=list(changes), terms=terms, **fields)


@pytest.mark.parametrize(
    ("found", "shrinks"),
    [
        (Asymmetric(), 0.0),
        (after(0.4), 0.2),
        (after(0.4, 0.1), 0.25 / 2),
        (after(0.0, 0.1), 0.0),
        (after(0.8, 0.4, 0.1, gradients=(8.0, 10.0, 10.1)), 0.25 * 2 / 3),  # the gradient shrank by 20
        (after(0.8, 0.4, 0.1, gradients=(8.0, 10.0, 16.0)), 0.375 / 0.2 * 2 / 3),  # and here it grew
        (after(0.8, 0.4, 0.1, gradients=(10.0, 10.0, 16.0)), 0.25 * 2 / 3),
        (after(9.0, 0.8, 0.4, 0.1), 0.25 * 3 / 4),
    ],
)
def test_a_change_shrinks_as_the_last_one_did_and_by_a_causal_map_a_little_more(
    found: Asymmetric, shrinks: float
) -> None:
    assert found.shrinks == pytest.approx(shrinks)


@pytest.mark.parametrize(
    ("found", "remaining"),
    [
        (Asymmetric(), 0.0),
        (after(0.4), 0.4 * 0.2),
        (after(0.4, 0.1, gradients=(8.0, 10.0)), 0.2 * 0.125),
        (after(0.4, 0.1, gradients=(8.0, 0.0)), 0.0),
        (after(0.4, 0.1, gradients=(8.0, 10.0), ended_at_floor=True), 0.05),
    ],
)
def test_what_remains_is_what_the_gradient_last_changed_times_how_that_shrinks(
    found: Asymmetric, remaining: float
) -> None:
    assert found.remaining == pytest.approx(remaining)


@pytest.mark.parametrize(
    ("found", "is_at_floor"),
    [
        (after(0.5, 0.04, noise=0.02), False),
        (after(0.5, 0.04, noise=0.0201), True),
        (after(0.5, 0.04, is_white=True), True),
        (after(0.1, 0.1), False),
        (after(0.15, 0.1, 0.09), True),
        (after(0.1, 0.2, 0.09), False),  # it fell by more than half, once or in two
        (after(0.2, 0.1, 0.09), False),
        (after(5.0, 0.15, 0.1, 0.09), True),  # long ago
        (after(0.4, 0.35, 0.3), False),
        (after(0.4, 0.35, 0.29), True),
    ],
)
def test_a_change_that_is_noise_or_falls_no_more_is_at_the_floor(found: Asymmetric, *, is_at_floor: bool) -> None:
    assert found.is_at_floor is is_at_floor


@pytest.mark.parametrize(
    ("changes", "diverges"),
    [((1.0, 2.0), False), ((1.0, 1.0, 1.0), True), ((1.0, 2.0, 3.0), True), ((2.0, 1.0, 1.0), False),
     ((1.0, 2.0, 1.9), False), ((9.0, 1.0, 2.0, 3.0), True)],
)  # fmt: skip
def test_it_diverges_where_two_changes_in_turn_are_no_smaller(changes: tuple[float, ...], *, diverges: bool) -> None:
    assert after(*changes).diverges is diverges


def test_at_the_floor_the_mean_of_the_last_two_pairs_counts_and_nothing_else_is_left() -> None:
    reading = EchoReading({"mass": np.array([10.0])}, 1.0, ())
    unplayed = {"mass": np.array([0.5])}
    ended = after(0.5, 0.15, 0.1, 0.09, gradients=(1.0, 2.0, 8.0, 10.0), unplayed=unplayed)
    assert ended.concluded(reading).terms["mass"] == pytest.approx([9.0])
    assert ended.is_concluded and ended.ended_at_floor and ended.floor() == [unplayed]
    once = after(0.04, noise=0.1, unplayed=unplayed)
    assert once.concluded(reading) is reading and once.ended_at_floor
    large = after(0.5, 0.3, gradients=(8.0, 10.0), is_white=True)
    assert large.concluded(reading) is reading and large.is_concluded and not large.ended_at_floor
    nothing = Asymmetric(unplayed=unplayed)
    assert nothing.concluded(reading) is reading and not nothing.ended_at_floor and nothing.floor() == [unplayed]


def test_what_more_pairs_would_change_is_not_known_and_stands_beside_what_ports_did_not_play() -> None:
    unplayed = {"mass": np.array([0.5])}
    more, left = after(0.4, gradients=(-10.0,), unplayed=unplayed).floor()
    assert more["mass"] == pytest.approx([0.08 * 10]) and left is unplayed
    more, left = after(0.4, 0.1, gradients=(10.0, 8.0), unplayed=unplayed).floor()
    assert more["mass"] == pytest.approx([0.125 * 2]) and left is unplayed


def test_with_another_model_all_begins_again_but_what_it_believes() -> None:
    floor = {"mass": np.array([1.0])}
    found = after(0.4, size=3.0, unmodelled=Unmodelled(floor=floor), believes=True, is_concluded=True,
                  ended_at_floor=True, known={"s0": None})  # fmt: skip
    assert found.believed is floor
    found.forget()
    assert found == Asymmetric(believes=True) and found.believed == {}


# -- what one set of echoes says ---------------------------------------------------------------------------------------


def measured(reference: ReferenceTask, rule: RHEL, *names: str) -> Measurement:
    """A first block."""
    run = Measurement(rule, reference.request(names))
    execute(run.first_block(), reference.handler())
    return run


def test_the_couplings_that_the_model_lacks_are_seen_though_the_echo_misses_the_path() -> None:
    """The answers are about the path that the echo took, which friction that nobody compensates bends."""
    rig = directed_rig(1, 0.2, 6.0)
    believed = {**rig.reference.theta, "directed": 0.7 * rig.reference.theta["directed"]}
    run = measured(replace(rig.reference, theta=believed), RHEL(directed=1), "directed", "stiffness")
    assert run.blocks[0].retrace_error > 0.05
    assert run.asymmetric is not None and (found := run.asymmetric.unmodelled) is not None and found.pull is not None
    twice = [antisymmetry_along(rig.reference.model, theta, np.zeros((6, 1)))[0] for theta in (rig.truth, believed)]
    assert np.allclose(found.pull, (twice[0] - twice[1]) / 2, atol=1e-4 * np.abs(twice[0]).max())
    assert found.told and found.share > 0.01 and found.error < 1e-6


def test_what_a_plain_nudge_does_to_a_rig_with_directed_couplings_is_foretold_by_the_model() -> None:
    rig = directed_rig(1, 0.3, 6.0, stiffness=0.0, others=0.0)
    rule, names = RHEL(directed=0, eps=1e-4), ("directed", "stiffness")
    foretold = measured(rig.reference, rule, *names).uncorrected
    assert foretold > 0.05
    assert foretold == pytest.approx(rig.error(rig.reference.gradient(rule, names)), rel=1e-6)


def test_a_mode_grows_by_its_rate_times_the_longest_pass() -> None:
    """Under a friction of a tenth of the mass all decay by a twentieth a unit of time."""
    run = measured(small_rig(friction=np.diag([0.1, 0.07, 0.13]), cubic=0.0), RHEL(eps=1e-3), "stiffness")
    long, other = run.blocks[0].batch.passes
    assert growth_in_pass(run.plan, (long, other)) == pytest.approx(-0.05 * 3.9)
    short = replace(other, q=other.q[:, :9])
    assert growth_in_pass(run.plan, (long, short)) == pytest.approx(-0.05 * 0.9)


@pytest.mark.parametrize(("order", "turns"), [(Order.AB, 1), (Order.ABBA, 2)])
def test_the_noise_of_a_response_is_that_of_all_readings_over_the_nudge(order: Order, turns: int) -> None:
    run = measured(small_rig(0.02), RHEL(eps=1e-3, order=order), "stiffness")
    # Half of the difference of two echoes, of two sequences of 39 kicks, three positions each.
    expected = np.sqrt((0.25 + 0.25) / turns * 2 * 39 * 3) * 0.02 / 5e-4
    assert _noise(run.plan, run.blocks[0].batch.passes, 5e-4) == pytest.approx(expected)
