import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrhel.errors import ConfigurationError, LimitError
from labrhel.wire.fixed_point import Format

formats = st.integers(8, 32).flatmap(lambda word: st.builds(Format, st.just(word), st.integers(0, word - 1)))


@given(formats, st.lists(st.floats(-1, 1), min_size=1))
def test_codes_become_values_and_the_same_codes_again(form: Format, shares: list[float]) -> None:
    codes = np.rint(np.array(shares) * form.largest_code).astype(np.int64)
    assert np.array_equal(form.to_codes(form.to_values(codes)), codes)


@given(formats, st.floats(-1, 1))
def test_a_value_is_half_a_code_at_most_from_the_value_of_its_code(form: Format, share: float) -> None:
    value = share * form.largest
    assert abs(form.to_values(form.to_codes(value)) - value) <= form.resolution / 2


@given(formats, st.floats(-1, 1))
def test_the_code_of_minus_a_value_is_minus_its_code(form: Format, share: float) -> None:
    assert form.to_codes(-share * form.largest) == -form.to_codes(share * form.largest)


@given(formats, st.integers(-(2**61), 2**61))
def test_wrapping_keeps_the_low_bits_and_lands_in_the_word(form: Format, number: int) -> None:
    wrapped = int(form.wrap_codes(number))
    assert (wrapped - number) % 2**form.word == 0
    assert -(2 ** (form.word - 1)) <= wrapped < 2 ** (form.word - 1)


def test_the_names_of_formats_and_their_range() -> None:
    form = Format(32, 28)
    assert str(form) == "Q4.28"
    assert form.resolution == 2**-28
    assert form.largest == 8 - 2**-28


@pytest.mark.parametrize("value", [8.0, -8.0, 1e300, np.inf, np.nan])
def test_a_value_without_a_code_is_refused_and_never_saturated(value: float) -> None:
    with pytest.raises(LimitError, match=r"a bias .* has no code in Q4\.28, which holds -8 to 8"):
        Format(32, 28).to_codes([0.5, value], "a bias")


def test_the_most_negative_code_is_excluded_on_the_way_in_but_can_be_read() -> None:
    form = Format(8, 0)
    assert form.to_codes(-127.0) == -127
    with pytest.raises(LimitError):
        form.to_codes(-128.0)
    assert form.to_values(-128) == -128.0


@pytest.mark.parametrize(("word", "fraction"), [(7, 3), (33, 3), (16, 16), (16, -1)])
def test_formats_no_board_has_are_refused(word: int, fraction: int) -> None:
    with pytest.raises(ConfigurationError, match="bits"):
        Format(word, fraction)
