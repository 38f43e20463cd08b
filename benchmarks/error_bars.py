"""Do error bars mean what they say, and does the order of the nudges cancel drift?

    python -m benchmarks.error_bars [--rigs N]

Coverage: random lossy rigs with noisy readings, linear ones, whose gradient has no bias at any nudge, and anharmonic
ones, whose intervals count the bias bound.  Drift: the reference rig drifts in every part; the bias is the distance
from the gradient of the same nudges without drift, at equal numbers of echoes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.figure import Figure, print_table
from labrhel.learning.estimator import Order
from protocols.rhel import RHEL
from simbackend.imperfections import Imperfections
from simbackend.imperfections.drift import Drift
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import ReferenceTask, lossy_rig, reference_rig
from simbackend.rigs.simulated import SimulatedRig

NOISE = 5e-3  # rms of a reading; the rigs move by about one
ANHARMONIC = ("quadratic", "cubic", "quartic")


def noisy(seed: int, noise: float, *, linear: bool) -> ReferenceTask:
    """A random lossy rig with noisy readings; a linear one without its anharmonic terms."""
    reference = lossy_rig(np.random.default_rng(seed))
    still = {name: np.zeros(reference.model.size) for name in ANHARMONIC} if linear else {}
    nominal = {name: spec.nominal for name, spec in reference.model.parameters.items()} | still
    model = OscillatorNetwork(reference.model.size, coupling="all", inputs=reference.model.inputs, nominal=nominal)
    rig = SimulatedRig(model, imperfections=Imperfections(seed=seed, noise=noise))
    task = replace(reference.task, model=model, capabilities=rig.capabilities)
    return replace(reference, model=model, rig=rig, task=task, theta={**reference.theta, **still})


def covered(seed: int, *, linear: bool, repeats: int = 8) -> tuple[int, int]:
    """Entries of the exact gradient inside their 95 % intervals, and how many there are."""
    reference = noisy(seed, NOISE, linear=linear)
    names = [name for name in reference.model.parameters if not (linear and name in ANHARMONIC)]
    # A nudge so large that its bias is seen would test the bound, not the error bar.
    rule = RHEL(repeats=repeats, bound=not linear, response=0.3 if linear else 0.05)
    gradient, exact = reference.gradient(rule, (*names, "readout")), reference.exact()[1]
    inside = [
        np.ravel((low <= exact[name]) & (exact[name] <= high)) for name, (low, high) in gradient.interval().items()
    ]
    flat = np.concatenate(inside)
    return int(flat.sum()), len(flat)


def coverage(count: int, *, linear: bool) -> float:
    """Share of all entries of all rigs."""
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(partial(covered, linear=linear), range(count), chunksize=4))
    return sum(inside for inside, _ in found) / sum(entries for _, entries in found)


def drift_bias(seed: int, drift: Drift, order: Order, repeats: int) -> float:
    """Relative distance from the gradient of the same nudges without drift."""
    still = reference_rig()
    rig = SimulatedRig(still.model, imperfections=Imperfections(seed=seed, drift=drift))
    drifting = replace(still, rig=rig, task=replace(still.task, capabilities=rig.capabilities))
    names = ("stiffness", "coupling")
    eps = still.gradient(RHEL(response=1e-4), names).eps
    found, true = (
        np.concatenate(
            [item.gradient(RHEL(eps=eps, order=order, repeats=repeats), names).values[name] for name in names]
        )
        for item in (drifting, still)
    )
    return float(np.linalg.norm(found - true) / np.linalg.norm(true))


def targets(count: int = 1000) -> Iterator[Figure]:
    """All of it."""
    share = coverage(count, linear=True)
    words = f"95 % intervals of {count} rigs without bias cover 93 to 97 % of the entries"
    yield Figure(words, f"{100 * share:.1f} %", 0.93 <= share <= 0.97)
    share = coverage(count, linear=False)
    yield Figure(f"... of {count} anharmonic rigs at least 93 %", f"{100 * share:.1f} %", share >= 0.93)
    for name, drift, order, least in (
        ("linear", Drift(rate=1e-6), Order.ABBA, 20),
        ("quadratic", Drift(bend=1e-7), Order.ABBABAAB, 100),
    ):
        repeats = {Order.ABBA: 2, Order.ABBABAAB: 1}[order]
        factors = [drift_bias(seed, drift, Order.AB, 4) / drift_bias(seed, drift, order, repeats) for seed in range(12)]
        words = f"{order} has >= {least} times less bias under {name} drift than ab, at equal echoes"
        yield Figure(words, f"{np.median(factors):.0f} times, at least {min(factors):.0f}", min(factors) >= least)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=1000)
    sys.exit(not print_table(targets(parser.parse_args().rigs)))


if __name__ == "__main__":
    main()
