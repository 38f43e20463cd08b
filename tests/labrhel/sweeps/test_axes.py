"""Which values go together, as the command line and Python say it."""

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.sweeps.axes import Axis, axes_along, axes_of, points_of, words_of


def test_each_value_of_a_key_goes_with_all_of_the_others_and_the_last_key_runs_fastest() -> None:
    axes = axes_of(["protocol.eps=1e-4,1e-3", "optimizer.seed=0..2"], [])
    assert [axis.name for axis in axes] == ["protocol.eps", "optimizer.seed"]
    assert list(points_of(axes)) == [(eps, seed) for eps in (1e-4, 1e-3) for seed in (0, 1, 2)]


def test_keys_of_zip_change_together_and_make_one_axis() -> None:
    (axis,) = axes_of([], ["a.b=1,2", "a.c=x,'y,z'"])
    assert axis == Axis(("a.b", "a.c"), ((1, "x"), (2, "y,z")))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=0..3,7", [0, 1, 2, 3, 7]),
        ("a=-2..0", [-2, -1, 0]),
        ("a=[1,2],[3]", [[1, 2], [3]]),
        ("a=[1,2]", [[1, 2]]),
        ("a=auto,0.1", ["auto", 0.1]),
        ("rig=sim:?seed=1&noise=1mV,sim:?seed=2", ["sim:?seed=1&noise=1mV", "sim:?seed=2"]),
        ("a[2].b= 1 , 2 ", [1, 2]),
        ("a=true,null", [True, None]),
    ],
)
def test_values_are_yaml_with_commas_between_them(text: str, values: list[object]) -> None:
    (axis,) = axes_of([text], [])
    assert [value for (value,) in axis.values] == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "is not KEY=VALUES"),
        ("=3", "is not KEY=VALUES"),
        ("a=", "names no value"),
        ("a=1,1", "the value 1 stands twice"),
        ("a=3..1", "a range goes up"),
        ("a={", "not valid YAML"),
        ("a=1,,2", "not valid YAML"),
        ("a=0..99999999999", "a range goes up"),
    ],
)
def test_what_is_no_list_of_values_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        axes_of([text], [])


def test_keys_that_do_not_go_together_are_refused() -> None:
    for sets, zips, words in (
        (["a=1", "a=2"], [], "a stands twice"),
        (["a=1"], ["a.b=2"], "a and a.b stand in each other"),
        ([], ["a=1,2", "b=1,2,3"], "a has 2, b has 3"),
        (["a=0..999", "b=0..999"], [], "1,000,000 points"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            axes_of(sets, zips)


def test_values_of_python_are_those_of_the_command_line() -> None:
    said = axes_of(["a=0..2", "b=0.5"], ["c=1,2", "d=x,y"])
    assert axes_along({"a": range(3), "b": [np.float64(0.5)]}, {"c": np.array([1, 2]), "d": ("x", "y")}) == said


@pytest.mark.parametrize("values", [[float("nan")], [object()], "words", []])
def test_what_no_configuration_can_hold_is_refused(values: object) -> None:
    with pytest.raises(ConfigurationError, match="a"):
        axes_along({"a": values}, {})  # type: ignore[dict-item]


def test_a_point_is_spelled_as_run_takes_it() -> None:
    assert words_of(["a.b", "c"], (1e-05, "sim:?seed=1")) == ["a.b=1e-05", 'c="sim:?seed=1"']
