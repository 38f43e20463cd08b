"""A bench that is invented for a configuration: it is complete, its scales fit the motion, and it can be trained on."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labrhel.config.station import load_station
from labrhel.errors import ConfigurationError
from labrhel.executor import execute
from labrhel.experiment import load_experiment
from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import SMALL
from labrhel.testing.waiting import PATIENCE
from simbackend.virtual_bench import check_file, invents, next_commands, station_text, virtual_bench
from simbackend.virtual_bench.station.invented import _round_up
from simbackend.virtual_bench.station.spec import load

RING = """\
model:
  oscillators: 10
  coupling: ring
  units: {time: us, position: mV, input: mA}
  parameters:
    stiffness: {value: 1.0, train: true}
    friction: 0.02
    coupling: {value: 0.15, train: true, bounds: [0, 1]}
    input: [[30.0], [0], [0], [0], [0], [0], [0], [0], [0], [0]]
  readout: {channels: [q4]}
data:
  teacher:
    parameters: {coupling: [0.3, 0.05, 0.22, 0.1, 0.02, 0.25, 0.08, 0.18, 0.12, 0.28]}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 8, seed: 3}
    samples: 60
    spacing: 0.25
    sequences: 1
  substeps: 4
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text)
    return file


def test_a_ring_of_ten_gets_an_output_for_each_port_an_input_for_each_position_and_a_level_for_each_entry(
    tmp_path: Path,
) -> None:
    file = written(tmp_path, RING)
    assert invents(file)
    check_file(file)
    with virtual_bench(file) as bench:
        (tmp_path / "station.yaml").write_text(station_text(bench))
    rig = load_station(tmp_path / "station.yaml").station.rig
    assert set(rig.ports) == {"u1", *(f"f{number}" for number in range(1, 11))}
    assert set(rig.channels) == {f"q{number}" for number in range(1, 11)}
    assert {name: len(knob.terminals) for name, knob in rig.knobs.items()} == {"stiffness": 10, "coupling": 10}
    everything = [item.terminal for item in (*rig.ports.values(), *rig.channels.values())]
    everything += [terminal for knob in rig.knobs.values() for terminal in knob.terminals]
    assert len(set(everything)) == len(everything)


def test_the_gradient_on_it_is_that_of_the_simulated_rig(tmp_path: Path) -> None:
    text = RING.replace("stiffness: {value: 1.0, train: true}", "stiffness: 1.0").replace(
        "oscillators: 10", "oscillators: 3"
    )
    text = text.replace("[[30.0], [0], [0], [0], [0], [0], [0], [0], [0], [0]]", "[[30.0], [0], [0]]")
    text = text.replace("[0.3, 0.05, 0.22, 0.1, 0.02, 0.25, 0.08, 0.18, 0.12, 0.28]", "[0.3, 0.05, 0.22]")
    file = written(tmp_path, text.replace("q4", "q2"))
    found = []
    with virtual_bench(file) as bench:
        (tmp_path / "station.yaml").write_text(station_text(bench))
        for url in ("sim:", "bench:station.yaml"):
            experiment = load_experiment(file, rig_url=url)
            try:
                problem = experiment.problem
                gradient = execute(problem.gradient(problem.parameters.flat(), problem.train), experiment.executor())
            finally:
                experiment.rig.close()
            found.append(gradient.values["coupling"])
            assert (gradient.retrace_error or 0.0) < 0.03
    simulated, measured = found
    assert np.linalg.norm(measured - simulated) < 0.1 * np.linalg.norm(simulated)


def test_outputs_and_inputs_have_room_for_the_motion_and_not_much_more(tmp_path: Path) -> None:
    spec, _ = load(written(tmp_path, RING))
    gains = {lead.to if lead.wire.startswith("awg") else lead.wire: lead.gain for lead in spec.leads if lead.gain}
    experiment = load_experiment(tmp_path / "mine.yaml", rig_url="sim:")
    largest = max(np.abs(item.inputs["u1"].samples.values).max() for item in experiment.problem.train)
    assert largest <= 5 * gains["u1"] <= 2.5 * largest
    assert gains["f1"] * 5 > 30 * largest  # what reaches the first oscillator, in the unit of forces
    assert gains["q1"] > gains["q6"] > 0.1 * gains["q1"]


def test_a_configuration_whose_kicks_are_too_coarse_for_a_bench_is_run_with_finer_ones(tmp_path: Path) -> None:
    file = str(written(tmp_path, RING))
    assert next_commands(file, "bench:s.yaml")[0] == f"labrhel run {file} --rig bench:s.yaml"
    written(tmp_path, RING.replace("substeps: 4", "substeps: 1"))
    run, calibrate = next_commands(file, "bench:s.yaml")
    assert run == f"labrhel run {file} --rig bench:s.yaml --set data.substeps=2"
    assert calibrate == f"labrhel calibrate bench:s.yaml --config {file} --accept --set data.substeps=2"


@pytest.mark.parametrize(
    ("value", "one", "two"), [(0.0, 1, 1), (1.0, 1, 1), (1.01, 2, 1.1), (0.0021, 0.005, 0.0021), (99.5, 100, 100)]
)
def test_scales_are_round_numbers(value: float, one: float, two: float) -> None:
    assert (_round_up(value), _round_up(value, digits=2)) == (one, two)


def test_a_configuration_without_data_says_that_it_needs_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="data"):
        virtual_bench(written(tmp_path, RING[: RING.index("data:")]))


def test_the_command_writes_the_station_beside_and_overwrites_nobodys_file(tmp_path: Path) -> None:
    shell, beside = Shell(tmp_path), tmp_path / "mine_station.yaml"
    written(tmp_path, SMALL)
    beside.write_text("instruments: {}\n")
    status, _, errors = shell("bench", "up", "mine.yaml")
    assert status == 2
    assert "mine_station.yaml is there, and not of a virtual bench; say where to write with --write FILE" in errors
    assert beside.read_text() == "instruments: {}\n"


def test_the_command_keeps_the_bench_up_and_says_what_comes_next(tmp_path: Path) -> None:
    file = written(tmp_path, SMALL.replace("substeps: 1", "substeps: 8"))
    command = [sys.executable, "-m", "labrhel", "bench", "up", "mine.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            lines = []
            while not lines or "labrhel calibrate" not in lines[-1]:
                lines.append(running.stdout.readline())
                assert lines[-1], "it has ended"
            assert lines[-3:] == [
                "station   mine_station.yaml\n",
                "next      labrhel run mine.yaml --rig bench:mine_station.yaml\n",
                "next      labrhel calibrate bench:mine_station.yaml --config mine.yaml --accept\n",
            ]
            load_experiment(file, rig_url="bench:mine_station.yaml").rig.close()
        finally:
            running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 0
