"""Recurrent units: time per step and memory per step of the engines, beside JAX where it is installed.

    python -m benchmarks.hru_speed [--steps 10000 50000] [--rounds 7] [--types float32 float64] [--models ...]
                                   [--d-in 6] [--engines ...] [--no-memory]

What is timed is one loss and all parameter gradients of a mean-square error over every step, from the same parameters
and inputs: 128 units, batch 32, 1 output.  Rounds are interleaved (each runs every contender once, in random order),
so that a busy machine slows all of them; ratios are medians over rounds of the ratio within a round.  JAX runs jitted,
compiled before the first round:

    scan             lax.scan, reverse mode
    scan unroll 4    the same, four steps to an iteration
    checkpointed     scan of 128-step scans, each recomputed on the way back
    RHEL scan        two echoes as one lax.scan, symmetric, no reverse mode
    associative scan lax.associative_scan, reverse mode (linear units, up to 2000 steps)

The issue limit is what the nonlinear echoes would take if every vector instruction of 64 bytes were issued at the
rate of independent fused multiply-adds: 88 for 16 unit-steps in float32 (forward 25, two echoes 38, gradients 18,
shared 7) and 127 for 8 in float64.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

from simbackend.engines.adjoint import AdjointEngine
from simbackend.engines.bptt import TapeEngine
from simbackend.engines.difference import DifferenceEngine
from simbackend.engines.echoes import EchoEngine
from simbackend.kernels.compiling import compiled
from simbackend.kernels.lanes import load, store
from simbackend.models.linear_hru import LinearHRU
from simbackend.models.nonlinear_hru import NonlinearHRU
from simbackend.models.recurrent_unit import RecurrentUnit

UNITS, BATCH, D_OUT = 128, 32, 1
STEP, AMPLITUDE = 0.02, 0.3
EPS = {"float32": 1.0, "float64": 1e-2}  # over the steps: errors of order eps^2 and of rounding are about equal
MODELS: Mapping[str, RecurrentUnit] = {"nonlinear": NonlinearHRU(), "linear": LinearHRU()}
Contender = Callable[[], Mapping[str, Any]]


def task(
    model: RecurrentUnit, steps: int, d_in: int, kind: str
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Parameters, inputs and targets."""
    random = np.random.default_rng(0)
    theta = {
        "d": np.full(UNITS, STEP),
        "A": random.uniform(0.5, 1.5, UNITS),
        "B": random.normal(size=(UNITS, d_in)) / np.sqrt(d_in),
        "C": random.normal(size=(D_OUT, UNITS)) / np.sqrt(UNITS),
        "b": 0.1 * random.normal(size=UNITS),
        "alpha": random.uniform(0.5, 1.5, UNITS),
        "c": random.normal(size=UNITS),
    }
    # Drawn in their type: a float64 copy would leave a peak in memory that hides what is measured.
    inputs = random.standard_normal((BATCH, steps, d_in), kind)
    inputs *= AMPLITUDE
    target = random.standard_normal((BATCH, steps, D_OUT), kind)
    return {name: theta[name].astype(kind) for name in model.parameters}, inputs, target


def ours(name: str, model: RecurrentUnit, theta: Any, inputs: np.ndarray, target: np.ndarray) -> Contender:
    """One of the engines; the error takes the place of the outputs."""
    engines: dict[str, Any] = {
        "echoes": EchoEngine(model, eps=EPS[inputs.dtype.name] / inputs.shape[1], input_gradient=False),
        "difference": DifferenceEngine(model, eps=1e-6, input_gradient=False),
        "adjoint": AdjointEngine(model, input_gradient=False),
        "bptt": TapeEngine(model, input_gradient=False),
    }
    engine = engines[name]

    def run() -> Mapping[str, Any]:
        forward = engine.forward(theta, inputs)
        np.subtract(forward.outputs, target, out=forward.outputs)
        return engine.backward(forward, forward.outputs).parameters

    return run


def peers(model: RecurrentUnit, theta: Any, inputs: np.ndarray, target: np.ndarray) -> dict[str, Contender]:
    """JAX, or nothing where it is not installed."""
    if find_spec("jax") is None:
        return {}
    from benchmarks.hru_in_jax import contenders

    return contenders(theta, inputs, target, EPS[inputs.dtype.name] / inputs.shape[1])


@compiled
def _multiply_adds(table, rounds):
    a, b, c, d = load(table, 0, 0, 4), load(table, 1, 0, 4), load(table, 2, 0, 4), load(table, 3, 0, 4)
    x, y = load(table, 4, 0, 4), load(table, 5, 0, 4)
    for _ in range(rounds):
        a, b, c, d = a * x + y, b * x + y, c * x + y, d * x + y
    store(table, 0, 0, (a + b) + (c + d))


def issue_limit(kind: str) -> float:
    """Seconds per step that the echoes of the whole batch would take at the rate of multiply-adds, on all cores."""
    rounds, registers, cores = 500_000, 16, len(os.sched_getaffinity(0))
    tables = np.full((cores, 6, 256), 0.5, kind)
    with ThreadPoolExecutor(cores) as pool:

        def once() -> float:
            begin = time.perf_counter()
            list(pool.map(_multiply_adds, tables, [rounds] * cores))
            return time.perf_counter() - begin

        rate = cores * rounds * registers / min(once() for _ in range(8))
    instructions, units = (88, 16) if kind == "float32" else (127, 8)
    return instructions * UNITS * BATCH / units / rate


def _synchronised(result: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, float) for name, value in result.items()}


def _distance(result: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]) -> float:
    mine, theirs = (np.concatenate([np.ravel(values[name]) for name in exact]) for values in (result, exact))
    return float(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs))


def compare(model: RecurrentUnit, steps: int, d_in: int, kind: str, rounds: int, wanted: Sequence[str]) -> None:
    """Print one table."""
    theta, inputs, target = task(model, steps, d_in, kind)
    runs = {name: ours(name, model, theta, inputs, target) for name in wanted}
    runs |= {f"JAX {name}": run for name, run in peers(model, theta, inputs, target).items()}
    small = {name: value.astype(float) for name, value in theta.items()}
    exact = (
        _synchronised(ours("bptt", model, small, inputs.astype(float), target.astype(float))())
        if steps <= 20_000
        else {}
    )
    results = {name: _synchronised(run()) for name, run in runs.items()}  # compiles
    times: dict[str, list[float]] = {name: [] for name in runs}
    limits = []
    shuffled = np.random.default_rng(0)
    for _ in range(rounds):
        limits.append(issue_limit(kind))
        for name in shuffled.permutation(list(runs)):
            begin = time.perf_counter()
            _synchronised(runs[name]())
            times[name].append((time.perf_counter() - begin) / steps)
    print(f"\n{model.name}, {kind}, {UNITS} units, batch {BATCH}, {d_in} inputs, {steps} steps, {rounds} rounds")
    print(f"{'':24}{'us/step':>10}{'fastest':>10}{'x echoes':>10}{'x adjoint':>10}  error")
    if not model.linear:
        print(f"{'issue limit':24}{1e6 * min(limits):10.2f}")
    for name, values in times.items():
        ratios = [
            median(a / b for a, b in zip(values, times[base], strict=True)) if base in times else float("nan")
            for base in ("echoes", "adjoint")
        ]
        error = f"{_distance(results[name], exact):.0e}" if exact else "-"
        print(
            f"{name:24}{1e6 * median(values):10.2f}{1e6 * min(values):10.2f}{ratios[0]:10.2f}{ratios[1]:10.2f}  {error}"
        )


def memory(kind: str, wanted: Sequence[str], short: int = 4096, long: int = 16384) -> None:
    """Growth of the peak resident memory per step, between two lengths, each in a process of its own."""
    names = [*wanted, *(f"JAX {name}" for name in ("scan", "checkpointed", "RHEL scan") if find_spec("jax"))]
    print(f"\nmemory per step beyond inputs and targets, nonlinear HRU, {kind}, {short} to {long} steps")
    for name in names:
        peaks = []
        for steps in (short, long):
            command = [sys.executable, "-m", "benchmarks.hru_speed", "--peak", name, str(steps), kind]
            peaks.append(int(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()[-1]))
        print(f"{name:24}{(peaks[1] - peaks[0]) / (long - short):10.3f} kB/step")


def _peak(name: str, steps: int, kind: str) -> None:
    import resource

    model = MODELS["nonlinear"]

    def contender(length: int) -> Contender:
        arguments = model, *task(model, length, 6, kind)
        return peers(*arguments)[name[4:]] if name.startswith("JAX") else ours(name, *arguments)

    if not name.startswith("JAX"):
        contender(64)()  # loads the kernels
    run = contender(steps)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _synchronised(run())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Speed and memory of recurrent units.")
    parser.add_argument("--steps", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--types", nargs="+", default=["float32", "float64"])
    parser.add_argument("--models", nargs="+", default=["nonlinear"], choices=list(MODELS))
    parser.add_argument("--engines", nargs="+", default=["echoes", "difference", "adjoint"])
    parser.add_argument("--d-in", type=int, default=6)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.peak:
        _peak(options.peak[0], int(options.peak[1]), options.peak[2])
        return
    if find_spec("jax") is None:
        print("JAX is not installed: only the engines are timed")
    for name in options.models:
        for kind in options.types:
            for steps in options.steps:
                compare(MODELS[name], steps, options.d_in, kind, options.rounds, options.engines)
    if not options.no_memory:
        memory("float32", [*options.engines, "bptt"])


if __name__ == "__main__":
    main()
