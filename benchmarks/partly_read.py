"""Rigs that show two to four of six positions: local parameters as with all of them, the others by a smoother.

    python -m benchmarks.partly_read [--rigs N] [--keep FILE]

Random Duffing rigs with dense springs (`simbackend.rigs.partly_read`), noise of 2e-4 on channels that move by half a
unit; the host's springs are wrong by 5 %, cubic terms (and friction) by 20 %, each entry up or down.  Lossless ones,
and ones that lose 1.5 e-folds of energy a pass, whose echo is locked.  Every rig is measured once as it is, and once
with all of its positions read.  `--keep`: a line a rig goes to FILE, and rigs that are there are not measured again.
Error: of the parameters of the rig as one vector, local and other entries apart, against reverse mode.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figure import Figure, print_table
from labrhel.arrays import Array, Arrays
from labrhel.errors import LabrhelError
from protocols.echoes.options import Unread
from protocols.rhel import RHEL
from simbackend.rigs.partly_read import partly_read_rig

NOISE, RESPONSE, REPEATS, LOCK = 2e-4, 0.01, 4, 4
LOSSY = 1.5
"""e-folds of energy that the rigs with friction lose in a pass."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rig: errors of local entries and of the others, the same with all positions read, the cosine of the others;
    NaN where all of them were refused.

    `held`: how many of so many `others` lay in their interval of 95 %; `refused`: entries that were refused by name.
    """

    seed: int
    read: int
    local: float
    whole: float
    other: float
    cosine: float
    held: int
    others: int
    refused: tuple[str, ...]


def row(seed: int, folds: float, steps: int = 300) -> Row:
    """Measure one rig; entries that are refused by name are asked for no more."""
    rig = partly_read_rig(seed, folds=folds, noise=NOISE, steps=steps)
    rule = RHEL(unread=Unread.SMOOTHED, response=RESPONSE, repeats=REPEATS, lock=LOCK if folds else 0)
    asked = {name: np.ones(np.shape(rig.truth[name]), bool) for name in rig.names}
    refused: list[str] = []
    while True:
        try:
            found = rig.gradient(rule, trained=asked)
            break
        except LabrhelError as error:
            lost = re.findall(r"(\w+)\[([\d,]+)\]", str(error))
            if not lost:
                raise
            for name, index in lost:
                asked[name][tuple(map(int, index.split(",")))] = False
            refused += [f"{name}[{index}]" for name, index in lost]
    whole = rig.gradient(RHEL(response=RESPONSE, repeats=REPEATS, lock=LOCK if folds else 0), whole=True)
    exact = rig.exact()
    local = {name: rig.local(name) for name in rig.names}
    other = {name: asked[name] & ~mask for name, mask in local.items()}
    ends = found.interval()
    low, high = (_flat({name: pair[place] for name, pair in ends.items()}, other) for place in (0, 1))
    right, said = _flat(exact, other), _flat(found.values, other)
    return Row(
        seed=seed,
        read=len(rig.read),
        local=_error(_flat(found.values, local), _flat(exact, local)),
        whole=_error(_flat(whole.values, local), _flat(exact, local)),
        other=_error(said, right) if right.size else np.nan,
        cosine=float(said @ right / (np.linalg.norm(said) * np.linalg.norm(right))) if right.size else np.nan,
        held=int(np.sum((low <= right) & (right <= high))),
        others=right.size,
        refused=tuple(refused),
    )


def _flat(parts: Arrays, masks: dict[str, NDArray[np.bool_]]) -> Array:
    return np.concatenate([np.asarray(parts[name])[mask] for name, mask in masks.items()])


def _error(found: Array, exact: Array) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def kept(seed: int, folds: float, file: Path | None) -> Row:
    """A row that was measured before, or is now."""
    if file is not None and file.exists():
        for line in file.read_text().splitlines():
            told = json.loads(line)
            if told.pop("folds") == folds and told["seed"] == seed:
                return Row(**told)
    found = row(seed, folds)
    if file is not None:
        with file.open("a") as lines:
            lines.write(json.dumps(asdict(found) | {"folds": folds}) + "\n")
    return found


def targets(count: int, processes: int = 2, file: Path | None = None) -> Iterator[Figure]:
    """The targets, and the table that docs/what-physics-allows.md quotes."""
    with ProcessPoolExecutor(processes) as pool:
        for folds, words in ((0.0, "lossless"), (LOSSY, f"lossy, {LOSSY} e-folds, locked")):
            found = list(pool.map(partial(kept, folds=folds, file=file), range(count)))
            yield from figures(found, words, compensated=folds > 0)


def figures(found: list[Row], words: str, *, compensated: bool) -> Iterator[Figure]:
    """What rigs of one kind say; where unread oscillators are `compensated`, nothing is as exact as with all read."""
    local, whole, other = (
        float(np.nanmedian([getattr(item, of) for item in found])) for of in ("local", "whole", "other")
    )
    yield Figure(f"{words}: local entries, median error; with all positions read", f"{local:.2g}; {whole:.2g}", None)
    ratio = float(np.median([item.local / item.whole for item in found]))
    yield Figure(
        "  as exact as with all read: median ratio of the two", f"{ratio:.2f}", None if compensated else ratio <= 1.5
    )
    cosine, worst = (float(of([item.cosine for item in found])) for of in (np.nanmedian, np.nanmin))
    yield Figure("  others: median error; worst cosine", f"{other:.2g}; {worst:.3f}", None)
    yield Figure("  others: cosine >= 0.99 in the median", f"{cosine:.6f}", cosine >= 0.99)
    share = sum(item.held for item in found) / sum(item.others for item in found)
    yield Figure("  their error bars of 95 % hold 90 to 98 %", f"{100 * share:.1f} %", 0.9 <= share <= 0.98)
    refused = sum(bool(item.refused) for item in found)
    yield Figure("  rigs with entries refused by name", f"{refused} of {len(found)}", None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=100)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    sys.exit(not print_table(targets(asked.rigs, file=asked.keep)))


if __name__ == "__main__":
    main()
