"""A day of drift: a rig whose springs change all the time, trained for 24 hours, with and without attention.

    python -m benchmarks.calibration_drift

A rig without flip needs to be known to be brought into its reversed state.  Every part of it drifts steadily, by 3 % in
the day.  The run that watches its retrace error (`health:`) measures the paths again when it must; an hourly schedule
would do so 24 times.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import labrhel
from benchmarks.figure import Figure, print_table
from labrhel.errors import LabrhelError

STEPS = 240  # ten an hour, of six shots each
DRIFT = "20ppm"  # a shot
HOURS = 24
_CONFIG = """\
model:
  oscillators: 3
  coupling: all
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: [1.0, 1.3, 0.8]
    cubic: 0.2
    coupling: {value: 0.15, train: true, bounds: [0, 2]}
    friction: 0.02
    input: [[1.0], [0.0], [0.0]]
  readout: {channels: [q3], gain: 1.0}
protocol: {rule: rhel, record: none}
optimizer: {kind: adam, rate: 0.01, steps: STEPS}
data:
  teacher:
    parameters: {coupling: [0.3, 0.05, 0.22], stiffness: [1.1, 1.2, 0.9], friction: 0.05}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 10, seed: 3}
    samples: 120
    spacing: 0.2
    sequences: 2
    test_sequences: 1
  substeps: 1
  skip: 10
"""


def day(folder: Path, name: str, drift: str, health: str) -> tuple[float, int]:
    """Mean loss of the last hour, and how often the paths were measured again; infinite if the run broke off."""
    file = folder / f"{name}.yaml"
    file.write_text(_CONFIG.replace("STEPS", str(STEPS)) + health)
    for life in folder.glob("device*"):
        life.unlink()
    url = f"sim:{file}?reversal=by_drive&noise=1mV&seed=3{drift}"
    try:
        run = labrhel.load_experiment(file, rig_url=url).run(folder / "runs")
    except LabrhelError as error:
        print(error)
        return np.inf, 0
    counts = run.scalars.get("recalibrations", np.zeros(1))
    return float(run.loss[-STEPS // HOURS :].mean()), int(np.nanmax([0.0, *counts]))


def targets() -> Iterator[Figure]:
    """All of it."""
    with tempfile.TemporaryDirectory() as name:
        folder, before = Path(name), os.environ.get("LABRHEL_STATE")
        os.environ["LABRHEL_STATE"] = name  # where the device remembers how many shots it has fired
        try:
            still, _ = day(folder, "still", "", "")
            alone, _ = day(folder, "unattended", f"&drift={DRIFT}", "")
            watched, count = day(folder, "attended", f"&drift={DRIFT}", "health: {retrace: 0.035, steps: 2}\n")
        finally:
            if before is None:
                del os.environ["LABRHEL_STATE"]
            else:
                os.environ["LABRHEL_STATE"] = before
    yield Figure("a day without drift: loss of the last hour", f"{still:.4f}", None)
    yield Figure("a day of drift, unattended, fails", f"{alone:.4f}", bool(alone > 1.5 * still))
    words = "a day of drift, watched by its retrace error: within 5 % of no drift"
    yield Figure(words, f"{watched:.4f}", bool(abs(watched - still) <= 0.05 * still))
    yield Figure(f"  recalibrations, at most a fifth of an hourly schedule's {HOURS}", str(count), count <= HOURS / 5)


def main() -> None:
    sys.exit(not print_table(targets()))


if __name__ == "__main__":
    main()
