"""Recurrent units: how exact the gradients of the engines are.

    python -m benchmarks.hru_accuracy

128 units, batch 32, 6 inputs.  The reference is float64 BPTT from the very same numbers; errors are relative, of all
parameters together, rms over the seeds.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, print_table
from benchmarks.hru_task import MODELS, exact, learning, task, widened
from benchmarks.rounds import distance
from simbackend.recurrent.engines.bptt import TapeEngine
from simbackend.recurrent.engines.difference import DifferenceEngine
from simbackend.recurrent.engines.echoes import EchoEngine

SEEDS = range(8)
STRENGTHS = (1e-7, 1e-6, 1e-5)
LARGEST_RESPONSE, LARGEST_ERROR = 1e-4, 2e-6
STACKS = Path(__file__).parent.parent / "tests" / "simbackend" / "stacks" / "test_hssm.py"


def echoes(steps: int = 1000) -> Figure:
    """Physical echoes in float64, nudged until the response has the largest ratio allowed."""
    model, errors, response = MODELS["nonlinear"], [], 0.0
    for seed in SEEDS:
        theta, inputs, target = arrays = task(model, steps, "float64", seed=seed)
        run = TapeEngine(model).forward(theta, inputs)
        error = run.outputs - target
        truth, eps = exact(model, *arrays), 1e-6
        first = EchoEngine(model, eps=eps).backward(run, error)
        found = EchoEngine(model, eps=0.99 * eps * LARGEST_RESPONSE / first.response_ratio).backward(run, error)
        errors.append(distance(found.parameters, truth))
        response = max(response, found.response_ratio)
    met = _rms(errors) <= LARGEST_ERROR and response <= LARGEST_RESPONSE
    return Figure(
        f"echoes, float64, T = {steps}: error <= {LARGEST_ERROR:g} at r <= {LARGEST_RESPONSE:g}",
        f"{_rms(errors):.1e} at r = {response:.1e}",
        met,
    )


def difference(steps: int) -> Iterator[Figure]:
    """The difference form in float32 beside BPTT in float32: whole error, and that against float64 at the same eps."""
    model = MODELS["nonlinear"]
    taped: list[float] = []
    whole: dict[float, list[float]] = {eps: [] for eps in STRENGTHS}
    rounding: dict[float, list[float]] = {eps: [] for eps in STRENGTHS}
    for seed in SEEDS:
        arrays = task(model, steps, "float32", seed=seed)
        wide = widened(*arrays)
        truth = exact(model, *arrays)
        taped.append(distance(learning(TapeEngine(model), *arrays).run(), truth))
        for eps in STRENGTHS:
            narrow, same = (learning(DifferenceEngine(model, eps=eps), *each).run() for each in (arrays, wide))
            whole[eps].append(distance(narrow, truth))
            rounding[eps].append(distance(narrow, same))
    for eps in STRENGTHS:
        ratio = _rms(rounding[eps]) / _rms(taped)
        yield Figure(
            f"difference form, float32, T = {steps}, eps = {eps:g}: rounding <= 4 times that of BPTT",
            f"{ratio:.2f} ({_rms(rounding[eps]):.1e}, with the estimator's own {_rms(whole[eps]):.1e}; "
            f"BPTT {_rms(taped):.1e})",
            ratio <= 4,
        )


def stacks() -> Figure:
    """Six blocks against automatic differentiation, by the test that says so."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "six_blocks", str(STACKS)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    words = answer.stdout.strip().splitlines()[-1]
    target = "HSSMs of 6 blocks, float64: cosine with BPTT >= 0.999999 in every parameter of every layer"
    # Without PyTorch there is nothing to collect, which pytest counts as a failure.
    return Figure(target, words, answer.returncode == 0 if "passed" in words or "failed" in words else None)


def _rms(errors: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def targets() -> Iterator[Figure]:
    """All of them."""
    yield echoes()
    for steps in (1000, 10_000):
        yield from difference(steps)
    yield stacks()


if __name__ == "__main__":
    sys.exit(0 if print_table(targets()) else 1)
