"""Directed couplings that are other ones than the model has: no pair of echoes shows it, record and answers do."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labrhel.arrays import Array
from labrhel.learning.gradient import Gradient
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.session.hands_on import load_experiment
from labrhel.timeline.cost import rehearse
from labrhel.timeline.plan import timeline_of
from protocols.echoes.unmodelled import Unmodelled
from protocols.inference.beyond import Beyond
from protocols.rhel import RHEL
from simbackend.imperfections import Imperfections
from simbackend.rigs.directed import DirectedRig, directed_rig

SHORT = """
model:
  oscillators: 3
  inputs: [u1]
  coupling: {springs: chain, directed: [[0, 2], [2, 0]]}
  parameters:
    stiffness: [1.0, 1.3, 0.8]
    cubic: 0.2
    friction: 0.08
    coupling: {value: 0.2, train: true}
    directed: {value: [0.3, -0.2], train: false}
    input: [[1.0], [0.0], [0.0]]
  readout: {channels: [q3], gain: 1.0, offset: 0.0}
rig: "sim:"
protocol: {rule: RULE, record: none}
optimizer: {kind: adam, rate: 0.02, steps: 2}
data:
  teacher:
    parameters: {coupling: [0.3, 0.12]}
    input: {amplitude: 0.5, band: [0.08, 0.35], tones: 8, seed: 3}
    samples: 60
    spacing: 0.2
    sequences: 2
    test_sequences: 1
  skip: 5
"""


def believing(rig: DirectedRig, share: float) -> DirectedRig:
    """The same rig, and a host that takes its directed couplings for so much of what they are."""
    theta = rig.reference.theta
    return replace(rig, reference=replace(rig.reference, theta={**theta, "directed": share * theta["directed"]}))


def short(folder: Path, rig: str, rule: str = "rhel", text: str = SHORT) -> Gradient:
    """A gradient on a record of 60 kicks."""
    (folder / "short.yaml").write_text(text.replace("RULE", rule))
    (folder / "other.yaml").write_text(text.replace("RULE", rule) + "imperfections: {parts: {directed: 1.3}}\n")
    with load_experiment(folder / "short.yaml", rig_url=rig.replace("other", str(folder / "other.yaml"))) as bench:
        return bench.gradient()


def said(gradient: Gradient) -> str:
    return "\n".join(gradient.warnings)


def apart(one: Gradient, other: Gradient) -> float:
    return float(np.linalg.norm(one.values["coupling"] - other.values["coupling"]) /
                 np.linalg.norm(other.values["coupling"]))  # fmt: skip


@pytest.mark.parametrize("share", [0.1, 0.7, 1.5])
def test_directed_couplings_that_are_wrong_in_the_model_are_corrected_and_told(share: float) -> None:
    rig = believing(directed_rig(1, 0.2), share)
    gradient = rig.gradient(RHEL(lock=1))
    assert rig.error(gradient) < 2e-3
    assert "beyond what the model says" in said(gradient) and "corrected for it" in said(gradient)
    assert "no echo shows" not in said(gradient)


def test_directed_couplings_that_are_right_are_left_alone() -> None:
    gradient = directed_rig(1, 0.2).gradient(RHEL(lock=1))
    assert gradient.measured["one_sided_error"] < 1e-6
    assert "one way" not in said(gradient) and "not known" not in said(gradient)


def test_on_a_short_record_answers_to_the_nudge_say_what_the_record_does_not(tmp_path: Path) -> None:
    gradient = short(tmp_path, "sim:other")
    assert apart(gradient, short(tmp_path, "sim:other", "finite_differences")) < 1e-3  # and 48 % without
    assert "those of oscillators 1 and 3 most of all: this gradient is corrected" in said(gradient)


def test_what_a_wrong_mass_might_be_as_well_goes_into_the_error_bar(tmp_path: Path) -> None:
    gradient = short(tmp_path, "sim:?nonreciprocity=20%&seed=1")
    off = apart(gradient, short(tmp_path, "sim:?nonreciprocity=20%&seed=1", "finite_differences"))
    bar = float(np.linalg.norm(gradient.floor["coupling"]) / np.linalg.norm(gradient.values["coupling"]))
    assert off > 0.02
    assert off / 4 < bar < 4 * off
    assert "or masses or channels differ from it" in said(gradient)


@pytest.mark.parametrize("share", [0, 5, 20])
def test_a_reciprocal_model_of_a_rig_that_is_not_is_told_by_the_answers_to_the_nudge(
    tmp_path: Path, share: int
) -> None:
    reciprocal = SHORT.replace("{springs: chain, directed: [[0, 2], [2, 0]]}", "chain")
    reciprocal = reciprocal.replace("    directed: {value: [0.3, -0.2], train: false}\n", "")
    rig = f"sim:?nonreciprocity={share}%&seed=1"
    gradient = short(tmp_path, rig, text=reciprocal)
    off = apart(gradient, short(tmp_path, rig, "finite_differences", text=reciprocal))
    told = re.search(r"couplings pull one way.*this gradient is off by ([\d.e-]+) of its size", said(gradient))
    assert (told is not None) is (share > 0)
    if told is not None:
        assert off > 0.02
        assert off / 3 < float(told[1]) < 3 * off


def test_where_noise_hides_it_the_couplings_count_as_not_known_unless_they_were_calibrated() -> None:
    rig = believing(directed_rig(0, 0.2, 10.0, imperfections=Imperfections(seed=3, noise=1e-2)), 0.7)
    gradient = rig.gradient(RHEL(response=0.05), known_drive=False)
    assert "whether couplings are directed otherwise than in the model is not known" in said(gradient)
    assert "one_sided_error" not in gradient.measured
    known = CalibrationSet({"directed[0].added": CalibratedValue(0.0, "", 1e-3, "paths")})
    task = replace(rig.reference.task, calibration=known)
    calibrated = replace(rig, reference=replace(rig.reference, task=task))
    assert "than in the model is not known" not in said(calibrated.gradient(RHEL(response=0.05), known_drive=False))


def test_what_is_counted_on_paper_says_how_many_pairs_it_assumes(tmp_path: Path) -> None:
    file = tmp_path / "short.yaml"
    file.write_text(SHORT.replace("RULE", "rhel"))
    with load_experiment(file) as bench:
        cost, plan = rehearse(bench), timeline_of(bench)
    assert cost.shots == 2 * (1 + 2 * 4)
    assert cost.assumes[0].startswith("4 pairs of echoes assumed for directed couplings")
    assert plan.shots == 3
    assert plan.assumes[0].startswith("1 pair of echoes assumed for directed couplings")


def test_an_error_of_the_calibration_is_not_talked_down_by_a_rig_on_paper_without_noise() -> None:
    rig = directed_rig(0, 0.3, 10.0, stiffness=0.0, others=0.0)
    known = CalibrationSet({"directed[1].added": CalibratedValue(0.0, "", 0.05, "paths")})
    task = replace(rig.reference.task, calibration=known)
    rig = replace(rig, reference=replace(rig.reference, task=task))
    gradient = rig.gradient(RHEL(repeats=2), known_drive=False)
    assert gradient.measured["calibration_error"] > 1e-3


def test_repeats_do_not_go_on_for_what_none_of_them_lessens() -> None:
    rig = directed_rig(0, 0.2, stiffness=0.0, others=0.0, imperfections=Imperfections(seed=3, noise=2e-5))
    gradient = rig.gradient(RHEL(precision=3e-3, most_repeats=6), known_drive=False)
    assert gradient.measured["one_sided_error"] > 3e-3
    assert gradient.measured["floor_error"] > 3e-3
    assert gradient.repeats == 3
    assert "repeats reached a precision" not in said(gradient)


# -- what is made of a coupling that was seen --------------------------------------------------------------------------


def skew(*upper: float) -> Array:
    """Antisymmetric (3, 3) with these entries at 01, 02 and 12."""
    found = np.zeros((3, 3))
    found[np.triu_indices(3, 1)] = upper
    return found - found.T


def made(value: Array, error: tuple[float, float, float], size: float, sure: Array | None = None) -> Unmodelled:
    """Of couplings seen with these errors, each of which moves an entry of the gradient by 1, 2 or 3 times itself."""

    def effect(pull: Array) -> dict[str, Array]:
        return {"a": pull[0, 1:] * [1.0, 2.0], "b": pull[1:2, 2] * 3.0}

    errors = np.abs(skew(*error))
    found = Beyond(value, errors, np.ones((3, 3), bool) if sure is None else sure)
    return Unmodelled.of(found, effect, size)


def test_a_pull_that_is_certain_is_taken_off_where_it_is_sure_and_its_errors_stay_in_the_floor() -> None:
    sure = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1]], bool)  # between the last two a wrong mass looks the same
    found = made(skew(3.0, -4.0, 0.5), (0.01, 0.02, 0.03), 10.0, sure)
    assert found.told and found.pull is not None
    assert np.array_equal(found.pull, skew(3.0, -4.0, 0.0))
    assert found.share == pytest.approx(np.hypot(3.0, 8.0) / 10)
    assert found.unsure == pytest.approx(1.5 / 10)
    assert found.floor["a"] == pytest.approx([0.01, 0.04])
    assert found.floor["b"] == pytest.approx([np.hypot(0.09, 1.5)])
    assert found.error == pytest.approx(np.sqrt(0.01**2 + 0.04**2 + 0.09**2 + 1.5**2) / 10)
    assert found.where == ((0, 2), (1, 2))


@pytest.mark.parametrize(("size", "told"), [(11.0, True), (10.0, False)])
def test_a_pull_that_is_not_certain_is_an_error_of_a_twentieth_at_most_or_not_told(size: float, *, told: bool) -> None:
    found = made(skew(0.03, 0.0, 0.0), (0.04, 0.12, 0.15), size)
    if not told:
        assert found == Unmodelled()
        return
    assert found.told and found.pull is None and (found.share, found.unsure) == (0.0, 0.0)
    assert found.floor["a"] == pytest.approx([0.05, 0.24]) and found.floor["b"] == pytest.approx([0.45])
    assert found.error == pytest.approx(np.sqrt(0.05**2 + 0.24**2 + 0.45**2) / size)


def test_nothing_is_told_of_a_motion_that_says_nothing_or_of_a_gradient_that_is_zero() -> None:
    assert Unmodelled.of(None, lambda pull: {}, 1.0) == Unmodelled()
    assert made(skew(3.0, 4.0, 0.5), (0.01, 0.01, 0.01), 0.0) == Unmodelled()
    assert made(skew(3.0, 4.0, 0.5), (0.01, np.inf, 0.01), 1.0) == Unmodelled()
