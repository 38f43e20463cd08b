"""`labrhel timeline`: the shots of one gradient, before anything moves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from rich.table import Table

from labrhel.cli.tables import print_table
from labrhel.experiment import load_experiment
from labrhel.records.timeline_picture import save
from labrhel.timeline.plan import PlannedPass, timeline_of
from labrhel.units import with_prefix


def show(config: Path, rig: str | None, to: Path | None, changes: Sequence[str] = ()) -> None:
    """Print the passes, and draw them."""
    experiment = load_experiment(config, rig_url=rig, changes=changes)
    with closing(experiment.rig):
        capabilities = experiment.rig.capabilities
        found = timeline_of(experiment)
        file = to if to is not None else Path(f"{experiment.name}-timeline.png")
        save(found, capabilities, file)
    table = Table("shot", "pass", "starts", "lasts", "plays (largest value)", "reads")
    for item in found.passes:
        plays = [
            f"{name} {_largest(item, name, capabilities.port(name).unit)} {item.played[name][2]}"
            for name in item.played
        ]
        read = f"{len(item.channels)} channels x {item.samples}" if item.channels else ""
        starts, lasts = (with_prefix(value, "s") for value in (item.start, item.seconds))
        table.add_row(str(item.shot), item.label, starts, lasts, "\n".join(plays), read)
    print_table(table)
    print(
        f"{found.rule}: {found.shots} shots in {with_prefix(found.seconds, 's')} of rig time, "
        f"{with_prefix(found.read_bytes, 'B')} read; all values are inside their limits, by the nominal model"
    )
    for words in found.assumes:
        print(words)
    for words in found.warnings:
        print(f"warning: {words}")
    print(f"plot    {file}")


def _largest(item: PlannedPass, name: str, unit: str) -> str:
    return with_prefix(float(np.max(np.abs(item.played[name][1]))), unit)
