from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labrhel.frozen import Digested, FrozenArray, digest_of, encode
from labrhel.rig.capabilities import Kind, Reversal
from labrhel.shots.program import Acquire, Pass, Role

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
    | st.binary(max_size=6),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def same(a: object, b: object) -> bool:
    """Equality that tells True from 1 and 1 from 1.0, which Python's does not."""
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


@given(PLAIN, PLAIN)
def test_two_values_share_a_digest_exactly_when_they_are_equal(a: object, b: object) -> None:
    assert (digest_of(a) == digest_of(b)) == same(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (("a,sb",), ("a", "b")),
        (("a", ("b",)), (("a", "b"),)),
        ({"a": "b,sc:sd"}, {"a": "b", "c": "d"}),
        (("x)",), (("x",),)),
        (1, True),
        (1, 1.0),
        (b"1", "1"),
        ("None", None),
        (frozenset({"a,sb"}), frozenset({"a", "b"})),
        (Acquire(("q1", "q2")), Acquire(("q1,sq2",))),
        ((b"a,b1:b",), (b"a", b"b")),
        (Reversal.BY_DRIVE, "by_drive"),
    ],
)
def test_values_that_only_look_alike_have_different_digests(a: object, b: object) -> None:
    assert digest_of(a) != digest_of(b)


def test_a_digest_is_the_same_in_every_process_and_on_every_machine() -> None:
    assert FrozenArray([0.0, 1.5]).digest == FrozenArray(np.array([0.0, 1.5])).digest
    assert digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    assert digest_of(frozenset({"x", "y", "z"})) == digest_of(frozenset({"z", "y", "x"}))
    assert digest_of(0.0) == digest_of(-0.0)


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=5)))
def test_an_array_is_frozen_by_value_and_not_by_view(values: np.ndarray) -> None:
    frozen = FrozenArray(values)
    before = frozen.digest
    values[...] = 7.25
    assert FrozenArray(frozen.values.copy()).digest == before
    with pytest.raises(ValueError, match="read-only"):
        frozen.values[...] = 0


def test_a_read_only_view_of_a_writable_array_is_copied() -> None:
    owner = np.arange(4.0)
    view = owner[:]
    view.flags.writeable = False
    frozen = FrozenArray(view)
    owner[0] = 99
    assert frozen.values[0] == 0


def test_a_slice_of_a_frozen_array_is_not_copied() -> None:
    frozen = FrozenArray(np.arange(8.0))
    assert np.shares_memory(FrozenArray(frozen.values[:4]).values, frozen.values)


def test_shape_and_type_belong_to_the_content_of_an_array() -> None:
    flat = np.arange(6.0)
    digests = {FrozenArray(item).digest for item in (flat, flat.reshape(2, 3), flat.astype(np.float32), flat[::-1])}
    assert len(digests) == 4


def test_what_has_no_canonical_form_is_refused_and_not_hashed_by_its_address() -> None:
    for odd in (object(), lambda: None, np.array([object()])):
        with pytest.raises((TypeError, ValueError)):
            digest_of(odd)


def test_equal_programs_are_one_key_of_a_dictionary() -> None:
    assert Pass(3) == Pass(3)
    assert Pass(3) != Pass(4)
    assert len({Pass(3), Pass(3), Pass(4)}) == 2
    assert Pass(3) != "Pass(3)"


@pytest.mark.parametrize("value", [np.float64(0.1), np.int64(3), np.bool_(True), np.complex128(1j), np.str_("q1")])
def test_a_number_of_numpy_has_the_digest_of_the_same_number_of_python(value: np.generic) -> None:
    assert digest_of(value) == digest_of(value.item())
    assert digest_of((value,)) == digest_of((value.item(),))


def test_equal_words_of_two_enumerations_encode_apart() -> None:
    assert Kind.INPUT == Role.INPUT  # string enumerations compare by their words
    assert encode(Kind.INPUT) != encode(Role.INPUT)
    assert encode(Role.INPUT) == encode(Role.INPUT)


def test_a_class_that_is_renamed_keeps_its_tag_and_its_digests() -> None:
    @dataclass(frozen=True, slots=True, eq=False)
    class Before(Digested):
        tag = "kick"
        height: float

    @dataclass(frozen=True, slots=True, eq=False)
    class After(Digested):
        tag = "kick"
        height: float

    assert Before(0.5).digest == After(0.5).digest
    assert encode([Before(0.5)]) == encode([After(0.5)])


def test_no_two_classes_share_a_tag_and_each_has_its_own() -> None:
    # A dataclass with slots is made twice: the last of a name is the one in use.
    kinds = {kind.__qualname__: kind for kind in Digested.__subclasses__() if kind.__module__.startswith("labrhel.")}
    assert len(kinds) > 20
    assert all("tag" in vars(kind) for kind in kinds.values())
    assert len({kind.tag for kind in kinds.values()}) == len(kinds)
