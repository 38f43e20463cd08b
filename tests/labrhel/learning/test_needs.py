"""What a rule needs, on a rig of three oscillators that lacks one thing after the other, and where it is just there."""

from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pytest

from labrhel.frozen import FrozenArray
from labrhel.learning.needs import Needs, folds_lost, objections
from labrhel.learning.task import Task, TrialSequence
from labrhel.rig.capabilities import Capabilities, Channel, Kind, Knob, Port, Reversal
from labrhel.shots.waveform import Waveform
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.models.self_adjusting import SelfAdjustingNetwork

STEP, SAMPLES, EVERY = 0.1, 21, 2
MASS = np.array([2.0, 1.0, 0.5])
FRICTION = np.array([[0.0, 0.0, 0.0], [0.0, 0.3, 0.1], [0.0, 0.1, 0.2]])


def rig(**changes: Any) -> Capabilities:
    """Everything is there: a force on every oscillator, through a matrix that is not diagonal, and every position."""
    facts: dict[str, Any] = {
        "rig": "three",
        "size": 3,
        "ports": (Port("u1", Kind.INPUT), *(Port(f"f{i}", Kind.FORCE) for i in (1, 2, 3))),
        "channels": tuple(Channel(f"q{i}", Kind.POSITION) for i in (1, 2, 3)),
        "knobs": (Knob("stiffness", (3,)),),
        "drive_matrix": FrozenArray([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.3, 0.0, 1.0]]),
        "position_matrix": FrozenArray([[1.0, 0.0, 0.0], [0.2, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        "velocity_matrix": FrozenArray(np.empty((0, 3))),
        "reversals": frozenset({Reversal.MOMENTUM_FLIP}),
        "prepares": frozenset({"rest", "state"}),
    }
    return Capabilities(**(facts | changes))


def model(**nominal: Any) -> OscillatorNetwork:
    return OscillatorNetwork(3, coupling="all", nominal={"mass": MASS, "friction": FRICTION, **nominal})


def task(capabilities: Capabilities | None = None, channels: tuple[str, ...] = ("q2",), **nominal: Any) -> Task:
    return Task(model(**nominal), capabilities or rig(), STEP, EVERY, channels, 1.0)


def sequence(counts: slice = slice(None), samples: int = SAMPLES, values: Any = 0.3) -> TrialSequence:
    """The samples `counts` count; the input is a constant or the values given at every kick."""
    weight = np.zeros(samples)
    weight[counts] = 1.0
    steps = (samples - 1) * EVERY + 1
    return TrialSequence("one", {"u1": Waveform.of(values * np.ones(steps), STEP)}, np.zeros((1, samples)), weight)


def said(needs: Needs, item: Task, *sequences: TrialSequence, wanted: tuple[str, ...] = ("stiffness",)) -> list[str]:
    theta = {name: spec.nominal for name, spec in item.model.parameters.items()}
    return list(objections(needs, item, sequences or (sequence(),), theta, wanted))


EVERYTHING_PHYSICAL = Needs(reversal=True, positions=True, drive=True, lossy_drive=True, drive_all=True, linear=True)


def test_a_rig_that_has_everything_meets_no_objection() -> None:
    assert said(EVERYTHING_PHYSICAL, task()) == []
    assert said(Needs(), task(rig(reversals=frozenset()), cubic=1.0)) == []


@pytest.mark.parametrize(
    ("needs", "lacking", "words"),
    [
        (Needs(reversal=True), {"reversals": frozenset()}, "the rig offers no way to reverse its state"),
        (
            Needs(positions=True),
            {"position_matrix": FrozenArray([[1.0, 0, 0], [0.2, 1.0, 0], [0.4, 2.0, 0]])},
            "it needs the positions of all 3 oscillators, and the rig shows fewer",
        ),
        (
            Needs(drive=True),
            {"drive_matrix": FrozenArray([[1.0, 0.5, 0.0], [0.0, 0.0, 0.0], [0.3, 0.0, 1.0]])},
            "no drive port reaches what channel q2 reads",
        ),
        (
            Needs(lossy_drive=True),
            {"drive_matrix": FrozenArray([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])},
            "no drive port reaches oscillator 3, which loses energy",
        ),
        (
            Needs(drive_all=True),
            {"drive_matrix": FrozenArray([[1.0, 0.5, 0.0], [2.0, 1.0, 0.0], [0.3, 0.0, 1.0]])},
            "some oscillators have no drive port",
        ),
    ],
)
def test_what_the_rig_lacks_is_said_if_the_rule_needs_it_and_only_then(
    needs: Needs, lacking: dict[str, Any], words: str
) -> None:
    assert said(needs, task(rig(**lacking))) == [words]
    assert said(Needs(), task(rig(**lacking))) == []
    assert said(needs, task()) == []


def test_an_oscillator_that_loses_nothing_needs_no_port() -> None:
    blind = rig(drive_matrix=FrozenArray([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.3, 0.0, 1.0]]))
    assert said(Needs(lossy_drive=True), task(blind)) == []


def test_a_rig_without_force_ports_reaches_nothing() -> None:
    bare = rig(ports=(Port("u1", Kind.INPUT),), drive_matrix=FrozenArray(np.empty((3, 0))))
    assert said(Needs(drive=True), task(bare, ("q1", "q3"))) == ["no drive port reaches what channel q1, q3 reads"]
    assert said(Needs(lossy_drive=True), task(bare)) == [
        "no drive port reaches oscillator 2, 3, which loses energy",
    ]


def test_a_rig_with_an_anharmonic_term_is_not_linear() -> None:
    assert said(Needs(linear=True), task(cubic=0.1)) == ["the rig is not linear"]


def test_energy_lost_is_the_mean_of_friction_over_mass_times_the_longest_pass() -> None:
    item = task()
    theta = {name: spec.nominal for name, spec in item.model.parameters.items()}
    expected = (0.0 + 0.3 / 1.0 + 0.2 / 0.5) / 3 * (30 * EVERY + 1) * STEP
    assert folds_lost(item, [sequence(samples=5), sequence(samples=31)], theta) == pytest.approx(expected)


@pytest.mark.parametrize(("share", "fine"), [(0.999, True), (1.001, False)])
def test_a_rig_is_lossless_up_to_a_twentieth_of_an_e_fold(share: float, fine: bool) -> None:  # noqa: FBT001
    friction = 0.05 * share / (41 * STEP) * MASS
    words = said(Needs(lossless=True), task(friction=np.diag(friction)))
    assert words == ([] if fine else ["the rig loses 0.05 e-folds of energy in a pass"])


def test_a_rig_that_loses_just_a_twentieth_counts_as_lossless() -> None:
    item = replace(task(friction=np.diag(MASS)), step=0.05)
    assert said(Needs(lossless=True), item, sequence(samples=1)) == []


def test_a_final_loss_is_one_at_the_last_sample_of_every_sequence() -> None:
    assert said(Needs(final=True), task(), sequence(slice(-1, None))) == []
    words = said(Needs(final=True), task(), sequence(slice(-1, None)), sequence(slice(-2, None)))
    assert words == ["the loss counts samples before the last one"]


# -- settling ----------------------------------------------------------------------------------------------------------

KICKS = (SAMPLES - 1) * EVERY + 1  # 41
LAST_TENTH = slice(-2, None)  # of 21 samples


def settling(share: float = 1.001) -> Task:
    return task(friction=np.diag(share * 10.0 / (KICKS * STEP) * MASS))


def test_a_rig_has_settled_if_it_lost_ten_e_folds_under_an_input_that_stands_still() -> None:
    assert said(Needs(settles=True), settling(), sequence(LAST_TENTH)) == []
    assert said(Needs(settles=True), settling(0.999), sequence(LAST_TENTH)) == [
        "the rig loses 10 e-folds of energy in a pass, too few to settle"
    ]


def test_an_input_may_change_in_the_first_half_alone() -> None:
    values = np.full(KICKS, 0.3)
    values[: KICKS // 2] = np.linspace(-1.0, 0.0, KICKS // 2)
    assert said(Needs(settles=True), settling(), sequence(LAST_TENTH, values=values)) == []
    values[KICKS // 2] = 0.31
    assert said(Needs(settles=True), settling(), sequence(LAST_TENTH, values=values), sequence(LAST_TENTH)) == [
        "an input of one still changes in the second half of the pass"
    ]


@pytest.mark.parametrize(("ripple", "fine"), [(0.9e-6, True), (1.1e-6, False)])
def test_an_input_stands_still_to_a_millionth_of_its_size(ripple: float, fine: bool) -> None:  # noqa: FBT001
    values = np.full(KICKS, -3.0)
    values[-1] *= 1 - ripple
    assert bool(said(Needs(settles=True), settling(), sequence(LAST_TENTH, values=values))) is not fine


def test_an_input_that_changes_by_just_a_millionth_still_stands_still() -> None:
    values = np.full(KICKS, 1e6)
    values[-1] -= 1.0
    assert said(Needs(settles=True), settling(), sequence(LAST_TENTH, values=values)) == []
    assert said(Needs(settles=True), settling(), sequence(LAST_TENTH, values=0.0)) == []


def test_one_sequence_that_counts_too_much_is_enough_to_object() -> None:
    words = said(Needs(settles=True), settling(), sequence(LAST_TENTH), sequence())
    assert words == ["the loss counts samples before the last tenth of the pass"]


def test_a_loss_of_what_has_settled_counts_the_last_tenth_alone() -> None:
    for counts, words in (
        (LAST_TENTH, []),
        (slice(-3, None), ["the loss counts samples before the last tenth of the pass"]),
    ):
        assert said(Needs(settles=True), settling(), sequence(counts)) == words
    short = [sequence(slice(-1, None), samples=5), sequence(slice(-2, None), samples=5)]
    strong = task(friction=np.diag(100.0 * MASS))
    assert said(Needs(settles=True), strong, short[0]) == []
    assert said(Needs(settles=True), strong, short[1]) == ["the loss counts samples before the last tenth of the pass"]


# -- parameters --------------------------------------------------------------------------------------------------------


def test_only_a_model_with_slow_parameters_adjusts_itself() -> None:
    assert said(Needs(slow=True), task()) == ["no parameter of the rig moves by itself"]
    slow = SelfAdjustingNetwork(3)
    item = replace(task(), model=slow)
    theta = {name: spec.nominal for name, spec in slow.parameters.items()}
    assert objections(Needs(slow=True), item, [sequence()], theta, ()) == ()


def test_what_is_neither_knob_nor_state_nor_readout_cannot_be_set() -> None:
    settable = ("stiffness", "initial_position", "initial_momentum", "readout", "readout_offset")
    assert said(Needs(knobs=True), task(), wanted=settable) == []
    assert said(Needs(knobs=True), task(), wanted=("mass", "stiffness", "friction")) == [
        "mass, friction cannot be set on the rig"
    ]
    resting = task(rig(prepares=frozenset({"rest", "hold"})))
    assert said(Needs(knobs=True), resting, wanted=settable) == [
        "initial_position, initial_momentum cannot be set on the rig"
    ]


def test_a_rule_needs_nothing_that_it_does_not_name() -> None:
    assert not any(astuple(Needs()))


def test_one_input_that_still_changes_is_enough_and_one_that_is_zero_stands_still() -> None:
    steps = (SAMPLES - 1) * EVERY + 1
    still, moving = Waveform.of(np.zeros(steps), STEP), Waveform.of(np.linspace(0.0, 1.0, steps), STEP)
    for inputs, changes in (({"u1": still}, 0), ({"u1": still, "u2": moving}, 1), ({"u2": moving, "u1": still}, 1)):
        asked = replace(sequence(slice(-1, None)), inputs=inputs)
        assert sum("still changes" in words for words in said(Needs(settles=True), task(), asked)) == changes
