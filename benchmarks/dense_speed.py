"""The densely coupled network: time per step of the engines beside JAX.

    python -m benchmarks.dense_speed [--sizes 64 256] [--batches 1 16] [--steps 2000] [--rounds 7] [--types float32]

Timed is one loss and all parameter gradients of a mean-square error on 8 oscillators at every step, with 4 inputs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from benchmarks.figure import Figure
from benchmarks.hru_task import Parameters, engine, exact, learning
from benchmarks.rounds import Rounds, distance, installed, interleaved
from labrhel.arrays import Array
from simbackend.recurrent.models.dense_network import DenseNetwork

STEPS, D_IN, D_OUT = 2000, 4, 8
STEP, AMPLITUDE = 0.02, 0.3
EPS = {"float32": 1e-4, "float64": 1e-6}
ENGINES = ("echoes", "difference", "adjoint")
TARGETS = {(64, 1): (3, 0), (64, 16): (2, 3), (256, 1): (1.3, 2), (256, 16): (1.3, 2)}
"""(size, batch) -> how many times faster than JAX, and the stretch goal, if any."""


def task(size: int, batch: int, steps: int, kind: str) -> tuple[Parameters, Array, Array]:
    """Parameters, inputs and targets; the springs of an oscillator add up to about its own stiffness."""
    random = np.random.default_rng(0)
    springs = np.triu(random.uniform(0.0, 2.0 / size, (size, size)), 1)
    theta = {
        "d": np.array(STEP),
        "k": random.uniform(0.5, 1.5, size),
        "b": random.uniform(0.0, 0.2, size),
        "J": springs + springs.T,
        "B": random.normal(size=(size, D_IN)) / np.sqrt(D_IN),
        "C": np.eye(D_OUT, size),
    }
    inputs = AMPLITUDE * random.standard_normal((batch, steps, D_IN))
    target = random.standard_normal((batch, steps, D_OUT))
    return {name: value.astype(kind) for name, value in theta.items()}, inputs.astype(kind), target.astype(kind)


def compare(size: int, batch: int, kind: str, steps: int, rounds: int, *, table: bool = True) -> Rounds:
    """Time everything on one network, and print it as a table."""
    model = DenseNetwork()
    theta, inputs, target = arrays = task(size, batch, steps, kind)
    contenders = {name: learning(engine(name, model, EPS[kind]), *arrays) for name in ENGINES}
    if installed("jax"):
        from benchmarks import dense_in_jax

        peers = dense_in_jax.contenders(theta, inputs, target, EPS[kind])
        contenders |= {f"JAX {name}": peer for name, peer in peers.items()}
    found = interleaved(contenders, rounds)
    if table:
        truth = exact(model, *arrays)
        notes = {name: f"{distance(result, truth):.0e}" for name, result in found.results.items()}
        found.print(f"{model.name}, {kind}, N = {size}, batch {batch}, {steps} steps", ("echoes", "adjoint"), notes)
    return found


def targets() -> Iterator[Figure]:
    """Each size and batch that is promised."""
    for (size, batch), (least, stretch) in TARGETS.items():
        found = compare(size, batch, "float32", STEPS, 7, table=False)
        case = f"dense network, N = {size}, batch {batch}: echoes against the best of JAX BPTT"
        yield found.faster(case, "echoes", found.by_bptt(), least, stretch)
        yield found.faster("  the adjoint against the same", "adjoint", found.by_bptt(), 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Speed of the dense network.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--types", nargs="+", default=["float32"])
    options = parser.parse_args(arguments)
    for kind, size, batch in product(options.types, options.sizes, options.batches):
        compare(size, batch, kind, options.steps, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
