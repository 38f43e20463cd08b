"""Arrays as the simulated rig runs them, and the exact gradient that their echoes are compared with."""

from typing import Any

import numpy as np
import pytest

from labrhel.errors import DivergedError, ProgramError
from labrhel.executor import RigBackend, execute, stack
from labrhel.frozen import FrozenArray
from labrhel.learning.train import free_run
from labrhel.shots.operations import RunShots
from labrhel.shots.program import Acquire, Drive, GivenState, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.imperfections import Imperfections
from simbackend.imperfections.converters import ConverterErrors
from simbackend.imperfections.noise import ForceNoise
from simbackend.imperfections.paths import PathErrors
from simbackend.models.kerr_array import KerrArray
from simbackend.rigs.arrays import random_array
from simbackend.rigs.simulated import SimulatedRig

STEP = 0.05


def fired(rig: SimulatedRig, program: ShotProgram) -> Any:
    def once() -> Any:
        return (yield RunShots((program,)))[0]

    return execute(once(), stack(RigBackend(rig), rig.capabilities))


@pytest.mark.parametrize("name", ["detuning", "kerr", "coupling", "flux", "input", "input_quadrature", "loss"])
def test_the_exact_gradient_is_that_of_central_differences(name: str) -> None:
    rig = random_array(np.random.default_rng(2), 3, 3.0, 40, flux=0.3, input_quadrature=-0.2)
    exact, tiny = rig.exact()[1][name], 1e-5
    theta = dict(rig.theta)

    def loss(value: np.ndarray) -> float:
        (outputs,) = execute(free_run(rig.task, rig.sequences, {**theta, name: value}), rig.handler())
        item = rig.sequences[0]
        return rig.task.loss(rig.sequences).value(outputs, item.target, item.weight)

    for index in list(np.ndindex(exact.shape))[:4]:
        shift = np.zeros(exact.shape)
        shift[index] += tiny / 2
        shift[index[::-1] if name == "loss" else index] += tiny / 2
        slope = (loss(theta[name] + shift) - loss(theta[name] - shift)) / (2 * tiny)
        assert exact[index] == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_two_terminals_play_one_complex_input_and_two_channels_read_one_amplitude() -> None:
    model = KerrArray(1, nominal={"detuning": 0.3, "loss": 0.5, "input": [[0.7]], "input_quadrature": [[0.4]]})
    u = np.exp(1j * np.linspace(0, 3, 50))
    drives = [
        Drive(f"u1_{name}", Waveform.of(part, STEP), Role.INPUT)
        for name, part in zip("iq", (np.real(u), np.imag(u)), strict=True)
    ]
    force = [Drive("f1_q", Waveform.of(0.2 * np.ones(50), STEP), Role.INPUT)]
    start = GivenState(FrozenArray([0.2]), FrozenArray([-0.1]))
    acquire = Acquire(("a1_i", "a1_q"), 1, end_state=True)
    answer = fired(SimulatedRig(model), ShotProgram(STEP, start, (Pass(50, (*drives, *force), acquire),))).last
    m, end = model.pass_of({}, (0.7 + 0.4j) * u[None] + 0.2j, STEP, np.array([0.2 - 0.1j]))
    assert np.allclose(answer.traces["a1_i"].values[0] + 1j * answer.traces["a1_q"].values[0], m[0], atol=1e-14)
    assert np.allclose(answer.end_state.position[0] + 1j * answer.end_state.momentum[0], end, atol=1e-14)


def test_an_undriven_mode_at_a_temperature_holds_that_much_power_whatever_its_loss() -> None:
    for loss in (0.5, 2.0):
        model = KerrArray(1, nominal={"detuning": 0.4, "loss": loss})
        rig = SimulatedRig(model, imperfections=Imperfections(seed=1, force=ForceNoise(temperature=0.3)))
        steps = 60000
        read = fired(rig, ShotProgram(STEP, Rest(), (Pass(steps, (), Acquire(("a1_i", "a1_q"))),))).last
        power = sum(np.mean(read.traces[name].values[0][1000:] ** 2) for name in ("a1_i", "a1_q"))
        assert power == pytest.approx(0.3, rel=0.15)


def test_converters_offsets_and_noise_act_on_each_quadrature_by_itself() -> None:
    errors = Imperfections(
        seed=4, adc=ConverterErrors(6, 2.0), noise=1e-3, channels=PathErrors(exact={"a1_q.offset": 0.25})
    )
    rig = SimulatedRig(KerrArray(1), imperfections=errors)
    read = fired(rig, ShotProgram(STEP, Rest(), (Pass(40, (), Acquire(("a1_i", "a1_q"), end_state=True)),))).last
    i, q = (read.traces[name] for name in ("a1_i", "a1_q"))
    assert i.codes is not None and np.abs(i.values).max() < 0.1
    assert np.abs(np.abs(q.values) - 0.25).max() < 0.1
    assert abs(read.end_state.momentum[0, 0]) == pytest.approx(0.25, abs=0.1)


def test_an_array_that_is_driven_too_hard_for_its_step_diverges_in_words() -> None:
    rig = SimulatedRig(KerrArray(1, nominal={"kerr": 1.0}))
    wave = Drive("u1_i", Waveform.of(1e4 * np.ones(20), STEP), Role.INPUT)
    with pytest.raises(DivergedError, match="lower the drive"):
        fired(rig, ShotProgram(STEP, Rest(), (Pass(20, (wave,), Acquire(("a1_i",))),)))


def test_a_force_of_positions_is_refused_with_the_rules_that_do() -> None:
    with pytest.raises(ProgramError, match="has amplitudes in the rotating frame, and no force of positions"):
        KerrArray(2).force(np.zeros(2), {})
