"""Many trainings, each in a run folder that is named by what decides its result: those that are done are kept.

    NAME-DIGEST/      DIGEST: of the resolved configuration and the data, so that the same training is the same folder

A table or a sweep is a list of points.  Whoever kills it and starts it again finds what was done, goes on with what was
under way from its last checkpoint, to the same bits, and starts the rest.  A training that an interlock has stopped
would be stopped again: it is kept too, and says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from labrhel.errors import InterlockError
from labrhel.experiment.runners import Watch
from labrhel.shots.operations import Publish
from labrhel.store import RunReader
from labrhel.store.index import ALIVE
from labrhel.store.manifest import FILE

_DIGITS = 12


class Point(Protocol):
    """One training: a `labrhel.experiment.runners.Runnable` that says what decides its result."""

    @property
    def name(self) -> str:
        """What a person calls it; letters, digits, and what may stand in the name of a folder."""
        ...

    @property
    def resolved(self) -> Mapping[str, Any]:
        """All that decides its result, as plain data."""
        ...

    @property
    def steps(self) -> int:
        """How many steps it publishes."""
        ...

    def start(self, root: Path, watch: Watch, identity: str | None = None) -> list[str]:
        """Run into the new folder `root`/`identity`."""
        ...

    def resume(self, folder: Path, watch: Watch) -> list[str]:
        """Go on from the last checkpoint of the run in `folder`."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """A point and its run folder; `stopped` is what an interlock said when it ended the training, else empty."""

    point: Point
    folder: Path
    stopped: str = ""


def identity(point: Point) -> str:
    """The name of a point's run folder."""
    return identity_of(point.name, point.resolved)


def identity_of(name: str, resolved: Mapping[str, Any]) -> str:
    """The name of the run folder of what is called `name`, and decided by `resolved`, which is plain data."""
    text = json.dumps(resolved, sort_keys=True, separators=(",", ":"))
    return f"{name}-{sha256(text.encode()).hexdigest()[:_DIGITS]}"


def interlock_of(kind: str, words: str) -> str:
    """What the run's own interlock said, if the last event of a record is that it ended it; else "".

    Such a run would be stopped again.  What had to hold before a shot (`ConditionError`), or a calibration that was in
    doubt, may be otherwise the next time.
    """
    mark = f"{InterlockError.__name__}: "
    said = words.removeprefix(mark)
    return said if kind == "failed" and words.startswith(mark) and said.startswith("interlock ") else ""


def carry_out(points: Iterable[Point], root: Path, watch: Watch) -> list[Done]:
    """Carry out what is not done yet; `watch` is told of steps counted over all points.

    What another process is writing is left for the end, so that several processes share the work.  Raises RecordError
    for a folder that cannot be written, and for one that another process is still writing then.
    """
    found: dict[int, Done] = {}
    left: list[tuple[int, Point]] = []
    steps = 0
    for place, point in enumerate(points):
        if _is_under_way(root / identity(point)):
            left.append((place, point))
        else:
            found[place] = _carried_out(point, root, watch, steps)
            steps += point.steps
    for place, point in left:
        found[place] = _carried_out(point, root, watch, steps)
        steps += point.steps
    return [found[place] for place in sorted(found)]


def _carried_out(point: Point, root: Path, watch: Watch, before: int) -> Done:
    folder, stopped = root / identity(point), ""

    def counted(published: Publish) -> None:
        watch(replace(published, step=before + published.step))

    if not _is_done(folder):
        try:
            if (folder / FILE).is_file():
                point.resume(folder, counted)
            else:
                point.start(root, counted, folder.name)
        except InterlockError as error:
            stopped = str(error)
    watch(Publish(before + point.steps - 1, {}))
    return Done(point, folder, stopped or _stopped(folder))


def _is_under_way(folder: Path) -> bool:
    return (folder / FILE).is_file() and RunReader(folder).status in ALIVE


def _is_done(folder: Path) -> bool:
    return (folder / FILE).is_file() and (RunReader(folder).status == "done" or bool(_stopped(folder)))


def _stopped(folder: Path) -> str:
    kind, _, words = RunReader(folder).events()[-1]
    return interlock_of(kind, words)
