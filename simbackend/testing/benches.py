"""A bench of six oscillators over real sockets, opened as a rig, and what its outputs do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from labrhel.executor import execute
from labrhel.experiment import Experiment, load_experiment
from labrhel.learning.gradient import Gradient
from labrhel.shots.capture import Capture
from labrhel.shots.compile import IDEAL_CALIBRATION, compile
from labrhel.shots.decode import decode
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.virtual_bench import Bench, station_text, virtual_bench

CONFIG = """
model:
  oscillators: 6
  coupling: all
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: [1.0, 1.3, 0.8, 1.1, 1.5, 0.9]
    cubic: 0.2
    coupling: {value: 0.15, train: true}
    input: [[1.0], [0.0], [0.0], [0.0], [0.0], [0.0]]
  readout: {channels: [q4]}
rig: "sim:"
protocol: {rule: rhel, record: none}
optimizer: {kind: adam, steps: 1}
data:
  teacher:
    parameters: {coupling: 0.25}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 8, seed: 3}
    samples: 100
    spacing: 0.2
    sequences: 2
  substeps: 4
  skip: 10
"""


@contextmanager
def bench_and_station(folder: Path) -> Iterator[tuple[Bench, Path]]:
    """A virtual bench, and its station file in `folder`."""
    with virtual_bench("coupled_oscillators") as bench:
        file = folder / "station.yaml"
        file.write_text(station_text(bench), encoding="utf-8")
        yield bench, file


@contextmanager
def opened(folder: Path, *changes: tuple[str, str], settings: str = "") -> Iterator[tuple[Bench, Experiment]]:
    """The experiment of CONFIG on a bench of its own; `changes` of the station file's text, `settings` of the URL."""
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    with bench_and_station(folder) as (bench, file):
        text = file.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)
        experiment = load_experiment(folder / "config.yaml", rig_url=f"bench:{file}{settings}")
        try:
            yield bench, experiment
        finally:
            experiment.rig.close()


def gradient(experiment: Experiment) -> Gradient:
    """The gradient of the experiment's loss at its first parameters, measured on its rig."""
    problem = experiment.problem
    x = problem.parameters.flat()
    return execute(problem.gradient(x, problem.train), experiment.executor())


def volts(bench: Bench) -> list[float]:
    """What stands on the outputs of the bench's generators [V]."""
    names = [f"awg{box}.ch{channel}" for box in (1, 2, 3, 4) for channel in (1, 2)]
    with bench.clock.lock:
        return [bench.world.volts(name) for name in names]


def drive(experiment: Experiment, amplitude: float, steps: int = 200) -> ShotProgram:
    """A shot from rest that drives the input with a sine and reads two channels."""
    dt = experiment.task.step
    wave = Waveform.of(amplitude * np.sin(1.0 * dt * np.arange(steps)), dt)
    return ShotProgram(dt, Rest(), (Pass(steps, (Drive("u1", wave, Role.INPUT),), Acquire(("q1", "q4"))),))


def shoot(experiment: Experiment, program: ShotProgram) -> Capture:
    """What the rig shows of a program, in model units; past the executor, so that the driver's own checks are met."""
    rig, wiring = experiment.rig, experiment.wiring
    (capture,) = rig.run([compile(program, rig.capabilities, wiring)])
    return decode(capture, rig.capabilities, wiring, IDEAL_CALIBRATION)
