"""Circuits in ngspice: the gradient of the circuit by rule, and what training costs by echoes and by differences.

    python -m benchmarks.spice_circuits [--steps N]

The truth is `finite_differences` on the circuit itself, which runs in the same simulation.  A third of the shots counts
all shots of the locked echo, those of the lock included.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import labrhel
from benchmarks.figure import Figure, print_table
from labrhel.arrays import Array
from labrhel.config import examples

LOCKED, TWIN, DIFFERENCES = "{rule: rhel, lock: 6}", "{rule: twin}", "{rule: finite_differences}"
STEPS = 16


def circuit(name: str, rule: str, folder: Path) -> Path:
    """The example `name` with another rule, as a file."""
    text = examples()[name].read_text(encoding="utf-8").replace(LOCKED, rule)
    file = folder / f"{name}.yaml"
    file.write_text(text.replace("spice:spice/", f"spice:{examples()[name].parent}/spice/"), encoding="utf-8")
    return file


def gradient(name: str, rule: str) -> Array:
    """The gradient of the circuit by that rule, all trained parameters in one vector."""
    with tempfile.TemporaryDirectory() as folder, labrhel.load_experiment(circuit(name, rule, Path(folder))) as rig:
        return np.concatenate([np.ravel(value) for _, value in sorted(rig.gradient().values.items())])


def training(name: str, rule: str, steps: int) -> tuple[list[float], list[int]]:
    """The losses of a training, and the shots that had been taken when each was known."""
    with (
        tempfile.TemporaryDirectory() as folder,
        labrhel.load_experiment(circuit(name, rule, Path(folder)), steps=steps) as rig,
    ):
        taken = [(step.loss, step.gradient.shots) for step in rig]
    return [loss for loss, _ in taken], np.cumsum([shots for _, shots in taken]).tolist()


def targets(steps: int = STEPS) -> Iterator[Figure]:
    """The rows of the table."""
    for name in ("spice_ladder", "spice_integrators"):
        exact, echo, twin = (gradient(name, rule) for rule in (DIFFERENCES, LOCKED, TWIN))
        cosine = float(echo @ exact / (np.linalg.norm(echo) * np.linalg.norm(exact)))
        yield Figure(f"{name}, locked echo: cosine >= 0.999", f"{cosine:.7f}", cosine >= 0.999)
        errors = [float(np.linalg.norm(item - exact) / np.linalg.norm(exact)) for item in (echo, twin)]
        words = f"{100 * errors[0]:.2g} % and {100 * errors[1]:.2g} %"
        yield Figure(f"{name}, locked echo and fitted twin: the echo is nearer", words, errors[0] < errors[1])
    best, _ = training("spice_ladder", DIFFERENCES, steps)
    losses, shots = training("spice_ladder", LOCKED, steps)
    there = next((taken for loss, taken in zip(losses, shots, strict=True) if loss <= 1.05 * min(best)), None)
    _, all_shots = training("spice_ladder", DIFFERENCES, 1)
    of_differences = all_shots[0] * (int(np.argmin(best)) + 1)
    words = f"never ({min(losses):.3g}, {min(best):.3g})" if there is None else f"{there} and {of_differences} shots"
    met = there is not None and there <= of_differences / 3
    yield Figure("within 5 % of the best by differences, in a third of the shots", words, met)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS)
    return 0 if print_table(targets(parser.parse_args().steps)) else 1


if __name__ == "__main__":
    sys.exit(main())
