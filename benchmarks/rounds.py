"""Contenders timed in interleaved rounds, and what their times say.

Each round runs every contender once, in random order, so that a busy machine slows all of them; ratios are medians
over rounds of the ratio within a round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

from benchmarks.figure import Figure

ABSENT = "skipped: JAX is not installed (docs/recurrent-units.md says how)"

PAUSE = 0.1  # seconds before each run: JAX gives back gigabytes in the background, and its threads linger


@dataclass(frozen=True, slots=True)
class Contender:
    """Work that is done, result and all, when `run` returns, and the number of time steps it covers."""

    run: Callable[[], Any]
    steps: int


@dataclass(frozen=True, slots=True)
class Rounds:
    """Seconds per step of each contender, round by round, and what each returned."""

    seconds: Mapping[str, Sequence[float]]
    results: Mapping[str, Any]

    def ratio(self, name: str, base: str) -> float:
        """How many times as long as `base` this contender takes."""
        return median(a / b for a, b in zip(self.seconds[name], self.seconds[base], strict=True))

    def print(self, title: str, bases: Sequence[str], notes: Mapping[str, str]) -> None:
        """One line for each contender: median and least time, ratios to the bases, a note."""
        print(f"\n{title}, {len(next(iter(self.seconds.values())))} rounds")
        print(f"{'':36}{'us/step':>10}{'fastest':>10}", *(f"{f'x {base}':>12}" for base in bases), sep="")
        for name, values in self.seconds.items():
            ratios = "".join(f"{self.ratio(name, base):12.2f}" for base in bases)
            print(f"{name:36}{1e6 * median(values):10.2f}{1e6 * min(values):10.2f}{ratios}  {notes.get(name, '')}")

    def faster(self, target: str, mine: str, peers: Sequence[str], least: float, stretch: float = 0) -> Figure:
        """The figure "`mine` is at least so many times faster than the fastest of `peers`"; skipped without peers.

        Its value names the plain one too, which is the first.  `least` 0: it is not judged.
        """
        target += (f" >= {least:g} times" if least else "") + (f" (stretch {stretch:g})" if stretch else "")
        ratios = {name: self.ratio(name, mine) for name in peers if name in self.seconds}
        if not ratios:
            return Figure(target, ABSENT, None)
        best = min(ratios, key=ratios.__getitem__)
        words = "; ".join(f"{ratios[name]:.1f} {name}" for name in dict.fromkeys((best, *list(ratios)[:1])))
        return Figure(target, words, ratios[best] >= least if least else None)

    def by_bptt(self) -> list[str]:
        """JAX's ways of reverse mode, the plain one first."""
        return [name for name in self.seconds if name.startswith("JAX") and "RHEL" not in name]


def interleaved(contenders: Mapping[str, Contender], rounds: int) -> Rounds:
    """Run all of them once to compile, then `rounds` times."""
    results = {name: contender.run() for name, contender in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    shuffled = np.random.default_rng(0)
    for _ in range(rounds):
        for name in shuffled.permutation(list(contenders)):
            time.sleep(PAUSE)
            begin = time.perf_counter()
            contenders[name].run()
            seconds[name].append((time.perf_counter() - begin) / contenders[name].steps)
    return Rounds(seconds, results)


def installed(package: str) -> bool:
    """Whether a peer can be asked; none is a dependency of labrhel."""
    return find_spec(package) is not None


def distance(found: Mapping[str, Any], exact: Mapping[str, Any]) -> float:
    """Relative error of all parameters in `exact` together, in float64."""
    mine, theirs = (
        np.concatenate([np.ravel(np.asarray(values[name], float)) for name in exact]) for values in (found, exact)
    )
    return float(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs))
