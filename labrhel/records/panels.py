"""What is drawn of a run: first what it came to, then whether its gradients can be trusted.

Made from the record alone, so that any run can be drawn again, also while it is going on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from labrhel.arrays import Array
from labrhel.records import style
from labrhel.records.echoes import RecordedEcho, last_echo
from labrhel.records.tested import Picture, pictures
from labrhel.store import RunReader

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED = len(style.NAMED)  # parameters; a longer legend leaves no room for the curves


def panels(reader: RunReader) -> Iterator[Picture]:
    """The tests, the loss, the parameters, and what the rule measured of its echoes."""
    scalars, time = reader.scalars(), reader.manifest["time_unit"]
    yield from pictures(reader)
    if _finite(scalars.get("loss")).size:
        yield Picture("Loss", partial(_loss, scalars=scalars))
    yield Picture("Parameters", partial(_parameters, reader=reader))
    for title, names in (
        ("Health of the echo", {"response_ratio": style.NUDGED, "retrace_error": style.ECHO}),
        ("Nudge strength eps", {"eps": style.NUDGED}),
    ):
        if any(_finite(scalars.get(name)).size for name in names):  # what the rule does not measure is not drawn
            yield Picture(title, partial(_health, scalars=scalars, names=names))
    echo = last_echo(reader)
    if echo is not None:
        of = f"{echo.channel}, gradient {echo.step}"
        yield Picture(f"Forward, and the echo mirrored: {of}", partial(_retrace, echo=echo, time=time))
        yield Picture(f"Answer to the nudge: {of}", partial(_response, echo=echo, time=time))
        yield Picture(f"Phase portrait: {of}", partial(_portrait, echo=echo, time=time))


def _finite(values: Array | None) -> Array:
    return np.array([]) if values is None else values[np.isfinite(values)]


def _curve(axes: Axes, scalars: Mapping[str, Array], name: str, colour: str) -> None:
    values = scalars.get(name)
    if values is None:
        return
    there = np.isfinite(values) & (values > 0)
    dots = "." if there.sum() < 3 else ""
    label = name.replace("_", " ")
    axes.plot(scalars["step"][there], values[there], lw=1.3, color=colour, marker=dots, label=label)


def _loss(axes: Axes, *, scalars: Mapping[str, Array]) -> None:
    _curve(axes, scalars, "loss", style.FORWARD)
    style.over_gradients(axes)
    style.logarithmic(axes)


def _health(axes: Axes, *, scalars: Mapping[str, Array], names: Mapping[str, str]) -> None:
    for name, colour in names.items():
        _curve(axes, scalars, name, colour)
    style.over_gradients(axes)
    style.logarithmic(axes)
    if len(axes.get_lines()) > 1:
        style.above(axes)


def _parameters(axes: Axes, *, reader: RunReader) -> None:
    """Those that moved most have names; where units differ, each is drawn over its largest value."""
    columns = reader.parameters()
    step = columns.pop("step")
    units: dict[str, str] = reader.manifest.get("units", {})
    of = {name: units.get(name.partition("[")[0], "") for name in columns}
    alike = len(set(of.values())) == 1
    sizes = {name: float(np.max(np.abs(values), initial=0.0)) or 1.0 for name, values in columns.items()}

    def moved(name: str) -> float:
        return float(np.ptp(columns[name])) / (1.0 if alike else sizes[name]) if len(step) else 0.0

    def drawn(name: str) -> Array:
        return columns[name] / (1.0 if alike else sizes[name])

    dots = "." if len(step) < 3 else ""
    named = sorted(sorted(columns, key=moved, reverse=True)[:_NAMED], key=list(columns).index)
    rest = [name for name in columns if name not in named]
    for name in rest:
        axes.plot(step, drawn(name), marker=dots, lw=0.8, color=style.OTHERS, label="_")
    for name, colour in zip(named, style.NAMED, strict=False):
        end = f" -> {columns[name][-1]:.3g} {style.printed(of[name])}" if len(step) and not alike else ""
        axes.plot(step, drawn(name), marker=dots, lw=1.2, color=colour, label=f"{name}{end}")
    style.over_gradients(axes)
    axes.set_ylabel(style.printed(next(iter(of.values()), "")) if alike else "each over its largest value")
    if rest:
        axes.set_xlabel(f"gradient; {len(rest)} that moved less are grey")
    style.above(axes)


def _retrace(axes: Axes, *, echo: RecordedEcho, time: str) -> None:
    factor, unit = style.scaled(echo.unit, echo.forward)
    part = slice(0, style.SHOWN)
    axes.plot(echo.times[part], factor * echo.forward[part], color=style.FORWARD, lw=2.5, alpha=0.4, label="forward")
    axes.plot(echo.times[part], factor * echo.retraced[part], color=style.ECHO, lw=1, ls="--", label="echo, mirrored")
    axes.set(xlabel=f"time [{style.printed(time)}]", ylabel=unit)
    style.above(axes)


def _response(axes: Axes, *, echo: RecordedEcho, time: str) -> None:
    factor, unit = style.scaled(echo.unit, echo.response)
    axes.plot(echo.times, factor * echo.response, color=style.NUDGED, lw=0.9)
    axes.set(xlabel=f"time [{style.printed(time)}]", ylabel=unit)


def _portrait(axes: Axes, *, echo: RecordedEcho, time: str) -> None:
    part = slice(0, style.SHOWN)
    for motion, label, drawn in (
        (echo.forward, "forward", {"color": style.FORWARD, "lw": 2.5, "alpha": 0.4}),
        (echo.retraced, "echo, mirrored", {"color": style.ECHO, "lw": 1, "ls": "--"}),
    ):
        factor, unit = style.scaled(echo.unit, echo.forward)
        axes.plot(factor * motion[part], factor * np.gradient(motion, echo.dt)[part], label=label, **drawn)
        axes.set(xlabel=unit, ylabel=f"{unit}/{style.printed(time)}")
    style.above(axes)
