"""The picture of a time line: a row for every port that plays, a bar on top for every pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labrhel.rig.capabilities import Capabilities
from labrhel.store.outputs import written_aside
from labrhel.timeline.plan import Timeline
from labrhel.units import with_prefix

_COLOURS = {
    "forward": "tab:blue", "echo": "tab:orange", "nudged echo": "tab:red", "preparation": "tab:green",
    "error": "tab:purple", "free": "0.5",
}  # fmt: skip


def save(timeline: Timeline, capabilities: Capabilities, file: Path) -> None:
    """Draw `timeline` into `file`, in the format its name ends with."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    used = {name for item in timeline.passes for name in item.played}
    names = [port.name for port in capabilities.ports if port.name in used]
    with rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(13, 1.2 + 0.9 * (len(names) + 1)), layout="constrained")
        rows = figure.subplots(len(names) + 1, 1, sharex=True, squeeze=False)[:, 0]
        top = rows[0]
        for item in timeline.passes:
            top.barh(0, item.seconds, left=item.start, color=_COLOURS[item.label], edgecolor="white")
            if item.channels:
                top.plot([item.start, item.start + item.seconds], [-0.6, -0.6], color="black", linewidth=3)
        for label, colour in _COLOURS.items():
            if any(item.label == label for item in timeline.passes):
                top.barh(0, 0, color=colour, label=label)
        top.plot([], [], color="black", linewidth=3, label="read")
        top.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        top.set_yticks([])
        top.set_title(f"{timeline.rule}: {timeline.shots} shots, {with_prefix(timeline.seconds, 's')}")
        for row, name in zip(rows[1:], names, strict=True):
            port = capabilities.port(name)
            for item in timeline.passes:
                if name in item.played:
                    times, values, _ = item.played[name]
                    row.plot(times, np.real(values), color=_COLOURS[item.label], linewidth=0.8)
            row.axhline(port.safe.value, color="0.8", linewidth=0.8, zorder=0)
            row.set_ylabel(f"{name} [{port.unit}]")
        rows[-1].set_xlabel("time [s]")
        with written_aside(file) as aside:
            figure.savefig(aside)
