"""Knobs with backlash on a bench: from which side they come, also back from where they are safe."""

from pathlib import Path

import numpy as np
import pytest

from drivers.bench.rig import BenchRig
from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment
from labrhel.shots.operations import Configure, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.virtual_bench import station_text, virtual_bench

CONFIG = """
model:
  oscillators: 2
  coupling: chain
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: [1.0, 1.3]
    coupling: {value: 0.5, train: true}
    input: [[1.0], [0.0]]
  readout: {channels: [q2]}
rig: "sim:"
imperfections: {hysteresis: 0.2}
protocol: {rule: finite_differences}
optimizer: {kind: adam, steps: 1}
data:
  teacher:
    parameters: {coupling: 0.6}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 8, seed: 3}
    samples: 100
    spacing: 0.2
    sequences: 1
"""
BENCH = """
model: config.yaml
ring_down: 60ms
instruments:
  awg1: {kind: keysight_33600}
  scope: {kind: rigol_ds1000z, noise: 0.2mV}
  bias: {kind: qdac2}
leads:
  - {wire: awg1.ch1, to: u1}
  - {wire: awg1.ch2, to: f1}
  - {wire: awg1.sync, to: scope.ch4}
  - {wire: bias.ch1, to: "coupling[0]", per_volt: 0.2}
  - {wire: q1, to: scope.ch1, reach: 4}
  - {wire: q2, to: scope.ch2, reach: 4}
"""


def answers(folder: Path, approach: str) -> list[np.ndarray]:
    """What the second oscillator shows when the coupling was set to 0.5 from below, from above, and after a stop."""
    (folder / "config.yaml").write_text(CONFIG.replace("imperfections: {hysteresis: 0.2}\n", ""), encoding="utf-8")
    (folder / "device.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "bench.yaml").write_text(BENCH.replace("config.yaml", "device.yaml"), encoding="utf-8")
    with virtual_bench(folder / "bench.yaml") as bench:
        text = station_text(bench)
        assert "      per_volt: 0.2\n" in text
        (file := folder / "station.yaml").write_text(
            text.replace("      per_volt: 0.2\n", f"      per_volt: 0.2\n{approach}"), encoding="utf-8"
        )
        experiment = load_experiment(folder / "config.yaml", rig_url=f"bench:{file}")
        assert isinstance(experiment.rig, BenchRig)
        dt, steps = experiment.task.step, 120
        wave = Waveform.of(0.5 * np.sin(0.7 * dt * np.arange(steps)), dt)
        program = ShotProgram(dt, Rest(), (Pass(steps, (Drive("u1", wave, Role.INPUT),), Acquire(("q2",))),))
        handler, found = experiment.executor(), []

        def fire() -> None:
            (capture,) = handler.do(RunShots((program,)))
            found.append(capture.last.traces["q2"].values[0])

        try:
            for before in (0.2, 0.8):
                for value in (before, 0.5):
                    handler.do(Configure({"coupling": np.array([value])}))
                fire()
            experiment.rig.make_safe()
            fire()
        finally:
            experiment.rig.close()
    return found


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2) / np.mean(other**2)))


def test_a_knob_that_overshoots_is_the_same_from_wherever_it_comes(tmp_path: Path) -> None:
    below, above, back = answers(tmp_path, "")
    overshot = answers(tmp_path, "      approach: {overshoot: 0.6 V}\n")  # the backlash is 0.2 * 0.5 / 0.2 = 0.5 V wide
    print(f"apart by side: {apart(below, above):.4f} without, {apart(overshot[0], overshot[1]):.4f} with an overshoot")
    assert apart(below, above) > 0.03
    assert apart(overshot[0], overshot[1]) < 0.1 * apart(below, above)
    assert apart(back, above) > 0.03  # it comes back from 0 V
    assert apart(overshot[2], overshot[1]) < 0.1 * apart(below, above)
    assert apart(overshot[0], above) < 0.1 * apart(below, above)  # a positive overshoot comes from above


def test_a_voltage_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="overshoot"):
        answers(tmp_path, "      approach: {overshoot: much}\n")
