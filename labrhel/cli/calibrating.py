"""`labrhel calibrate` and `labrhel calibration`: measure a rig, propose, accept, look back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from labrhel import plugins
from labrhel.cli.answers import Answer, instant, plain
from labrhel.cli.logs import is_verbose
from labrhel.cli.tables import print_table
from labrhel.errors import ConfigurationError
from labrhel.experiment import Experiment, load_experiment
from labrhel.rig.calibration import CalibratedValue
from labrhel.safety import estop, processes
from labrhel.safety.ending import Ending
from labrhel.store.calibrations import CalibrationRecord, Entry
from labrhel.store.outputs import written_aside
from labrhel.units import with_prefix

_SHOWN = 12  # values of a routine that are printed in full


def experiment_on(url: str, config: Path | None, changes: Sequence[str] = ()) -> Experiment:
    """The experiment of a configuration on the rig `url`; `sim:NAME` names its own example."""
    scheme, _, rest = url.partition(":")
    named = rest.partition("?")[0]
    if config is None and scheme == "sim" and named:
        return load_experiment(named, rig_url=url, changes=changes)
    if config is None:
        raise ConfigurationError(f"{url} names no model and no data: give a configuration or an example with --config")
    return load_experiment(config, rig_url=url, changes=changes)


def calibrate(
    url: str,
    nodes: list[str],
    config: Path | None,
    folder: Path,
    reference: str,
    answer: Answer,
    changes: Sequence[str] = (),
    *,
    accept: bool,
    check: bool,
) -> bool:
    """Measure what was named, with all it stands on; True if everything went well."""
    experiment = experiment_on(url, config, changes)
    record = CalibrationRecord(folder, url)
    with Ending(experiment.rig.close), processes.listening(url, estop.emergency(experiment.rig)):
        campaign = plugins.make_campaign(experiment, record, reference)
        with Ending(experiment.rig.make_safe, again=False):
            return _checked(campaign, answer) if check else _measured(campaign, nodes, answer, accept=accept)


def _checked(campaign: Any, answer: Answer) -> bool:
    misfit, good = campaign.check()
    answer |= {"misfit_ratio": misfit, "in_order": good}
    verdict = "in order" if good else "OUT OF ORDER: calibrate again"
    print(f"one shot misses the calibrated model by {misfit:.2f} times what it did when it was calibrated: {verdict}")
    return bool(good)


def _measured(campaign: Any, nodes: list[str], answer: Answer, *, accept: bool) -> bool:
    plans = campaign.plan(nodes)
    seconds = sum(plan.seconds for plan in plans)
    names = ", ".join(plan.routine.name for plan in plans)
    shots = sum(plan.shots for plan in plans)
    print(f"plan: {names}: up to {shots} shots, about {with_prefix(seconds, 's')} of rig time")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    done = []
    with Progress(
        *columns, console=console, transient=True, disable=is_verbose() or not console.is_terminal
    ) as progress:
        bar = progress.add_task(plans[0].routine.title if plans else "", total=len(plans))
        found = campaign.run(plans)
        for number, plan in enumerate(plans):
            progress.update(bar, description=escape(plan.routine.title), completed=number)
            done.append(next(found))
            print(_told(done[-1]), flush=True)
    taken = sum(item.seconds for item in done)
    print(f"{sum(item.shots for item in done)} shots, {with_prefix(taken, 's')} of rig time")
    answer |= {
        "shots": sum(item.shots for item in done),
        "rig_time_s": taken,
        "routines": [_plain(item) for item in done],
    }
    entries = [item.entry for item in done if item.entry is not None]
    held: dict[str, str] = {}
    if entries and accept:
        accepted, held = campaign.accept(done)
        answer |= {"accepted": list(accepted), "not_accepted": held}
        if accepted:
            print(f"accepted: {', '.join(accepted)}; runs on {campaign.record.url} use it from now on")
        for name, why in held.items():
            print(f"NOT ACCEPTED: {name}: {why}; after a look `labrhel calibration accept` takes it all the same")
        curves = [curve for item in done for curve in item.finding.curves]
        page = plugins.make_card(campaign.experiment, campaign.record, curves).html()
        _write(page, campaign.record.file.with_suffix(".html"))
    elif entries:
        print("nothing is in force yet: look at it, then `labrhel calibration accept`, or calibrate with --accept")
    return not held and all(not item.finding.failed and not item.finding.bad for item in done)


def _plain(item: Any) -> Answer:
    """A routine that has run, as an answer tells it; each value has its standard error and unit."""
    finding = item.finding
    known = {name: getattr(finding, name) for name in ("failed", "values", "bad", "words")}
    return {"name": item.routine.name, "shots": item.shots, "rig_time_s": item.seconds, "in_doubt": item.doubt, **known}


def _told(item: Any) -> str:
    name, finding = item.routine.name, item.finding
    if finding.failed:
        return f"{name:12} FAILED: {finding.failed}"
    lines = [f"{name:12} {item.shots} shots, {len(finding.values)} values"]
    shown = list(finding.values.items())
    if len(shown) > _SHOWN:
        shown = [pair for pair in shown if not pair[0].startswith(("coupling", "friction", "quadratic", "flip["))][
            :_SHOWN
        ]
    for what, value in shown:
        lines.append(f"    {what:24} {value.value:.6g} +- {value.error:.2g} {'' if value.unit == '1' else value.unit}")
    if len(finding.values) > len(shown):
        lines.append(f"    ... and {len(finding.values) - len(shown)} more: `labrhel calibration show`")
    lines += [f"    DROPPED OUT: {subject} {why}" for subject, why in finding.bad.items()]
    lines += [f"    note: {words}" for words in finding.words if words != item.doubt]
    lines += [f"    IN DOUBT: {item.doubt}"] if item.doubt else []
    return "\n".join(lines)


def card(url: str, config: Path | None, folder: Path, to: Path | None, answer: Answer) -> None:
    """Print the card of a rig, and write its page."""
    experiment, record = experiment_on(url, config), CalibrationRecord(folder, url)
    with closing(experiment.rig):
        made = plugins.make_card(experiment, record)
    print(made.text())
    assert record.file is not None
    file = record.file.with_suffix(".html") if to is None else to
    values = {name: {**plain(value), "valid_until": instant(value.valid_until)} for name, value in made.values.items()}
    answer |= {name: getattr(made, name) for name in ("url", "firmware", "verdicts", "advice")}
    answer |= {"facts": dict(made.facts), "dominant_error": made.limits, "values": values, "page": file}
    _write(made.html(), file)


def _write(page: str, file: Path) -> None:
    with written_aside(file, making_folders=True) as aside:
        aside.write_text(page, encoding="utf-8")
    print(f"card    {file}")


def accept(url: str, folder: Path) -> None:
    """Put the last proposal of every routine into force that is newer than the last acceptance."""
    record = CalibrationRecord(folder, url)
    newest: dict[str, Entry] = {}
    for entry in record.entries:
        if entry.kind == "proposed":
            newest[entry.node] = entry
        else:
            newest.clear()
    if not newest:
        raise ConfigurationError(f"nothing has been proposed for {url} since the last acceptance")
    record.accept(list(newest.values()))
    print(f"accepted: {', '.join(newest)}")


def log(url: str, folder: Path) -> None:
    """Print every line of the record."""
    table = Table("id", "when", "what", "routine", "values")
    for entry in CalibrationRecord(folder, url).entries:
        when = entry.time.astimezone().isoformat(" ", "seconds")
        refers = ", ".join(entry.refers)
        table.add_row(entry.id, when, entry.kind, entry.node or refers, str(len(entry.values) or ""))
    print_table(table)


def show(url: str, folder: Path) -> None:
    """Print what is in force."""
    table = Table("value", "is", "standard error", "unit", "by", "valid until")
    for name, item in CalibrationRecord(folder, url).current().values.items():
        table.add_row(name, f"{item.value:.6g}", f"{item.uncertainty:.2g}", item.unit, item.node, _until(item))
    print_table(table)


def diff(url: str, folder: Path, before: str, after: str) -> None:
    """What changed between two entries; `after` left out: until now."""
    record = CalibrationRecord(folder, url)
    old = record.current(record.find(before).id).values
    new = record.current(record.find(after).id if after else "").values
    table = Table("value", "was", "is", "changed by, in standard errors")
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if was is None or now is None:
            table.add_row(
                name, "-" if was is None else f"{was.value:.6g}", "-" if now is None else f"{now.value:.6g}", ""
            )
        elif was.value != now.value:
            spread = (was.uncertainty**2 + now.uncertainty**2) ** 0.5 or 1.0
            table.add_row(name, f"{was.value:.6g}", f"{now.value:.6g}", f"{(now.value - was.value) / spread:.1f}")
    print_table(table)


def roll_back(url: str, folder: Path, identity: str) -> None:
    """Go back to what was in force after an entry."""
    record = CalibrationRecord(folder, url)
    record.roll_back(identity)
    print(f"in force is what was after {record.find(identity).id}: {len(record.current().values)} values")


def _until(value: CalibratedValue) -> str:
    from datetime import UTC, datetime

    if value.valid_until is None:
        return "ever"
    return datetime.fromtimestamp(value.valid_until, UTC).astimezone().isoformat(" ", "minutes")
