"""Twins of random virtual rigs: do they find the truth within their error bars, and name what the model lacks?

    python -m benchmarks.twins [--rigs N]

Rigs of three oscillators, recorded while they train; friction, gains and delays that the host does not know.  Then rigs
with a term that the model of the host does not have.  And the Silverbox, from the training section of its recording:
the arrow-head section, and whether two halves of the data agree within their error bars.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

import labrhel
from benchmarks.calibration_drift import _CONFIG
from benchmarks.figure import Figure, print_table
from calibration.twin import Twin, twin, twin_of_recording
from labrhel import session
from labrhel.errors import ConfigurationError
from labrhel.experiment import Experiment, load_experiment
from labrhel.learning.train import free_run, rms_error
from labrhel.records.comparison import recorded_shots
from labrhel.store import RunReader
from simbackend.rigs.simulated import SimulatedRig


def recorded(folder: Path, seed: int, added: dict[str, list[float]]) -> tuple[Twin, Experiment]:
    """The twin of a rig of that seed, with what is `added` to its parts."""
    data = yaml.safe_load(_CONFIG.replace("STEPS", "2"))
    data["protocol"]["record"] = "all"
    data["data"] |= {"batch": 6}
    data["data"]["teacher"] |= {"sequences": 6, "test_sequences": 0}
    data["imperfections"] = {"added": added} if added else {}
    file = folder / f"rig{seed}.yaml"
    file.write_text(yaml.safe_dump(data))
    random = np.random.default_rng([seed, 5])
    friction = f"friction={random.uniform(5, 30):.3g}/s"
    url = f"sim:{file}?seed={seed}&noise=2mV&{friction}&channel_gain=2%&port_gain=2%&channel_skew=4us"
    experiment = load_experiment(file, rig_url=url)
    done = session.start(experiment, folder / "runs", lambda published: None)
    again = load_experiment(
        done.folder / "config.yaml", rig_url=f"replay:{done.folder}?mode=results",
        home=Path(RunReader(done.folder).manifest["home"]),
    )  # fmt: skip
    _, shots, asked = recorded_shots(done.folder, again)
    return twin(again, shots, asked), experiment


def within(seed: int) -> list[float]:
    """Errors of a rig of the family, in standard errors."""
    with tempfile.TemporaryDirectory() as name:
        made, experiment = recorded(Path(name), seed, {})
        rig = experiment.rig
        assert isinstance(rig, SimulatedRig)
        scale = rig.true_gain("q1")
        uniform = rig._device.errors.friction.uniform
        true = {f"{port}.gain": rig.true_gain(port) / scale for port in ("u1", "q2", "q3")}
        true |= {f"stiffness[{i}].factor": 1.0 for i in range(3)} | {f"coupling[{i}].factor": 1.0 for i in range(3)}
        true |= {f"cubic[{i}].factor": scale**2 for i in range(3)}
        true |= {f"friction[{i},{j}].added": uniform * (i == j) for i in range(3) for j in range(i, 3)}
        return [(made.values[key] - value) / made.errors[key] for key, value in true.items()]


def named(seed: int) -> tuple[str, bool]:
    """A rig outside the family: what it has, and whether the twin said so."""
    kind = ("quadratic", "quartic")[seed % 2]
    random = np.random.default_rng([seed, 6])
    strength = {"quadratic": 0.1, "quartic": 0.08}[kind]  # of the force, at one unit of position
    added = {kind: (strength * random.choice([-1, 1], 3) * random.uniform(0.7, 1.5, 3)).tolist()}
    with tempfile.TemporaryDirectory() as name:
        made, _ = recorded(Path(name), seed, added)
        return kind, any(words.startswith(f"a {kind} term") for words in made.lacks[:1])


def silverbox() -> Iterator[Figure]:
    """The measured circuit."""
    target = "Silverbox, twin of its training section: arrow-head error <= 0.46 mV"
    try:
        experiment = load_experiment("silverbox")
    except ConfigurationError as error:
        yield Figure(target, f"skipped: {error}", None)
        return
    made = twin_of_recording(experiment)
    with tempfile.TemporaryDirectory() as name:
        file = made.write(experiment, Path(name) / "twin.yaml")
        again = labrhel.load_experiment("silverbox", rig_url=f"sim:{file}")
        theta = again.theta(again.problem.parameters.flat())
        sequences = again.tests["arrow_head"]
        error = rms_error(sequences, again.execute(free_run(again.task, sequences, theta)))
    yield Figure(target, f"{1e3 * error:.3f} mV", error <= 0.46e-3)
    train = experiment.problem.train
    halves = []
    random = np.random.default_rng(0)
    for _ in range(4):
        order = random.permutation(len(train))
        for part in (order[: len(train) // 2], order[len(train) // 2 :]):
            chosen = tuple(train[index] for index in part)
            halves.append(twin_of_recording(replace(experiment, problem=replace(experiment.problem, train=chosen))))
    apart = [
        abs(one.values[key] - two.values[key]) / np.hypot(one.errors[key], two.errors[key]) <= 3
        for one, two in zip(halves[::2], halves[1::2], strict=True)
        for key in one.values
    ]
    share = float(np.mean(apart))
    yield Figure("  halves of the data agree within 3 error bars, >= 90 %", f"{100 * share:.0f} %", share >= 0.9)


def targets(count: int = 20) -> Iterator[Figure]:
    """All of it."""
    with ProcessPoolExecutor(2) as pool:
        inside = [abs(off) <= 3 for rows in pool.map(within, range(count)) for off in rows]
        found = list(pool.map(named, range(100, 100 + count)))
    share = float(np.mean(inside))
    yield Figure(
        f"twins of {count} rigs: truth within 3 standard errors, >= 97 %", f"{100 * share:.1f} %", share >= 0.97
    )
    right = float(np.mean([good for _, good in found]))
    yield Figure(
        f"{count} rigs outside the family: the missing term is named, >= 80 %", f"{100 * right:.0f} %", right >= 0.8
    )
    yield from silverbox()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=20)
    sys.exit(not print_table(targets(parser.parse_args().rigs)))


if __name__ == "__main__":
    main()
