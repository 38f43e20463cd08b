"""Is what a calibration accepts true?  Devices that its model does not contain, and ordinary ones, over seeds.

    python -m benchmarks.honest_calibration [--devices N]

Three oscillators, 2 mV of noise, gains, delays and friction drawn from the seed, and one thing more that the model of
the paths may lack.  Every value is compared with the truth, which is read from the simulator afterwards.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

import labrhel
from benchmarks.calibration_accuracy import truth
from benchmarks.figure import Figure, print_table
from calibration.testing import measured, written

ORDINARY = "noise=2mV&port_gain=2%&channel_gain=2%&port_skew=4us&channel_skew=4us&friction=20/s"
DEVICES = {
    "ordinary": "",
    "AC-coupled": "channel_highpass=8Hz",
    "not reciprocal by 5 %": "nonreciprocity=0.05",
    "gains of 0.3 to 2.5": "f1.gain=0.3&q2.gain=2.5&q3.gain=0.4&f3.gain=1.6",
    "triggers that jitter by a tenth of a sample": "jitter=20us",
    "gains that jitter by 1 %": "gain_jitter=1%",
    "clocks 100 ppm apart": "clock_apart=100ppm",
}
ROUTINES = ("paths", "clock", "reciprocity")
ENTRY = 100  # seed; those below were used while the routines were written


def judged(seed: int, device: str) -> tuple[int, int, int]:
    """Values with a truth: how many there are, are accepted, and of those are within 3 of their errors."""
    more = f"&{DEVICES[device]}" if DEVICES[device] else ""
    with tempfile.TemporaryDirectory() as folder:
        file = written(Path(folder))
        experiment = labrhel.load_experiment(file, rig_url=f"sim:{file}?seed={seed}&{ORDINARY}{more}")
        planned, done = measured(experiment, *ROUTINES)
        proposed = {key: item for one in done.values() for key, item in one.finding.values.items()}
        planned.accept(list(done.values()))
        known = planned.record.current().values
        true = truth(experiment, planned.bench.reference, planned.bench.channels[0])
    asked = [name for name in proposed if name in true]
    accepted = [name for name in asked if name in known]
    right = [abs(known[name].value - true[name]) <= 3 * known[name].uncertainty for name in accepted]
    return len(asked), len(accepted), sum(right)


def device_figure(device: str, seeds: Sequence[int]) -> Figure:
    """Of one kind of device."""
    with ProcessPoolExecutor(2) as pool:
        found = np.array(list(pool.map(partial(judged, device=device), seeds)))
    asked, accepted, right = (int(column.sum()) for column in found.T)
    share, honest = accepted / asked, right / accepted if accepted else 1.0
    words = f"{100 * share:.0f} % of {asked} accepted, {100 * honest:.1f} % of them within 3 errors"
    is_met = honest >= 0.97 and (device != "ordinary" or share >= 0.8)
    wanted = ", 80 % accepted" if device == "ordinary" else ""
    return Figure(f"{len(seeds)} devices, {device}: 97 % of accepted values within 3 errors{wanted}", words, is_met)


def targets(devices: int = 20) -> Iterator[Figure]:
    """Every kind."""
    for device in DEVICES:
        yield device_figure(device, range(ENTRY, ENTRY + devices))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=20)
    sys.exit(not print_table(targets(parser.parse_args().devices)))


if __name__ == "__main__":
    main()
