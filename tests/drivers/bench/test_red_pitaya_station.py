"""One box as a whole bench: the station red_pitaya, over a real socket, generators, inputs and levels at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from labrhel import plugins, session
from labrhel.config.station import load_station
from labrhel.errors import ConfigurationError, LimitError
from labrhel.experiment import Experiment, load_experiment
from labrhel.learning.checking import compare
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.testing.benches import gradient, shoot
from simbackend.virtual_bench import Bench, station_text, virtual_bench
from simbackend.virtual_bench.station.spec import STATIONS

BESIDE_A_GENERATOR = """
model: MODEL
ring_down: 5ms
instruments:
  awg: {kind: keysight_33600}
  pitaya: {kind: red_pitaya, noise: 0.3mV}
leads:
  - {wire: awg.ch1, to: f1, gain: 0.01}
  - {wire: FORCE, to: f2, gain: 0.01}
  - {wire: awg.trigger_out, to: pitaya.trigger_in, delay: 10ns}
  - {wire: q1, to: pitaya.in1, gain: 2.0, reach: 1.0}
  - {wire: q2, to: pitaya.in2, gain: 2.0, reach: 1.0}
  - {wire: pitaya.aout0, to: "stiffness[0]", at_zero: 0.009, per_volt: 0.002}
  - {wire: pitaya.aout1, to: "stiffness[1]", at_zero: 0.009, per_volt: 0.002}
  - {wire: pitaya.aout2, to: "coupling[0]", at_zero: 0.0, per_volt: 0.003}
"""


@contextmanager
def opened(
    folder: Path, *changes: tuple[str, str], steps: int | None = None, name: str | Path = "red_pitaya"
) -> Iterator[tuple[Bench, Experiment]]:
    with virtual_bench(name) as bench:
        text = station_text(bench)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = folder / "station.yaml"
        file.write_text(text, encoding="utf-8")
        experiment = load_experiment("red_pitaya", rig_url=f"bench:{file}", steps=steps)
        try:
            yield bench, experiment
        finally:
            experiment.rig.close()


def drive(experiment: Experiment, ports: dict[str, float], steps: int = 300) -> ShotProgram:
    dt = experiment.task.step
    shape = np.sin(0.08 * dt * np.arange(steps)) * np.hanning(steps)
    roles = {"u1": Role.INPUT, "f1": Role.NUDGE, "f2": Role.NUDGE}
    drives = tuple(Drive(port, Waveform.of(size * shape, dt), roles[port]) for port, size in ports.items())
    return ShotProgram(dt, Rest(), (Pass(steps, drives, Acquire(("q1", "q2"))),))


def positions(experiment: Experiment, ports: dict[str, float]) -> np.ndarray:
    traces = shoot(experiment, drive(experiment, ports)).last.traces
    return np.stack([traces[name].values[0] for name in ("q1", "q2")])


def outputs(bench: Bench) -> list[float]:
    with bench.clock.lock:
        now = bench.clock.now()
        return [float(bench.world.output(f"pitaya.ch{number}").at(now)) for number in (1, 2)]


def check_gradient(experiment: Experiment) -> None:
    found = gradient(experiment)
    problem = experiment.problem
    theta = problem.theta(problem.parameters.flat())
    knobs = experiment.wiring.to_knobs({name: theta[name] for name in ("stiffness", "coupling")})
    achieved = theta | experiment.wiring.to_parameters(experiment.rig.configure(knobs))
    exact = plugins.exact_gradient(experiment.model_kind)
    loss, expected = exact(problem.task, problem.train, achieved)
    assert found.loss == pytest.approx(loss, rel=0.02)
    for name in ("stiffness", "coupling"):
        cosine, error = compare(found.values[name].ravel(), expected[name].ravel())
        print(f"{name}: cosine {cosine:.6f}, error {error:.3f}")
        assert cosine > 0.9999 and error < 0.03
    assert found.retrace_error < 0.02


@pytest.mark.slow
def test_the_gradient_over_the_wire_is_the_exact_one(tmp_path: Path) -> None:
    with opened(tmp_path) as (bench, experiment):
        check_gradient(experiment)
        assert outputs(bench) == [0.0, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize("force", ["awg.ch2", "pitaya.ch2"])
def test_beside_a_generator_that_triggers_it(tmp_path: Path, force: str) -> None:
    text = BESIDE_A_GENERATOR.replace("MODEL", str(STATIONS / "red_pitaya_rig" / "model.yaml")).replace("FORCE", force)
    (tmp_path / "bench.yaml").write_text(text, encoding="utf-8")
    with opened(tmp_path, name=tmp_path / "bench.yaml") as (_, experiment):
        trigger = load_station(tmp_path / "station.yaml").station.rig.trigger
        assert trigger.fired_by == "awg" and trigger.seen_by["pitaya"].terminal == "external"
        check_gradient(experiment)


@pytest.mark.slow
def test_it_trains(tmp_path: Path) -> None:
    with opened(tmp_path, steps=6) as (bench, experiment):
        over_the_wire = session.start(experiment, tmp_path / "runs", lambda published: None)
        assert outputs(bench) == [0.0, 0.0]
    simulated = session.start(load_experiment("red_pitaya", steps=6), tmp_path / "sim", lambda published: None)
    before, after = over_the_wire.losses[0], over_the_wire.losses[-1]
    assert after < 0.8 * before
    assert after == pytest.approx(simulated.losses[-1], rel=0.05)


def test_ports_that_share_an_output_are_added(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, experiment):
        both = positions(experiment, {"u1": 0.003, "f1": 0.002, "f2": 0.001})
        one = positions(experiment, {"f1": 0.005, "f2": 0.001})
        assert np.ptp(both[0]) > 0.2
        assert np.abs(both - one).max() < 5e-3  # V; 0.3 mV of noise, a code of the output
        with pytest.raises(LimitError, match=r"pitaya\.ch1 would get .* nothing was sent"):
            positions(experiment, {"u1": 0.015, "f1": 0.015})


def test_shots_repeat_although_the_trigger_falls_between_samples_by_chance(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, experiment):
        shots = [positions(experiment, {"u1": 0.005}) for _ in range(5)]
    assert np.ptp(shots[0]) > 0.3
    assert max(np.abs(other - shots[0]).max() for other in shots) < 4e-3


def test_the_station_file_names_its_own_generators_as_the_trigger(tmp_path: Path) -> None:
    with opened(tmp_path):
        rig = load_station(tmp_path / "station.yaml").station.rig
        assert rig.trigger.fired_by == "pitaya" and rig.trigger.seen_by["pitaya"].terminal == "generator"
        assert rig.ports["u1"].terminal == rig.ports["f1"].terminal == "pitaya.ch1"
        assert rig.knobs["stiffness"].limits == [0.0, 1.8]


def test_ports_that_share_an_output_have_one_safe_voltage(tmp_path: Path) -> None:
    change = ("    u1:\n      terminal: pitaya.ch1\n", "    u1:\n      terminal: pitaya.ch1\n      safe: 0.5\n")
    with pytest.raises(ConfigurationError, match=r"share pitaya\.ch1") as caught, opened(tmp_path, change):
        pass
    assert "station.yaml" in str(caught.value)
