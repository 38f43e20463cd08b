"""Pictures of the tests of a run: what drove the rig, what was wanted, and the read-out before and after training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labrhel.arrays import Array
from labrhel.store import RunReader
from labrhel.store.consolidate import results_of
from labrhel.units import with_prefix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 400
"""Samples of a trace; more than that is a solid block at this size."""

_WIDE = 75  # letters of a legend in a row
_MOST = 6  # outputs of a test set that are drawn

_TARGET, _BEFORE, _AFTER = "0.35", "tab:green", "tab:blue"


@dataclass(frozen=True, slots=True)
class Picture:
    """A title, and what draws it into axes."""

    title: str
    draw: Callable[[Axes], None]


def pictures(reader: RunReader) -> Iterator[Picture]:
    """Of the first sequence of each test set: its inputs, and each output with its name."""
    unit, time = reader.manifest["target_unit"], reader.manifest["time_unit"]
    for name, result in results_of(reader).items():
        target, weight = np.asarray(result["target"]), np.asarray(result["weight"])
        spacing, axis = (result["spacing"], f"time [{time}]") if "spacing" in result else (1.0, "sample")
        window = _loudest(target, weight)
        at = spacing * np.arange(target.shape[1])
        if "input" in result:
            inputs = dict(zip(result["ports"], np.asarray(result["input"]), strict=True))
            drive = reader.manifest["configuration"]["model"]["units"]["input"]  # a stack of units has none
            yield Picture(f"{name}: input", _lines(at[window], inputs, window, axis, drive))
        outputs = result.get("outputs", [f"y{index + 1}" for index in range(len(target))])
        for row, output in enumerate(outputs[:_MOST]):
            after = np.asarray(result["output"])[row]
            error = float(np.sqrt(np.sum(weight * (after - target[row]) ** 2) / np.sum(weight)))
            lines = {"target": target[row], "read-out, trained": after}
            if "before" in result:
                lines = {"target": target[row], "read-out before": result["before"][row], "read-out, trained": after}
            more = f" ({_MOST} of {len(outputs)} outputs are drawn)" if row == 0 and len(outputs) > _MOST else ""
            title = f"{name}: {output}, error {with_prefix(error, unit)} rms{more}"
            yield Picture(title, _lines(at[window], lines, window, axis, unit))


def _loudest(target: Array, weight: Array) -> slice:
    """Where a wrong nonlinearity would show first."""
    middle = int(np.argmax(np.abs(target).max(axis=0) * (weight > 0)))
    begin = max(0, min(middle - SHOWN // 2, target.shape[1] - SHOWN))
    return slice(begin, begin + SHOWN)


def _lines(at: Array, lines: dict[str, Array], window: slice, axis: str, unit: str) -> Callable[[Axes], None]:
    styles = {
        "target": {"color": _TARGET, "lw": 2.5, "alpha": 0.5},
        "read-out before": {"color": _BEFORE, "lw": 0.9, "ls": "--"},
        "read-out, trained": {"color": _AFTER, "lw": 1.1},
    }

    def draw(axes: Axes) -> None:
        for label, values in lines.items():
            axes.plot(at, np.asarray(values)[window], label=label, **styles.get(label, {"lw": 1.1}))
        axes.set(xlabel=axis, ylabel=unit)
        above(axes)

    return draw


def above(axes: Axes, title: str = "", most: int = 8) -> None:
    """A legend of the first `most` lines above the axes, where it hides no curve, and no wider; then a title."""
    lines = axes.get_lines()[:most]
    longest = max(len(str(line.get_label())) for line in lines)
    columns = max(1, min(len(lines), _WIDE // (longest + 5)))
    axes.legend(
        handles=lines,
        fontsize=7,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        columnspacing=1,
        handlelength=1.5,
        borderaxespad=0.2,
        borderpad=0.2,
        frameon=False,
    )
    if title:
        axes.set_title(title, pad=6 + 11 * -(-len(lines) // columns))
