"""Damped recurrent units: what friction costs in time and memory, and how exact their echoes are.

    python -m benchmarks.damped_units [--steps 2000] [--rounds 5]

Time of one loss and all gradients beside the lossless unit and beside BPTT of the same damped unit in JAX
(`hru_in_jax`), interleaved (`rounds`); errors against float64 BPTT where the energy falls by 100 e-folds in a pass, in
float64 and in float32.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.figure import Figure, print_table
from benchmarks.hru_task import EPS, MODELS, engine, learning, task
from benchmarks.rounds import installed, interleaved
from simbackend.recurrent.models.damped import Damped
from simbackend.testing.units import ENGINES, case, overall

E_FOLDS, LENGTH, SEEDS = 100, 1000, 4
DEAREST, LARGEST, TIMES_BPTT = 1.3, 1e-8, 4.0
FASTER = 5.0  # than the best of JAX


def times(steps: int, rounds: int, kind: str = "float32") -> Iterator[Figure]:
    """A damped unit beside the lossless one, and beside JAX."""
    for name, model in MODELS.items():
        theta, inputs, target = task(model, steps, kind)
        damped = theta | {"g": np.full(len(theta["d"]), 0.1, kind)}
        contenders = {
            f"{words} {way}": learning(engine(way, unit, EPS[kind] / steps), values, inputs, target)
            for way in ("echoes", "adjoint")
            for words, unit, values in (("lossless", model, theta), ("damped", Damped(model), damped))
        }
        if installed("jax"):
            from benchmarks import hru_in_jax

            peers = hru_in_jax.contenders(damped, inputs, target, EPS[kind] / steps)
            contenders |= {f"JAX {way}": peer for way, peer in peers.items()}
        found = interleaved(contenders, rounds)
        for way in ("echoes", "adjoint"):
            ratio = found.ratio(f"damped {way}", f"lossless {way}")
            words = f"{ratio:.2f} ({1e6 * min(found.seconds[f'damped {way}']):.1f} us a step, fastest)"
            target_words = f"damped {name} unit, {kind}, {way}: time over the lossless one <= {DEAREST}"
            yield Figure(target_words, words, ratio <= DEAREST)
        words = f"damped {name} unit, {kind}: echoes against the best of JAX BPTT of the same"
        yield found.faster(words, "damped echoes", found.by_bptt(), FASTER)


def accuracy() -> Iterator[Figure]:
    """100 e-folds of energy in a pass: float64 echoes, and the difference form in float32 beside float32 BPTT."""
    for kind in ("damped", "damped_nonlinear"):
        errors: dict[str, list[float]] = {}
        for seed in range(SEEDS):
            unit = case(kind, n=64, batch=4, steps=LENGTH, step=0.1, seed=seed)
            unit.theta["g"] = E_FOLDS / (LENGTH * unit.theta["d"])
            exact = unit.gradient(ENGINES["bptt"](unit.model))
            errors.setdefault("echoes", []).append(overall(unit.gradient(ENGINES["echoes"](unit.model)), exact))
            single = unit.as_type(np.float32)
            exact = single.as_type(np.float64).gradient(ENGINES["bptt"](unit.model))
            for name in ("difference", "bptt"):
                found = single.gradient(ENGINES[name](unit.model))
                errors.setdefault(name, []).append(overall(found, exact))
        size = {name: float(np.sqrt(np.mean(np.square(values)))) for name, values in errors.items()}
        case_words = f"{kind.replace('_', ' ')} unit, {E_FOLDS} e-folds of energy in a pass"
        echoes = size["echoes"]
        yield Figure(f"{case_words}: float64 echoes <= {LARGEST:g}", f"{echoes:.1e}", echoes <= LARGEST)
        ratio = size["difference"] / size["bptt"]
        words = f"{ratio:.2f} ({size['difference']:.1e} and {size['bptt']:.1e})"
        target = f"{case_words}: float32 difference form over float32 BPTT <= {TIMES_BPTT:g}"
        yield Figure(target, words, ratio <= TIMES_BPTT)


def targets() -> Iterator[Figure]:
    """What is promised of damped units."""
    yield from times(2000, 7)
    yield from accuracy()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(arguments)
    print_table([*times(asked.steps, asked.rounds), *accuracy()])


if __name__ == "__main__":
    main()
