"""Circuits in ngspice: they move as circuits do, keep the contract of a rig, and give their own gradient."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labrhel
from labrhel import plugins
from labrhel.config import examples
from labrhel.conformance import Outcome, Subject, judge
from labrhel.errors import ConfigurationError, InstrumentError, LimitError
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.spice import transient
from simbackend.spice.deck import Part, started
from simbackend.spice.rig import SpiceRig
from simbackend.spice.transient import Simulator

pytestmark = pytest.mark.needs("ngspice")

LOOP = """\
One loop: 1 mH, 1 nF
Vin n1 m1 0
V1 m1 0 0
L1 n1 a1 1m
R1 a1 b1 20
C1 b1 0 1n ic=3
.end
"""
MAPPING = """\
ring_down: 800us
ports:
  u1: {source: Vin, limits: [-2, 2]}
  f1: {source: V1, force: 1, gain: 0.5, limits: [-5, 5]}
channels:
  q1: {reads: v(b1), position: 1, gain: 0.5}
  v1: {reads: i(L1), velocity: 1, gain: 500}
knobs:
  mass: {components: [L1], per: 1e-3, limits: [1e-4, 1e-1], tolerance: 5%}
flips: [L1]
"""
# The position is half of the volts, so that both sides of L C q'' + R C q' + q = u/2 are halves.
NOMINAL: dict[str, Any] = {"mass": 1.0, "stiffness": 1.0, "friction": 0.02, "input": [[0.5]]}


def model() -> OscillatorNetwork:
    return OscillatorNetwork(1, nominal=NOMINAL, position_unit="V", input_unit="V", time_unit=1e-6)


def circuit(folder: Path, netlist: str = LOOP, mapping: str = MAPPING) -> Path:
    (folder / "loop.cir").write_text(netlist)
    (folder / "loop.yaml").write_text(mapping.replace("gain: 0.5,", "gain: 0.5,"))
    return folder


def opened(folder: Path, url: str = "spice:loop.cir") -> SpiceRig:
    rig = plugins.open_rig(url, model(), folder)
    assert isinstance(rig, SpiceRig)
    return rig


@pytest.mark.slow
def test_a_circuit_keeps_the_contract_of_a_rig(tmp_path: Path) -> None:
    folder = circuit(tmp_path)
    with Subject(lambda: opened(folder), model(), step=0.1, wiring=opened(folder).wiring) as subject:
        results = list(judge(subject))
    assert [result for result in results if result.outcome is Outcome.FAILED] == []
    assert sum(result.outcome is Outcome.PASSED for result in results) > 60


@pytest.mark.slow
def test_a_locked_echo_gives_the_gradient_of_the_circuit_as_it_is(tmp_path: Path) -> None:
    text = examples()["spice_ladder"].read_text()
    text = text.replace("samples: 300", "samples: 200").replace("sequences: 2", "sequences: 1")
    circuits = examples()["spice_ladder"].parent / "spice"
    for file in ("ladder.cir", "ladder.yaml"):
        (tmp_path / file).write_text((circuits / file).read_text())
    gradients = {}
    for rule in ("{rule: rhel, lock: 6}", "{rule: finite_differences}"):
        file = tmp_path / "run.yaml"
        file.write_text(text.replace("spice/ladder.cir", "ladder.cir").replace("{rule: rhel, lock: 6}", rule))
        with labrhel.load_experiment(file) as experiment:
            values = experiment.gradient().values
            gradients[rule] = np.concatenate([np.ravel(values[name]) for name in ("coupling", "stiffness")])
    echo, differences = gradients.values()
    assert echo @ differences / np.linalg.norm(echo) / np.linalg.norm(differences) > 0.9999
    assert np.linalg.norm(echo - differences) < 0.01 * np.linalg.norm(differences)


def test_parts_with_a_tolerance_are_drawn_by_the_seed(tmp_path: Path) -> None:
    folder = circuit(tmp_path)
    card = {url: opened(folder, url)._parts["l1"].off for url in ("spice:loop.cir", "spice:loop.cir?seed=3")}
    assert card["spice:loop.cir"] == 1.0
    assert 0.8 < card["spice:loop.cir?seed=3"] < 1.2 and card["spice:loop.cir?seed=3"] != 1.0


def test_a_knob_is_turned_within_its_limits_or_not_at_all(tmp_path: Path) -> None:
    rig = opened(circuit(tmp_path))
    assert rig.configure({"mass": np.array([2e-3])})["mass"] == [2e-3]
    with pytest.raises(LimitError, match="mass"):
        rig.configure({"mass": np.array([1.0])})
    assert rig.read(["mass"])["mass"] == [2e-3]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("source: Vin", "source: Vout", "has no V or I called 'Vout'"),
        ("components: [L1]", "components: [L2]", "has no R or L or C called 'L2'"),
        ("position: 1, gain: 0.5", "gain: 0.5", "the position or the velocity of one oscillator"),
        ("velocity: 1", "velocity: 2", "the model has 1 oscillators, and no number 2"),
        ("reads: v(b1)", "reads: v(b1)+1", "reads is v"),
        ("reads: v(b1)", "reads: power", "reads is v"),
        ("limits: [-2, 2]", "limits: [1, 2]", "rest is 0"),
        ("flips: [L1]", "flips: [R1]", "has no C or L called 'R1'"),
        ("ring_down", "ringdown", "did you mean 'ring_down'"),
    ],
)
def test_a_mapping_that_is_wrong_is_one_sentence_with_its_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    folder = circuit(tmp_path, mapping=MAPPING.replace(old, new))
    with pytest.raises(ConfigurationError, match=words.replace("(", r"\(")) as error:
        opened(folder)
    assert "loop.yaml" in str(error.value) and "\n" not in str(error.value)


def test_what_a_subcircuit_remembers_cannot_be_flipped(tmp_path: Path) -> None:
    inner = LOOP.replace("C1 b1 0 1n ic=3", "X1 b1 0 inner\n.subckt inner a b\nC7 a b 1n\n.ends")
    with pytest.raises(ConfigurationError, match="what C7 remembers"):
        opened(circuit(tmp_path, inner))


def test_a_circuit_that_ngspice_cannot_solve_says_why() -> None:
    with pytest.raises(InstrumentError, match="ngspice"):
        Simulator().run(["V1 a 0 1", "V2 a 0 2", ".save v(a)", ".tran 1u 1m 0 1u uic"])


def test_a_stop_ends_the_simulation_that_runs() -> None:
    simulator, found = Simulator(), []

    def simulate() -> None:
        try:
            simulator.run(["V1 a 0 1", "R1 a 0 1", ".save v(a)", ".tran 1n 1 0 1n uic"])
        except InstrumentError as error:
            found.append(str(error))

    thread = threading.Thread(target=simulate)
    thread.start()
    while not simulator._running and thread.is_alive():
        time.sleep(0.01)
    simulator.stop()
    thread.join(timeout=60)
    assert found == ["the simulation was stopped"]


def test_without_ngspice_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transient.shutil, "which", lambda _: None)
    with pytest.raises(InstrumentError, match="apt install ngspice"):
        Simulator()


def test_the_gangs_of_a_potentiometer_turn_together(tmp_path: Path) -> None:
    ganged = MAPPING.replace("components: [L1]", "components: [[R1, R2]]").replace("mass:", "friction:")
    netlist = LOOP.replace("R1 a1 b1 20", "R1 a1 c1 20\nR2 c1 b1 20")
    rig = opened(circuit(tmp_path, netlist, ganged.replace("[1e-4, 1e-1]", "[1, 1e3]")))
    assert rig.read(["friction"])["friction"] == [20.0]
    rig.configure({"friction": np.array([30.0])})
    assert dict(rig._component_values()) == {"r1": 30.0, "r2": 30.0}
    with pytest.raises(ConfigurationError, match="gangs the same"):
        opened(circuit(tmp_path, netlist.replace("c1 b1 20", "c1 b1 21"), ganged))


@pytest.mark.parametrize(
    ("value", "number"), [("1k", 1e3), ("1Meg", 1e6), ("2.2uF", 2.2e-6), ("1a", 1e-18), ("1e-9", 1e-9)]
)
def test_values_have_the_suffixes_of_ngspice(value: str, number: float) -> None:
    assert Part(("C1", "a", "b", value)).nominal == pytest.approx(number)


@pytest.mark.parametrize("start", ["ic=3", "IC = 3", "ic = { 0.5 }", "ic={v0}"])
def test_the_start_of_a_netlist_gives_way_to_that_of_a_pass(start: str) -> None:
    assert started(f"C1 a b 1n {start}", 0.25) == "C1 a b 1n ic=0.25"
