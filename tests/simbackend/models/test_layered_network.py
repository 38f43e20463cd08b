"""The fully analog stack and the relaxation network, from a configuration to a gradient that is the exact one."""

from pathlib import Path

import numpy as np
import pytest

from labrhel import plugins
from labrhel.errors import ConfigurationError
from labrhel.experiment import Experiment, load_experiment
from labrhel.learning.checking import check_gradient
from simbackend.models.check import check_model, failures
from simbackend.models.layered_network import LayeredNetwork
from simbackend.models.relaxing_network import RelaxingNetwork

STACK = """
model:
  kind: analog_stack
  oscillators: 4
  coupling: {layers: [1, 2, 1]}
  parameters:
    alpha: {value: 0.8, train: true}
    gain: {value: 1.2, train: true}
    bias: {value: 0.1, train: true}
    coupling: {value: [0.4, -0.3, 0.5, 0.2], train: true}
    friction: 0.1
  readout: {channels: [q4]}
rig: "sim:"
protocol: {rule: rhel, record: none}
data:
  teacher:
    parameters: {alpha: 1.1}
    input: {amplitude: 1.5, band: [0.08, 0.3], tones: 4, seed: 3}
    samples: 40
    spacing: 0.2
    sequences: 1
"""
RELAXATION = """
model:
  kind: relaxation_network
  oscillators: 3
  coupling: all
  parameters:
    coupling: {value: [0.2, -0.1, 0.3], train: true}
    bias: {value: 0.1, train: true}
  readout: {channels: [q3]}
rig: "sim:"
protocol: {rule: equilibrium, record: none}
data:
  teacher:
    parameters: {bias: 0.4}
    input: {amplitude: 1.0, band: [0, 0], tones: 1, seed: 3}
    samples: 120
    spacing: 0.2
    sequences: 2
  skip: 119
"""


def experiment(folder: Path, text: str) -> Experiment:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return load_experiment(folder / "config.yaml")


@pytest.mark.parametrize(("text", "kind"), [(STACK, "analog_stack"), (RELAXATION, "relaxation_network")])
def test_the_gradient_that_a_configuration_asks_for_is_the_exact_one(tmp_path: Path, text: str, kind: str) -> None:
    found = experiment(tmp_path, text)
    report = check_gradient(found.problem, found.executor(), plugins.exact_gradient(kind))
    assert len(report.rows) == {"analog_stack": 4, "relaxation_network": 2}[kind]
    assert all(row.passes(1e-5) for row in report.rows)


def test_both_keep_the_contract_of_models() -> None:
    random = np.random.default_rng(1)
    stack = LayeredNetwork(
        5,
        coupling={"layers": [2, 3]},
        nominal={
            "alpha": random.uniform(0.5, 1.5, 5),
            "gain": random.uniform(0.5, 1.5, 5),
            "bias": random.normal(size=5),
            "coupling": random.normal(size=6),
        },
    )
    network = RelaxingNetwork(4, nominal={"coupling": random.normal(size=6), "bias": random.normal(size=4)})
    assert failures(check_model(stack, random)) == ()
    assert failures(check_model(network, random)) == ()


def test_what_is_above_acts_back_on_what_is_below() -> None:
    model = LayeredNetwork(2, coupling={"layers": [1, 1]}, nominal={"coupling": 0.5})
    here, there = (model.force(np.array([0.0, x]), {})[0] for x in (0.0, 1.0))
    assert here == 0.0
    assert there == pytest.approx(-0.5 * np.tanh(1.0))


def test_layers_that_do_not_fit_are_refused_in_a_sentence(tmp_path: Path) -> None:
    for given, words in (
        ("{layers: [1, 2]}", r"layers \[1, 2\] have 3 oscillators, the model has 4"),
        ("{layers: [1, 0, 3]}", "layers are numbers of oscillators from the bottom"),
        ("{layers: 4}", "layers are numbers of oscillators from the bottom"),
        ("chain", "an analog stack is told by its layers"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            experiment(tmp_path, STACK.replace("{layers: [1, 2, 1]}", given))
    with pytest.raises(ConfigurationError, match="couplings are springs, directed and gyroscopic"):
        experiment(tmp_path, STACK.replace("analog_stack", "oscillator_network"))
    with pytest.raises(ConfigurationError, match="gain must be positive"):
        experiment(tmp_path, STACK.replace("value: 1.2", "value: -1.2"))
