"""The figures of a run in the colours of its report; each takes new data without being made anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.models import BasicTicker, ColumnDataSource, CustomJSTickFormatter, Legend
from bokeh.plotting import figure

from labrhel.arrays import Array
from labrhel.records import style
from labrhel.records.echoes import RecordedEcho
from labrhel.view.curves import Curves

HEIGHT = 250  # pixels
_GREY = {"black": "#222222", "0.4": "#666666", "0.8": "#cccccc"}
_POWERS = """
    const [mantissa, exponent] = tick.toExponential(3).split('e').map(Number)
    if (tick === 0 || (exponent >= -3 && exponent < 4)) return String(Number(tick.toPrecision(4)))
    const raised = String(exponent).replace(/./g, (sign) => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(sign)])
    return (mantissa === 1 ? '' : mantissa + '·') + '10' + raised
"""

Points = Mapping[str, tuple[Array, Array]]


def hex_of(colour: str) -> str:
    """A colour of `labrhel.records.style` as browsers write it."""
    return _GREY.get(colour, colour)


class Plot:
    """A figure of named curves, whose first points come when there are any."""

    def __init__(
        self, title: str, across: str, up: str = "", *, logarithmic: bool = False, legend: bool = True
    ) -> None:
        self._sources: dict[str, ColumnDataSource] = {}
        self._drawn: dict[str, tuple[int, float, float]] = {}
        self.figure = figure(
            height=HEIGHT,
            sizing_mode="stretch_width",
            y_axis_type="log" if logarithmic else "linear",
            x_axis_label=across,
            y_axis_label=up,
            tools="xpan,xwheel_zoom,box_zoom,reset,save",
            active_scroll=None,
            toolbar_location="right",
            min_border_left=10,
            outline_line_color=None,
            title=None,
        )
        plot: Any = self.figure
        plot.toolbar.autohide = True
        plot.toolbar.logo = None
        plot.background_fill_color = plot.border_fill_color = None
        plot.grid.grid_line_color = "#e6e9ee"
        plot.axis.axis_line_color = plot.axis.major_tick_line_color = "#9aa3af"
        plot.axis.minor_tick_line_color = None
        plot.axis.axis_label_text_font_style = "normal"
        plot.axis.axis_label_text_color = plot.axis.major_label_text_color = "#4b5563"
        if across == "gradient":
            plot.xaxis.ticker = BasicTicker(min_interval=1, desired_num_ticks=6)
        plot.yaxis.formatter = CustomJSTickFormatter(code=_POWERS)
        self.name = title
        self._legend = legend
        if legend:
            shown: Any = Legend(orientation="horizontal", border_line_color=None, margin=2, spacing=12)
            shown.padding = 0
            shown.label_text_font_size = "11px"
            shown.label_text_color = "#4b5563"
            shown.glyph_width = 16
            shown.background_fill_alpha = 0.0
            plot.add_layout(shown, "above")

    @property
    def has_points(self) -> bool:
        """Whether anything is drawn yet."""
        return any(len(source.data["x"]) for source in self._sources.values())

    def label(self, across: str, up: str) -> None:
        """Name the axes, if they have other names by now."""
        plot: Any = self.figure
        for axis, words in ((plot.xaxis[0], across), (plot.yaxis[0], up)):
            if axis.axis_label != words:
                axis.axis_label = words

    def curve(self, name: str, x: Array, y: Array, colour: str, **look: Any) -> None:
        """New points of a curve, if they are others than before."""
        stamp = (len(x), float(x[-1]) if len(x) else 0.0, float(np.nansum(y)))
        if self._drawn.get(name) == stamp:
            return
        self._drawn[name] = stamp
        if name in self._sources:
            self._sources[name].data = {"x": x, "y": y}
            return
        source = self._sources[name] = ColumnDataSource({"x": x, "y": y})
        named = {"legend_label": name.replace("_", " ")} if self._legend else {}
        plot: Any = self.figure
        plot.line("x", "y", source=source, color=hex_of(colour), **({"line_width": 1.8} | look), **named)
        if len(x) < 3:  # a line of one point is not seen
            plot.scatter("x", "y", source=source, color=hex_of(colour), size=4, **named)


def steps_plot(title: str, *, up: str = "", logarithmic: bool = False, legend: bool = True) -> Plot:
    """A plot over the steps of a run."""
    return Plot(title, "gradient", up, logarithmic=logarithmic, legend=legend)


def draw_scalars(plot: Plot, curves: Curves, colours: Mapping[str, str]) -> None:
    """Scalars of steps that are positive, as a logarithmic axis needs."""
    for name, colour in colours.items():
        if name in curves.names:
            steps, values = curves.points(name)
            there = np.isfinite(values) & (values > 0)
            plot.curve(name, steps[there], values[there], colour)


def draw_parameters(plot: Plot, curves: Curves, units: Mapping[str, str]) -> dict[str, str]:
    """Those that moved most in colours, the others grey; returns the colours by name.

    Where units differ, each is drawn over its largest value.
    """
    names = curves.names
    points = {name: curves.points(name) for name in names}
    of = {name: units.get(name.partition("[")[0], "") for name in names}
    alike = len(set(of.values())) <= 1
    sizes = dict.fromkeys(names, 1.0)
    if not alike:
        sizes = {name: float(np.max(np.abs(values), initial=0.0)) or 1.0 for name, (_, values) in points.items()}
    chosen = dict(zip(_chosen(plot, points, sizes), style.NAMED, strict=False))
    for name in sorted(names, key=lambda name: name in chosen):  # grey ones below
        steps, values = points[name]
        width = 1.8 if name in chosen else 1.0
        plot.curve(name, steps, values / sizes[name], chosen.get(name, style.OTHERS), line_width=width)
    unit = style.printed(next(iter(of.values()), "")) if alike else "each over its largest value"
    plot.label("gradient", unit)
    return {name: hex_of(colour) for name, colour in chosen.items()}


def _chosen(plot: Plot, points: Points, sizes: Mapping[str, float]) -> list[str]:
    """Those with a colour: chosen when there are two steps, and never again, so that colours stay."""

    def moved(name: str) -> float:
        return float(np.ptp(points[name][1])) / sizes[name]

    if not plot.figure.tags and max((len(steps) for steps, _ in points.values()), default=0) >= 2:
        plot.figure.tags = sorted(sorted(points, key=moved, reverse=True)[: len(style.NAMED)], key=list(points).index)
    return list(plot.figure.tags)


def draw_retrace(plot: Plot, echo: RecordedEcho, time: str) -> None:
    """The forward pass, and the mean echo mirrored."""
    factor, unit = style.scaled(echo.unit, echo.forward)
    part = slice(0, style.SHOWN)
    times = echo.times[part]
    plot.curve("forward", times, factor * echo.forward[part], style.FORWARD, line_width=4, line_alpha=0.35)
    plot.curve("echo, mirrored", times, factor * echo.retraced[part], style.ECHO, line_dash="dashed")
    plot.label(f"time [{style.printed(time)}]", f"{echo.channel} [{unit}]")


def draw_response(plot: Plot, echo: RecordedEcho, time: str) -> None:
    """Half the difference of two echoes."""
    factor, unit = style.scaled(echo.unit, echo.response)
    times, response = thinned(echo.times, factor * echo.response)
    plot.curve("answer to the nudge", times, response, style.NUDGED, line_width=1.2)
    plot.label(f"time [{style.printed(time)}]", f"{echo.channel} [{unit}]")


def draw_tested(plot: Plot, result: Mapping[str, Any], unit: str, time: str) -> None:
    """The read-out of a test set against its target, before and after training, where it matters most."""
    target = np.asarray(result["target"])[0]
    middle = int(np.argmax(np.abs(target)))
    begin = max(0, min(middle - style.SHOWN // 2, len(target) - style.SHOWN))
    part = slice(begin, begin + style.SHOWN)
    at = (result.get("spacing", 1.0) * np.arange(len(target)))[part]
    lines = {"target": (target, style.TARGET, {"line_width": 4, "line_alpha": 0.4})}
    if "before" in result:
        lines["read-out before"] = np.asarray(result["before"])[0], style.BEFORE, {"line_dash": "dashed"}
    lines["read-out, trained"] = np.asarray(result["output"])[0], style.FORWARD, {}
    factor, fits = style.scaled(unit, *(values[part] for values, _, _ in lines.values()))
    for name, (values, colour, look) in lines.items():
        plot.curve(name, at, factor * values[part], colour, **look)
    plot.label(f"time [{style.printed(time)}]" if "spacing" in result else "sample", fits)


def thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """No more points than a curve has, with smallest and largest of each part."""
    curves = Curves()
    curves.add(["y"], np.arange(float(len(y))), y[:, None])
    at, values = curves.points("y")
    return np.interp(at, np.arange(float(len(x))), x), values
