"""Training on rigs that lose energy which the host does not know of: plain and locked echoes beside BPTT.

    python -m benchmarks.lossy_training [--steps N]

Six coupled oscillators lose 3 e-folds of energy in a pass; the host believes that they lose none.  BPTT is the exact
gradient of the rig as it is.  Then the Silverbox model as a rig on 12-bit converters with noise, whose friction is a
fifth larger than the host knows at any time, trained on the measured data.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figure import Figure, print_table
from labrhel import session
from labrhel.config import find
from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment

HIDDEN = 0.1  # [1/ms]: 3 e-folds in 30 ms
SILVERBOX = "adc_bits=12&adc_range=0.3V&dac_bits=12&dac_range=0.2V&noise=0.1mV&friction=4/s&seed=3"


def trained(folder: Path, name: str, config: Mapping[str, Any], settings: str = "") -> session.Outcome:
    """Run a configuration, on its own model with `settings`."""
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(dict(config)))
    rig = f"sim:{file}?{settings}" if settings else None
    experiment = load_experiment(file, rig_url=rig)
    return session.start(experiment, folder, lambda published: None)


def six_oscillators(folder: Path, steps: int) -> Iterator[Figure]:
    """Final losses of three ways to train the same rig."""
    base = yaml.safe_load(find("coupled_oscillators").read_text())
    base["optimizer"] |= {"rate": 0.02, "steps": steps}
    known = {**base, "protocol": {"rule": "twin", "refit": False, "record": "none"}}
    known["model"] = {**base["model"], "parameters": {**base["model"]["parameters"], "friction": HIDDEN}}
    teacher = {**base["data"]["teacher"], "parameters": {**base["data"]["teacher"]["parameters"], "friction": 0.0}}
    known["data"] = {**base["data"], "teacher": teacher}
    hidden = f"friction={1000 * HIDDEN:g}/s"
    best = trained(folder, "bptt", known).losses[-1]
    plain = trained(folder, "plain", {**base, "protocol": {"rule": "rhel", "record": "none"}}, hidden)
    locked = trained(folder, "locked", {**base, "protocol": {"rule": "rhel", "lock": 6, "record": "none"}}, hidden)
    yield Figure("BPTT on six oscillators that lose 3 e-folds: final loss", f"{best:.4f}", None)
    fails = bool(plain.losses[-1] > 2 * best)
    yield Figure("plain echoes fail to learn it", f"{plain.losses[-1]:.4f}", fails)
    good = bool(locked.losses[-1] <= 1.05 * best)
    yield Figure("locked echoes come within 5 % of BPTT, friction unknown", f"{locked.losses[-1]:.4f}", good)


def silverbox(folder: Path) -> Iterator[Figure]:
    """Test error of the measured circuit."""
    target = "Silverbox, 12 bits, noise, friction off by 20 %, locked echoes: arrow-head error <= 1 mV"
    base = yaml.safe_load(find("silverbox").read_text())
    base["protocol"] = {"rule": "rhel", "lock": 6, "record": "none"}
    base["optimizer"] = {**base["optimizer"], "steps": 40}
    try:
        (metric,) = trained(folder, "silverbox", base, SILVERBOX).metrics
    except ConfigurationError as error:
        yield Figure(target, f"skipped: {error}", None)
        return
    yield Figure(target, f"{1e3 * metric.after:.2f} mV, from {1e3 * metric.before:.1f} mV", metric.after <= 1e-3)


def targets(steps: int = 150) -> Iterator[Figure]:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        yield from six_oscillators(Path(folder), steps)
        yield from silverbox(Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    sys.exit(not print_table(targets(parser.parse_args().steps)))


if __name__ == "__main__":
    main()
