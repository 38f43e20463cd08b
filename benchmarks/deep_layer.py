"""A layer inside a deep HSSM beside JAX: 128 inputs, 128 units, 128 outputs, batch 32.

    python -m benchmarks.deep_layer [--steps 1000] [--rounds 7] [--types float32 float64]

Timed is a forward and a backward pass, from the same cotangent: gradients of all parameters and of the inputs, which a
layer hands on to the one below.  Most of the work is four matrix products of 128 x 128, forward and back.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.figure import Figure
from benchmarks.hru_task import BATCH, MODELS, UNITS, Parameters, engine, strength, task, widened
from benchmarks.rounds import Contender, Rounds, distance, installed, interleaved
from labrhel.arrays import Array
from labrhel.learning.units import Engine

WIDTH = 128
ENGINES = ("echoes", "difference", "adjoint")


def passing(engine: Engine, theta: Parameters, inputs: Array, cotangent: Array) -> Contender:
    """Forward and back; the gradient of the inputs is named "u"."""

    def run() -> Mapping[str, Any]:
        back = engine.backward(engine.forward(theta, inputs), cotangent)
        return {**back.parameters, "u": back.inputs.swapaxes(0, 1)}

    return Contender(run, inputs.shape[1])


def compare(name: str, kind: str, steps: int, rounds: int, *, table: bool = True) -> Rounds:
    """Time the engines and JAX on one layer."""
    model = MODELS[name]
    arrays = task(model, steps, kind, d_in=WIDTH, d_out=WIDTH)
    eps = strength(arrays[1])
    contenders = {name: passing(engine(name, model, eps, input_gradient=True), *arrays) for name in ENGINES}
    if installed("jax"):
        from benchmarks import hru_in_jax

        contenders |= {f"JAX {name}": peer for name, peer in hru_in_jax.layers(*arrays).items()}
    found = interleaved(contenders, rounds)
    if table:
        exact = passing(engine("bptt", model, eps, input_gradient=True), *widened(*arrays)).run()
        notes = {name: f"{distance(result, exact):.0e}" for name, result in found.results.items()}
        title = f"layer of {model.name}, {kind}, {WIDTH} inputs, {UNITS} units, {WIDTH} outputs, batch {BATCH}"
        found.print(f"{title}, {steps} steps", ("echoes", "adjoint"), notes)
    return found


def targets() -> Iterator[Figure]:
    """Both units against the best that JAX has."""
    for name in MODELS:
        found = compare(name, "float32", 1000, 7, table=False)
        case = f"deep layer, {name}, {WIDTH} in, {WIDTH} out"
        yield found.faster(f"{case}: echoes against the best of JAX BPTT", "echoes", found.by_bptt(), 2)
        yield found.faster("  the adjoint against the same", "adjoint", found.by_bptt(), 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="A deep layer beside JAX.")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--types", nargs="+", default=["float32"])
    options = parser.parse_args(arguments)
    for kind in options.types:
        for name in MODELS:
            compare(name, kind, options.steps, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
