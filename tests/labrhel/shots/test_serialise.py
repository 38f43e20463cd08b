"""Values to JSON and back: nothing is lost, not even the last bit."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labrhel.errors import RecordError
from labrhel.frozen import FrozenArray
from labrhel.shots.program import Acquire, Drive, GivenState, Hold, Pass, Rest, Role, ShotProgram
from labrhel.shots.serialise import dumps, from_data, to_data
from labrhel.shots.waveform import Interpolation, Waveform

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(1e-300, 1e300)
names = st.text(max_size=6)


@st.composite
def waveforms(draw):
    dtype = draw(st.sampled_from(["<f8", "<f4", "<c16", ">f8"]))
    samples = draw(arrays.arrays(dtype, st.integers(1, 5), elements={"allow_nan": False, "allow_infinity": False}))
    wave = Waveform.of(samples, draw(positive), t0=draw(finite), interpolation=draw(st.sampled_from(Interpolation)))
    return wave.reversed(draw(finite)) if draw(st.booleans()) else wave


vectors = arrays.arrays(np.float64, st.integers(0, 4), elements=finite).map(FrozenArray)
prepares = st.one_of(st.builds(Rest, finite), st.builds(Hold), st.builds(GivenState, vectors, vectors))
acquires = st.builds(
    Acquire, st.lists(names).map(tuple), st.integers(1, 9), st.lists(names).map(tuple), st.booleans()
)  # fmt: skip
passes = st.builds(
    Pass,
    st.integers(1, 10**9) | st.integers(1, 9).map(np.int64),
    st.lists(st.builds(Drive, names, waveforms(), st.sampled_from(Role)), max_size=3).map(tuple),
    acquires,
    echo=st.just(False),
    keep=st.booleans(),
)
programs = st.builds(
    ShotProgram, positive | positive.map(np.float64), prepares, st.lists(passes, min_size=1, max_size=3).map(tuple)
)


def there_and_back(value):
    store = {}

    def put(array):
        store[array.digest] = array.values
        return array.digest

    text = dumps(to_data(value, put))
    assert "NaN" not in text and "Infinity" not in text
    return from_data(json.loads(text), store.__getitem__)


@given(programs)
def test_a_program_keeps_its_digest_and_its_types_on_the_way_through_json(program) -> None:
    again = there_and_back(program)
    assert again.digest == program.digest
    assert repr(again) == repr(program)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | names,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(names | st.just("$list"), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(plain)
def test_nested_plain_data_comes_back_equal_and_of_the_same_kind(value) -> None:
    again = there_and_back(value)
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u1", "c16", "?", ">f8"])
def test_an_array_comes_back_to_the_bit_and_writable(dtype: str) -> None:
    array = np.array([[0.1, -0.0, 1e-300], [np.pi, 3, 0]]).astype(dtype)
    again = there_and_back({"x": array})["x"]
    assert again.dtype == array.dtype
    assert again.tobytes() == array.tobytes()
    again[0] = 0


def test_a_nan_comes_back_as_a_nan() -> None:
    assert np.isnan(there_and_back([float("nan")])[0])


def test_a_set_and_a_numpy_scalar_come_back() -> None:
    assert there_and_back(frozenset({"b", "a"})) == frozenset({"a", "b"})
    again = there_and_back(np.int32(3))
    assert again == 3 and type(again) is np.int32


def test_equal_values_give_equal_text() -> None:
    assert dumps({"b": 1, "a": 2}) == dumps({"a": 2, "b": 1})


def test_a_live_object_is_refused_by_its_kind() -> None:
    with pytest.raises(TypeError, match="cannot hold a Generator"):
        to_data({"random": np.random.default_rng(0)}, lambda array: array.digest)


@pytest.mark.parametrize("data", [{"$Teleport": {}}, {"$Rest": {"colour": 1}}, {"$Role": "SPECTATOR"}, {"$Pass": 3}])
def test_a_word_of_a_newer_version_is_said_plainly(data: object) -> None:
    with pytest.raises(RecordError, match="this version of labrhel does not know"):
        from_data(data, {}.__getitem__)
