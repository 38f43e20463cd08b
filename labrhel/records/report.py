"""The report of a run: one HTML page with nothing to load, that says in ten seconds whether the run went well.

Verdict and warnings in words first, then pictures, then what was used: calibration, configuration, provenance.  Made
from the record alone, so that any run can be reported again, also while it is going on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.scoring import GOOD
from labrhel.records import style, tested
from labrhel.records.page import flat, items, page, picture, row, table
from labrhel.records.panels import panels
from labrhel.records.tested import Picture
from labrhel.session.outcome import outcome_of
from labrhel.store import RunReader
from labrhel.store.index import ALIVE

_WELL, _DOUBT, _BAD = "well", "doubt", "bad"
_FELL, _ROSE = 0.9, 1.0  # last loss over first
_RETRACES, _LARGE = 0.05, 0.3  # retrace error and response ratio that raise a doubt


@dataclass(frozen=True, slots=True)
class Verdict:
    """`mark` (well, doubt, bad) and why, a sentence each."""

    mark: str
    words: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The verdict in three words."""
        return {_WELL: "It went well", _DOUBT: "Look at this", _BAD: "It did not go well"}[self.mark]


def verdict_of(reader: RunReader) -> Verdict:
    """How a run went, by its status, its loss, its tests and the health of its echoes."""
    scalars, status = reader.scalars(), reader.status
    losses = _finite(scalars.get("loss"))
    words, marks = [], [_WELL]
    if status == "stalled":
        marks.append(_DOUBT)
        words.append(f"the training {reader.events()[-1][2]}")
    elif status in ("failed", "killed", "unsafe"):
        marks.append(_BAD)
        how = {"failed": "it failed", "killed": "it was killed", "unsafe": "it could not be made safe"}[status]
        words.append(f"{how}: {reader.events()[-1][2] or 'no word why'}")
    elif status != "done":
        marks.append(_DOUBT)
        words.append(f"it is {status}: `labrhel resume {reader.id}` goes on")
    if not losses.size:
        return Verdict(_BAD if status not in ALIVE else _DOUBT, (*words, "no gradient was measured"))
    factor = losses[-1] / losses[0] if losses[0] else 1.0
    if factor >= _ROSE:
        marks.append(_BAD)
        words.append(f"the loss did not fall: {losses[0]:.4g} -> {losses[-1]:.4g}")
    elif factor > _FELL:
        marks.append(_DOUBT)
        words.append(f"the loss hardly fell: {losses[0]:.4g} -> {losses[-1]:.4g}")
    else:
        words.append(f"the loss fell to {100 * factor:.3g} %: {losses[0]:.4g} -> {losses[-1]:.4g}")
    metrics = outcome_of(reader.folder, reader.manifest["target_unit"]).metrics
    for metric in metrics:
        words.append(str(metric))
        if metric.is_worse_than_zero:
            marks.append(_BAD)
        elif not metric.after < metric.before:
            marks.append(_DOUBT)
        elif metric.is_good is False:
            marks.append(_DOUBT)
            words.append(
                f"most of {metric.name} is left: went well means an NRMSE below {GOOD:g} by more than its uncertainty"
            )
    # A loss of 1 is that of the mean of the training targets.
    if not metrics and losses[-1] > GOOD**2:
        marks.append(_DOUBT)
        words.append(f"most of the training targets is left: NRMSE {np.sqrt(losses[-1]):.2g}, and there was no test")
    retrace, response = _finite(scalars.get("retrace_error")), _finite(scalars.get("response_ratio"))
    if retrace.size and np.median(retrace) > _RETRACES:
        marks.append(_DOUBT)
        words.append(f"the echo missed by {np.median(retrace):.2g} in the median: calibrate, or take protocol: lock")
    if response.size and np.median(response) > _LARGE:
        marks.append(_DOUBT)
        words.append(f"the nudge moved the rig by {np.median(response):.2g} of its motion: lower eps")
    warned = len({step for step, _ in reader.words()})
    if warned > len(losses) / 10:
        marks.append(_DOUBT)
        words.append(f"{warned} of {len(losses)} gradients came with a warning")
    worst = _BAD if _BAD in marks else _DOUBT if _DOUBT in marks else _WELL
    return Verdict(worst, tuple(words))


def report(reader: RunReader) -> str:
    """Write the page of a run."""
    manifest, scalars = reader.manifest, reader.scalars()
    verdict, unit = verdict_of(reader), manifest["target_unit"]
    tests = [item.title for item in tested.pictures(reader)]
    pictures = "".join(_picture(item, drawn=item.title in tests) for item in panels(reader))
    outcome, came_from = outcome_of(reader.folder, unit), flat(manifest.get("provenance", {}))
    return page(
        f"{manifest['name']} {reader.id}",
        f'<section class="verdict {verdict.mark}"><strong>{verdict.headline}</strong>{items(verdict.words)}</section>'
        f"<h2>Warnings</h2>{items(outcome.warnings or ['none'])}"
        f'<div class="pictures">{pictures}</div>'
        f"<h2>The run</h2>{_table(_facts(reader, scalars))}"
        f"{_folded('Parameters: start, end', table(_parameter_rows(reader)), shown=True)}"
        f"{_folded('Calibration used', table(_calibration_rows(manifest.get('calibration', {}))))}"
        f"{_folded('Provenance', _table({key: str(value) for key, value in came_from.items()}))}"
        f"{_folded('Configuration', f'<pre>{escape(reader.config_text)}</pre>')}"
        f"<p>Not in the record: {escape(reader.policy.what_is_missing() or 'everything was kept')}.</p>",
    )


def _folded(summary: str, body: str, *, shown: bool = False) -> str:
    return f"<details{' open' if shown else ''}><summary>{escape(summary)}</summary>{body}</details>"


def _finite(values: Array | None) -> Array:
    return np.array([]) if values is None else values[np.isfinite(values)]


def _picture(panel: Picture, *, drawn: bool) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.1), layout="constrained")
    with style.plain_text():
        panel.draw(figure.subplots())
        return picture(panel.title, figure, drawn=drawn)


def _facts(reader: RunReader, scalars: dict[str, Array]) -> dict[str, str]:
    manifest = reader.manifest
    shots, passes = (np.nansum(scalars.get(name, np.zeros(1))) for name in ("shots", "passes"))
    events = reader.events()
    return {
        "rig": manifest["rig"],
        "status": reader.status,
        "ended": events[-1][2],
        "begun": manifest["created"],
        "took": f"{events[-1][1] - events[0][1]:.1f} s",
        "gradients": str(len(_finite(scalars.get("loss")))),
        "shots, passes": f"{shots:.0f}, {passes:.0f}",
        "recorded traces": str(reader.policy),
    }


def _parameter_rows(reader: RunReader) -> list[str]:
    columns = reader.parameters()
    columns.pop("step")
    units = reader.manifest.get("units", {})
    return [
        row(name, f"{values[0]:.6g}", f"{values[-1]:.6g}", units.get(name.partition("[")[0], ""))
        for name, values in columns.items()
        if len(values)
    ]


def _calibration_rows(calibration: Mapping[str, Any]) -> list[str]:
    return [
        row(name, f"{item['value']:.6g}", f"\N{PLUS-MINUS SIGN} {item['uncertainty']:.2g}", item["unit"])
        for name, item in calibration.items()
    ] or [row("none was used")]


def _table(facts: Mapping[str, str]) -> str:
    return table(row(name, value) for name, value in facts.items())
