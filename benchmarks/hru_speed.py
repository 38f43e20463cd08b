"""Recurrent units: time per step of the engines, beside JAX and PyTorch where they are installed.

    python -m benchmarks.hru_speed [--steps 10000 50000] [--rounds 7] [--types float32 float64] [--models nonlinear]
                                   [--d-in 6] [--engines echoes difference adjoint] [--torch]

What is timed is one loss and all parameter gradients of a mean-square error over every step, from the same parameters
and inputs (`hru_task`), in interleaved rounds (`rounds`).  The peers, compiled before the first round, are described
in `hru_in_jax` and `hru_in_torch`, the issue limit in `issue_limit`.  Errors are those of all parameters against
float64 BPTT.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from benchmarks.figure import Figure
from benchmarks.hru_task import BATCH, D_IN, MODELS, UNITS, engine, exact, learning, strength, task
from benchmarks.issue_limit import issue_limit
from benchmarks.rounds import Contender, Rounds, distance, installed, interleaved

ENGINES = ("echoes", "difference", "adjoint")
LARGEST_TAPE = 20_000  # steps up to which float64 BPTT has room for the exact gradient


def compare(
    name: str,
    steps: int,
    kind: str,
    rounds: int,
    *,
    d_in: int = D_IN,
    engines: Sequence[str] = ENGINES,
    torch: bool = False,
    table: bool = True,
) -> Rounds:
    """Time everything on one task, and print it as a table."""
    model = MODELS[name]
    theta, inputs, target = arrays = task(model, steps, kind, d_in=d_in)
    contenders: dict[str, Contender] = {} if model.linear else {"issue limit": issue_limit(kind, steps)}
    contenders |= {name: learning(engine(name, model, strength(inputs)), *arrays) for name in engines}
    if installed("jax"):
        from benchmarks import hru_in_jax

        peers = hru_in_jax.contenders(theta, inputs, target, strength(inputs))
        contenders |= {f"JAX {name}": peer for name, peer in peers.items()}
    if torch and installed("torch"):
        from benchmarks import hru_in_torch

        contenders |= {f"torch {name}": peer for name, peer in hru_in_torch.contenders(*arrays).items()}
    found = interleaved(contenders, rounds)
    if table:
        truth = exact(model, *arrays) if steps <= LARGEST_TAPE else {}
        full = [name for name, contender in contenders.items() if contender.steps == steps and found.results[name]]
        notes = {name: f"{distance(found.results[name], truth):.0e}" for name in full if truth}
        title = f"{model.name}, {kind}, {UNITS} units, batch {BATCH}, {d_in} inputs, {steps} steps"
        found.print(title, [name for name in ("echoes", "adjoint") if name in engines], notes)
    return found


def targets() -> Iterator[Figure]:
    """What is promised of the echoes' speed, in the cases it is promised for."""
    for steps, rounds in ((10_000, 7), (50_000, 5)):
        found = compare("nonlinear", steps, "float32", rounds, table=False)
        case = f"nonlinear HRU, float32, T = {steps}: echoes against"
        yield found.faster(f"{case} JAX scan", "echoes", ["JAX scan"], 8, 12)
        yield found.faster(f"{case} the best of JAX BPTT", "echoes", found.by_bptt(), 5, 8)
        yield found.faster(f"{case} RHEL in JAX", "echoes", ["JAX RHEL scan"], 3, 5)
        above, dearer = found.ratio("echoes", "issue limit"), found.ratio("difference", "echoes")
        yield Figure(f"{case} the issue limit <= 1.8 times (stretch 1.3)", f"{above:.2f}", above <= 1.8)
        yield Figure(f"{case} the difference form, which takes <= 1.15 times", f"{dearer:.2f}", dearer <= 1.15)
        yield found.faster("  the adjoint against the same", "adjoint", found.by_bptt(), 0)
    found = compare("nonlinear", 10_000, "float64", 5, table=False)
    yield found.faster("nonlinear HRU, float64, T = 10000: echoes against JAX scan", "echoes", ["JAX scan"], 7)
    found = compare("linear", 2000, "float32", 9, table=False)
    case = "linear HRU, float32, T = 2000: echoes against"
    yield found.faster(f"{case} JAX scan", "echoes", ["JAX scan"], 10)
    yield found.faster(f"{case} associative_scan", "echoes", ["JAX associative scan"], 30)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Speed of recurrent units.")
    parser.add_argument("--steps", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--types", nargs="+", default=["float32", "float64"])
    parser.add_argument("--models", nargs="+", default=["nonlinear"], choices=list(MODELS))
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--d-in", type=int, default=D_IN)
    parser.add_argument("--torch", action="store_true", help="PyTorch too, which compiles for a minute")
    options = parser.parse_args(arguments)
    for name in options.models:
        for kind in options.types:
            for steps in options.steps:
                compare(
                    name, steps, kind, options.rounds, d_in=options.d_in, engines=options.engines, torch=options.torch
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
