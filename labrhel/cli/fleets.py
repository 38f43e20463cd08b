"""What a run on several rigs was: how much each rig served, how its echoes were, and where its own record lies."""

from __future__ import annotations

import numpy as np
from rich.markup import escape
from rich.table import Table

from labrhel.cli.answers import Answer
from labrhel.cli.tables import print_table
from labrhel.errors import RecordError
from labrhel.store import RunReader

_COLUMNS = ("eps", "response_ratio", "retrace_error")


def told(reader: RunReader) -> list[Answer]:
    """Print a line for each rig; the same for an answer, and nothing of a run on one rig."""
    if not reader.parts:
        return []
    found = []
    table = Table("rig", "sequences", "gradients", "eps", "response", "retrace, worst", "its record", "")
    for number, url in enumerate(reader.manifest["rigs"], 1):
        row = _of(reader, number)
        found.append({"rig": url, "number": number, **row})
        figures = ["" if row[name] is None else f"{row[name]:.2g}" for name in _COLUMNS]
        counts = str(row["sequences"]), str(row["gradients"])
        table.add_row(f"{number} {escape(url)}", *counts, *figures, f"rigs/{number}", escape(row["status"]))
    print_table(table)
    return found


def _of(reader: RunReader, number: int) -> Answer:
    """Sequences and gradients served, the last eps, the largest response and retrace, and how its record ended."""
    scalars = reader.scalars()

    def column(name: str) -> np.ndarray:
        values = scalars.get(f"rig{number}_{name}", np.array([]))
        return values[np.isfinite(values)]

    served, eps, response, retrace = (column(name) for name in ("sequences", *_COLUMNS))
    try:
        status = RunReader(reader.parts[number - 1]).status
    except RecordError:
        status = "damaged"
    return {
        "sequences": int(served.sum()),
        "gradients": len(served),
        "eps": float(eps[-1]) if eps.size else None,
        "response_ratio": float(response.max()) if response.size else None,
        "retrace_error": float(retrace.max()) if retrace.size else None,
        "status": status,
    }
