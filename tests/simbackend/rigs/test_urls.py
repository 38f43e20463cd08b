"""`sim:` URLs name a model and how the simulated rig differs from an ideal one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel import plugins
from labrhel.config import examples, load
from labrhel.errors import ConfigurationError
from labrhel.experiment.model import model_of
from labrhel.model.interface import Model
from labrhel.rig.capabilities import Reversal
from simbackend.models.kerr_array import KerrArray
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.models.relaxation import RelaxationNetwork
from simbackend.models.separable_model import SeparableModel, Term
from simbackend.rigs.simulated import SimulatedRig


@pytest.fixture
def model() -> OscillatorNetwork:
    return OscillatorNetwork(1, nominal={"stiffness": 2.0})


def opened(url: str, model: Model, folder: Path = Path()) -> SimulatedRig:
    rig = plugins.open_rig(url, model, folder)
    assert isinstance(rig, SimulatedRig)
    return rig


def test_without_a_name_the_model_of_the_configuration_is_simulated(model: OscillatorNetwork) -> None:
    rig = opened("sim:", model)
    assert rig.model is model
    assert rig.read(["stiffness"])["stiffness"] == [2.0]


def test_the_name_of_an_example_simulates_its_model(model: OscillatorNetwork) -> None:
    rig = opened("sim:silverbox", model)
    assert (
        rig.model.parameters["stiffness"].nominal
        == model_of(load(examples()["silverbox"])).parameters["stiffness"].nominal
    )


def test_a_path_starts_at_the_folder_of_the_configuration(model: OscillatorNetwork, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("model: {oscillators: 1, parameters: {stiffness: 5.0}}\n")
    rig = opened("sim:other.yaml", model, tmp_path)
    assert rig.read(["stiffness"])["stiffness"] == [5.0]


@pytest.mark.parametrize("reversal", [Reversal.MOMENTUM_FLIP, Reversal.STATE_RESTORE])
def test_settings_narrow_what_the_rig_offers(model: OscillatorNetwork, reversal: Reversal) -> None:
    rig = opened(f"sim:?reversal={reversal}&threads=1", model)
    assert rig.capabilities.reversals == {reversal}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sim:nothing", "coupled_oscillators"),
        ("sim:silverbx", "did you mean 'silverbox'?"),
        ("sim:nothing.yaml", "does not exist"),
        ("sim:coupled_oscillators", "they must agree"),
        ("sim:?sed=7", "no setting 'sed'; did you mean 'seed'?"),
        ("sim:?threads=0", "whole number from 1"),
        ("sim:?threads=two", "whole number from 1"),
        ("sim:?threads", "key=value"),
        ("sim:?threads=1&threads=2", "stands twice"),
        ("sim:?reversal=conjugation", "momentum_flip, state_restore, by_drive"),
        ("desk:x", "there is no kind of rig 'desk'"),
        ("silverbox", "named by a URL"),
    ],
)
def test_what_does_not_exist_is_named(model: OscillatorNetwork, url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        opened(url, model)
    assert words in str(caught.value)


class Bowl(SeparableModel):
    """V = sum_i b_i q_i^4/4, the smallest model of one's own."""

    def __init__(self, size: int, **common: Any) -> None:
        super().__init__(size, {"bowl": Term((size,), 1.0, "b")}, **common)

    def potential(self, q: np.ndarray, theta: Mapping[str, np.ndarray]) -> float:
        return float(self.value("bowl", theta) @ q**4 / 4)

    def force(self, q: np.ndarray, theta: Mapping[str, np.ndarray]) -> np.ndarray:
        return -self.value("bowl", theta)[(slice(None),) + (None,) * (q.ndim - 1)] * q**3

    def slopes(self, q: np.ndarray, theta: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"bowl": q**4 / 4}


def test_a_model_of_ones_own_is_opened_with_every_setting_but_those_that_cannot_act_on_it() -> None:
    rig = opened("sim:?seed=7&mismatch=2%&f1.delay=1ms&adc_bits=12&reversal=state_restore&threads=1", Bowl(1))
    assert rig.capabilities.reversals == {Reversal.STATE_RESTORE}
    assert rig.capabilities.accumulates == frozenset()
    assert rig.true_parameters()["bowl"] != 1.0
    with pytest.raises(ConfigurationError, match="nonreciprocity acts on springs"):
        opened("sim:?nonreciprocity=1%", Bowl(1))
    with pytest.raises(ConfigurationError, match="threads=2: only the compiled kernels"):
        opened("sim:?threads=2", Bowl(1))


def test_a_model_of_another_kind_is_refused_in_words() -> None:
    with pytest.raises(ConfigurationError, match=r"Bowl\): only one of them has .*; model\.kind and coupling"):
        opened("sim:silverbox", Bowl(1))
    with pytest.raises(ConfigurationError, match="separable Hamiltonians and arrays, not RelaxationNetwork"):
        opened("sim:", RelaxationNetwork(2))  # type: ignore[arg-type]


def test_an_array_in_the_rotating_frame_is_opened_with_two_terminals_a_port_and_reverses_by_conjugation() -> None:
    rig = opened("sim:?seed=7&mismatch=2%&f1_q.delay=1ms&adc_bits=12&reversal=conjugation&friction=0.1", KerrArray(2))
    assert [port.name for port in rig.capabilities.ports] == ["u1_i", "u1_q", "f1_i", "f1_q", "f2_i", "f2_q"]
    assert rig.capabilities.places == ("a1_i", "a1_q", "a2_i", "a2_q")
    assert np.array_equal(np.diag(rig.true_parameters()["loss"]), [0.1, 0.1])
    with pytest.raises(ConfigurationError, match="reverses by conjugation, state_restore, by_drive, not 'momentum_fl"):
        opened("sim:?reversal=momentum_flip", KerrArray(2))
    with pytest.raises(ConfigurationError, match="nonreciprocity acts on springs"):
        opened("sim:?nonreciprocity=1%", KerrArray(2))


def test_a_mistake_in_the_other_file_names_that_file(model: OscillatorNetwork, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("model: {oscillators: none}\n")
    with pytest.raises(ConfigurationError, match=r"other\.yaml:1: model\.oscillators"):
        opened("sim:other.yaml", model, tmp_path)
