"""`labrhel conformance`: does a rig keep the contract of a rig?"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from labrhel.cli.logs import is_verbose
from labrhel.cli.tables import print_table
from labrhel.conformance import Check, Outcome, Result, Subject, chosen, subject_of, summary
from labrhel.errors import ConfigurationError
from labrhel.safety import processes
from labrhel.store.outputs import written_aside


def conform(url: str, config: Path | None, only: str, tolerance: float, file: Path | None) -> bool:
    """Judge the rig, print what was found; True if no check failed."""
    if not tolerance > 0:
        raise ConfigurationError(f"the tolerance must be positive, not {tolerance:g}")
    checks = chosen(only)
    results: list[Result] = []
    with subject_of(url, config, tolerance=tolerance) as subject:
        try:
            with processes.listening(url, subject.make_safe_at_once), _watched(checks) as watched:
                for item in watched:
                    results.append(item.judge(subject))
        finally:  # what was found before a link was lost is worth saying
            _tell(results)
            if file is not None:
                with written_aside(file) as aside:
                    aside.write_text(json.dumps(_record(url, subject, results), indent=2) + "\n", encoding="utf-8")
    print(summary(results))
    return not any(result.outcome is Outcome.FAILED for result in results)


@contextmanager
def _watched(checks: Sequence[Check]) -> Iterator[Iterable[Check]]:
    """The checks, with a bar that shows which one is under way."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, transient=True, disable=is_verbose() or not console.is_terminal
    ) as progress:
        bar = progress.add_task("", total=len(checks))

        def passing() -> Iterator[Check]:
            for number, item in enumerate(checks):
                progress.update(bar, completed=number, description=escape(item.name))
                yield item

        yield passing()


def _tell(results: Sequence[Result]) -> None:
    """A table by theme, then every failure, then why some checks do not apply."""
    table = Table("theme", *(str(outcome) for outcome in Outcome))
    for theme in dict.fromkeys(result.theme for result in results):
        counts = Counter(result.outcome for result in results if result.theme == theme)
        table.add_row(theme, *(str(counts[outcome] or "") for outcome in Outcome))
    print_table(table)
    for outcome in (Outcome.NOT_APPLICABLE, Outcome.FAILED):
        for result in results:
            if result.outcome is outcome:
                print(result)


def _record(url: str, subject: Subject, results: Sequence[Result]) -> dict[str, Any]:
    rig = {"url": url, "rig": subject.capabilities.rig, "firmware": subject.capabilities.firmware}
    return {**rig, "tolerance": subject.tolerance, "summary": summary(results), "results": [*map(_plain, results)]}


def _plain(result: Result) -> dict[str, Any]:
    """JSON cannot express infinity: an error without size is null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(result).items()}
