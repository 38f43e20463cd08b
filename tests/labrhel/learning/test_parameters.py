import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrhel.errors import ConfigurationError
from labrhel.learning.parameters import Parameter, ParameterSet, Transform


@st.composite
def parameter_sets(draw: st.DrawFn) -> ParameterSet:
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    parameters = []
    for index in range(draw(st.integers(1, 4))):
        symmetric = draw(st.booleans())
        shape = (3, 3) if symmetric else draw(st.sampled_from([(), (2,), (2, 3)]))
        value = random.uniform(0.5, 2.0, shape)
        value = np.asarray((value + value.T) / 2 if symmetric else value)
        mask = random.uniform(size=shape) < 0.7 if draw(st.booleans()) else None
        if mask is not None and symmetric:
            mask = mask | mask.T
        parameters.append(
            Parameter(
                f"p{index}",
                value,
                low=0.1,
                high=50.0,
                transform=draw(st.sampled_from(list(Transform))),
                scale=draw(st.floats(0.01, 100)),
                mask=mask,
                symmetric=symmetric,
            )
        )
    parameters.append(Parameter("always", np.ones(1)))
    return ParameterSet(parameters)


@given(parameter_sets())
def test_coordinates_to_values_and_back_is_the_identity(parameters: ParameterSet) -> None:
    values = parameters.values(parameters.flat())
    for parameter in parameters.parameters:
        assert np.allclose(values[parameter.name], parameter.value, rtol=1e-14, atol=0)
    assert len(parameters) == len(parameters.names) == len(parameters.flat()) == len(set(parameters.names))


@given(parameter_sets(), st.integers(0, 1000))
def test_the_pulled_back_gradient_is_the_derivative_by_the_coordinates(parameters: ParameterSet, seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = {item.name: random.normal(size=item.value.shape) for item in parameters.parameters}

    def loss(x: np.ndarray) -> float:
        return sum(float(np.sum(weights[name] * value**2)) for name, value in parameters.values(x).items())

    x = parameters.flat() + 0.01 * random.normal(size=len(parameters))
    gradient = {name: 2 * weights[name] * value for name, value in parameters.values(x).items()}
    analytic = parameters.pull_back(x, gradient)
    for index in range(len(x)):
        step = 1e-6 * max(1.0, abs(x[index]))
        moved = x[:, None] + step * np.eye(len(x))[:, [index]] * np.array([1, -1])
        difference = (loss(moved[:, 0]) - loss(moved[:, 1])) / (2 * step)
        assert analytic[index] == pytest.approx(difference, rel=1e-5, abs=1e-5 * (1 + np.abs(analytic).max()))


@given(parameter_sets())
def test_values_at_the_bounds_of_the_coordinates_are_the_bounds_of_the_values(parameters: ParameterSet) -> None:
    for bound, x in zip((0.1, 50.0), parameters.bounds(), strict=True):
        values = parameters.values(np.where(np.isfinite(x), x, 1.0))
        for parameter in parameters.parameters[:-1]:
            assert np.allclose(values[parameter.name][parameter.trained], bound, rtol=1e-12)


def test_a_log_parameter_without_bounds_stays_positive_and_is_unbounded_in_its_coordinate() -> None:
    parameters = ParameterSet([Parameter("k", np.array([2.0]), transform=Transform.LOG)])
    assert parameters.bounds()[0][0] == -np.inf
    assert parameters.bounds()[1][0] == np.inf
    assert parameters.values(np.array([-30.0]))["k"][0] > 0


def test_an_untrained_entry_keeps_its_value_to_the_bit() -> None:
    value = np.array([0.1, 0.2, 0.3])
    parameters = ParameterSet([Parameter("k", value, scale=0.7, mask=np.array([True, False, True]))])
    assert parameters.values(np.array([9.0, 9.0]))["k"][1] == value[1]
    assert parameters.names == ["k[0]", "k[2]"]


def test_a_symmetric_matrix_trains_each_shared_entry_once() -> None:
    parameters = ParameterSet([Parameter("friction", np.eye(3), symmetric=True)])
    assert len(parameters) == 6
    moved = parameters.values(np.arange(6.0))["friction"]
    assert np.array_equal(moved, moved.T)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"low": 2.0, "high": 1.0}, "low <= high"),
        ({"low": 2.0}, "outside its bounds"),
        ({"high": 0.5}, "outside its bounds"),
        ({"scale": 0.0}, "scale of k"),
        ({"scale": np.nan}, "scale of k"),
    ],
)
def test_a_parameter_that_contradicts_itself_is_refused_by_name(arguments: dict, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Parameter("k", np.ones(1), **arguments)


def test_a_value_that_the_log_transform_cannot_reach_is_refused_only_where_it_is_trained() -> None:
    value, mask = np.array([1.0, 0.0]), np.array([True, False])
    Parameter("k", value, transform=Transform.LOG, mask=mask)
    with pytest.raises(ConfigurationError, match="log transform"):
        Parameter("k", value, transform=Transform.LOG)


@pytest.mark.parametrize("parameters", [[], [Parameter("k", np.ones(2), mask=np.zeros(2, bool))]])
def test_training_nothing_is_refused(parameters: list[Parameter]) -> None:
    with pytest.raises(ConfigurationError, match="nothing is trained"):
        ParameterSet(parameters)


def test_coordinates_are_values_over_the_scale_or_their_logarithm_and_slopes_follow_the_chain_rule() -> None:
    parameters = ParameterSet([
        Parameter("k", np.array([2.0, 6.0]), low=1.0, high=8.0, scale=0.5),
        Parameter("g", np.array([3.0]), high=24.0, scale=1.5, transform=Transform.LOG),
    ])  # fmt: skip
    assert np.allclose(parameters.flat(), [4.0, 12.0, np.log(2.0)])
    low, high = parameters.bounds()
    assert np.allclose(low[:2], 2.0) and low[2] == -np.inf
    assert np.allclose(high, [16.0, 16.0, np.log(16.0)])
    slopes = parameters.pull_back(parameters.flat(), {"k": np.array([10.0, -20.0]), "g": np.array([7.0])})
    assert np.allclose(slopes, [5.0, -10.0, 21.0])


def test_an_entry_off_the_diagonal_pulls_with_both_of_its_halves() -> None:
    value = np.array([[2.0, 0.3], [0.3, 1.0]])
    parameters = ParameterSet([Parameter("friction", value, symmetric=True, scale=2.0)])
    assert parameters.names == ["friction[0,0]", "friction[0,1]", "friction[1,1]"]
    slopes = parameters.pull_back(parameters.flat(), {"friction": np.array([[1.0, 10.0], [200.0, 3000.0]])})
    assert slopes.tolist() == [2.0, 420.0, 6000.0]


def test_entries_are_in_their_own_units_in_the_order_of_the_names() -> None:
    mask = np.array([[True, False], [True, True]])
    parameters = ParameterSet([
        Parameter("w", np.array([[1.0, 2.0], [3.0, 4.0]]), scale=0.1, mask=mask),
        Parameter("g", np.array([5.0]), transform=Transform.LOG, scale=3.0),
    ])  # fmt: skip
    assert parameters.names == ["w[0,0]", "w[1,0]", "w[1,1]", "g[0]"]
    assert np.allclose(parameters.entries(parameters.flat()), [1.0, 3.0, 4.0, 5.0])
    assert len(parameters) == 4


@pytest.mark.parametrize("value", [2.0, 5.0])
def test_a_parameter_may_start_at_its_bounds(value: float) -> None:
    assert Parameter("k", np.array([value]), low=2.0, high=5.0).value[0] == value


def test_bounds_that_meet_hold_a_parameter_still() -> None:
    low, high = ParameterSet([Parameter("k", np.array([2.0]), low=2.0, high=2.0)]).bounds()
    assert low == high == 2.0


@pytest.mark.parametrize("scale", [np.inf, -1.0])
def test_a_scale_is_a_positive_number(scale: float) -> None:
    with pytest.raises(ConfigurationError, match="must be positive"):
        Parameter("k", np.ones(1), scale=scale)


def test_a_matrix_that_is_trained_as_symmetric_must_be() -> None:
    with pytest.raises(ConfigurationError, match="its value is not symmetric"):
        Parameter("friction", np.array([[1.0, 0.2], [0.1, 1.0]]), symmetric=True)


def test_a_parameter_of_which_nothing_is_said_is_free_its_own_coordinate_and_no_symmetric_matrix() -> None:
    value = np.array([[3.0, -4.0], [5.0, 6.0]])
    found = ParameterSet([Parameter("a", value)])
    assert found.flat().tolist() == [3.0, -4.0, 5.0, 6.0]
    low, high = found.bounds()
    assert (low == -np.inf).all() and (high == np.inf).all()
    assert found.pull_back(found.flat(), {"a": value}).tolist() == [3.0, -4.0, 5.0, 6.0]


def test_a_positive_parameter_without_a_lower_bound_has_a_coordinate_without_one() -> None:
    with np.errstate(all="raise"):
        low, high = ParameterSet([Parameter("a", np.array([2.0]), transform=Transform.LOG, high=4.0)]).bounds()
    assert (low.tolist(), high.tolist()) == ([-np.inf], [np.log(4.0)])
