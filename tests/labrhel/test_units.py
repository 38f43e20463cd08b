import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrhel.errors import ConfigurationError
from labrhel.units import PREFIXES, Unit, factor, fitting, prefixed, product, ratio, read_unit, with_prefix


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (4.51e-4, "0.451 mV"),
        (0.0534, "53.4 mV"),
        (0.0135, "13.5 mV"),
        (1.0, "1.00 V"),
        (99.96, "0.100 kV"),  # rounds into the next prefix
        (-3e-5, "-30.0 µV"),
        (0.0, "0 V"),
        (float("nan"), "nan V"),
    ],
)
def test_values_are_written_with_three_digits_and_a_prefix(value: float, words: str) -> None:
    assert with_prefix(value, "V") == words


def test_a_quantity_without_a_unit_gets_no_prefix() -> None:
    assert with_prefix(0.000451234, "1") == "0.000451"


@given(st.floats(1e-14, 1e13))
def test_what_is_written_reads_back_to_three_digits(value: float) -> None:
    number, unit = with_prefix(value, "V").split()
    assert float(number) * factor(unit, "V") == pytest.approx(value, rel=5.1e-3)


def test_every_prefix_is_a_factor() -> None:
    assert {prefix: factor(f"{prefix}s", "s") for prefix in PREFIXES} == PREFIXES
    assert factor("us", "s") == factor("µs", "s") == 1e-6


@pytest.mark.parametrize("unit", ["min", "", "xs", "mS", "mms"])
def test_an_unknown_unit_is_refused(unit: str) -> None:
    with pytest.raises(ConfigurationError, match="SI prefix"):
        factor(unit, "s")


def test_units_are_composed_of_their_factors() -> None:
    assert product({"V": 1, "ms": -2}) == "V/ms^2"
    assert product({"V": -2, "ms": -2}) == "1/(V^2 ms^2)"
    assert product({"1": 1, "s": -1}) == "1/s"
    assert product({}) == "1"


def test_a_size_is_named_by_its_prefix_where_there_is_one() -> None:
    assert prefixed(1e-3, "s") == "ms"
    assert prefixed(1.0, "s") == "s"
    assert prefixed(2e-4, "s") == "0.0002 s"


def test_a_prefix_that_a_unit_has_already_is_taken_off_first() -> None:
    assert with_prefix(2940.0, "mV") == "2.94 V"
    assert with_prefix(6.84e-3, "mm") == "6.84 µm"
    assert with_prefix(3e-3, "mV/ms") == "3.00 µV/ms"
    assert with_prefix(0.5, "mm^2") == "0.5 mm^2"  # m before a square would mean another factor


@pytest.mark.parametrize(
    ("words", "size", "base"),
    [
        ("μV", 1e-6, "V"),
        ("µV", 1e-6, "V"),
        ("Volts", 1.0, "V"),
        ("SEC", 1.0, "s"),
        ("millivolt", 1e-3, "V"),
        ("kHz", 1e3, "Hz"),
    ],
)
def test_units_are_read_however_people_write_them(words: str, size: float, base: str) -> None:
    assert read_unit(words) == Unit(size, base)


def test_what_is_no_unit_is_none_and_different_things_have_no_ratio() -> None:
    assert [read_unit(word) for word in ("furlong", "mm m", "", "kmV")] == [None] * 4
    assert (ratio("mV", "V"), ratio("V", "mV"), ratio("mA", "V")) == (1e-3, 1e3, None)


@pytest.mark.parametrize(
    ("largest", "unit", "size", "fits"),
    [(2.7e-5, "V", 1e6, "µV"), (2940.0, "mV", 1e-3, "V"), (0.2, "V/ms^2", 1.0, "V/ms^2"), (0.0, "mV", 1.0, "mV")],
)
def test_a_unit_is_found_that_fits_the_largest_of_many_values(
    largest: float, unit: str, size: float, fits: str
) -> None:
    assert fitting(largest, unit) == (pytest.approx(size), fits)
