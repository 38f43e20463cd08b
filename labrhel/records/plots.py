"""The picture of a run: what it came to, whether it learns, whether the echo retraces."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from labrhel.errors import ConfigurationError
from labrhel.records import style
from labrhel.records.panels import panels
from labrhel.store import RunReader
from labrhel.store.outputs import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 18  # panels; tests of many outputs have more
_LETTERS = 46  # of a title in a row
_POINTS = 72  # of an inch
_DPI = 110
_ACROSS = 3  # panels in a row
_PANEL = (3.4, 2.3)  # inch; and what stands around one:
_LEFT, _RIGHT, _BELOW, _TITLE, _LINE, _NAME = 0.85, 0.2, 0.55, 0.2, 0.17, 0.3


def draw(reader: RunReader) -> Figure:
    """Draw the figure of a run; what its tests came to stands on top."""
    from matplotlib.figure import Figure

    with style.plain_text():
        figure = Figure(dpi=_DPI)
        for panel in list(panels(reader))[:_MOST]:
            axes = figure.add_axes((0, 0, 1, 1), label=str(len(figure.axes)))
            panel.draw(axes)
            _entitle(axes, panel.title)
            style.keep_apart(axes)
        top = _arrange(figure)
        figure.suptitle(f"{reader.manifest['name']}   {reader.id}   ({reader.status})", fontsize=11, y=top)
    return figure


def _entitle(axes: Axes, title: str) -> None:
    """A title above the legend, in as many lines as it takes."""
    rows = textwrap.wrap(title, _LETTERS)
    # With a height of its own a title is not moved about, for which every label would be measured: half of the drawing.
    axes.set_title("\n".join(rows), fontsize=10, y=1.0, pad=6 + _POINTS * _above(axes))


def _arrange(figure: Figure) -> float:
    """Put axes in rows of three, each row as far down as its highest legend asks; where the name of the run stands.

    matplotlib's own layouts draw every text three times over to find out what this knows: two thirds of the time of a
    picture, with which every run ends.
    """
    rows = [figure.axes[first : first + _ACROSS] for first in range(0, len(figure.axes), _ACROSS)]
    room = [_TITLE + max(_above(axes) + _LINE * (1 + axes.get_title().count("\n")) for axes in row) for row in rows]
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
