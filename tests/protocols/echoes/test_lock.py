"""The echo lock: rigs that the host does not know well still give their own gradient."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from labrhel.executor import Compiling, Limiting, RigBackend, execute
from labrhel.model.motion import run
from labrhel.rig.capabilities import Kind, Limits, Reversal
from labrhel.shots.operations import Protocol, RunShots
from labrhel.shots.program import Pass, Rest, ShotProgram
from protocols.echoes.lock import Locked, lock
from protocols.echoes.plan import EchoPlan
from protocols.forward.forward import ForwardPass, read_forward
from protocols.inference.fit import fit
from protocols.rhel import RHEL
from simbackend.imperfections import Imperfections
from simbackend.imperfections.friction import HiddenFriction
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import STEP
from simbackend.rigs.wrong import WrongRig, saturating_rig, wrong_rig

BY_DRIVE = frozenset({Reversal.BY_DRIVE})


@pytest.mark.parametrize("offers", [None, BY_DRIVE], ids=["flip", "by drive"])
@pytest.mark.parametrize("seed", range(6))
def test_friction_wrong_by_a_fifth_and_springs_by_a_twentieth(seed: int, offers: frozenset[Reversal] | None) -> None:
    wrong = wrong_rig(seed, offers=offers)
    unlocked = wrong.compare(wrong.gradient(RHEL()))
    gradient = wrong.gradient(RHEL(lock=6))
    cosine, error = wrong.compare(gradient)
    assert cosine > 0.999
    assert error < 0.01
    assert error < unlocked[1] / 5
    assert gradient.rule.endswith("/locked")
    assert gradient.shots <= 3 + 6 + 2  # forward and two echoes, six rounds, and two echoes to find the nudge
    assert not gradient.warnings


def locked_without_fit(wrong: WrongRig, rounds: int) -> Locked:
    """The lock alone, with the nominal model as it is."""
    reference = wrong.reference
    plan = RHEL(lock=rounds).plan(reference.task, reference.theta, ("stiffness",))

    def program() -> Protocol[Locked]:
        program = reference.task.forward(reference.sequences[0], reference.theta, plan.geometry.channels, keep=True)
        captures = yield RunShots((program,))
        batch = read_forward(reference.task, plan.geometry, reference.sequences, captures, reference.theta)
        return (yield from lock(plan, batch.passes, plan.drives(batch.passes), 1e-6, rounds))

    return execute(program(), reference.handler())


def test_without_a_better_model_the_miss_shrinks_from_echo_to_echo() -> None:
    locked = locked_without_fit(wrong_rig(1), 9)
    assert locked.misses[0] > 0.1
    assert locked.misses[-1] < 2e-4
    ratios = np.divide(locked.misses[1:], locked.misses[:-1])
    assert np.median(ratios) < 0.5
    assert locked.shots == len(locked.misses) == 9


def test_what_no_parameter_of_the_model_can_say_is_left_to_the_lock() -> None:
    # The springs of the rig saturate, the model's are powers, and a preparation by drive depends on them.
    wrong = saturating_rig(3)
    unlocked, locked = (wrong.compare(wrong.gradient(RHEL(lock=rounds), ("coupling",))) for rounds in (0, 6))
    assert unlocked[0] < 0.9
    assert locked[0] > 0.999


def test_the_next_gradient_starts_from_the_lock_of_the_last_one() -> None:
    wrong = wrong_rig(1)
    reference, rule, names = wrong.reference, RHEL(lock=6), ("stiffness", "friction")
    first = wrong.gradient(rule, names)
    again = execute(rule.gradient(reference.request(names, first.nudge)), reference.handler())
    assert again.shots == 3
    assert again.retrace_error < 1e-3
    assert set(first.nudge.corrections) == {"reference"}


def test_the_lock_takes_no_more_drive_than_the_ports_may_give() -> None:
    wrong = wrong_rig(1, friction=0.0, stiffness=0.0)
    reference = wrong.reference
    task = reference.task
    quiet = RHEL(lock=4)
    needed = peak_of(wrong)
    ports = tuple(
        replace(port, limits=Limits(-0.999 * needed, 0.999 * needed)) if port.kind is Kind.FORCE else port
        for port in task.capabilities.ports
    )
    weak = replace(task.capabilities, ports=ports)
    believed = {**reference.theta, "friction": 0.98 * np.asarray(reference.theta["friction"])}
    handler = Compiling(Limiting(RigBackend(reference.rig), weak), weak)
    plan = quiet.plan(replace(task, capabilities=weak), believed, ("stiffness",))
    locked = execute(_locking(plan, wrong, believed), handler)
    assert "nothing was sent" in locked.refused
    assert locked.misses[0] > locked.misses[-1]


def _locking(plan: EchoPlan, wrong: WrongRig, believed: dict[str, np.ndarray]) -> Protocol[Locked]:
    reference = wrong.reference
    program = plan.task.forward(reference.sequences[0], believed, plan.geometry.channels, keep=True)
    captures = yield RunShots((program,))
    batch = read_forward(plan.task, plan.geometry, reference.sequences, captures, believed)
    return (yield from lock(plan, batch.passes, plan.drives(batch.passes), 1e-6, 8))


def peak_of(wrong: WrongRig) -> float:
    """The largest force of a port that a perfect compensation takes."""
    reference = wrong.reference
    plan = RHEL().plan(reference.task, reference.theta, ("stiffness",))
    program = reference.task.forward(reference.sequences[0], reference.theta, plan.geometry.channels)
    capture = reference.handler().do(RunShots((program,)))[0]
    batch = read_forward(reference.task, plan.geometry, reference.sequences, [capture], reference.theta)
    return max(float(np.abs(drive.force).max()) for drive in plan.drives(batch.passes))


@pytest.mark.parametrize(("noise", "allowed"), [(0.0, 1e-4), (1e-3, 0.02)])
def test_the_model_is_fitted_to_the_forward_pass_alone(noise: float, allowed: float) -> None:
    wrong = wrong_rig(3, imperfections=Imperfections(noise=noise))
    reference = wrong.reference
    plan = RHEL().plan(reference.task, reference.theta, ("stiffness",))
    program = reference.task.forward(reference.sequences[0], reference.theta, plan.geometry.channels)
    capture = reference.handler().do(RunShots((program,)))[0]
    batch = read_forward(reference.task, plan.geometry, reference.sequences, [capture], reference.theta)
    found = fit(reference.model, reference.theta, batch.passes, STEP, plan.geometry.noise)
    for name in ("friction", "stiffness"):
        error = np.linalg.norm(found.theta[name] - wrong.truth[name]) / np.linalg.norm(wrong.truth[name])
        assert error < allowed, name
    assert found.after < found.before


def test_friction_that_the_nominal_model_does_not_have_is_found() -> None:
    lossless = wrong_rig(4, stiffness=0.0)
    hidden = Imperfections(friction=HiddenFriction(uniform=0.02))
    wrong = wrong_rig(4, stiffness=0.0, imperfections=hidden)
    exact = {**wrong.truth, "friction": wrong.truth["friction"] + 0.02 * np.diag(wrong.truth["mass"])}
    gradient = replace(wrong, truth=exact).compare(wrong.gradient(RHEL(lock=6)))
    assert gradient[0] > 0.9999
    assert lossless.folds == wrong.folds


def test_a_port_wired_upside_down_gives_no_oscillator_of_negative_mass() -> None:
    # -m, -k and -g explain its record to the last digit, and run as it ran; but they have no frequency to work with.
    model = OscillatorNetwork(1, inputs=("u1",), nominal={"friction": [[0.1]]})
    theta = {name: np.asarray(spec.nominal) for name, spec in model.parameters.items()}
    u = np.random.default_rng(0).normal(size=(1, 200))
    still = np.zeros((1, 1))
    ran = run(model, theta, model.input_force(-u, theta), 0.1, still, still)
    q = ran.q[0]
    item = ForwardPass(ShotProgram(0.1, Rest(), (Pass(200),)), q, np.gradient(q, 0.1, axis=1), u, np.zeros_like(u))
    found = fit(model, theta, (item,), 0.1, np.full(1, 1e-6))
    assert np.all(model.mass(found.theta) > 0)


def test_one_oscillator_has_no_couplings_to_fit() -> None:
    model = OscillatorNetwork(1, inputs=("u1",), nominal={"friction": [[0.1]], "cubic": [0.2]})
    rng = np.random.default_rng(0)
    q = rng.normal(size=(1, 40)).cumsum(axis=1) * 0.05
    program = ShotProgram(0.1, Rest(), (Pass(40),))
    item = ForwardPass(program, q, np.gradient(q, 0.1, axis=1), np.zeros((1, 40)), np.zeros((1, 40)))
    theta = {name: np.asarray(spec.nominal) for name, spec in model.parameters.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(model, theta, (item,), 0.1, np.full(1, 1e-3))
    assert all(np.isfinite(value).all() for value in found.theta.values())
