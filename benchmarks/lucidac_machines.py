"""Analog computers whose lanes are off: a training on the model carried over to each, beside a training on each.

    python -m benchmarks.lucidac_machines [--machines 40] [--steps 10] [--kept FILE]

A machine is the vendor's emulator behind a proxy that makes every lane 2 to 10 % and up to 0.005 wrong, and its
coefficients and readings 12 bits (`drivers.testing.lucidac`).  The task is `examples/lucidac_product.yaml`: two numbers
are where two oscillators are let go, and what the three show in the end is to be their product.

`in silico`: trained on the model, then carried over, to lanes as they are set and to lanes that were measured first.
`in situ`: from there trained on by echoes on the machine, its lanes never measured.  `--kept` holds a line for each
machine that is done, and goes on where it ended.  The gradient on four oscillators is beside finite differences on the
same emulator, at three tolerances of its integration.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import labrhel
from benchmarks.figure import Figure, print_table
from drivers.lucidac.lanes import FACTORS
from drivers.testing.lucidac import Faults, emulator, machine
from labrhel import plugins
from labrhel.arrays import Array
from labrhel.config import examples
from labrhel.errors import ProgramError
from labrhel.executor import RigBackend, execute, stack
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import Task, TrialSequence
from labrhel.learning.train import free_run, rms_error
from labrhel.rig.model_side import model_side
from protocols.differences import FiniteDifferences
from protocols.heb import HEB
from simbackend.models.oscillator_network import OscillatorNetwork

MACHINES, STEPS = 40, 6
RING: dict[str, Any] = {
    "stiffness": [60.0, 70.0, 55.0, 65.0], "coupling": [12.0, 9.0, 14.0, 10.0], "cubic": [25.0, 0.0, 0.0, 20.0],
    "input": 0.0, "initial_position": [0.4, -0.3, 0.2, 0.1], "initial_momentum": [1.0, 2.0, -2.0, 1.0],
}  # fmt: skip
BENT = np.array([True, False, False, True])


def gradient_error(rtol: float | None) -> float:
    """Of the kick in the prepared state, relative to finite differences on the same emulator; two periods."""
    model, steps = OscillatorNetwork(4, coupling="ring", nominal=RING, time_unit=1e-3), 400
    with emulator(rtol) as endpoint:
        rig = plugins.open_rig(f"lucidac:{endpoint}?bits=0&lanes=ideal", model, Path())
        sequence = TrialSequence("one", {}, np.full((2, steps), 0.1), np.eye(steps)[-1])
        task = Task(model, model_side(rig.capabilities, rig.wiring), 0.002, 1, ("q1", "q3"), 1.0)
        theta = {name: spec.nominal for name, spec in model.parameters.items()}
        theta |= {"readout": np.eye(2), "readout_offset": np.zeros(2)}
        names = ("stiffness", "coupling", "cubic")
        asked = GradientRequest(task, (sequence,), theta, names, trained={"cubic": BENT})
        handler = stack(RigBackend(rig), rig.capabilities, rig.wiring)
        found = []
        for rule in (HEB(), FiniteDifferences(step=3e-3)):
            values = execute(rule.gradient(asked), handler).values
            found.append(np.concatenate([values["stiffness"], values["coupling"], values["cubic"][BENT]]))
        rig.close()
    return float(np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[1]))


def example(rig: str, folder: Path, steps: int, values: dict[str, Any] | None = None, rate: float = 0.3) -> Path:
    """The example on another rig, beginning at these values."""
    source = examples()["lucidac_product"]
    data = yaml.safe_load(source.read_text(encoding="utf-8"))
    data["rig"], data["optimizer"] = rig, {"kind": "adam", "rate": rate, "steps": steps}
    data["data"]["file"] = str(source.with_suffix(".csv"))
    for name, value in (values or {}).items():
        section = data["model"]["readout"] if name in data["model"]["readout"] else data["model"]["parameters"]
        section[name]["value"] = value
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return file


def trained(rig: str, folder: Path, steps: int, values: dict[str, Any] | None = None, rate: float = 0.3) -> Any:
    """Train; the values that are best, the error of the read-out at them, and at the beginning, on the test pairs."""
    with labrhel.load_experiment(example(rig, folder, steps, values, rate)) as experiment:
        problem, ends = experiment.problem, []
        begin = problem.parameters.flat()
        for _ in experiment:
            pass
        for x in (experiment.x, begin):
            outputs = experiment.execute(free_run(problem.task, experiment.tests["between"], experiment.theta(x)))
            ends.append(rms_error(experiment.tests["between"], outputs))
        theta = experiment.theta(experiment.x)
        best = {name: np.asarray(theta[name]).tolist() for name in problem.wanted if not name.startswith("readout")}
        best |= {"gain": theta["readout"].tolist(), "offset": theta["readout_offset"].tolist()}
    return best, *ends


def transferred(rig: str, folder: Path, values: dict[str, Any]) -> tuple[float, Any]:
    """The error of the read-out on the test pairs, of values that were found elsewhere, and the circuit they became."""
    with labrhel.load_experiment(example(rig, folder, 1, values)) as experiment:
        theta = experiment.theta(experiment.problem.parameters.flat())
        outputs = experiment.execute(free_run(experiment.problem.task, experiment.tests["between"], theta))
        held = experiment.rig.settings()["lucidac"]  # type: ignore[attr-defined]
        return rms_error(experiment.tests["between"], outputs), held


def one_machine(seed: int, folder: Path, values: dict[str, Any], steps: int) -> dict[str, float]:
    """Errors of the read-out on that machine, and of the gains and offsets that were measured."""
    faults, found = Faults.drawn(seed), {}
    with machine(seed) as endpoint:
        found["measured"], held = transferred(f"lucidac:{endpoint}", folder, values)
        bare = f"lucidac:{endpoint}?lanes=ideal"
        try:
            _, found["in_situ"], found["in_silico"] = trained(bare, folder, steps, values, 0.1)
        except ProgramError:  # no nudge gives a gradient that is worth following
            found["in_situ"], (found["in_silico"], _) = float("nan"), transferred(bare, folder, values)
    gains, offsets = np.array(held["lane_gains"]), np.array(held["lane_offsets"]) / FACTORS[:, None]
    lanes = slice(gains.shape[1])
    found["gain_off"] = float(np.abs(gains / faults.gain[:, lanes] - 1).max())
    found["offset_off"] = float(np.abs(offsets - faults.offset[:, lanes]).max())
    return found


def machines(count: int, steps: int, kept: Path | None) -> Iterator[dict[str, float]]:
    """One after the other; those that `kept` holds are not run again."""
    lines = kept.read_text().splitlines() if kept is not None and kept.exists() else []
    done = {item["seed"]: item for item in map(json.loads, lines)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values, error, _ = trained("sim:", folder, 60)
        print(f"trained on the model: error {error:.4f} on the model itself", flush=True)
        for seed in range(count):
            if seed not in done:
                done[seed] = {"seed": seed, **one_machine(seed, folder, values, steps)}
                if kept is not None:
                    with kept.open("a") as file:
                        file.write(json.dumps(done[seed]) + "\n")
            yield done[seed]


def targets(count: int = MACHINES, steps: int = STEPS, kept: Path | None = None) -> Iterator[Figure]:
    """The rows of the table."""
    errors = {rtol: gradient_error(rtol) for rtol in (None, 1e-4, 1e-6)}
    first, *finer = errors.values()
    words = ", ".join(f"{100 * error:.2g} %" for error in errors.values())
    yield Figure("gradient of four oscillators, tolerance 1e-3, 1e-4, 1e-6: within 1 %", words, first < 0.01)
    yield Figure("... and nearer where the emulator integrates better", words, max(finer) < first / 2)
    found = list(machines(count, steps, kept))

    def column(name: str) -> Array:
        return np.array([item[name] for item in found])

    gains, offsets = column("gain_off").max(), column("offset_off").max()
    words = f"{100 * gains:.2g} %, {offsets:.1g}"
    yield Figure(f"lanes of {count} machines, largest error of a measured gain, offset: 0.2 %", words, gains < 2e-3)
    for name, told in (
        ("in_silico", "trained on the model, lanes as they are set"),
        ("measured", "trained on the model, lanes measured"),
        ("in_situ", f"the first, after {steps} gradients by echoes on the machine"),
    ):
        low, middle, high = np.nanquantile(column(name), [0.1, 0.5, 0.9])
        yield Figure(f"test error, {told}", f"{middle:.4f} ({low:.4f} to {high:.4f})", None)
    refused = int(np.isnan(column("in_situ")).sum())
    better = int(np.sum(column("in_situ") < column("in_silico")))
    yield Figure("machines on which training in situ is better than the transfer", f"{better} of {count}", None)
    yield Figure("machines on which heb refuses, since the echo misses by too much", f"{refused} of {count}", None)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=MACHINES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--kept", type=Path, default=None)
    asked = parser.parse_args()
    return 0 if print_table(targets(asked.machines, asked.steps, asked.kept)) else 1


if __name__ == "__main__":
    sys.exit(main())
