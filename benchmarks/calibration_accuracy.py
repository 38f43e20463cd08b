"""Does a calibration find out what a rig is?  Random virtual rigs whose truth is known, measured through their ports.

    python -m benchmarks.calibration_accuracy [--rigs N]

12-bit converters, noise of 0.5 % of the motion, gains, offsets and delays of every path, hidden friction of every mode,
a flip that is off in gain and offset; a third of the rigs has other springs than it is set to (there the channels'
gains are trusted, else the masses).  The truth is read from the simulator after the campaign has ended; no routine can.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import yaml

import labrhel
from benchmarks.figure import Figure, print_table
from calibration.campaign import campaign
from labrhel import Experiment
from labrhel.arrays import Array
from labrhel.experiment import calibrated
from labrhel.learning.checking import compare
from labrhel.shots.operations import Configure
from labrhel.store.calibrations import CalibrationRecord
from simbackend.dynamics.separable_adjoint import exact_gradient
from simbackend.rigs.simulated import SimulatedRig

QUANTITIES = {
    "delay": (0.02, "path delays, in samples"),
    "gain": (0.002, "gains"),
    "loss": (0.01, "friction of a mode, relative"),
    "frequency": (1e-4, "frequency of a mode, relative"),
    "flip": (0.005, "gain of the flip"),
}
NOISE, SPACING = 0.005, 0.2
FIRST = 2000  # seed; those below were used while the routines were written


@dataclass(frozen=True, slots=True)
class Judged:
    """One value: its kind, how far it is off (in the unit of its target), and in standard errors."""

    kind: str
    off: float
    sigmas: float


def configuration(seed: int) -> tuple[dict[str, object], str, str]:
    """A rig of 3 to 6 oscillators, the URL settings of its device, and what is trusted."""
    random = np.random.default_rng([seed, 77])
    n = int(random.integers(3, 7))
    drive = np.zeros((n, 1))
    drive[0] = 1.0
    springs = bool(seed % 3 == 0)
    config: dict[str, object] = {
        "model": {
            "oscillators": n, "coupling": "all", "units": {"time": "ms", "position": "V", "input": "V"},
            "parameters": {
                "mass": random.uniform(0.8, 1.2, n).round(3).tolist(),
                "stiffness": random.uniform(0.7, 1.6, n).round(3).tolist(),
                "cubic": 0.2,
                "coupling": {"value": random.uniform(0.05, 0.3, n * (n - 1) // 2).round(3).tolist(), "train": True},
                "input": drive.tolist(),
            },
            "readout": {"channels": [f"q{n}"], "gain": 1.0},
        },
        "protocol": {"rule": "rhel", "record": "none"},
        "optimizer": {"kind": "adam", "rate": 0.01, "steps": 5},
        "data": {
            "teacher": {
                "parameters": {"coupling": random.uniform(0.05, 0.3, n * (n - 1) // 2).round(3).tolist()},
                "input": {"amplitude": 0.3, "band": [0.08, 0.35], "tones": 10, "seed": seed},
                "samples": 200, "spacing": SPACING, "sequences": 1, "test_sequences": 0,
            },
            "substeps": 1, "skip": 10,
        },
    }  # fmt: skip
    errors = {
        "seed": seed,
        "noise": f"{1e3 * NOISE * 0.5:g}mV",
        "adc_bits": 12,
        "adc_range": "4V",
        "friction": f"{random.uniform(10, 40):.3g}/s",
        "port_skew": "4us",
        "channel_skew": "4us",
        "flip_error": f"{random.uniform(-0.05, 0.05):.3g}",
        "flip_offset": "0.01",
    }
    errors |= {"mismatch": "2%"} if springs else {"port_gain": "2%", "channel_gain": "2%", "channel_offset": "5mV"}
    settings = "&".join(f"{name}={value}" for name, value in errors.items())
    return config, settings, "gains" if springs else "masses"


def opened(seed: int, folder: Path) -> tuple[Experiment, str]:
    """The experiment on its device, and what is trusted."""
    config, settings, reference = configuration(seed)
    file = folder / f"rig{seed}.yaml"
    file.write_text(yaml.safe_dump(config))
    return labrhel.load_experiment(file, rig_url=f"sim:{file}?{settings}"), reference


def truth(experiment: Experiment, reference: str, first: str) -> dict[str, float]:
    """By name; gains are counted from that of the `first` channel, or, where those are trusted, from the first mass."""
    rig = experiment.rig
    assert isinstance(rig, SimulatedRig)
    device, unit = rig._device, rig.capabilities.time_unit
    experiment.executor().do(Configure(experiment.task.rig_parameters(theta_of(experiment))))
    heavier = rig.true_parameters()["mass"][0] / theta_of(experiment)["mass"][0] if reference == "gains" else 1.0
    scale = device._channels[first].gain
    found = {}
    for name, path in {**device._ports, **device._channels}.items():
        found[f"{name}.delay"] = path.delay * unit
        found[f"{name}.gain"] = path.gain / scale / (heavier if name in device._ports else 1.0)
    found["flip.gain"] = 1 + device.errors.flip.error
    found["clock.rate"] = device.errors.clock.apart
    theta, model = rig.true_parameters(), rig.model
    n, mass = model.size, model.mass(theta)
    state = np.block([
        [np.zeros((n, n)), np.eye(n)],
        [-model.hessian(np.zeros(n), theta) / mass[:, None], -model.friction(theta) / mass[:, None]],
    ])  # fmt: skip
    rates = np.linalg.eigvals(state)
    rates = rates[np.imag(rates) > 0]
    for mode, rate in enumerate(rates[np.argsort(np.imag(rates))]):
        found[f"mode[{mode}].frequency"] = float(np.imag(rate)) / (2 * np.pi) / unit
        found[f"mode[{mode}].loss"] = -2 * float(np.real(rate)) / unit
    return found


def theta_of(experiment: Experiment) -> dict[str, Array]:
    """As it is set."""
    return experiment.problem.theta(experiment.problem.parameters.flat())


def judged(seed: int) -> tuple[list[Judged], float, float, float, float]:
    """Every value of one rig against the truth; cosine before and after, predicted and real error of a gradient."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        experiment, reference = opened(seed, folder)
        record = CalibrationRecord(folder, experiment.rig_url)
        planned = campaign(experiment, record, reference)
        done = list(planned.run(planned.plan([])))
        values = {key: item for one in done for key, item in one.finding.values.items()}
        record.accept([one.entry for one in done if one.entry is not None])
        known = record.current()
        true = truth(experiment, reference, planned.bench.channels[0])
        rows = []
        for key, item in values.items():
            if key not in true:
                continue
            kind = "flip" if key.startswith("flip") else key.rpartition(".")[2]
            unit = {"delay": SPACING * 1e-3, "loss": true[key], "frequency": true[key]}.get(kind, 1.0)
            off = abs(item.value - true[key])
            rows.append(Judged(kind, off / unit, off / item.error))
        before = gradient_of(experiment)
        after = gradient_of(calibrated(experiment, known), trusts_gains=reference == "gains")
        predicted = values["gradient.error"].value if "gradient.error" in values else np.nan
        return rows, before[0], after[0], predicted, after[1]


def gradient_of(experiment: Experiment, *, trusts_gains: bool = False) -> tuple[float, float]:
    """Cosine and relative error of one gradient against the exact one of the rig as it is."""
    problem, rig = experiment.problem, experiment.rig
    assert isinstance(rig, SimulatedRig)
    theta = problem.theta(problem.parameters.flat())
    try:
        gradient = experiment.gradient(sequences=1)
    except Exception:
        return 0.0, 1.0
    device = rig._device
    real = dict(rig.true_parameters())
    gains = np.array([device._ports[name].gain for name in rig.model.inputs])
    if experiment.calibration.values:
        known = experiment.calibration
        gains = gains / np.array([known.number(name, "gain") for name in rig.model.inputs])
        shown = device._channels[problem.task.channels[0]].gain / known.number(problem.task.channels[0], "gain")
    else:
        shown = device._channels[problem.task.channels[0]].gain
    real["input"] = real["input"] * gains
    full = {**theta, **real, "readout": theta["readout"] / shown}
    exact = exact_gradient(problem.task, problem.train[:1], full)[1]
    # Where one mass is trusted that is off, couplings are counted in its unit.
    heavier = (
        rig.true_parameters()["mass"][0] / theta["mass"][0] if experiment.calibration.values and trusts_gains else 1
    )
    return compare(np.ravel(gradient.values["coupling"]), heavier * np.ravel(exact["coupling"]))


def targets(count: int = 50) -> Iterator[Figure]:
    """All of it."""
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(partial(judged), range(FIRST, FIRST + count)))
    rows = [row for item in found for row in item[0]]
    inside = float(np.mean([row.sigmas <= 3 for row in rows]))
    yield Figure(f"{count} rigs: values within 3 standard errors, >= 97 %", f"{100 * inside:.1f} %", inside >= 0.97)
    for kind, (limit, words) in QUANTITIES.items():
        off = np.array([row.off for row in rows if row.kind == kind])
        good = float(np.mean(off <= limit))
        text = f"median {np.median(off):.2g}, 95 % below {np.quantile(off, 0.95):.2g}"
        yield Figure(f"  {words} <= {limit:g}", f"{text}, {100 * good:.0f} % there", good >= 0.95)
    before, after = np.array([item[1] for item in found]), np.array([item[2] for item in found])
    bad = before < 0.9
    median = float(np.median(after[bad])) if bad.any() else np.nan
    words = f"{bad.sum()} rigs with a cosine below 0.9 before (median {np.median(before):.2f}): median >= 0.99 after"
    yield Figure(words, f"{median:.4f}", bool(median >= 0.99))
    ratio = np.array([item[3] / item[4] for item in found])
    close = float(np.mean((ratio > 0.5) & (ratio < 2)))
    yield Figure("predicted error of a gradient within a factor of 2, >= 90 %", f"{100 * close:.0f} %", close >= 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=50)
    sys.exit(not print_table(targets(parser.parse_args().rigs)))


if __name__ == "__main__":
    main()
