"""`labrhel runs`, `show`, `plot` and `export`: looking at what was recorded."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.markup import escape
from rich.table import Table

from labrhel.cli import fleets
from labrhel.cli.answers import Answer, instant, plain
from labrhel.cli.newest import named
from labrhel.cli.tables import print_table
from labrhel.config.rigs import in_short
from labrhel.errors import ConfigurationError, RecordError
from labrhel.session.outcome import outcome_of
from labrhel.store import RunReader, consolidate, find_run
from labrhel.store.index import ALIVE, RunRow, archive, label, matching, prune, rows
from labrhel.store.outputs import written_aside
from labrhel.units import with_prefix

if TYPE_CHECKING:
    from labrhel.sweeps.planning import Sweep


def list_all(
    root: Path, answer: Answer, *, text: str, status: str, tag: str, below: float | None, points: bool = False
) -> None:
    """One line a run, newest first, and what they take on the disk; unless `points` are asked for, one line a sweep."""
    everything = rows(root)
    answer |= {"runs": [], "sweeps": [], "recorded": len(everything), "bytes": 0}
    if not everything:
        print(f"{root} holds no runs; `labrhel run CONFIG` makes one")
        return
    found = matching(everything, text=text, status=status, tag=tag, below=np.inf if below is None else below)
    answer["sweeps"], folded = _sweeps(root, everything)
    shown = found if points or len(found) < len(everything) else [row for row in found if row.id not in folded]
    table = Table("id", "name", "started", "status", "gradients", "loss", "rig", "tags", "note")
    for row in shown:
        short = row.id if row.copy_of else row.id.rsplit("-", 1)[-1]
        loss = f"{row.first_loss:.3g} -> {row.last_loss:.3g}" if row.gradients else ""
        started = f"{datetime.fromisoformat(row.created).astimezone():%Y-%m-%d %H:%M}" if row.created else ""
        rig, tags = in_short(row.rig), ", ".join(row.tags)
        cells = short, row.name, started, row.status, str(row.gradients), loss, rig, tags, _note(row)
        table.add_row(*map(escape, cells))
    if shown or not answer["sweeps"]:
        print_table(table)
    for row in found:
        if row.damage:
            print(f"damaged: {row.damage}")
    size = sum(row.bytes for row in found)
    answer |= {"runs": [_plain(row) for row in found], "bytes": size}
    print(f"{len(found)} of {len(everything)} runs, {with_prefix(size, 'B')}")


def _note(row: RunRow) -> str:
    return "; ".join(words for words in (f"copy of {row.copy_of}" if row.copy_of else "", row.note) if words)


def _sweeps(root: Path, everything: Sequence[RunRow]) -> tuple[list[Answer], set[str]]:
    """Print a line for each sweep; the same for an answer, and the ids of all their points."""
    from labrhel.sweeps.kept import read_sweep, sweep_files

    status, told, folded = {row.id: row.status for row in everything}, [], set()
    table = Table("sweep", "points", "came to", "keys")
    for file in sweep_files(root):
        try:
            sweep = read_sweep(file)
        except RecordError as error:
            print(f"damaged: {error}")
            continue
        runs = [point.run for point in sweep.points]
        counts = dict(Counter(status.get(run, "missing") for run in runs))
        folded |= set(runs)
        told.append({"sweep": sweep.identity, "points": len(runs), "counts": counts, "keys": sweep.keys})
        words = ", ".join(f"{count} {what}" for what, count in counts.items())
        table.add_row(*map(escape, (sweep.identity, str(len(runs)), words, ", ".join(sweep.keys))))
    if told:
        print_table(table)
    return told, folded


def verify(runs: Sequence[str], root: Path, answer: Answer) -> bool:
    """Say of each run whether every byte is what was written; True if all are."""
    told = answer["runs"] = []
    for run in runs:
        try:
            found = RunReader.find(run, root).verify()
        except RecordError as error:
            found = [str(error)]
        print(f"{run}: {'as it was written' if not found else 'damaged'}")
        for words in found:
            print(f"  {words}")
        told.append({"run": run, "sound": not found, "damage": found})
    return all(item["sound"] for item in told)


def told(reader: RunReader) -> bool:
    """Say what is damaged in a run; True if nothing is."""
    found = reader.verify()
    for words in found:
        print(f"damaged: {words}", file=sys.stderr)
    return not found


def tag(run: str, root: Path, add: list[str], remove: list[str], note: str | None) -> None:
    """Put labels on a run."""
    folder = find_run(run, root)
    label(folder, add=add, remove=remove, note=note)
    print(f"{folder.name}: labelled")


def pack(run: str, root: Path, file: Path) -> bool:
    """One archive file of a run, damaged ones too; True if it is what was written."""
    reader = RunReader.find(run, root)
    sound = told(reader)
    print(archive(reader.folder, file))
    return sound


def clean(root: Path, *, text: str, status: str, tag: str, sure: bool) -> None:
    """Delete runs, or say which would be."""
    found = [row for row in matching(rows(root), text=text, status=status, tag=tag) if row.status not in ALIVE]
    size = with_prefix(sum(row.bytes for row in found), "B")
    if not sure:
        for row in found:
            print(f"would delete {row.id}")
        print(f"{len(found)} runs, {size}; add --yes to delete them")
        return
    gone = list(prune(found))
    print(f"deleted {len(gone)} runs, {size}")


def show(run: str, root: Path, answer: Answer) -> bool:
    """The story of one run; True if its record is what was written."""
    reader = RunReader(named(run, root))
    sound = told(reader)
    manifest, scalars, losses = reader.manifest, reader.scalars(), _losses(reader)
    print(f"{reader.id}   {reader.status}")
    if reader.origin != reader.id:
        print(f"a copy of {reader.origin}")
    print(f"rig {manifest['rig']}, seed {manifest['seed']}, recorded traces: {reader.policy}")
    for kind, when, words in reader.events():
        print(f"  {datetime.fromtimestamp(when):%Y-%m-%d %H:%M:%S}  {kind}  {words}".rstrip())
    if losses.size:
        shots, passes = np.nansum(scalars["shots"]), np.nansum(scalars["passes"])
        print(f"loss {losses[0]:.4g} -> {losses[-1]:.4g} in {losses.size} gradients")
        print(f"{shots:.0f} shots, {passes:.0f} passes")
    rigs = fleets.told(reader)
    outcome = outcome_of(reader.folder, manifest["target_unit"])
    for metric in outcome.metrics:
        print(metric)
    for words in outcome.warnings:
        print(f"warning: {words}")
    parameters = _parameters(reader)
    answer |= {
        "id": reader.id,
        "copy_of": "" if reader.origin == reader.id else reader.origin,
        "folder": reader.folder,
        "status": reader.status,
        "sound": sound,
        "rig": manifest["rig"],
        "seed": manifest["seed"],
        "traces": str(reader.policy),
        "events": [{"what": kind, "time": instant(when), "words": words} for kind, when, words in reader.events()],
        "gradients": losses.size,
        "first_loss": losses[0] if losses.size else None,
        "last_loss": losses[-1] if losses.size else None,
        "shots": int(np.nansum(scalars["shots"])) if losses.size else 0,
        "passes": int(np.nansum(scalars["passes"])) if losses.size else 0,
        "tests": outcome.metrics,
        "warnings": outcome.warnings,
        "parameters": parameters,
        **({"rigs": rigs} if rigs else {}),
    }
    return sound


def plot(run: str, root: Path, to: Path | None) -> None:
    """Draw a run and say where the picture is."""
    from labrhel.records.plots import save

    reader = RunReader(named(run, root))
    print(save(reader, to or reader.folder / "plot.png"))


def report(names: Sequence[str], root: Path, to: Path | None) -> None:
    """Write the page of a run, of a sweep, or of several runs side by side; print its verdict and where the page is."""
    sweep = None if len(names) != 1 else _sweep(names[0], root)
    if sweep is not None:
        from labrhel.records.many import report as page_of_many
        from labrhel.sweeps.figures import figures_of

        page = page_of_many(figures_of(sweep, root), sweep.identity)
        print(f"report  {_written(page, root / f'{sweep.identity}.html' if to is None else to)}")
    elif len(names) > 1:
        from labrhel.records.many import report as page_of_many
        from labrhel.records.many import side_by_side

        page = page_of_many(side_by_side([find_run(name, root) for name in names]), f"{len(names)} runs")
        print(f"report  {_written(page, Path('report.html') if to is None else to)}")
    else:
        _report_of_one(named("".join(names), root), to)


def _report_of_one(folder: Path, to: Path | None) -> None:
    from labrhel.records.report import report as page_of
    from labrhel.records.report import verdict_of

    reader = RunReader(folder)
    verdict = verdict_of(reader)
    print(verdict.headline)
    for words in verdict.words:
        print(f"  {words}")
    print(f"report  {_written(page_of(reader), reader.folder / 'report.html' if to is None else to)}")


def _written(page: str, file: Path) -> Path:
    with written_aside(file, making_folders=True) as aside:
        aside.write_text(page, encoding="utf-8")
    return file


def _sweep(text: str, root: Path) -> Sweep | None:
    """The sweep of that name, unless a run is called so."""
    from labrhel.sweeps.kept import find_sweep, read_sweep

    try:
        find_run(text, root)
    except ConfigurationError:
        file = find_sweep(text, root)
        return None if file is None else read_sweep(file)
    return None


def export(run: str, root: Path, file: Path) -> bool:
    """Write the consolidated file of a run to `file`; True if its record is what was written."""
    from labrhel.records.export import to_csv, to_qcodes

    reader = RunReader(named(run, root))
    writers = {".nc": lambda: consolidate(reader.folder, file), ".csv": lambda: to_csv(reader, file),
               ".db": lambda: to_qcodes(reader, file)}  # fmt: skip
    if file.suffix not in writers:
        raise ConfigurationError(
            f"{file} does not end in .nc (all, for xarray), .csv or .db (the scalars of the steps, .db for QCoDeS)"
        )
    sound = told(reader)
    file.parent.mkdir(parents=True, exist_ok=True)
    print(writers[file.suffix]())
    return sound


def _losses(reader: RunReader) -> np.ndarray:
    losses = reader.scalars().get("loss", np.array([]))
    return losses[np.isfinite(losses)]


def _parameters(reader: RunReader) -> list[Answer]:
    """Print the trained values at the start and at the end; the same for an answer."""
    values = reader.parameters()
    step = values.pop("step")
    if not step.size:
        return []
    table, told = Table("parameter", "start", "end", "unit"), []
    for name, column in values.items():
        unit = reader.manifest.get("units", {}).get(name.partition("[")[0], "")
        table.add_row(name, f"{column[0]:.6g}", f"{column[-1]:.6g}", unit)
        told.append({"name": name, "start": column[0], "end": column[-1], "unit": unit})
    print_table(table)
    return told


def _plain(row: RunRow) -> Answer:
    """A run as an answer tells it; `test_error` is in the unit that `labrhel show` says."""
    told = plain(row)
    del told["scores"], told["said"]  # `labrhel show` and `labrhel sweep` tell them
    return {**told, "test_error": told.pop("error")}
