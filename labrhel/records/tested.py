"""Pictures of the tests of a run: what drove the rig, what was wanted, and the read-out before and after training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labrhel.arrays import Array
from labrhel.records import style
from labrhel.store import RunReader
from labrhel.store.consolidate import results_of
from labrhel.units import with_prefix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 6  # outputs of a test set that are drawn


@dataclass(frozen=True, slots=True)
class Picture:
    """A title, and what draws it into axes."""

    title: str
    draw: Callable[[Axes], None]


def pictures(reader: RunReader) -> Iterator[Picture]:
    """Of the first sequence of each test set: each output with its name, and its inputs."""
    unit, time = reader.manifest["target_unit"], reader.manifest["time_unit"]
    for name, result in results_of(reader).items():
        target, weight = np.asarray(result["target"]), np.asarray(result["weight"])
        spacing, axis = (result["spacing"], f"time [{style.printed(time)}]") if "spacing" in result else (1.0, "sample")
        window = _loudest(target, weight)
        at = spacing * np.arange(target.shape[1])
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
        if len(result.get("input", ())):  # there is none of data that nothing drives
            inputs = dict(zip(result["ports"], np.asarray(result["input"]), strict=True))
            drive = reader.manifest["configuration"]["model"]["units"]["input"]  # a stack of units has none
            yield Picture(f"{name}: input", _lines(at[window], inputs, window, axis, drive))


def _loudest(target: Array, weight: Array) -> slice:
    """Where a wrong nonlinearity would show first."""
    middle = int(np.argmax(np.abs(target).max(axis=0) * (weight > 0)))
    begin = max(0, min(middle - style.SHOWN // 2, target.shape[1] - style.SHOWN))
    return slice(begin, begin + style.SHOWN)


def _lines(at: Array, lines: dict[str, Array], window: slice, axis: str, unit: str) -> Callable[[Axes], None]:
    styles = {
        "target": {"color": style.TARGET, "lw": 2.5, "alpha": 0.5},
        "read-out before": {"color": style.BEFORE, "lw": 0.9, "ls": "--"},
        "read-out, trained": {"color": style.FORWARD, "lw": 1.1},
    }

    def draw(axes: Axes) -> None:
        shown = {label: np.asarray(values)[window] for label, values in lines.items()}
        factor, fits = style.scaled(unit, *shown.values())
        for number, (label, values) in enumerate(shown.items()):
            other = {"lw": 1.1, "color": style.NAMED[(5 + number) % len(style.NAMED)]}
            axes.plot(at, factor * values, label=label, **styles.get(label, other))
        axes.set(xlabel=axis, ylabel=fits)
        style.above(axes)

    return draw
