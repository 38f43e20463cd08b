"""What campaigns have in common: trials made from seeds, a line of a file for each, and a table of tried and failed.

    python -m benchmarks.campaign FILE...      # the table of what was kept in files

A campaign goes on with `--from SEED --count N`, and repeats one trial with `--from SEED --count 1`.  With `--keep FILE`
every trial appends a line of JSON, as soon as it is over; where a seed was tried again, its last line counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the trial of a seed: what was tried, how it ended, what was wrong with that, and figures."""

    seed: int
    kind: str
    end: str
    faults: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "; ".join([f"{self.seed}: {self.kind}: {self.end}", *map(str.upper, self.faults)])


@dataclass(slots=True)
class Tally:
    """How many trials of each kind were made, how they ended, and those in which something was wrong."""

    tried: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    bad: list[Outcome] = field(default_factory=list)

    def take(self, outcome: Outcome) -> None:
        """Count one."""
        self.tried[outcome.kind] += 1
        self.ends[outcome.end.partition(":")[0]] += 1
        if outcome.faults:
            self.bad.append(outcome)

    def table(self) -> Iterator[str]:
        """Lines: of each kind how many were tried, and how many failed."""
        failed = Counter(outcome.kind for outcome in self.bad)
        for kind, count in sorted(self.tried.items()):
            yield f"{kind:40} {count:6} tried {failed[kind]:4} failed"
        yield f"{'together':40} {self.tried.total():6} tried {len(self.bad):4} failed"


def each(attempt: Callable[[int], Outcome], seeds: Iterable[int]) -> Iterator[Outcome]:
    """One trial after the other; one that cannot be made is an outcome, too, and a fault of the campaign."""
    for seed in seeds:
        try:
            yield attempt(seed)
        except Exception as error:
            yield Outcome(seed, "the campaign itself", traceback.format_exc(), (f"{type(error).__name__}: {error}",))


def pursue(
    outcomes: Iterable[Outcome], keep: Path | None = None, say: Callable[[str], object] = print, every: int = 1
) -> Tally:
    """Count what comes, keep it, and say what is bad, and every so many-th."""
    tally = Tally()
    for outcome in outcomes:
        tally.take(outcome)
        if keep:
            with keep.open("a", encoding="utf-8") as out:
                out.write(json.dumps(asdict(outcome)) + "\n")
        if outcome.faults or every == 1:
            say(str(outcome))
        elif tally.tried.total() % every == 0:
            say(f"{tally.tried.total()} tried, {len(tally.bad)} bad")
    return tally


def asked(words: str | None, count: int, arguments: Sequence[str] | None, *more: str) -> argparse.Namespace:
    """The options of a campaign: `first`, `count` and `keep`, and switches by name."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="SEED", help="of the first trial")
    parser.add_argument("--count", type=int, default=count, help="of trials")
    parser.add_argument("--keep", type=Path, help="append a line of JSON for every trial to this file")
    for name in more:
        parser.add_argument(f"--{name}", action="store_true")
    return parser.parse_args(arguments)


def told(tally: Tally) -> int:
    """Print the table; the exit status: 1 if any trial failed."""
    for line in tally.table():
        print(line)
    return int(bool(tally.bad))


def kept(files: Iterable[Path]) -> Tally:
    """What campaigns have kept in files, of each file the last line of a seed."""
    tally = Tally()
    for file in files:
        lines = [Outcome(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
        for outcome in {line.seed: line for line in lines}.values():
            tally.take(outcome)
    return tally


def say(words: str) -> None:
    """Print at once, for whoever watches a file."""
    print(words, flush=True)


if __name__ == "__main__":
    found = kept(Path(word) for word in sys.argv[1:])
    for wrong in found.bad:
        print(wrong)
    sys.exit(told(found))
