"""Carrying out a sweep: what is missing is run, what died is resumed, and what failed stops nothing else.

What another process is writing is waited for, so that several may share a sweep.  A rig that is no simulation has one
point at a time.  The emergency stop, and outputs that could not be made safe, end what would drive on.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from labrhel.errors import RecordError
from labrhel.experiment.points import interlock_of
from labrhel.safety import estop
from labrhel.store import RunReader
from labrhel.store.index import ALIVE, rows
from labrhel.store.manifest import FILE as MANIFEST
from labrhel.sweeps.child import Ended, Task
from labrhel.sweeps.crews import Crew
from labrhel.sweeps.kept import keep
from labrhel.sweeps.planning import Sweep, SweepPoint

MISSING = "missing"
"""The status of a point that has no run folder."""

_LOOK = 0.25  # s between two looks at what somebody else is writing
_KEPT = ("done", "stalled", "damaged")
_FIRST, _AT_ONCE = signal.SIGINT, getattr(signal, "SIGKILL", signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class State:
    """What a run folder says: `status` as `labrhel runs` has it, or `missing`; `words` of its end."""

    status: str
    words: str = ""
    event: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether another call would leave it alone: it is complete, or would come to the same end."""
        return self.status in _KEPT or bool(interlock_of(self.event, self.words))

    @property
    def is_good(self) -> bool:
        """Whether its training has ended by itself."""
        return self.status in ("done", "stalled")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a sweep stands; `begun` are those that this call has under way, `waits` those that others are writing."""

    points: int
    good: int
    bad: int
    begun: tuple[SweepPoint, ...]
    waits: int


def state_of(folder: Path) -> State:
    """The state of a point's run folder, from its record."""
    if not (folder / MANIFEST).is_file():
        return State(MISSING)
    try:
        reader = RunReader(folder)
        event, _, words = reader.events()[-1]
        return State(reader.status, words, event)
    except RecordError as error:
        return State("damaged", str(error))


def known_states(sweep: Sweep, root: Path) -> dict[str, State]:
    """The state of every point that has a run folder, by the index over `root`, which is cheap."""
    runs = {point.run for point in sweep.points}
    found = (row for row in rows(root) if row.folder.name in runs)
    return {row.folder.name: State(row.status, row.damage or row.said, row.status) for row in found}


def carry_out(
    sweep: Sweep,
    root: Path,
    crew: Crew,
    workers: int | None,
    *,
    told: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, State]:
    """Carry out what is missing, at most `workers` points at once; the state of every point by its run.

    A point that left no folder says in its state why.  At the first interrupt no
    further point begins, and each that runs ends as one run would; at the second one, simulated points are killed, and
    those that drive a rig are left to make it safe.  Raises KeyboardInterrupt then.
    """
    keep(sweep, root)
    work = _Work(sweep, root, crew, workers, told)
    try:
        work.all()
    except KeyboardInterrupt:
        work.interrupted()
        raise
    return work.states


class _Work:
    def __init__(
        self,
        sweep: Sweep,
        root: Path,
        crew: Crew,
        workers: int | None,
        told: Callable[[Progress], None],
    ) -> None:
        self.states = known_states(sweep, root)
        self._sweep, self._root, self._crew, self._told = sweep, root, crew, told
        self._workers = len(sweep.points) if workers is None else workers
        left = [point for point in sweep.points if not self.states.get(point.run, State(MISSING)).is_kept]
        self._pending = deque({point.run: point for point in left}.values())
        self._others: list[SweepPoint] = []
        self._begun: dict[Future[Ended], SweepPoint] = {}
        self._closed: dict[str, str] = {}  # rigs that no further point may drive, and why

    def all(self) -> None:
        """Until every point has ended, or cannot begin."""
        while self._pending or self._begun or self._others:
            self._begin()
            self._tell()
            if self._begun:
                for future in wait(self._begun, _LOOK, FIRST_COMPLETED).done:
                    self._end(future)
            elif self._others:
                time.sleep(_LOOK)
            free = [point for point in self._others if state_of(self._root / point.run).status not in ALIVE]
            self._others = [point for point in self._others if point not in free]
            self._pending.extend(free)
        self._tell()

    def interrupted(self) -> None:
        """End what is under way, in order; at once if it is asked for again."""
        under_way = self._crew.under_way()
        for future, point in self._begun.items():
            if point.run not in under_way:
                future.cancel()
        self._crew.signal(_FIRST)
        with _heard_again() as again:
            while any(not future.done() for future in self._begun) and not again():
                wait(self._begun, _LOOK)
        if again():
            if not any(point.bench for point in self._begun.values()):
                self._crew.signal(_AT_ONCE)
            self._crew.leave()

    def _begin(self) -> None:
        """Give the crew what it has room for."""
        busy = {point.bench for point in self._begun.values()} - {""}
        latched = bool(estop.latched())
        waiting = list(self._pending)
        self._pending.clear()
        for place, point in enumerate(waiting):
            if len(self._begun) >= self._workers:
                self._pending.extend(waiting[place:])
                return
            if latched or point.bench in self._closed:
                words = "the emergency stop is latched: `labrhel reset`, then the same command goes on"
                before = state_of(self._root / point.run)
                self.states[point.run] = replace(before, words=words if latched else self._closed[point.bench])
                continue
            if point.bench in busy:
                self._pending.append(point)
                continue
            state = state_of(self._root / point.run)
            if state.is_kept:  # by somebody else, since we looked
                self.states[point.run] = state
            elif state.status in ALIVE:
                self._others.append(point)
            else:
                self._begun[self._crew.submit(self._task(point, state))] = point
                busy |= {point.bench} - {""}

    def _task(self, point: SweepPoint, state: State) -> Task:
        sweep, root, here = self._sweep, str(self._root.absolute()), str(Path.cwd())
        known = ["--uncalibrated"] if sweep.calibrations is None else ["--calibrations", str(sweep.calibrations)]
        changes = [word for change in sweep.words(point) for word in ("--set", change)]
        words = ("run", str(sweep.file), *changes, "--runs", root, "--identity", point.run, "--no-plot", *known)
        rehearsal = () if point.bench else (*words, "--dry-run")
        if state.status != MISSING:
            words = ("resume", f"{root}/{point.run}", "--runs", root, "--no-plot")
        return Task(point.run, words, here, rehearsal)

    def _end(self, future: Future[Ended]) -> None:
        point = self._begun.pop(future)
        try:
            ended = future.result()
        except (Exception, CancelledError) as error:  # a worker that was lost
            ended = Ended(1, f"error: {type(error).__name__}: {error}")
        state = state_of(self._root / point.run)
        if state.status in ALIVE:  # somebody else was quicker, or its process is not quite gone
            self._others.append(point)
            return
        if state.status in (MISSING, "killed"):
            state = State(state.status, ended.why)
        if state.status == "unsafe":
            self._closed[point.bench] = f"{point.run} left outputs that may still be on: {state.words}"
        self.states[point.run] = state

    def _tell(self) -> None:
        good = sum(state.is_good for state in self.states.values())
        open_ = len(self._pending) + len(self._begun) + len(self._others)
        total = len({point.run for point in self._sweep.points})
        self._told(Progress(total, good, total - good - open_, tuple(self._begun.values()), len(self._others)))


@contextmanager
def _heard_again() -> Iterator[Callable[[], bool]]:
    """Inside the block a signal that ends is noted, and raises nothing; outside the main thread none is heard."""
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, hear)
    except ValueError:
        pass
    try:
        yield lambda: bool(heard)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
