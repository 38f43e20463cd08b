"""How well a stack learns BasicMotions when its gradients come from echoes, and when they come from BPTT.

    python -m benchmarks.basic_motions [--runs DIR]

What `labrhel paper classification --sets BasicMotions --steps 40` trains, by all units, judged.  Same splits, initial
values and order of the samples: only the gradients differ.  A folder that is named keeps the trainings.  Data through
LABRHEL_DATA; needs labrhel[torch].
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figure import Figure, print_table
from labrhel import plugins
from labrhel.data import search_path
from labrhel.data.recording import find_recording
from labrhel.errors import ConfigurationError
from labrhel.records.tables import Asked

SMALLEST = 95.0  # per cent
LARGEST_GAP = 2.5
EPOCHS = 40
UNITS = ("linear", "nonlinear", "damped", "damped_nonlinear")


def targets(runs: Path | None = None) -> Iterator[Figure]:
    """All units, echoes against BPTT."""
    words = "BasicMotions, {} units: accuracy by echoes within 2.5 points of BPTT's, both >= 95 %"
    try:
        file = find_recording("BasicMotions.npz", search_path(Path(), os.environ), "timeseriesclassification.com")
        asked = Asked(data=file.parent, sets=("BasicMotions",), units=UNITS, steps=EPOCHS)
        planned = plugins.paper_table("classification", asked)
    except (ImportError, ConfigurationError) as error:
        yield Figure(words.format("all"), f"skipped: {error}", None)
        return
    with TemporaryDirectory() as folder:
        table = planned.make(Path(folder) if runs is None else runs, lambda published: None)
    found = {(row[1], row[2]): row for row in table.rows}
    for unit in UNITS:
        (*_, count, echoes, _, gap, low, high), bptt = found[unit, "echoes"], found[unit, "bptt"][4]
        assert all(isinstance(value, float) for value in (echoes, bptt, gap, low, high))
        met = min(echoes, bptt) >= SMALLEST and abs(gap) <= LARGEST_GAP  # type: ignore[type-var, arg-type]
        interval = f"{gap:+.1f}, 95 % interval {low:.1f} to {high:.1f}"
        yield Figure(words.format(unit), f"{echoes:.1f} %, BPTT {bptt:.1f} % ({count} seeds; {interval})", met)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=Path)
    return 0 if print_table(targets(parser.parse_args(arguments).runs)) else 1


if __name__ == "__main__":
    sys.exit(main())
