"""The integer leapfrog: equal to its definition in Python integers, and exactly reversible."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrhel.errors import LimitError, ProgramError
from labrhel.model.leapfrog import leapfrog
from labrhel.wire.fixed_point import Format
from simbackend.fixed_point import FixedPointNetwork, FixedPointRun, FixedPointState
from simbackend.fixed_point.reference import near, odd, run_reference
from simbackend.models.oscillator_network import OscillatorNetwork

WORDS = (8, 12, 16, 24, 32)


def codes(random: np.random.Generator, form: Format, *shape: int) -> np.ndarray:
    return random.integers(-form.largest_code, form.largest_code, shape, endpoint=True)


@dataclass(frozen=True)
class Case:
    """A network of random codes, a start and waveforms, all over the whole range of their words."""

    network: FixedPointNetwork
    start: FixedPointState
    drive: np.ndarray
    kicks: np.ndarray | None


def tanh(random: np.random.Generator, state: Format, saturation: np.ndarray) -> tuple[np.ndarray | None, int]:
    """Half of the cases saturate, by a table of any size that their words can index."""
    table = 16 << int(random.integers(0, min(state.fraction, 8) + 1))
    return (saturation, table) if random.integers(0, 2) else (None, 0)


def random_case(word: int, fraction: int, factor: Format, seed: int, steps: int = 40) -> Case:
    random = np.random.default_rng(seed)
    n, ports, state = int(random.integers(1, 6)), int(random.integers(0, 3)), Format(word, fraction)
    edges = np.array([(i, j) for i in range(n) for j in range(i + 1, n)], dtype=np.int64).reshape(-1, 2)
    network = FixedPointNetwork(
        state, factor, 0.1, codes(random, factor, n), codes(random, factor, n), codes(random, factor, n), edges,
        codes(random, factor, len(edges)), codes(random, factor, n, ports),
        *tanh(random, state, codes(random, factor, n)),
    )  # fmt: skip
    start = FixedPointState(codes(random, state, n), codes(random, state, n))
    return Case(network, start, codes(random, state, ports, steps), codes(random, state, n, steps))


words = st.sampled_from(WORDS) | st.integers(8, 32)
cases = st.builds(
    lambda word, share, factor_word, factor_share, seed: random_case(
        word, int(share * (word - 1)), Format(factor_word, int(factor_share * (factor_word - 1))), seed
    ),
    words, st.floats(0, 1), words, st.floats(0, 1), st.integers(0, 2**32),
)  # fmt: skip


def by_definition(case: Case) -> tuple[list[int], list[int], list[list[int]], int]:
    net = case.network
    assert case.kicks is not None
    q, p = case.start.q_codes.tolist(), case.start.p_codes.tolist()
    at_kicks, overflows = run_reference(
        net.state, net.coefficient, net.drift_codes.tolist(), net.stiffness_codes.tolist(), net.cubic_codes.tolist(),
        net.edges.tolist(), net.coupling_codes.tolist(), net.input_codes.tolist(), case.drive.T.tolist(),
        case.kicks.T.tolist(), q, p, () if net.saturation_codes is None else net.saturation_codes.tolist(), net.table,
    )  # fmt: skip
    return q, p, at_kicks, overflows


@given(cases)
def test_the_kernel_is_the_definition_in_python_integers_bit_for_bit(case: Case) -> None:
    ran = case.network.run(case.start, case.drive, case.kicks)
    q, p, at_kicks, overflows = by_definition(case)
    assert ran.end.q_codes.tolist() == q
    assert ran.end.p_codes.tolist() == p
    assert ran.position_codes.T.tolist() == at_kicks
    assert ran.overflows == overflows
    assert ran.momentum_codes[:, -1].tolist() == p


def there_and_back(case: Case) -> tuple[FixedPointRun, FixedPointState]:
    net = case.network
    forward = net.run(case.start, case.drive, case.kicks, trace=False)
    kicks = None if case.kicks is None else case.kicks[:, ::-1]
    echo = net.run(net.flipped(forward.end), case.drive[:, ::-1], kicks, trace=False)
    return forward, net.flipped(echo.end)


def same(one: FixedPointState, other: FixedPointState) -> bool:
    return np.array_equal(one.q_codes, other.q_codes) and np.array_equal(one.p_codes, other.p_codes)


@given(cases)
def test_a_flip_brings_back_every_bit_whatever_the_coefficients_and_however_words_wrap(case: Case) -> None:
    assert same(there_and_back(case)[1], case.start)


def test_those_random_cases_do_wrap() -> None:
    wrapping = [there_and_back(random_case(16, 12, Format(16, 14), seed))[0].overflows for seed in range(20)]
    assert all(wrapping)


def duffing(word: int, point: int, strength: float = 1.0) -> tuple[FixedPointNetwork, FixedPointState, np.ndarray]:
    """Six coupled Duffing oscillators and a million samples of a driven input, in words of `word` bits."""
    random = np.random.default_rng(word)
    nominal = {"stiffness": random.uniform(0.8, 1.5, 6), "cubic": 0.2, "coupling": random.uniform(0, 0.3, 15)}
    state = Format(word, word - point)
    network = FixedPointNetwork.of(
        OscillatorNetwork(6, coupling="all", nominal=nominal), {}, 0.1, state, Format(word, word - 2)
    )
    start = network.state_of(strength * random.uniform(-0.3, 0.3, 6), strength * random.uniform(-0.3, 0.3, 6))
    time = 0.1 * np.arange(1_000_000)
    return network, start, state.to_codes(strength * (0.3 * np.sin(0.5 * time) + 0.2 * np.sin(2.9 * time + 1)))[None]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(("point", "strength"), [(4, 1.0), (2, 3.5)])
def test_a_million_steps_and_back_with_the_reversed_input_give_identical_bits(
    word: int, point: int, strength: float
) -> None:
    network, start, drive = duffing(word, point, strength)
    forward, returned = there_and_back(Case(network, start, drive, None))
    assert same(returned, start)
    assert not same(forward.end, start)
    wraps = point == 2
    if wraps or word >= 16:  # shorter words round the motion so coarsely that it may or may not grow
        assert (forward.overflows > 0) == wraps


def test_the_input_must_be_reversed_for_the_bits_to_come_back() -> None:
    network, start, drive = duffing(24, 4)
    drive = drive[:, :1000]
    forward = network.run(start, drive)
    assert not same(network.flipped(network.run(network.flipped(forward.end), drive).end), start)


def test_a_momentum_on_the_excluded_code_stays_reversible() -> None:
    case = random_case(8, 4, Format(8, 6), seed=3)
    least = np.full_like(case.start.p_codes, -128)
    assert same(there_and_back(Case(case.network, FixedPointState(least, least), case.drive, case.kicks))[1],
                FixedPointState(least, least))  # fmt: skip


@given(st.integers(-(2**62), 2**62), st.integers(0, 31))
def test_the_drift_rounds_oddly_and_the_kick_rounds_half_up(x: int, shift: int) -> None:
    assert odd(-x, shift) == -odd(x, shift)
    assert abs(2 * ((odd(x, shift) << shift) - x)) <= 1 << shift
    assert -(1 << shift) < 2 * ((near(x, shift) << shift) - x) <= 1 << shift or shift == 0


def test_long_words_follow_the_leapfrog_in_floating_point() -> None:
    network, start, drive = duffing(32, 4)
    model = OscillatorNetwork(6, coupling="all")
    theta, state = network.parameters(), network.state
    u, steps = state.to_values(drive[:, :1000]), 1000
    floating = leapfrog(
        lambda q: model.force(q, theta), theta["mass"], np.zeros((6, 6)), theta["input"] @ u, 0.1,
        state.to_values(start.q_codes), state.to_values(start.p_codes),
    )  # fmt: skip
    ran = network.run(start, drive[:, :steps])
    assert np.abs(state.to_values(ran.position_codes) - floating.q).max() < 1e-6
    after = state.to_values(ran.momentum_codes)[:, 1:] / theta["mass"][:, None]
    assert np.abs(after - floating.v_after).max() < 1e-6


def test_codes_and_parameters_are_inverse_to_each_other() -> None:
    network, _, _ = duffing(16, 4)
    model = OscillatorNetwork(6, coupling="all")
    again = FixedPointNetwork.of(model, network.parameters(), 0.1, network.state, network.coefficient)
    for name in ("drift_codes", "stiffness_codes", "cubic_codes", "coupling_codes", "input_codes"):
        assert np.array_equal(getattr(again, name), getattr(network, name)), name


def test_terms_the_core_does_not_have_are_refused_by_name() -> None:
    form = Format(16, 12)
    for name in ("quadratic", "quartic", "friction"):
        model = OscillatorNetwork(2, nominal={name: 0.1})
        with pytest.raises(ProgramError, match=f"no {name} term"):
            FixedPointNetwork.of(model, {}, 0.1, form, form)
    with pytest.raises(LimitError, match="step times stiffness"):
        FixedPointNetwork.of(OscillatorNetwork(1, nominal={"stiffness": 100}), {}, 0.1, form, form)


def test_waveforms_that_do_not_fit_the_network_are_refused() -> None:
    network, start, drive = duffing(16, 4)
    with pytest.raises(ProgramError, match="2 inputs are driven; the network has 1"):
        network.run(start, np.zeros((2, 5), np.int64))
    with pytest.raises(ProgramError, match="nudges have shape"):
        network.run(start, drive[:, :5], np.zeros((6, 4), np.int64))
    short = FixedPointState(start.q_codes[:2], start.p_codes[:2])
    with pytest.raises(ProgramError, match="a start of 2 oscillators; the network has 6"):
        network.run(short, drive[:, :5])
