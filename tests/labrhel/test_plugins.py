"""Outer packages are found through entry points, and what is missing is named."""

from functools import cache
from importlib.metadata import EntryPoints

import pytest

from labrhel import plugins
from labrhel.errors import ConfigurationError
from labrhel.learning.estimator import Estimator
from protocols.rhel import RHEL


def test_options_of_a_rule_become_its_fields() -> None:
    rule = plugins.make_rule("rhel", {"estimator": "four_point", "eps": 0.1})
    assert rule == RHEL(estimator=Estimator.FOUR_POINT, eps=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epss": 1.0}, "has no option 'epss'; did you mean 'eps'?"),
        ({"estimator": "symetric"}, "did you mean 'symmetric'?"),
        ({"eps": -1.0}, "eps must be a positive number"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plugins.make_rule("rhel", options)
    assert words in str(caught.value)


def test_what_is_not_registered_is_named_with_what_is() -> None:
    with pytest.raises(ConfigurationError, match=r"learning rule 'ep'; known are: .*rhel"):
        plugins.make_rule("ep", {})
    with pytest.raises(ConfigurationError, match=r"kind of model 'pendulum'; known are: .*oscillator_network"):
        plugins.model_factory("pendulum")


def test_without_an_installation_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_registered", cache(lambda path: EntryPoints()))
    with pytest.raises(ConfigurationError, match="not installed here"):
        plugins.model_factory("oscillator_network")


def test_kinds_of_rig_and_examples_are_listed() -> None:
    lines = plugins.describe_rigs()
    assert any(line.startswith("sim:") for line in lines)
    assert "coupled_oscillators" in lines[-1]
