"""The Kerr array: its equation of motion, its reversal, and gradients by echoes against central differences."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from labrhel.errors import ConfigurationError, ProgramError
from simbackend.kernels import kerr as kernels
from simbackend.models.kerr_array import KerrArray, KerrGradient, KerrRun

N, STEPS, STEP = 4, 60, 0.05
RANDOM = np.random.default_rng(7)


def complex_normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape) + 1j * RANDOM.normal(size=shape)


MODEL = KerrArray(
    N,
    inputs=("a", "b"),
    coupling=[(0, 1), (2, 1), (3, 0)],
    nominal={
        "detuning": RANDOM.normal(size=N),
        "kerr": RANDOM.uniform(-0.6, 0.6, N),
        "coupling": RANDOM.normal(size=3),
        "input": RANDOM.normal(size=(N, 2)),
    },
)
THETA = {name: spec.nominal for name, spec in MODEL.parameters.items()}
START, INPUT = complex_normal(N), 0.5 * complex_normal(2, STEPS)
TARGET, WEIGHTS = complex_normal(N, STEPS), complex_normal(N)


def loss(run: KerrRun) -> float:
    """Depends on both quadratures, along the path and at the end."""
    along = STEP * np.sum(np.abs(run.amplitude - TARGET) ** 2) / 2
    return float(along + np.sum(np.abs(run.end) ** 4) / 4 + np.sum(WEIGHTS * run.end).real)


def slope(run: KerrRun) -> tuple[np.ndarray, np.ndarray]:
    along = STEP * np.conj(run.amplitude - TARGET) / 2
    return along, np.abs(run.end) ** 2 * np.conj(run.end) / 2 + WEIGHTS / 2


def loss_at(**changes: np.ndarray) -> float:
    start, u = changes.pop("start", START), changes.pop("u", INPUT)
    return loss(MODEL.run(start, u, STEP, THETA | changes))


def differences(name: str, value: np.ndarray, tiny: float = 1e-5) -> np.ndarray:
    """dL/dRe + i dL/dIm by central differences; of a real array, dL/dvalue."""
    result = np.zeros(value.shape, value.dtype)
    for index in np.ndindex(value.shape):
        for unit in (1, 1j) if np.iscomplexobj(value) else (1,):
            ends = []
            for sign in (1, -1):
                moved = value.copy()
                moved[index] += sign * tiny * unit
                ends.append(loss_at(**{name: moved}))
            result[index] += unit * (ends[0] - ends[1]) / (2 * tiny)
    return result


def by_echo(eps: float = 1e-5) -> KerrGradient:
    return MODEL.gradient(START, INPUT, STEP, THETA, slope, eps)


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.linalg.norm(found - expected) < 1e-7 * np.linalg.norm(expected))


@pytest.mark.parametrize("name", ["detuning", "kerr", "coupling", "input"])
def test_gradients_by_echo_are_the_central_differences_of_the_loss(name: str) -> None:
    assert close(by_echo().parameters[name], differences(name, THETA[name]))


LOSSY = THETA | {
    "loss": (lambda x: x @ x.T / 4)(RANDOM.normal(size=(N, N))),
    "flux": RANDOM.normal(size=3),
    "input_quadrature": RANDOM.normal(size=(N, 2)),
}


@pytest.mark.parametrize("name", ["detuning", "kerr", "coupling", "flux", "loss", "input", "input_quadrature"])
def test_so_are_those_of_a_lossy_array_with_flux_and_a_complex_input_map_by_a_driven_echo(name: str) -> None:
    found = MODEL.gradient(START, INPUT, STEP, LOSSY, slope, 1e-5).parameters[name]
    expected, tiny = np.zeros(found.shape), 1e-5
    for index in np.ndindex(found.shape):
        ends = []
        for sign in (1, -1):
            moved = LOSSY[name].copy()
            moved[index] += sign * tiny / 2
            moved[index[::-1] if name == "loss" else index] += sign * tiny / 2  # a loss stays symmetric
            ends.append(loss_at(**LOSSY | {name: moved}))
        expected[index] = (ends[0] - ends[1]) / (2 * tiny)
    assert close(found, expected)


def test_so_are_those_of_its_start_and_its_inputs() -> None:
    gradient = MODEL.gradient(START, INPUT, STEP, LOSSY, slope, 1e-5)
    for name, value, found in (("start", START, gradient.start), ("u", INPUT, gradient.inputs)):
        expected = np.zeros(value.shape, complex)
        for index in np.ndindex(value.shape):
            for unit in (1, 1j):
                ends = []
                for sign in (1, -1):
                    moved = value.copy()
                    moved[index] += sign * 1e-5 * unit
                    ends.append(loss_at(**LOSSY | {name: moved}))
                expected[index] += unit * (ends[0] - ends[1]) / 2e-5
        assert close(found, expected)


def test_so_is_the_gradient_of_the_start_state_in_both_quadratures() -> None:
    assert close(by_echo().start, differences("start", START))


def test_so_is_the_gradient_of_the_input_at_each_of_its_samples_in_both_quadratures() -> None:
    assert close(by_echo().inputs, differences("u", INPUT))


def test_with_the_loss_at_the_end_only_it_is_hamiltonian_echo_backpropagation() -> None:
    def final(run: KerrRun) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((N, STEPS)), np.conj(run.end) / 2

    gradient = MODEL.gradient(START, INPUT, STEP, THETA, final, 1e-5)
    tiny = 1e-5
    moved = [THETA["kerr"] + sign * tiny * np.eye(N)[1] for sign in (1, -1)]
    ends = [np.sum(np.abs(MODEL.run(START, INPUT, STEP, THETA | {"kerr": g}).end) ** 2) / 2 for g in moved]
    assert gradient.parameters["kerr"][1] == pytest.approx((ends[0] - ends[1]) / (2 * tiny), rel=1e-7)


def test_the_error_of_an_echo_falls_with_the_square_of_eps() -> None:
    exact = by_echo(1e-5).parameters["kerr"]
    errors = [np.linalg.norm(by_echo(eps).parameters["kerr"] - exact) for eps in (4e-2, 2e-2, 1e-2)]
    assert np.allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 2, atol=0.1)


def test_conjugation_and_the_conjugate_input_retrace_the_pass() -> None:
    forward = MODEL.run(START, INPUT, STEP, THETA)
    echo = MODEL.run(np.conj(forward.end), np.conj(INPUT)[:, ::-1], STEP, THETA)
    assert np.abs(np.conj(echo.end) - START).max() < 1e-12
    assert np.abs(np.conj(echo.amplitude)[:, ::-1] - forward.amplitude).max() < 1e-12


def test_without_conjugating_the_input_it_does_not() -> None:
    forward = MODEL.run(START, INPUT, STEP, THETA)
    assert np.abs(np.conj(MODEL.run(np.conj(forward.end), INPUT[:, ::-1], STEP, THETA).end) - START).max() > 0.1


def test_the_step_converges_with_order_two_to_an_independent_solver() -> None:
    w, g, weights = (THETA[name] for name in ("detuning", "kerr", "input"))
    hopping = np.zeros((N, N))
    for (i, j), rate in zip(MODEL.edges, THETA["coupling"], strict=True):
        hopping[i, j] = hopping[j, i] = rate

    def played(time: np.ndarray | float) -> np.ndarray:
        return np.array([np.exp(-0.7j * time), 0.3 * np.exp(1.1j * time)])

    def velocity(time: float, a: np.ndarray) -> np.ndarray:
        return -1j * (w * a + g * np.abs(a) ** 2 * a + hopping @ a + weights @ played(time))

    exact = solve_ivp(velocity, (0, 2), START, rtol=1e-12, atol=1e-12, method="DOP853").y[:, -1]
    errors = []
    for steps in (50, 100, 200):
        step = 2 / steps
        errors.append(np.abs(MODEL.run(START, played(step * (np.arange(steps) + 0.5)), step, THETA).end - exact).max())
    assert np.allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 2, atol=0.1)


def test_undriven_the_power_stays_and_the_energy_wobbles_with_order_two() -> None:
    wobbles = []
    before = MODEL.hamiltonian(START, np.zeros(2), THETA)
    for step in (0.02, 0.01):
        times = [round(time / step) for time in np.arange(0.2, 8.1, 0.2)]
        after = [MODEL.run(START, np.zeros((2, steps)), step, THETA).end for steps in times]
        assert np.allclose(np.sum(np.abs(after) ** 2, axis=1), np.sum(np.abs(START) ** 2), rtol=1e-12)
        wobbles.append(max(abs(MODEL.hamiltonian(a, np.zeros(2), THETA) - before) for a in after))
    assert wobbles[0] < 0.01
    assert wobbles[1] < 0.5 * wobbles[0]


def test_observables_are_the_slopes_of_the_hamiltonian() -> None:
    step, a, u, tiny = 1e-9, complex_normal(N), complex_normal(2), 1e-6
    found = MODEL.run(a, u[:, None], step, THETA).observables  # so short a step that a stays where it is
    assert set(found) == {"detuning", "kerr", "coupling", "flux", "input", "input_quadrature"}
    for name in found:
        value = THETA[name]
        for index in np.ndindex(value.shape):
            moved = [value.copy(), value.copy()]
            moved[0][index] += tiny
            moved[1][index] -= tiny
            ends = [MODEL.hamiltonian(a, u, THETA | {name: item}) for item in moved]
            assert found[name][index] / step == pytest.approx((ends[0] - ends[1]) / (2 * tiny), abs=1e-6)


def test_the_compiled_kernel_is_the_readable_one() -> None:
    results = []
    solved = np.linalg.inv(np.eye(N) + 0.5j * STEP * MODEL.matrix(THETA))
    for function in (kernels.propagate, kernels.propagate.py_func):
        a, amplitude = START.copy(), np.empty((N, STEPS), complex)
        function(a, INPUT[[0, 1, 0, 1]], STEP, solved, THETA["kerr"], amplitude)
        results.append(np.concatenate([a, amplitude.ravel()]))
    assert np.allclose(*results, rtol=1e-13, atol=1e-13)


def test_bad_parameters_are_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match="coupling must be real"):
        KerrArray(2, coupling="all", nominal={"coupling": 1j})
    with pytest.raises(ConfigurationError, match=r"kerr has shape \(3,\); expected \(2,\)"):
        KerrArray(2, nominal={"kerr": np.ones(3)})
    with pytest.raises(ConfigurationError, match="unknown parameter 'mass'"):
        KerrArray(2, nominal={"mass": 1.0})


def test_a_start_or_an_input_of_another_size_is_refused() -> None:
    for start, u in ((START[:-1], INPUT), (START, INPUT[:1])):
        with pytest.raises(ProgramError, match="the array has 4 modes and 2 inputs"):
            MODEL.run(start, u, STEP, THETA)
