"""Knobs with hysteresis come from one side, and the same setting is then the same parameter."""

from pathlib import Path

import numpy as np
import pytest

from labrhel.errors import LimitError
from labrhel.executor import ORDER, stack
from labrhel.executor.dry import DryBackend
from labrhel.experiment import Experiment, load_experiment
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Knob, Limits
from labrhel.rig.wiring import Approach, LinearKnob, Wiring
from labrhel.shots.operations import Configure, Operation
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig, capabilities_of

MODEL = OscillatorNetwork(2, coupling="chain", nominal={"stiffness": [2.0, 1.5]})
DECLARED = capabilities_of(MODEL, "bench")


class Asked(DryBackend):
    """Writes down to what it was set."""

    def __init__(self) -> None:
        super().__init__(DECLARED)
        self.settings: list[dict[str, list[float]]] = []

    def do(self, operation: Operation) -> object:
        assert isinstance(operation, Configure)
        self.settings.append({name: np.ravel(value).tolist() for name, value in operation.knobs.items()})
        return super().do(operation)


def settings(overshoot: float, *parameters: dict[str, object]) -> list[dict[str, list[float]]]:
    """What reaches a rig whose stiffness is 2 V per unit, within [0 V, 5 V]."""
    knob = LinearKnob(FrozenArray(2.0 * np.eye(2)), FrozenArray(np.zeros(2)), Approach(overshoot))
    limited = tuple(Knob(item.name, item.shape, "V", Limits(0.0, 5.0)) for item in DECLARED.knobs)
    rig = type(DECLARED)(
        "bench", 2, DECLARED.ports, DECLARED.channels, limited,
        DECLARED.drive_matrix, DECLARED.position_matrix, DECLARED.velocity_matrix,
    )  # fmt: skip
    backend = Asked()
    handler = stack(backend, rig, Wiring(knobs={"stiffness": knob}))
    for item in parameters:
        achieved = handler.do(Configure(item))  # type: ignore[arg-type]
        assert np.array_equal(achieved["stiffness"], item["stiffness"])  # type: ignore[call-overload]
    return backend.settings


def test_a_knob_is_turned_beyond_its_value_first_and_then_set() -> None:
    assert settings(0.5, {"stiffness": np.array([1.0, 1.5])}) == [{"stiffness": [2.5, 3.5]}, {"stiffness": [2.0, 3.0]}]


def test_from_below_where_the_sign_says_so() -> None:
    assert settings(-0.5, {"stiffness": np.array([1.0, 1.5])})[0] == {"stiffness": [1.5, 2.5]}


def test_other_knobs_are_set_once_together_with_it() -> None:
    both = settings(0.5, {"stiffness": np.array([1.0, 1.5]), "cubic": np.array([0.2, 0.1])})
    assert both == [{"stiffness": [2.5, 3.5]}, {"stiffness": [2.0, 3.0], "cubic": [0.2, 0.1]}]


def test_it_stays_within_the_limits_on_its_way() -> None:
    assert settings(0.5, {"stiffness": np.array([2.4, 1.0])})[0] == {"stiffness": [5.0, 2.5]}


def test_a_value_beyond_the_limits_is_refused_before_anything_is_turned() -> None:
    with pytest.raises(LimitError, match="nothing was sent"):
        settings(-0.5, {"stiffness": np.array([2.6, 1.0])})


def test_a_knob_without_an_overshoot_is_set_once_and_brings_no_layer() -> None:
    assert settings(0.0, {"stiffness": np.array([1.0, 1.5])}) == [{"stiffness": [2.0, 3.0]}]


CONFIG = """
model:
  oscillators: 2
  coupling: chain
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: [1.0, 1.3]
    coupling: {value: 0.5, train: true}
    input: [[0.7], [0.0]]
  readout: {channels: [q2]}
rig: "sim:config.yaml"
imperfections: {hysteresis: 0.04}
MAP
protocol: {rule: rhel, record: none}
optimizer: {kind: adam, steps: 1}
data:
  teacher:
    parameters: {coupling: 0.6}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 8, seed: 3}
    samples: 40
    spacing: 0.2
    sequences: 1
"""


def experiment(folder: Path, approach: str) -> Experiment:
    (folder / "config.yaml").write_text(CONFIG.replace("MAP", approach), encoding="utf-8")
    return load_experiment(folder / "config.yaml")


def from_both_sides(found: Experiment) -> tuple[float, float]:
    """What the coupling really is when it is set to 0.5 from below, and from above."""
    assert isinstance(found.rig, SimulatedRig)
    handler, real = found.executor(), []
    for before in (0.3, 0.7):
        for value in (before, 0.5):
            handler.do(Configure({"coupling": np.array([value])}))
        real.append(float(found.rig.true_parameters()["coupling"][0]))
    return real[0], real[1]


def test_an_overshoot_takes_the_hysteresis_out_of_a_knob(tmp_path: Path) -> None:
    below, above = from_both_sides(experiment(tmp_path, ""))
    assert above - below == pytest.approx(0.04 * 0.5)  # the width of the backlash
    overshot = experiment(tmp_path, "map: {parameters: {coupling: {approach: {overshoot: 0.03}}}}")
    assert str(overshot.executor()).split(" -> ")[-2] == ORDER[-1] == "approach"
    below, above = from_both_sides(overshot)
    assert above == below == pytest.approx(0.5 + 0.02 * 0.5)


def test_too_small_an_overshoot_takes_out_as_much_as_it_is_long(tmp_path: Path) -> None:
    small = experiment(tmp_path, "map: {parameters: {coupling: {approach: {overshoot: 0.015}}}}")
    below, above = from_both_sides(small)
    assert above - below == pytest.approx(0.04 * 0.5 - 0.015)
