"""The picture of a run: is it learning, can the gradients be trusted, does the echo retrace?

Drawn from the record alone, so that any run can be drawn again, also while it is going on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError
from labrhel.records.tested import Picture, above, pictures
from labrhel.store import RunReader, ShotRecord
from labrhel.store.outputs import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = 400  # samples of a trace; more than that is a solid block at this size
_NAMED = 8  # parameters; a longer legend leaves no room for the curves
_MOST_TESTED = 13  # panels of tests
_DPI = 110
_ACROSS = 3  # panels in a row
_PANEL = (3.4, 2.3)  # inch; and what stands around one:
_LEFT, _RIGHT, _BELOW, _TITLE, _NAME = 0.85, 0.2, 0.55, 0.35, 0.3
_FORWARD, _ECHO, _TARGET = "tab:blue", "tab:orange", "0.35"


@dataclass(frozen=True, slots=True)
class RecordedEcho:
    """The newest recorded gradient's first sequence, at the kicks in forward order, for one channel."""

    step: int
    channel: str
    unit: str
    dt: float
    forward: Array
    plus: Array
    minus: Array

    @property
    def retraced(self) -> Array:
        """Mean of the two echoes: where the un-nudged echo would have gone."""
        return (self.plus + self.minus) / 2

    @property
    def response(self) -> Array:
        """Half the difference of the two echoes: the answer to the nudge."""
        return (self.plus - self.minus) / 2


def draw(reader: RunReader) -> Figure:
    """Draw the figure of a run: five panels on the training, and those of its tests."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels: list[Callable[[Axes, RunReader], None]] = [_loss, _parameters, _health, _echo, _response]
    tests = [partial(_tested, picture=item) for item in pictures(reader)][:_MOST_TESTED]
    panels += tests or [lambda axes, _: _absent(axes, "no test result in the record yet")]
    with rc_context({"text.parse_math": False}):  # a $ in a name or unit is a $
        figure = Figure(dpi=_DPI)
        for panel in panels:
            panel(figure.add_axes((0, 0, 1, 1), label=str(len(figure.axes))), reader)
        top = _arrange(figure)
        name = f"{reader.manifest['name']}   {reader.id}   ({reader.status})"
        figure.suptitle(name, fontsize=11, y=top)
    return figure


def _arrange(figure: Figure) -> float:
    """Put axes in rows of three, each row as far down as its highest legend asks; where the name of the run stands.

    matplotlib's own layouts draw every text three times over to find out what this knows: two thirds of the time of a
    picture, with which every run ends.
    """
    rows = [figure.axes[first : first + _ACROSS] for first in range(0, len(figure.axes), _ACROSS)]
    room = [_TITLE + max(_above(axes) for axes in row) for row in rows]
    height = _NAME + sum(room) + len(rows) * (_PANEL[1] + _BELOW)
    width = _ACROSS * (_LEFT + _PANEL[0]) + _RIGHT
    figure.set_size_inches(width, height)
    low = height - _NAME
    for row, above_it in zip(rows, room, strict=True):
        low -= above_it + _PANEL[1]
        for column, axes in enumerate(row):
            left = _LEFT + column * (_LEFT + _PANEL[0])
            axes.set_position((left / width, low / height, _PANEL[0] / width, _PANEL[1] / height))
        low -= _BELOW
    return 1 - 0.08 / height


def _above(axes: Axes) -> float:
    """Height of what stands between axes and title [inch]."""
    legend = axes.get_legend()
    return 0.0 if legend is None else legend.get_window_extent().height / _DPI


def save(reader: RunReader, file: Path) -> Path:
    """Draw and write a picture; the file's ending says which kind.

    Raises ConfigurationError for an ending that no kind of picture has, RecordError if the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = draw(reader)
    kinds = figure.canvas.get_supported_filetypes()
    if file.suffix.lower().removeprefix(".") not in kinds:
        raise ConfigurationError(f"{file} does not end like a picture; known endings are: {', '.join(sorted(kinds))}")
    with written_aside(file) as aside:
        if file.suffix.lower() == ".png":
            FigureCanvasAgg(figure).print_png(aside)  # savefig draws everything twice, for layouts that need it
        else:
            figure.savefig(aside)
    return file


def last_echo(reader: RunReader) -> RecordedEcho | None:
    """The newest pair of echoes whose traces were kept, with its forward pass; None if the record has none."""
    steps = sorted({shot.step for shot in reader.shots() if shot.capture is not None}, reverse=True)
    for step in steps:
        found = _echo_of_step(reader, step)
        if found is not None:
            return found
    return None


def _echo_of_step(reader: RunReader, step: int) -> RecordedEcho | None:
    kept = [shot for shot in reader.shots(step) if shot.capture is not None]
    passes: dict[ShotRecord, int] = {shot: len(reader.load_program(shot.program).passes) for shot in kept}
    echoes = [shot for shot, count in passes.items() if count == 2]
    if not echoes:
        return None
    newest = max(shot.operation for shot in echoes)
    pair = [shot for shot in echoes if shot.operation == newest][:2]
    before = [shot for shot, count in passes.items() if count == 1 and shot.operation < newest and shot.number == 0]
    if len(pair) < 2 or not before:
        return None
    channel = read_out_channel(reader)
    forward = reader.load_capture(before[-1])[-1].traces[channel]
    plus, minus = (np.asarray(reader.load_capture(shot)[-1].traces[channel].values[0])[::-1] for shot in pair)
    return RecordedEcho(
        step, channel, forward.unit or _unit(reader), forward.dt, np.asarray(forward.values[0]), plus, minus
    )


def read_out_channel(reader: RunReader) -> str:
    """The first channel that is read out, by the configuration in the record."""
    return reader.manifest["configuration"]["model"]["readout"]["channels"][0]


def _loss(axes: Axes, reader: RunReader) -> None:
    scalars = reader.scalars()
    _curve(axes, scalars, "loss", "loss")
    axes.set(title="loss", xlabel="gradient")
    axes.set_yscale("log")


def _tested(axes: Axes, reader: RunReader, *, picture: Picture) -> None:
    picture.draw(axes)
    above(axes, picture.title)


def _parameters(axes: Axes, reader: RunReader) -> None:
    parameters = reader.parameters()
    step = parameters.pop("step")
    units: dict[str, str] = reader.manifest.get("units", {})
    for name, values in parameters.items():
        largest = np.max(np.abs(values)) or 1.0
        axes.plot(
            step, values / largest, lw=1, label=f"{name} -> {values[-1]:.3g} {units.get(name.partition('[')[0], '')}"
        )
    axes.set_xlabel("gradient")
    if parameters:
        above(axes, "parameters, each over its largest value", most=_NAMED)


def _health(axes: Axes, reader: RunReader) -> None:
    scalars = reader.scalars()
    _curve(axes, scalars, "response_ratio", "response ratio r")
    _curve(axes, scalars, "retrace_error", "retrace error")
    if not axes.lines:
        _absent(axes, "the rule measures neither response nor retrace")
        return
    axes.set_xlabel("gradient")
    axes.set_yscale("log")
    above(axes, "health of the echo")


def _echo(axes: Axes, reader: RunReader) -> None:
    echo = last_echo(reader)
    if echo is None:
        _absent(axes, "no echo was kept by the recording policy")
        return
    time = np.arange(echo.forward.size) * echo.dt
    axes.plot(time[:_SHOWN], echo.forward[:_SHOWN], color=_FORWARD, lw=2.5, alpha=0.5, label="forward")
    axes.plot(time[:_SHOWN], echo.retraced[:_SHOWN], color=_ECHO, lw=1, ls="--", label="echo, mirrored")
    axes.set(xlabel=_time(reader), ylabel=echo.unit)
    above(axes, f"retrace on {echo.channel}, gradient {echo.step}")


def _response(axes: Axes, reader: RunReader) -> None:
    echo = last_echo(reader)
    if echo is None:
        _absent(axes, "no echo was kept by the recording policy")
        return
    time = np.arange(echo.forward.size) * echo.dt
    axes.plot(time, echo.response, color=_ECHO, lw=0.8)
    axes.set(title=f"answer to the nudge on {echo.channel}", xlabel=_time(reader), ylabel=echo.unit)


def _curve(axes: Axes, scalars: dict[str, Array], name: str, label: str) -> None:
    if name not in scalars:
        return
    values = scalars[name]
    there = np.isfinite(values) & (values > 0)
    axes.plot(scalars["step"][there], values[there], lw=1.2, label=label, marker="." if there.sum() < 3 else "")


def _absent(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, color=_TARGET)
    axes.set_axis_off()


def _unit(reader: RunReader) -> str:
    return reader.manifest["target_unit"]


def _time(reader: RunReader) -> str:
    return f"time [{reader.manifest['time_unit']}]"
