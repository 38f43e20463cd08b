"""The picture of a time line: a row for every port that plays, a bar on top for every pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labrhel.records import style
from labrhel.rig.capabilities import Capabilities
from labrhel.store.outputs import written_aside
from labrhel.timeline.plan import Timeline
from labrhel.units import fitting, with_prefix

_COLOURS = {
    "forward": style.FORWARD, "echo": style.ECHO, "nudged echo": style.NUDGED, "preparation": style.PREPARED,
    "error": style.BEFORE, "free": style.OTHERS,
}  # fmt: skip
_ROW = 0.9  # inch


def save(timeline: Timeline, capabilities: Capabilities, file: Path) -> None:
    """Draw `timeline` into `file`, in the format its name ends with."""
    from matplotlib.figure import Figure

    used = {name for item in timeline.passes for name in item.played}
    names = [port.name for port in capabilities.ports if port.name in used]
    with style.plain_text():
        figure = Figure(figsize=(13, 1.4 + _ROW * (len(names) + 1)), layout="constrained")
        rows = figure.subplots(len(names) + 1, 1, sharex=True, squeeze=False)[:, 0]
        top, (seconds, unit) = rows[0], fitting(timeline.seconds, "s")
        for item in timeline.passes:
            top.barh(
                0, seconds * item.seconds, left=seconds * item.start, color=_COLOURS[item.label], edgecolor="white"
            )
            if item.channels:
                ends = seconds * item.start, seconds * (item.start + item.seconds)
                top.plot(ends, [-0.6, -0.6], color="black", linewidth=3)
        there = [label for label in _COLOURS if any(item.label == label for item in timeline.passes)]
        marks = [top.barh(0, 0, color=_COLOURS[label], label=label) for label in there]
        marks += top.plot([], [], color="black", linewidth=3, label="read")
        figure.legend(handles=marks, loc="outside upper right", ncols=len(marks), frameon=False)
        top.set_yticks([])
        figure.suptitle(
            f"{timeline.rule}: {timeline.shots} shots, {with_prefix(timeline.seconds, 's')}", x=0.01, ha="left"
        )
        for row, name in zip(rows[1:], names, strict=True):
            port = capabilities.port(name)
            played = [(item.label, *item.played[name][:2]) for item in timeline.passes if name in item.played]
            factor, fits = style.scaled(port.unit, *(np.real(values) for _, _, values in played))
            for label, times, values in played:
                row.plot(seconds * np.asarray(times), factor * np.real(values), color=_COLOURS[label], linewidth=0.8)
            row.axhline(factor * port.safe.value, color="0.8", linewidth=0.8, zorder=0)
            row.set_ylabel(f"{name}\n[{fits}]")
        figure.align_ylabels(rows[1:])
        rows[-1].set_xlabel(f"time [{unit}]")
        with written_aside(file) as aside:
            figure.savefig(aside)
