"""What the view says in words and tables, as HTML: what the figures show, also for those who do not see them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from labrhel.records import style
from labrhel.records.echoes import RecordedEcho
from labrhel.units import with_prefix
from labrhel.view.overview import Line
from labrhel.view.progress import Progress
from labrhel.view.rig_state import Output, duration

_SIGNS = {
    "running": "●",
    "paused": "❚❚",
    "done": "✓",
    "stalled": "▲",
    "failed": "✕",
    "unsafe": "✕",
    "damaged": "✕",
    "interrupted": "■",
    "killed": "✕",
}
_TABLED = 12  # newest steps in the table
_WARNINGS = 8

_NAMES = {
    "loss": "loss",
    "eps": "nudge strength eps",
    "response_ratio": "response over state",
    "retrace_error": "retrace error",
    "gradient_norm": "norm of the gradient",
}


def badge(state: str) -> str:
    """A state as a word with a sign, so that it needs no colour."""
    sign = f'<span aria-hidden="true">{_SIGNS.get(state, "")}</span>'
    return f'<span class="state {escape(state)}">{sign} {escape(state)}</span>'


def heading(progress: Progress, now: Callable[[], float] = time.time) -> str:
    """Name, state, how far, how fast, and why it ended."""
    manifest = progress.manifest
    planned = f" of {progress.planned}" if progress.planned else ""
    facts = [f"gradient {progress.steps}{planned}"]
    if progress.state == "running":
        if progress.rate is not None:
            facts.append(
                f"{progress.rate:.3g} a second" if progress.rate >= 0.1 else f"one in {duration(1 / progress.rate)}"
            )
        if progress.newest is not None and (age := now() - progress.newest) > 10:
            facts.append(f"nothing new for {duration(age)}")
    facts.append(f"rig {manifest.get('rig') or 'unknown'}")
    facts += [_score(progress, name) for name in progress.scalars.names if name.startswith("test_")]
    share = min(1.0, progress.steps / progress.planned) if progress.planned else 0.0
    why = f'<p class="why">{escape(progress.why)}</p>' if progress.why else ""
    return (
        f'<div class="line"><h1>{escape(manifest["name"])}</h1><span role="status">{badge(progress.state)}</span></div>'
        f'<div class="bar" aria-hidden="true"><div style="width:{100 * share:.1f}%"></div></div>'
        f'<p class="facts">{" &middot; ".join(map(escape, facts))}</p>{why}'
        f'<p class="id">{escape(progress.id)}</p>'
    )


def _score(progress: Progress, name: str) -> str:
    unit = progress.manifest.get("target_unit", "")
    _, values = progress.scalars.points(name)
    newest = progress.scalars.last(name)
    assert newest is not None
    words = f"{name.removeprefix('test_')} error {with_prefix(newest[1], unit)} rms"
    return words if len(values) < 2 else f"{words} (before {with_prefix(float(values[0]), unit)})"


def listed(lines: Sequence[Line], chosen: str, left_out: int) -> str:
    """The runs of the folder as links."""
    rows = []
    for line in lines:
        loss = "" if math.isnan(line.loss) else f"loss {line.loss:.4g}"
        steps = f"{line.steps}/{line.planned}" if line.planned else f"{line.steps}"
        current = ' aria-current="page"' if line.id == chosen else ""
        about = " &middot; ".join(escape(part) for part in (line.created[:16].replace("T", " "), steps, loss) if part)
        rows.append(
            f'<li><a href="?run={escape(line.id, quote=True)}"{current}><b>{escape(line.name)}</b> {badge(line.state)}'
            f"<small>{about}</small></a></li>"
        )
    more = f"<p>{left_out} older runs are not listed</p>" if left_out else ""
    return f'<nav aria-label="runs"><ul>{"".join(rows) or "<li>no runs yet</li>"}</ul>{more}</nav>'


def legend(colours: Mapping[str, str], progress: Progress) -> str:
    """The parameters that have a colour, with the values they are at."""
    curves, items = progress.parameters, []
    for name, colour in colours.items():
        last = curves.last(name)
        value = "" if last is None else f" {last[1]:.4g}"
        items.append(f'<li><span style="background:{colour}" aria-hidden="true"></span>{escape(name)}{value}</li>')
    rest = len(curves.names) - len(colours)
    more = f"<li>{rest} that moved less are grey</li>" if rest > 0 else ""
    return f'<ul class="legend">{"".join(items)}{more}</ul>'


def warnings(progress: Progress) -> str:
    """The newest warnings, each once, with the step they were said at."""
    if not progress.warned:
        return "<p>none</p>"
    newest = list(progress.words)[::-1][:_WARNINGS]
    items = "".join(f"<li><b>gradient {step}</b> {escape(text)}</li>" for step, text in newest)
    return f"<p>{progress.warned} in all; the newest of each kind:</p><ul>{items}</ul>"


def outputs(found: Sequence[Output]) -> str:
    """Terminals with the level they are at, as far as this computer knows."""
    if not found:
        return "<p>nothing on this computer may have an output on for this run</p>"
    rows = [
        (
            item.name,
            "on, level unknown" if item.volts is None else with_prefix(item.volts, "V"),
            item.problem or "driven",
        )
        for item in found
    ]
    return table("terminals that may be on", ("terminal", "level", ""), rows)


def numbers(progress: Progress) -> str:
    """All figures as tables: the newest scalars, the last steps, the parameters."""
    curves, units = progress.scalars, progress.manifest.get("units", {})
    newest = [
        (_NAMES.get(name, name.replace("_", " ")), f"{last[1]:.6g}", str(last[0]))
        for name in curves.names
        if (last := curves.last(name)) is not None
    ]
    columns = [name for name in _NAMES if name in curves.names]
    points = {name: dict(zip(*map(list, curves.points(name)), strict=True)) for name in columns}
    steps = sorted({step for values in points.values() for step in values})[-_TABLED:]
    course = [[f"{step:.0f}", *(f"{points[name].get(step, math.nan):.5g}" for name in columns)] for step in steps[::-1]]
    parameters = [
        (name, f"{last[1]:.6g}", style.printed(units.get(name.partition("[")[0], "")))
        for name in progress.parameters.names
        if (last := progress.parameters.last(name)) is not None
    ]
    return (
        table("newest values", ("what", "value", "gradient"), newest)
        + table("the last gradients", ("gradient", *(_NAMES[name] for name in columns)), course)
        + table("parameters", ("parameter", "value", "unit"), parameters)
    )


def dominant(progress: Progress) -> str:
    """The largest error of the gradient that is known beside the size of what it is an error of, in words."""
    known: dict[str, float] = {}
    response, retrace = progress.scalars.last("response_ratio"), progress.scalars.last("retrace_error")
    if response is not None and retrace is not None and response[1] > 0:
        known["retrace error over response"] = retrace[1] / response[1]
    for name, words in (("calibration_error", "calibration"), ("drift", "drift")):
        last = progress.scalars.last(name)
        if last is not None:
            known[words] = last[1]
    if not known:
        return "this rule measures none"
    largest = max(known, key=known.__getitem__)
    return f"{largest}: {100 * known[largest]:.2g} %"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that is read row by row."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{named}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def trust(progress: Progress, calibration: str, echo: RecordedEcho | None) -> str:
    """What a gradient owes its reader: its largest error, the calibration it stands on, how old what is drawn is."""
    rows = [("largest known error", dominant(progress)), ("calibration", calibration)]
    for name, words in (("response_ratio", "response over state"), ("retrace_error", "retrace error")):
        last = progress.scalars.last(name)
        if last is not None:
            rows.append((words, f"{last[1]:.3g}"))
    kept = f"gradient {echo.step}" if echo is not None else "none: record with `record: all`, or `every N`"
    rows.append(("echo that is drawn", kept))
    return table("", ("what", "now"), rows)


def answer(said: str) -> str:
    """What came of an action, each sentence in a line."""
    return "<div role='status'>" + "".join(f"<p>{escape(part)}</p>" for part in said.split("; ")) + "</div>"
