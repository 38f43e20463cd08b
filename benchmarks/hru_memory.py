"""Recurrent units: how much the peak of memory grows with each step, beyond inputs and targets.

    python -m benchmarks.hru_memory

Nonlinear HRU, float32, batch 32.  Every contender runs at two lengths, each in a process of its own.  The checkpointed
and the RHEL scan of JAX are left out: at these lengths they need less than their compilation does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence

from benchmarks.figure import Figure, print_table
from benchmarks.hru_task import MODELS, engine, learning, strength, task
from benchmarks.rounds import ABSENT, Contender, installed

SHORT, LONG, KIND = 4096, 16384, "float32"
LARGEST, LEAST_RATIO = 0.2, 400
ENGINES = ("echoes", "difference", "adjoint")


def growth(name: str) -> float:
    """Bytes/1000 per step, between the two lengths."""
    peaks = []
    for steps in (64, SHORT, LONG):  # the first compiles, which takes more memory than any run
        command = [sys.executable, "-m", "benchmarks.hru_memory", "--peak", name, str(steps)]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()[-1]))
    return 1.024 * (peaks[2] - peaks[1]) / (LONG - SHORT)


def _contender(name: str, steps: int) -> Contender:
    model = MODELS["nonlinear"]
    theta, inputs, target = task(model, steps, KIND)
    if not name.startswith("JAX"):
        return learning(engine(name, model, strength(inputs)), theta, inputs, target)
    from benchmarks import hru_in_jax

    return hru_in_jax.contenders(theta, inputs, target, strength(inputs))[name.removeprefix("JAX ")]


def _peak(name: str, steps: int) -> int:
    import resource

    if not name.startswith("JAX"):
        _contender(name, 64).run()  # loads the kernels
    contender = _contender(name, steps)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    contender.run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def targets() -> Iterator[Figure]:
    """The engines that keep nothing, the tape, and JAX's."""
    found = {name: growth(name) for name in ENGINES}
    for name, value in found.items():
        target = f"memory, {name}: <= {LARGEST:g} kB per step at batch 32"
        yield Figure(target, f"{value:.3f} kB", value <= LARGEST)
    yield Figure("  BPTT over a tape", f"{growth('bptt'):.1f} kB", None)
    target = f"memory, {LONG} steps: JAX BPTT needs >= {LEAST_RATIO} times more than the echoes"
    if not installed("jax"):
        yield Figure(target, ABSENT, None)
        return
    scan = growth("JAX scan")
    ratio = scan / found["echoes"]
    yield Figure(target, f"{ratio:.0f} (JAX scan {scan:.0f} kB)", ratio >= LEAST_RATIO)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Memory of recurrent units per step.")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    peak = parser.parse_args(arguments).peak
    if peak:
        print(_peak(peak[0], int(peak[1])))
        return 0
    return 0 if print_table(targets()) else 1


if __name__ == "__main__":
    sys.exit(main())
