"""The fast kernels against the readable leapfrog: the same motion, term by term."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from labrhel.frozen import FrozenArray
from labrhel.model.leapfrog import Trajectory, leapfrog
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, GivenState, Pass, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.dynamics.adjoint import tape
from simbackend.models.oscillator_network import POWERS, OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

N, STEP, STEPS = 5, 0.07, 200
FRICTIONS = ("none", "diagonal", "dense")
COUPLINGS: tuple[Any, ...] = ("none", "ring", "all", [(4, 0), (1, 3)])


def network(friction: str, coupling: Any, powers: tuple[str, ...]) -> OscillatorNetwork:
    random = np.random.default_rng(11)
    root = random.normal(size=(N, N))
    matrix = {"none": np.zeros((N, N)), "diagonal": np.diag(random.uniform(0, 0.3, N)), "dense": 0.05 * root @ root.T}
    nominal: dict[str, Any] = {name: random.uniform(0.02, 0.1, N) for name in powers if name != "stiffness"}
    nominal |= {
        "stiffness": random.uniform(0.5, 2, N),
        "mass": random.uniform(0.7, 1.5, N),
        "coupling": 0.3,
        "friction": matrix[friction],
        "input": random.normal(size=(N, 2)),
        "input_offset": [0.1, -0.2],
    }
    return OscillatorNetwork(N, inputs=("a", "b"), coupling=coupling, nominal=nominal)


def signals() -> dict[str, np.ndarray]:
    random = np.random.default_rng(12)
    return {name: 0.3 * random.normal(size=STEPS) for name in ("a", "b", "f2")}


def reference(model: OscillatorNetwork, start: GivenState) -> Trajectory:
    played = signals()
    drive = model.input_force(np.stack([played["a"], played["b"]]), {})
    drive[1] += played["f2"]
    return leapfrog(
        lambda q: model.force(q, {}), model.mass({}), model.friction({}), drive, STEP, start.position.values,
        start.momentum.values,
    )  # fmt: skip


def start_state(seed: int = 13) -> GivenState:
    random = np.random.default_rng(seed)
    return GivenState(FrozenArray(0.5 * random.normal(size=N)), FrozenArray(0.5 * random.normal(size=N)))


@pytest.mark.parametrize(("friction", "coupling"), list(product(FRICTIONS, COUPLINGS)))
def test_the_kernel_runs_the_readable_leapfrog(friction: str, coupling: Any) -> None:
    model, start = network(friction, coupling, tuple(POWERS)), start_state()
    expected = reference(model, start)
    observables = (*POWERS, "coupling", "mass", "input", "input_offset")
    rig = SimulatedRig(model)
    channels = tuple(channel.name for channel in rig.capabilities.channels)
    drives = tuple(Drive(port, Waveform.of(values, STEP), Role.INPUT) for port, values in signals().items())
    program = ShotProgram(STEP, start, (Pass(STEPS, drives, Acquire(channels, 1, observables, end_state=True)),))
    capture = rig.run([compile(program, rig.capabilities)])[0].last
    assert np.abs(capture.stack(channels[:N]) - expected.q).max() < 1e-13
    assert np.abs(capture.stack(channels[N:]) - expected.v).max() < 1e-13
    assert capture.end_state is not None
    assert np.abs(capture.end_state.position[0] - expected.end_position).max() < 1e-13
    assert np.abs(capture.end_state.momentum[0] - expected.end_momentum).max() < 1e-13
    u = np.stack([signals()["a"], signals()["b"]])
    for name, value in model.observables(observables, expected.q, expected.v, u, STEP, {}).items():
        assert np.allclose(capture.observables[name][0], value, rtol=0, atol=1e-11 * (1 + np.linalg.norm(value)))


@pytest.mark.parametrize("power", [name for name in POWERS if name != "stiffness"])
def test_the_kernel_agrees_with_the_leapfrog_for_each_anharmonic_term_alone(power: str) -> None:
    model, start = network("dense", "all", (power,)), start_state()
    expected = reference(model, start)
    rig = SimulatedRig(model)
    drives = tuple(Drive(port, Waveform.of(values, STEP), Role.INPUT) for port, values in signals().items())
    program = ShotProgram(STEP, start, (Pass(STEPS, drives, Acquire(("q1", "q5"))),))
    capture = rig.run([compile(program, rig.capabilities)])[0].last
    assert np.abs(capture.stack(("q1", "q5")) - expected.q[[0, 4]]).max() < 1e-13


@pytest.mark.parametrize(("friction", "coupling"), list(product(FRICTIONS, COUPLINGS)))
def test_the_tape_of_the_exact_gradient_is_the_readable_leapfrog(friction: str, coupling: Any) -> None:
    model, start = network(friction, coupling, tuple(POWERS)), start_state()
    played = signals() | {"f2": np.zeros(STEPS)}
    u = np.stack([played["a"], played["b"]])
    theta = {"initial_position": start.position.values, "initial_momentum": start.momentum.values}
    expected = leapfrog(
        lambda q: model.force(q, {}),
        model.mass({}),
        model.friction({}),
        model.input_force(u, {}),
        STEP,
        *theta.values(),
    )
    positions, momenta = tape(model, theta, u, STEP)
    assert np.abs(positions - expected.q).max() < 1e-13
    assert np.abs(momenta[:, 1:] / model.mass({})[:, None] - expected.v_after).max() < 1e-13


def test_a_stride_keeps_every_nth_kick_and_changes_nothing_else() -> None:
    rig = SimulatedRig(network("dense", "all", tuple(POWERS)))
    drives = tuple(Drive(port, Waveform.of(values, STEP), Role.INPUT) for port, values in signals().items())

    def run(every: int) -> Any:
        acquire = Acquire(("q1", "v3"), every, ("cubic",), end_state=True)
        shot = compile(ShotProgram(STEP, start_state(), (Pass(STEPS, drives, acquire),)), rig.capabilities)
        return rig.run([shot])[0].last

    full, thinned = run(1), run(7)
    for name in ("q1", "v3"):
        assert np.array_equal(thinned.traces[name].values, full.traces[name].values[:, ::7])
        assert thinned.traces[name].dt == 7 * STEP
    assert np.array_equal(thinned.observables["cubic"], full.observables["cubic"])
    assert np.array_equal(thinned.end_state.position, full.end_state.position)


def test_a_batch_on_many_threads_gives_the_bits_of_each_shot_alone() -> None:
    model = network("dense", "all", tuple(POWERS))
    one, many = SimulatedRig(model, threads=1), SimulatedRig(model, threads=5)
    drives = tuple(
        Drive(port, Waveform.of(np.tile(values, 10), STEP), Role.INPUT) for port, values in signals().items()
    )
    acquire = Acquire(("q1", "q4", "v2"), 1, ("cubic", "input", "mass"), end_state=True)
    # 110 shots x 5 oscillators x 2000 steps: enough work for five threads.
    shots = [
        compile(ShotProgram(STEP, start_state(seed), (Pass(10 * STEPS, drives, acquire),)), one.capabilities)
        for seed in range(110)
    ]
    together = many.run(shots)
    for index in (0, 1, 21, 22, 55, 109):
        alone = one.run([shots[index]])[0].last
        for name in acquire.channels:
            assert np.array_equal(alone.traces[name].values, together[index].last.traces[name].values)
        for name in acquire.observables:
            assert np.array_equal(alone.observables[name], together[index].last.observables[name])
