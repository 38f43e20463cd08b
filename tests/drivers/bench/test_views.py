"""Fewer inputs than channels, and clocks that nobody shares: what a bench rig makes of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.experiment import Experiment, load_experiment
from labrhel.learning.checking import compare
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.testing.benches import gradient, shoot
from simbackend.virtual_bench import Bench, station_text, virtual_bench

CONFIG = """
model:
  oscillators: 2
  coupling: chain
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: [1.0, 1.3]
    cubic: 0.2
    coupling: {value: 0.15, train: true}
    input: [[1.0], [0.0]]
  readout: {channels: [q2]}
rig: "sim:"
protocol: {rule: rhel, record: none}
optimizer: {kind: adam, steps: 1}
data:
  teacher:
    parameters: {coupling: 0.25}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 8, seed: 3}
    samples: 100
    spacing: 0.2
    sequences: 1
  substeps: 4
  skip: 10
"""
BENCH = """
model: config.yaml
ring_down: 60ms
instruments:
  awg1: {kind: keysight_33600}
  awg2: {kind: keysight_33600}
  scope: {kind: rigol_ds1000z, noise: 1mV, clock_error: CLOCK}
  bias: {kind: qdac2}
leads:
  - {wire: awg1.ch1, to: u1}
  - {wire: awg1.ch2, to: f1}
  - {wire: awg2.ch1, to: f2}
  - {wire: awg1.trigger_out, to: awg2.trigger_in, delay: 5ns}
  - {wire: awg1.sync, to: scope.ch4}
  - {wire: bias.ch1, to: "coupling[0]", per_volt: 0.2}
"""
APART = """
  - {wire: q1, to: scope.ch1, reach: 4}
  - {wire: q2, to: scope.ch2, reach: 4}
"""
SWITCHED = """
  - {wire: q1, to: scope.ch1, reach: 4, when: {bias.ch3: 0}}
  - {wire: q2, to: scope.ch1, reach: 4, when: {bias.ch3: 5}}
"""


@contextmanager
def bench(folder: Path, leads: str, clock: float = 0.0, old: str = "", new: str = "") -> Iterator[tuple[Bench, str]]:
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    file = folder / "bench.yaml"
    file.write_text((BENCH + leads).replace("CLOCK", str(clock)), encoding="utf-8")
    with virtual_bench(file) as started:
        text = station_text(started)
        assert old in text
        (station := folder / "station.yaml").write_text(text.replace(old, new), encoding="utf-8")
        yield started, f"bench:{station}"


@contextmanager
def opened(folder: Path, url: str) -> Iterator[Experiment]:
    experiment = load_experiment(folder / "config.yaml", rig_url=url)
    try:
        yield experiment
    finally:
        experiment.rig.close()


def seen(experiment: Experiment, steps: int) -> np.ndarray:
    """Both positions under a drive that never repeats."""
    dt = experiment.task.step
    t = dt * np.arange(steps)
    wave = Waveform.of(0.3 * np.sin(1.1 * t) + 0.2 * np.sin(1.7 * t + 0.3), dt)
    program = ShotProgram(dt, Rest(), (Pass(steps, (Drive("u1", wave, Role.INPUT),), Acquire(("q1", "q2"))),))
    traces = shoot(experiment, program).last.traces
    return np.stack([traces[name].values[0] for name in ("q1", "q2")])


def test_a_shot_is_repeated_until_all_channels_of_a_switched_input_are_seen(tmp_path: Path) -> None:
    with bench(tmp_path, APART) as (_, url), opened(tmp_path, url) as experiment:
        right, one = seen(experiment, 300), gradient(experiment)
    with bench(tmp_path, SWITCHED) as (started, url), opened(tmp_path, url) as experiment:
        found, other = seen(experiment, 300), gradient(experiment)
        with started.clock.lock:
            assert started.world.pulses("awg1.trigger_out")
    assert np.abs(right[0] - right[1]).max() > 0.3
    assert np.abs(found - right).max() < 0.02  # 8 bits over 8 V, and 1 mV of noise
    assert other.passes == 2 * one.passes
    cosine, _ = compare(other.values["coupling"], one.values["coupling"])
    assert cosine > 0.999
    assert np.linalg.norm(other.values["coupling"]) == pytest.approx(np.linalg.norm(one.values["coupling"]), rel=0.05)


@pytest.mark.parametrize(
    ("leads", "old", "new", "words"),
    [
        (SWITCHED, "bias.ch3: 5.0", "bias.ch3: 0.0", "q1 and q2 share scope.ch1"),
        (SWITCHED, "bias.ch3: 5.0", "bias.ch3: 50.0", "reaches"),
        (SWITCHED, "bias.ch3: 5.0", "scope.ch3: 5.0", "not a source of levels"),
        (APART, "terminal: scope.ch2", "terminal: scope.ch4", "sees the trigger"),
        (APART, "terminal: ch4,", "terminal: external,", "there is no terminal scope.external"),
        (APART, "ring_down:", "safe_order: [[bias, awg3]]\n  ring_down:", "there is no instrument 'awg3'"),
    ],
)
def test_what_cannot_be_seen_so_is_refused(tmp_path: Path, leads: str, old: str, new: str, words: str) -> None:
    with (
        pytest.raises(ConfigurationError, match=words) as caught,
        bench(tmp_path, leads, old=old, new=new) as (_, url),
        opened(tmp_path, url),
    ):
        pass
    assert "station.yaml" in str(caught.value)


def test_a_fiducial_corrects_the_clock_of_an_oscilloscope(tmp_path: Path) -> None:
    steps, found = 8000, {}
    for name, clock, old, new in (
        ("right", 0.0, "", ""),
        ("with", 2e-4, "", ""),
        ("without", 2e-4, "fiducial: true", "fiducial: false"),
    ):
        with bench(tmp_path, APART, clock, old, new) as (_, url), opened(tmp_path, url) as experiment:
            found[name] = seen(experiment, steps)
    misses = {name: np.abs(found[name] - found["right"])[:, -500:].max() for name in ("with", "without")}
    print(misses)
    assert misses["without"] > 3 * misses["with"]
    assert misses["with"] < 0.04  # 8 bits over 8 V, and 1 mV of noise, twice


def test_instruments_are_made_safe_in_the_order_that_the_station_asks_for(tmp_path: Path) -> None:
    order = "safe_order: [[bias], [awg2]]\n  ring_down:"
    with bench(tmp_path, APART, old="ring_down:", new=order) as (_, url), opened(tmp_path, url) as experiment:
        groups = experiment.rig._in_safe_order()  # pyright: ignore[reportAttributeAccessIssue]
        assert [sorted(item.name for item in group) for group in groups] == [["bias"], ["awg2"], ["awg1", "scope"], []]
