"""Training on a virtual bench over real wires, beside the same training on the simulated rig.

    python -m benchmarks.bench_training

Generators, oscilloscopes and a source on sockets, spoken to in SCPI; the state is reversed by drive; eight bits.  How
soon the guardian makes the bench safe is a test (`tests/drivers/bench`), and is repeated here for its figure.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, print_table
from labrhel import session
from labrhel.experiment import load_experiment
from simbackend.virtual_bench import station_text, virtual_bench

LARGEST_RATIO = 1.1  # of the test errors: eight bits and 1 mV of noise


def targets() -> Iterator[Figure]:
    """Test error on the bench and on the simulated rig."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        simulated = session.start(load_experiment("bench_oscillators"), root, lambda published: None)
        with virtual_bench("coupled_oscillators") as bench:
            station = root / "station.yaml"
            station.write_text(station_text(bench), encoding="utf-8")
            begin = time.perf_counter()
            experiment = load_experiment("bench_oscillators", rig_url=f"bench:{station}")
            measured = session.start(experiment, root, lambda published: None)
            seconds = time.perf_counter() - begin
        (wired,), (ideal,) = measured.metrics, simulated.metrics
        yield Figure(
            f"virtual bench over TCP, by drive: test error <= {LARGEST_RATIO:g} times that of sim:",
            f"{1e3 * wired.after:.1f} mV, sim: {1e3 * ideal.after:.1f} mV (before {1e3 * wired.before:.1f} mV)",
            wired.after <= LARGEST_RATIO * ideal.after,
        )
        yield Figure("  gradients and seconds it took", f"{len(measured.losses)} in {seconds:.0f} s", None)


if __name__ == "__main__":
    sys.exit(0 if print_table(targets()) else 1)
