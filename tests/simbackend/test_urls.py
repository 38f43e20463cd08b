"""`sim:` URLs name a model and how the simulated rig differs from an ideal one."""

from pathlib import Path

import pytest

from labrhel import plugins
from labrhel.config import examples, load
from labrhel.errors import ConfigurationError
from labrhel.nominal import model_of
from labrhel.program import Reversal
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rig import SimulatedRig


@pytest.fixture
def model() -> OscillatorNetwork:
    return OscillatorNetwork(1, nominal={"stiffness": 2.0})


def opened(url: str, model: OscillatorNetwork, folder: Path = Path()) -> SimulatedRig:
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
        ("sim:?reversal=by_drive", "momentum_flip or state_restore"),
        ("bench:x", "there is no kind of rig 'bench'"),
        ("silverbox", "named by a URL"),
    ],
)
def test_what_does_not_exist_is_named(model: OscillatorNetwork, url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        opened(url, model)
    assert words in str(caught.value)


def test_a_mistake_in_the_other_file_names_that_file(model: OscillatorNetwork, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("model: {oscillators: none}\n")
    with pytest.raises(ConfigurationError, match=r"other\.yaml:1: model\.oscillators"):
        opened("sim:other.yaml", model, tmp_path)
