"""What may ever be on a terminal: the intersection over everything that names it."""

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, LimitError
from labrhel.rig.terminals import Claim, Place, Terminals


def error(words: str, *place: str | int) -> ConfigurationError:
    return ConfigurationError(words, key=".".join(map(str, place)))


def ranged(who: str, low: float, high: float, terminal: str = "bias.ch1") -> Claim:
    return Claim(terminal, who, ("knobs", who), limits=(low, high))


def level(volts: float, who: str = "select of q1", place: Place = ("channels", "q1")) -> Claim:
    return Claim("bias.ch1", who, place, level=volts)


def table(*claims: Claim) -> Terminals:
    return Terminals.of(claims, error)


def test_limits_are_the_intersection_over_all_that_name_a_terminal() -> None:
    found = table(ranged("a", -0.5, 4.5), ranged("b", 1.0, 9.0), ranged("c", -2.0, 2.0, "bias.ch2"))
    assert found.limits == {"bias.ch1": (1.0, 4.5), "bias.ch2": (-2.0, 2.0)}


def test_the_range_of_several_terminals_is_what_all_of_them_allow() -> None:
    found = table(ranged("a", -0.5, 4.5), ranged("c", -2.0, 2.0, "bias.ch2"))
    assert found.of_all(["bias.ch1", "bias.ch2"]) == (-0.5, 2.0)
    assert found.of_all(["bias.ch9"]) == (-np.inf, np.inf)


@pytest.mark.parametrize("volts", [0.5, 4.5, 1.0])
def test_a_level_within_the_limits_is_taken(volts: float) -> None:
    assert table(ranged("a", 0.5, 4.5), level(volts)).limits == {"bias.ch1": (0.5, 4.5)}


@pytest.mark.parametrize("volts", [0.0, 9.0, float("nan")])
def test_a_level_outside_the_limits_is_refused_with_its_place_and_who_limits_it(volts: float) -> None:
    with pytest.raises(
        ConfigurationError, match=r"select of q1 puts .* on bias\.ch1, where a allows \[0\.5 V, 4\.5 V\]"
    ) as it:
        table(level(volts), ranged("a", 0.5, 4.5))
    assert it.value.key == "channels.q1"


def test_a_level_outside_the_limits_of_any_one_that_names_the_terminal_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"a allows .* and b allows"):
        table(ranged("a", -9.0, 9.0), ranged("b", -0.5, 0.5), level(6.0))


def test_ranges_without_a_voltage_in_common_are_refused_with_both() -> None:
    with pytest.raises(ConfigurationError, match=r"b allows \[2 V, 3 V\], a allows \[-1 V, 1 V\]; make them overlap"):
        table(ranged("a", -1.0, 1.0), ranged("b", 2.0, 3.0))


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0)])
def test_a_range_that_is_empty_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ConfigurationError, match="must be in order"):
        table(ranged("a", *ends))


def test_a_level_on_a_terminal_that_nobody_limits_is_left_to_its_instrument() -> None:
    assert table(level(50.0)).limits == {}


def test_a_value_is_refused_before_it_is_written() -> None:
    found = table(ranged("a", 0.5, 4.5))
    found.require("bias.ch1", 0.5, 4.5, "a")
    found.require("bias.ch2", -1e9, 1e9, "what nobody limits")
    with pytest.raises(
        LimitError, match=r"bias\.ch1 would get 5 V for a; allowed is \[0\.5 V, 4\.5 V\]; nothing was sent"
    ):
        found.require("bias.ch1", 5.0, 5.0, "a")
    with pytest.raises(LimitError, match=r"would get \[0 V, 1 V\]"):
        found.require("bias.ch1", 0.0, 1.0, "a")


def test_what_is_no_number_is_refused() -> None:
    nan = float("nan")
    with pytest.raises(LimitError):
        table(ranged("a", 0.5, 4.5)).require("bias.ch1", nan, nan, "a")
