"""Does a locked gradient say what the lock hides?  And are rigs of high Q served?

    python -m benchmarks.honest_locks [--rigs N]

Locked: drag, dry friction and delays of half a sample (by drive), which a lock takes out of the path and not out of the
gradient, without noise and with noise of 1e-3.  High Q: 1000 over 2000 kicks, read with 8 bits, reversed by a flip.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from benchmarks.figure import Figure, print_table
from benchmarks.honesty import BY_DRIVE, NAMES, STEP, Sizes, read_by_positions, undeclared_rig
from benchmarks.odd_rigs import measured_gradient, odd, off
from labrhel.arrays import Array
from labrhel.errors import LabrhelError
from labrhel.executor import execute
from labrhel.rig.capabilities import Reversal
from protocols.forward.forward import run_forward
from protocols.rhel import RHEL
from simbackend.imperfections import Imperfections
from simbackend.imperfections.converters import ConverterErrors
from simbackend.imperfections.paths import PathErrors
from simbackend.rigs.reference import ReferenceTask

HIDDEN = ("nothing", "drag", "dry friction", "delays, by drive")
NOISES = (0.0, 1e-3)
LOCKED = ("stiffness", "coupling")
HIGH_Q = Sizes(steps=2000, folds=(0.15, 0.25))
REPEATS = 4


def hidden(seed: int, what: str, noise: float) -> tuple[ReferenceTask, dict[str, Array]]:
    """A rig with one thing wrong that no echo shows, and the gradient of the rig as it is."""
    random, plain = np.random.default_rng([17, seed]), undeclared_rig(seed, {})
    if what in ("nothing", "delays, by drive"):
        side, late = ("ports", "channels")[seed % 2], float(random.uniform(0.4, 0.6)) * STEP
        wrong = {} if what == "nothing" else {side: PathErrors(delay=late)}
        rig = undeclared_rig(seed, {"noise": noise, **wrong})
        rig = rig.declaring(reversals=BY_DRIVE, accumulates=frozenset(), reads_state=False)
        return rig, {name: plain.exact()[1][name] for name in LOCKED}
    most = {"drag": 0.15, "dry friction": 0.03}[what]
    amount = float(random.uniform(most / 6, most))
    drag, dry = (amount, 0.0) if what == "drag" else (0.0, amount)
    noisy = odd(plain, drag, dry, Imperfections(seed=seed, noise=noise))
    return noisy, measured_gradient(odd(plain, drag, dry), LOCKED)


def locked(seed: int, what: str, noise: float) -> tuple[float, bool]:
    """Error of a locked gradient, infinite where it is refused, and whether it came with a warning."""
    rig, exact = hidden(seed, what, noise)
    try:
        found = rig.gradient(RHEL(lock=6), LOCKED)
    except LabrhelError:
        return np.inf, True
    return off(dict(found.values), exact), bool(found.warnings)


def lock_figure(what: str, noise: float, rigs: Sequence[int]) -> Figure:
    """Errors above 5 % without a word; of rigs with nothing wrong, how many come with one all the same."""
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(partial(locked, what=what, noise=noise), rigs))
    flagged = [warned for error, warned in found if error > 0.05]
    others = [warned for error, warned in found if error <= 0.05]
    words = f"{sum(flagged)} of {len(flagged)}; of {len(others)} within 5 % {sum(others)} are warned of"
    is_met = sum(flagged) >= 0.95 * len(flagged)
    return Figure(f"locked, {what}, noise {noise:g}: errors above 5 % flagged in 95 %", words, is_met)


def high_q(seed: int) -> tuple[float, bool]:
    """Cosine of a gradient, 0 where refused, and whether it was flagged; the range of the converter fits the motion."""
    clean = undeclared_rig(seed, {}, HIGH_Q)
    motion = execute(run_forward(clean.request(NAMES)), clean.handler()).batch.passes[0].q
    wrong = {"adc": ConverterErrors(8, 1.5 * float(np.abs(motion).max()))}
    rig = read_by_positions(undeclared_rig(seed, wrong, HIGH_Q)).declaring(
        reversals=frozenset({Reversal.MOMENTUM_FLIP})
    )
    try:
        found = rig.gradient(RHEL(repeats=REPEATS), NAMES)
    except LabrhelError:
        return 0.0, True
    return rig.compare(found)[0], bool(found.warnings)


def high_q_figure(rigs: Sequence[int]) -> Figure:
    """The median, and the worst."""
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(high_q, rigs))
    cosines = np.array([cosine for cosine, _ in found])
    silent = sum(cosine < 0.9 and not warned for cosine, warned in found)
    words = f"median {np.median(cosines):.4f}, worst {cosines.min():.2f}, below 0.9 and silent {silent}"
    title = f"Q 1000, 2000 samples, 8 bits, by flip, {REPEATS} repeats: cosine >= 0.99 in the median, worst flagged"
    return Figure(title, words, bool(np.median(cosines) >= 0.99 and not silent))


def targets(rigs: int = 40) -> Iterator[Figure]:
    """All of it."""
    for what in HIDDEN:
        for noise in NOISES:
            yield lock_figure(what, noise, range(rigs))
    yield high_q_figure(range(rigs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=40)
    sys.exit(not print_table(targets(parser.parse_args().rigs)))


if __name__ == "__main__":
    main()
