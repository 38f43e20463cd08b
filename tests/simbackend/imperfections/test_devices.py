"""One seed is one device, permanently; its life goes on from shot to shot and from run to run."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Pass, Rest, ShotProgram
from simbackend.imperfections import Drift, ForceNoise, Imperfections, Life, Mismatch, PathErrors, state_file
from simbackend.imperfections.drift import DriftingParts
from simbackend.rigs.reference import reference_rig
from simbackend.rigs.simulated import SimulatedRig
from simbackend.rigs.urls import open_rig

MODEL = reference_rig().model
PROGRAM = ShotProgram(0.1, Rest(), (Pass(20, acquire=Acquire(("q1",))),))


def device(seed: int, **errors: Any) -> SimulatedRig:
    return SimulatedRig(MODEL, imperfections=Imperfections(seed=seed, **errors))


def values(rig: SimulatedRig, count: int = 1) -> np.ndarray:
    return np.array(
        [item.last.traces["q1"].values[0] for item in rig.run([compile(PROGRAM, rig.capabilities)] * count)]
    )


def test_seed_seven_is_the_same_device_for_ever() -> None:
    rig = device(7, mismatch=Mismatch(0.05), ports=PathErrors(gain=0.01, skew=0.1))
    true = rig.true_parameters()
    text = " ".join(f"{x:.9e}" for name in ("mass", "stiffness", "cubic", "coupling") for x in true[name])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "1b38308596d98db1"
    assert true["mass"][0] == pytest.approx(1.0595443407191512, rel=1e-12)


def test_other_seeds_are_other_devices() -> None:
    parts = [device(seed, mismatch=Mismatch(0.05)).true_parameters()["mass"] for seed in range(5)]
    assert len({part.tobytes() for part in parts}) == 5


def test_what_a_seed_has_drawn_does_not_change_when_something_else_is_switched_on() -> None:
    alone = device(7, mismatch=Mismatch(0.05)).true_parameters()
    among = device(7, mismatch=Mismatch(0.05), noise=0.1, ports=PathErrors(gain=0.1), force=ForceNoise(0.1))
    assert all(np.array_equal(alone[name], value) for name, value in among.true_parameters().items())


def test_noise_depends_on_the_seed_and_the_shot_and_not_on_the_batch() -> None:
    together = values(device(3, noise=0.01, force=ForceNoise(0.01)), 4)
    one_by_one = device(3, noise=0.01, force=ForceNoise(0.01))
    assert np.array_equal(together, np.concatenate([values(one_by_one) for _ in range(4)]))
    assert len({row.tobytes() for row in together}) == 4
    assert not np.array_equal(together, values(device(4, noise=0.01, force=ForceNoise(0.01)), 4))


def test_repeats_count_as_shots_of_the_device() -> None:
    repeated = device(3, noise=0.01)
    program = ShotProgram(0.1, Rest(), PROGRAM.passes, repeats=3)
    rows = repeated.run([compile(program, repeated.capabilities)])[0].last.traces["q1"].values
    assert np.array_equal(rows, values(device(3, noise=0.01), 3))


def test_linear_drift_moves_every_part_by_its_rate_up_or_down() -> None:
    rig = device(7, drift=Drift(rate=1e-3))
    start, later = rig.true_parameters(0), rig.true_parameters(50)
    ratio = np.concatenate([later[name] / start[name] for name in ("mass", "stiffness", "coupling")])
    assert np.allclose(np.abs(ratio - 1), 0.05)
    assert 0 < (ratio > 1).sum() < ratio.size


def test_the_walk_of_a_part_has_independent_steps_of_its_size() -> None:
    parts = DriftingParts(Drift(walk=1e-3), MODEL, 7)
    path = np.array([np.concatenate(list(parts.factors(shot).values())) for shot in range(1, 400)])
    steps = np.diff(path, axis=0) / 1e-3
    assert steps.std() == pytest.approx(1.0, rel=0.05)
    assert abs(np.mean(steps[1:] * steps[:-1])) < 0.05
    again = DriftingParts(Drift(walk=1e-3), MODEL, 7)  # asked in another order, with nothing remembered
    assert np.array_equal(np.concatenate(list(again.factors(321).values())), path[320])
    far = np.array([DriftingParts(Drift(walk=1.0), MODEL, seed).factors(10_000)["mass"] - 1 for seed in range(40)])
    assert far.std() == pytest.approx(100, rel=0.15)


def test_drift_goes_on_from_run_to_run(tmp_path: Path) -> None:
    state = {"LABRHEL_STATE": str(tmp_path)}

    def opened(url: str) -> SimulatedRig:
        return open_rig(url, MODEL, tmp_path, state)

    first = opened("?seed=7&drift=10ppm")
    values(first, 30)
    first.close()
    second = opened("?seed=7&drift=10ppm")
    assert np.array_equal(second.true_parameters()["mass"], first.true_parameters(30)["mass"])
    assert np.array_equal(opened("?seed=8&drift=10ppm").true_parameters()["mass"], MODEL.mass({}))
    assert json.loads(state_file(7, state).read_text())["shots"] == 30


def test_a_rig_that_does_not_drift_keeps_no_file(tmp_path: Path) -> None:
    rig = open_rig("?seed=7&noise=0.1", MODEL, tmp_path, {"LABRHEL_STATE": str(tmp_path)})
    values(rig)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", '{"shots": -1}', '{"shots": "many"}', "[1]"])
def test_a_damaged_life_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "device-7.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match="delete it to start anew"):
        Life(file)
