"""Any benchmark beside the same one of another checkout, run in turn, so that a busy machine slows both.

    python -m benchmarks.against FOLDER bench_overhead [--pairs 30] [--most 5] [ARGUMENTS OF THE BENCHMARK]

FOLDER is a checkout with its own `.venv` (`git worktree add FOLDER TAG`, then install it there).  Each pair runs both,
in an order that alternates.  Of every line that both print, the first number is compared: x = log(here/there), and

    here/there = exp(mean(x) +- t s/sqrt(n)),      s the standard deviation, t that of Student for n - 1 and 95 %

Rates (`MB/s`) count the other way round, so that above 1 is always slower here.  The exit status is 1 if the upper end
of an interval lies more than `--most` per cent above 1.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t as student

from benchmarks.figure import Figure, print_table

_LINE = re.compile(r"\s*(?P<name>\S.*?)\s{2,}(?P<value>\d+\.?\d*(?:e[+-]?\d+)?)(?P<unit>\s*[a-zA-Z]*/s\b)?")
_HERE = Path(__file__).parents[1]


def numbers(printed: str) -> dict[str, float]:
    """The first number of every line of columns, by what stands before it; of a rate its inverse."""
    found: dict[str, float] = {}
    seen: Counter[str] = Counter()
    for match in filter(None, map(_LINE.match, printed.splitlines())):
        name, value = match["name"], float(match["value"])
        seen[name] += 1
        if value > 0:
            key = name if seen[name] == 1 else f"{name} ({seen[name]})"
            found[key] = 1 / value if match["unit"] else value
    return found


def compared(pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]], most: float) -> Iterator[Figure]:
    """Of pairs (here, there), the ratio of every number that all have, with its 95 % interval; `most` [per cent]."""
    for name in pairs[0][0]:
        if not all(name in each for pair in pairs for each in pair):
            continue
        logs = [math.log(here[name] / there[name]) for here, there in pairs]
        half = float(student.ppf(0.975, len(logs) - 1)) * stdev(logs) / math.sqrt(len(logs))
        low, middle, high = (math.exp(mean(logs) + sign * half) for sign in (-1, 0, 1))
        yield Figure(name, f"{middle:.3f} times [{low:.3f}, {high:.3f}]", high <= 1 + most / 100)


def _run(folder: Path, words: Sequence[str]) -> dict[str, float]:
    """What a benchmark of a checkout prints; raises SystemExit with its last words if it prints nothing to compare."""
    own = [folder / ".venv" / place for place in ("bin/python", "Scripts/python.exe")]
    python = next((place for place in own if place.exists()), Path(sys.executable))
    done = subprocess.run([str(python), "-m", *words], cwd=folder, capture_output=True, text=True, check=False)
    found = numbers(done.stdout)
    if not found:
        raise SystemExit(f"{folder}: {' '.join(words)} gives no figures: {(done.stderr or done.stdout)[-500:]}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pairs and print the table."""
    parser = argparse.ArgumentParser(description="A benchmark beside that of another checkout.")
    parser.add_argument("folder", type=Path, help="the other checkout, with its own .venv")
    parser.add_argument("benchmark", help="such as bench_overhead")
    parser.add_argument("--pairs", type=int, default=30, help="at least 2")
    parser.add_argument("--most", type=float, default=5.0, help="per cent above 1 for the upper end of an interval")
    options, rest = parser.parse_known_args(arguments)
    if options.pairs < 2:
        parser.error("an interval takes at least 2 pairs")
    words = [f"benchmarks.{options.benchmark.removeprefix('benchmarks.')}", *rest]
    pairs: list[tuple[dict[str, float], dict[str, float]]] = []
    for number in range(options.pairs):
        folders = (_HERE, options.folder.resolve())
        first, second = (_run(folder, words) for folder in (folders if number % 2 else folders[::-1]))
        pairs.append((first, second) if number % 2 else (second, first))
    return 0 if print_table(compared(pairs, options.most)) else 1


if __name__ == "__main__":
    sys.exit(main())
