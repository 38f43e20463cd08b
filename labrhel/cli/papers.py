"""`labrhel paper`: a table of the paper, printed and written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table as Printed

from labrhel import plugins
from labrhel.cli.running import progress
from labrhel.cli.tables import print_table
from labrhel.errors import ConfigurationError
from labrhel.records.tables import Asked, cell, write

_MOST_SEEDS = 1000


@dataclass(frozen=True, slots=True)
class Words:
    """Lists as they are typed: names with commas between them, and seeds as a range or with commas; None for all."""

    sets: str | None = None
    units: str | None = None
    engines: str | None = None
    seeds: str | None = None


def show(name: str, data: Path | None, words: Words, steps: int | None, shrink: int, runs: Path) -> None:
    """Make the table, say how it came out, and write it beside the runs."""
    for option, number in (("--steps", steps), ("--shrink", shrink)):
        if number is not None and number < 1:
            raise ConfigurationError(f"{option} is 1 or more, not {number}")
    if data is not None and not data.is_dir():
        raise ConfigurationError(f"there is no folder {data}; --data names the one that holds the data sets")
    lists = {"--sets": words.sets, "--units": words.units, "--engines": words.engines}
    sets, units, engines = (_names(option, text) for option, text in lists.items())
    asked = Asked(data, sets, units, engines, _seeds(words.seeds), steps, shrink)
    planned = plugins.paper_table(name, asked)
    print(planned.words)
    with progress(planned.steps, f"interrupted: {planned.left}") as watch:
        table = planned.make(runs, watch)
    printed = Printed(*table.columns)
    for row in table.rows:
        printed.add_row(*map(cell, row))
    print_table(printed)
    for line in table.words:
        print(line)
    text, picture = write(table, planned.words, runs / f"paper-{name}")
    print(f"table   {text}\nplot    {picture}")


def _names(option: str, text: str | None) -> tuple[str, ...]:
    """The names of a list; none where the option was not given.  Raises ConfigurationError for an empty list."""
    if text is None:
        return ()
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise ConfigurationError(f"{option} names none; leave it out for all of them")
    return found


def _seeds(text: str | None) -> tuple[int, ...]:
    """`0..4` or `0,1,5`; raises ConfigurationError for anything else."""
    if text is None:
        return ()
    try:
        if match := re.fullmatch(r"\s*(\d+)\.\.(\d+)\s*", text):
            first, last = int(match[1]), int(match[2])
            if not 0 <= last - first < _MOST_SEEDS:
                raise ValueError
            return tuple(range(first, last + 1))
        found = tuple(dict.fromkeys(int(word) for word in text.split(",")))
        if any(seed < 0 for seed in found):
            raise ValueError
    except ValueError:
        raise ConfigurationError(f"--seeds is a range such as 0..4, or numbers such as 0,1,5; not {text!r}") from None
    return found
