"""The `imperfections` section and the settings of a `sim:` URL: one table, one set of words, strictly read."""

from pathlib import Path
from typing import Any

import pytest

from labrhel import plugins
from labrhel.config import json_schema, load
from labrhel.config.imperfections import ImperfectionsSection
from labrhel.config.measures import Measure
from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment
from labrhel.testing.configurations import SMALL
from simbackend.imperfections import Imperfections
from simbackend.imperfections.settings import imperfections_of
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig, capabilities_of

MODEL = OscillatorNetwork(2, coupling="all", time_unit=1e-3, position_unit="V", input_unit="mA")
HEAD = "model: {oscillators: 2, coupling: all, units: {time: ms, position: V, input: mA}}\n"


def of_url(text: str) -> Imperfections:
    settings = dict(pair.split("=") for pair in text.split("&"))
    section = ImperfectionsSection.of_settings(settings, ImperfectionsSection())
    return imperfections_of(section, MODEL, capabilities_of(MODEL, "sim"))


def of_file(tmp_path: Path, text: str) -> Imperfections:
    file = tmp_path / "device.yaml"
    file.write_text(f"{HEAD}imperfections:\n{text}")
    return imperfections_of(load(file).config.imperfections, MODEL, capabilities_of(MODEL, "sim"))


@pytest.mark.parametrize(
    ("setting", "place", "expected"),
    [
        ("seed=7", "seed", 7),
        ("mismatch=2%", "mismatch.spread", 0.02),
        ("drift=-5ppm", "drift.rate", -5e-6),
        ("friction=20/s", "friction.uniform", 0.02),
        ("friction=0.02/ms", "friction.uniform", 0.02),
        ("friction=20", "friction.uniform", 0.02),
        ("delay=2us", "ports.delay", 0.002),
        ("delay=-2e-6", "ports.delay", -0.002),
        ("jitter=100 ns", "clock.jitter", 1e-4),
        ("channel_highpass=1kHz", "channels.corner", 1.0),
        ("noise=1mV", "noise", 1e-3),
        ("noise=0.001", "noise", 1e-3),
        ("port_offset=2mA", "ports.offset", 2.0),
        ("adc_bits=12", "adc.bits", 12),
        ("adc_range=500mV", "adc.reach", 0.5),
    ],
)
def test_a_setting_arrives_in_model_units(setting: str, place: str, expected: float) -> None:
    value: Any = of_url(setting)
    for name in place.split("."):
        value = getattr(value, name)
    assert value == pytest.approx(expected)


def test_a_file_and_a_url_say_the_same_in_the_same_words(tmp_path: Path) -> None:
    url = "seed=3&mismatch=1%&mode_friction=1,2/s&noise=2mV&dac_bits=10&f1.delay=2us&q2.gain=1.1&flip_error=-0.5%"
    text = (
        "  seed: 3\n  mismatch: 1%\n  mode_friction: [1, 2/s]\n  noise: 2 mV\n  dac_bits: 10\n"
        "  exact: {f1.delay: 2us, q2.gain: 1.1}\n  flip_error: -0.5%\n"
    )
    assert of_file(tmp_path, text) == of_url(url)


def test_nothing_named_is_nothing_wrong() -> None:
    assert imperfections_of(ImperfectionsSection(), MODEL, capabilities_of(MODEL, "sim")) == Imperfections()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("nois=1", "did you mean 'noise'?"),
        ("noise=1mA", "noise: expected V"),
        ("noise=-1mV", "the setting noise: must be 0 or more"),
        ("noise=loud", "expected a number"),
        ("jitter=1mV", "expected s with an SI prefix"),
        ("mismatch=1mV", "expected a share"),
        ("friction=1/V", "expected a rate"),
        ("adc_bits=0", "a whole number from 1 to 31"),
        ("adc_bits=12.5", "a whole number from 1 to 31"),
        ("adc_range=0", "must be more than 0"),
        ("seed=-1", "a whole number from 0"),
        ("settling=2s", "expected a number without unit"),
        ("f9.delay=1us", "no port or channel 'f9'"),
        ("f1.delai=1us", "no gain, offset or delay"),
        ("f1.gain=0", "must not be 0"),
        ("port_offset=1uA", "port_offset: expected mA"),
        ("q1.offset=1A", "q1.offset: expected V"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(setting: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        of_url(setting)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  nois: 1\n", r"device\.yaml:3: imperfections\.nois: unknown key; did you mean 'noise'"),
        ("  seed: 1\n  jitter: 1mV\n", r"device\.yaml:4: imperfections\.jitter: expected s"),
        ("  noise: true\n", r"imperfections\.noise: expected a number"),
        ("  exact: {f1: 2us}\n", r"imperfections\.exact: f1 is no gain"),
        ("  friction_matrix: [[1, 2]]\n", r"friction_matrix: expected a square matrix"),
    ],
)
def test_a_mistake_in_a_file_names_file_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        of_file(tmp_path, text)


def test_settings_of_a_url_replace_those_of_the_file_it_names(tmp_path: Path) -> None:
    text = "imperfections: {seed: 3, noise: 2 mV, exact: {q1.gain: 1.1}}\n"
    (tmp_path / "device.yaml").write_text(HEAD + text)
    rig = plugins.open_rig("sim:device.yaml?noise=5mV&q2.gain=0.9", MODEL, tmp_path)
    assert isinstance(rig, SimulatedRig)
    assert rig.capabilities.channel("q1").noise == pytest.approx(5e-3)
    base = load(tmp_path / "device.yaml").config.imperfections
    both = ImperfectionsSection.of_settings({"noise": "5mV", "q2.gain": "0.9"}, base)
    assert both.seed == 3
    assert both.exact == {"q1.gain": Measure(1.1), "q2.gain": Measure(0.9)}


def test_imperfections_that_the_named_rig_would_ignore_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL + "imperfections: {noise: 1 mV}\n")
    with pytest.raises(ConfigurationError, match=r"imperfections: sim: is the ideal rig; .* sim:small\.yaml"):
        load_experiment(file)
    experiment = load_experiment(file, rig_url="sim:small.yaml")
    assert experiment.rig.capabilities.channel("q1").noise == pytest.approx(1e-3)


def test_every_setting_is_listed_with_its_unit_and_default() -> None:
    lines = plugins.describe_rigs()
    for name, unit in ImperfectionsSection.units().items():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert unit in line
        assert name == "seed" or unit
    assert any(line.split()[:2] == ["adc_range", "10"] for line in lines)


def test_the_schema_takes_numbers_with_units_and_refuses_unknown_keys() -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(json_schema())
    good = {"model": {"oscillators": 1}, "imperfections": {"noise": "1 mV", "seed": 7, "exact": {"f1.delay": "2us"}}}
    assert [error.message for error in validator.iter_errors(good)] == []
    assert not validator.is_valid({**good, "imperfections": {"nois": 1}})
    assert not validator.is_valid({**good, "imperfections": {"adc_bits": 40}})
