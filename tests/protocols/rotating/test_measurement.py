"""Gradients of lossy Kerr arrays by conjugation echoes, on a simulated rig, against reverse mode and differences."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.executor import execute
from labrhel.frozen import FrozenArray
from labrhel.learning.checking import compare
from labrhel.learning.estimator import Estimator, Order
from labrhel.learning.gradient import Gradient
from labrhel.learning.needs import objections
from labrhel.rig.capabilities import Kind, Reversal
from labrhel.shots.operations import Configure
from protocols.adjoint_only import AdjointOnly
from protocols.differences import SPSA, FiniteDifferences
from protocols.echoes.options import Echo
from protocols.heb import HEB
from protocols.recorded_correlation import RecordedCorrelation
from protocols.rhel import RHEL
from protocols.twin import FittedTwin
from simbackend.imperfections import Imperfections
from simbackend.imperfections.friction import HiddenFriction
from simbackend.imperfections.noise import ForceNoise
from simbackend.rigs.arrays import ArrayTask, random_array

RIG = ("detuning", "kerr", "coupling", "flux", "loss", "input", "input_quadrature")
STATE = ("initial_position", "initial_momentum")


def array(seed: int = 0, size: int = 3, lost: float = 6.0, steps: int = 150, **changes: Any) -> ArrayTask:
    return random_array(np.random.default_rng(seed), size, lost, steps, **changes)


def at_the_end(rig: ArrayTask) -> ArrayTask:
    weight = np.zeros(rig.sequences[0].samples)
    weight[-1] = 1.0
    return replace(rig, sequences=(replace(rig.sequences[0], weight=weight),))


def alike(rig: ArrayTask, gradient: Gradient, name: str) -> tuple[float, float]:
    return compare(np.ravel(gradient.values[name]), np.ravel(rig.exact()[1][name]))


def without_ports(rig: ArrayTask, *modes: int) -> ArrayTask:
    offered = rig.task.capabilities
    gone = {f"f{mode}_{part}" for mode in modes for part in "iq"}
    forces = offered.ports_of(Kind.FORCE)
    kept = [index for index, name in enumerate(forces) if name not in gone]
    drives = FrozenArray(offered.drive_matrix.values[:, kept])
    return rig.declaring(ports=tuple(port for port in offered.ports if port.name not in gone), drive_matrix=drives)


@pytest.mark.parametrize("name", [*RIG, *STATE, "readout", "readout_offset"])
def test_every_class_of_parameters_has_the_gradient_of_reverse_mode(name: str) -> None:
    rig = array()
    assert alike(rig, rig.gradient(RHEL(), [name]), name)[1] < 1e-7


@pytest.mark.parametrize("seed", range(4))
def test_random_arrays_up_to_thirty_e_folds_have_it_in_all_their_parameters(seed: int) -> None:
    random = np.random.default_rng(seed)
    rig = random_array(random, int(random.integers(4, 9)), lost=[5, 15, 30, 30][seed], steps=300)
    found = rig.gradient(RHEL())
    assert rig.compare(found)[0] > 0.999999
    assert (found.rule, found.shots, found.passes) == ("rhel/symmetric/conjugation/driven", 3, 3)
    assert found.retrace_error is not None and found.retrace_error < 1e-9
    assert not found.warnings


@pytest.mark.parametrize("name", ["detuning", "kerr", "coupling", "loss", "input"])
def test_and_that_of_finite_differences_of_the_rig_itself(name: str) -> None:
    rig = array(lost=3.0, steps=60)
    asked: Any = FiniteDifferences(step=1e-4)
    measured = rig.gradient(asked, [name]).values[name]
    measured = (measured + measured.T) / 2 if name == "loss" else measured
    assert compare(np.ravel(rig.gradient(RHEL(), [name]).values[name]), np.ravel(measured))[1] < 1e-5


def test_a_plain_echo_is_wrong_on_a_lossy_array_and_says_so() -> None:
    rig = array(lost=10.0)
    found = rig.gradient(RHEL(echo=Echo.PLAIN), RIG)
    assert rig.compare(found)[0] < 0.9999
    assert any("plain echo on an array that loses 10 e-folds" in words for words in found.warnings)


@pytest.mark.parametrize("reversal", [Reversal.STATE_RESTORE, Reversal.CONJUGATION, Reversal.BY_DRIVE])
def test_all_ways_to_reverse_the_state_give_it(reversal: Reversal) -> None:
    rig = array().declaring(reversals=frozenset({reversal}))
    found = rig.gradient(RHEL(), (*RIG, *STATE))
    assert rig.compare(found)[1] < 1e-7
    assert found.passes == {Reversal.STATE_RESTORE: 3, Reversal.CONJUGATION: 5, Reversal.BY_DRIVE: 5}[reversal]


@pytest.mark.parametrize("rule", [RHEL(), AdjointOnly(), RecordedCorrelation()])
def test_with_a_flux_and_a_complex_input_map_the_flux_is_turned_round_and_put_back(rule: Any) -> None:
    random = np.random.default_rng(1)
    linear: dict[str, Any] = {} if isinstance(rule, RHEL) else {"kerr": 0.0}
    rig = array(flux=random.normal(size=3), input_quadrature=random.normal(size=(3, 2)), **linear)
    wanted = RIG if isinstance(rule, RHEL) else tuple(name for name in RIG if name != "kerr")
    assert rig.compare(rig.gradient(rule, (*wanted, *STATE)))[1] < 1e-7
    assert np.array_equal(rig.rig.read(["flux"])["flux"], rig.theta["flux"])


def test_an_array_with_a_flux_that_cannot_be_prepared_in_a_state_is_refused_in_a_sentence() -> None:
    rig = array(flux=0.5, initial_position=0.0, initial_momentum=0.0).declaring(prepares=frozenset({"rest"}))
    with pytest.raises(ProgramError, match="has a flux, which an echo needs reversed"):
        rig.gradient(RHEL(), RIG)


@pytest.mark.parametrize("estimator", list(Estimator))
def test_heb_is_the_same_of_a_loss_at_the_end(estimator: Estimator) -> None:
    rig = at_the_end(array())
    rule: Any = HEB(estimator)
    found = rig.gradient(rule, RIG)
    assert rig.compare(found)[1] < (1e-3 if estimator is Estimator.ONE_SIDED else 1e-6)
    assert found.rule == f"heb/{estimator}"


@pytest.mark.parametrize("rule", [AdjointOnly(), RecordedCorrelation(), RHEL(echo=Echo.PLAIN)])
def test_a_linear_array_needs_no_compensation(rule: Any) -> None:
    rig = array(kerr=0.0, lost=12.0)
    found = rig.gradient(rule, (*(name for name in RIG if name != "kerr"), *STATE))
    assert rig.compare(found)[1] < 1e-7


def test_rules_that_know_oscillators_only_say_so_and_the_others_apply() -> None:
    rig = array()

    def against(rule: Any, rig: ArrayTask = rig) -> tuple[str, ...]:
        return objections(rule.needs, rig.task, rig.sequences, rig.theta, RIG)

    assert against(FittedTwin()) == (
        "it knows positions and momenta, and the rig has amplitudes in the rotating frame",
    )
    assert against(AdjointOnly()) == ("the rig is not linear",)
    assert not against(RHEL()) and not against(SPSA()) and not against(FiniteDifferences())
    assert against(RHEL(), without_ports(rig, 2)) == ("no drive port reaches oscillator 2, which loses energy",)
    assert not against(RHEL(partial=True), without_ports(rig, 2))
    seen = rig.task.capabilities.position_matrix.values[[0, 0, 2, 2, 4, 4]]
    found = against(RHEL(), rig.declaring(position_matrix=FrozenArray(seen)))
    assert found == ("it needs both quadratures of all 3 modes, and the rig shows fewer",)


@pytest.mark.parametrize("missing", [(2,), (2, 4)])
def test_the_bias_of_lossy_modes_without_a_port_is_foretold_within_a_factor_of_two(missing: tuple[int, ...]) -> None:
    rig = without_ports(array(size=5, lost=8.0), *missing)
    found = rig.gradient(RHEL(partial=True), RIG)
    error = rig.compare(found)[1]
    assert error > 0.01
    assert 0.5 < found.measured["predicted_bias"] / error < 2
    assert any("without a drive port bias this gradient" in words for words in found.warnings)


def test_noise_has_an_error_bar_and_a_nudge_that_is_looked_for() -> None:
    rig = array(imperfections=Imperfections(seed=3, noise=1e-3))
    found = rig.gradient(RHEL(repeats=6, response=0.05), RIG)
    assert found.standard_error is not None
    exact = rig.exact()[1]
    pulls = np.concatenate(
        [np.ravel((found.values[n] - exact[n]) / found.standard_error[n]) for n in ("detuning", "input")]
    )
    assert 0.3 < np.sqrt(np.mean(pulls**2)) < 3
    assert not any("misses the forward path" in words for words in found.warnings)  # noise that is declared
    shaken = array(imperfections=Imperfections(seed=3, force=ForceNoise(density=1e-4)))  # which no channel declares
    searched = shaken.gradient(RHEL(), RIG)
    assert searched.measured["search_shots"] > 0
    assert rig.compare(searched)[1] < 3 * searched.measured["expected_error"]
    precise = rig.gradient(RHEL(precision=0.02, response=0.05), RIG)
    assert precise.repeats >= 3 and rig.compare(precise)[1] < 0.05


def test_a_lock_learns_what_the_model_does_not_know_of_the_loss() -> None:
    hidden = Imperfections(seed=1, friction=HiddenFriction(uniform=0.12))
    rig = array(lost=6.0, imperfections=hidden)
    truth = {**rig.theta, "loss": rig.theta["loss"] + 0.12 * np.eye(3)}
    exact = replace(rig, theta=truth)
    plain, locked = (rig.gradient(RHEL(lock=lock, response=1e-4), RIG) for lock in (0, 8))
    assert exact.compare(plain)[1] > 30 * exact.compare(locked)[1]
    assert exact.compare(locked)[1] < 2e-3
    assert any("the echo misses the forward path" in words for words in plain.warnings)
    again = execute(RHEL(lock=8).gradient(rig.request(RIG, locked.nudge)), rig.handler())
    assert "lock_rounds" not in again.measured
    assert exact.compare(again)[1] < 2e-3


def test_orders_and_bounds_are_those_of_every_echo() -> None:
    rig = array()
    found = rig.gradient(RHEL(order=Order.ABBA, bound=True, response=0.05), RIG)
    assert found.shots == 9
    assert found.bias_bound is not None
    error = np.sqrt(sum(np.sum((found.values[name] - rig.exact()[1][name]) ** 2) for name in RIG))
    bound = np.sqrt(sum(np.sum(found.bias_bound[name] ** 2) for name in RIG))
    assert 0.3 < bound / error < 3


def test_an_error_between_forward_pass_and_echo_leaves_the_flux_as_it_was() -> None:
    rig = array(flux=0.5)
    program = RHEL().gradient(rig.request(RIG))
    handler, sent = rig.handler(), []
    operation = next(program)
    with pytest.raises(ProgramError, match="the link"):
        while True:
            sent.append(operation)
            if len(sent) == 4:  # configure, forward, configure, and now the echoes
                operation = program.throw(ProgramError("the link is gone"))
            else:
                operation = program.send(handler.do(operation))
    assert isinstance(sent[-1], Configure) and np.array_equal(sent[-1].parameters["flux"], rig.theta["flux"])
