"""What the boxes of a bench do at the same time: each has a wire of its own, and none has to wait for another's.

A wire is silent most of the time that an exchange takes, so several exchanges at once take hardly longer than one.
Each box keeps its thread: to start one takes as long as an exchange, and its memory is cold.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Jobs = SimpleQueue[Callable[[], object] | None]
"""What a thread is to do next; None: to end."""


class SideBySide:
    """A thread for each box that had something to do, until `close`, or until nobody has this any more."""

    def __init__(self) -> None:
        self._threads: dict[str, _Jobs] = {}
        self._process = os.getpid()
        weakref.finalize(self, _ended, self._threads)

    def do(self, jobs: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """What each job returns, by box, in the order of `jobs`; all are done at once, and send what this thread may.

        The first failure is raised at once, whatever the others are in the middle of.  They send nothing any more as
        soon as the bench is made safe (`drivers.transport.permit`), which therefore has to be what follows.
        """
        if len(jobs) < 2:
            return {box: job() for box, job in jobs.items()}
        ended: SimpleQueue[tuple[str, Any, BaseException | None]] = SimpleQueue()
        here: list[Callable[[], object]] = []
        for box, job in jobs.items():
            work = _in_this_context(box, job, ended.put)
            try:
                self._thread_of(box).put(work)
            except RuntimeError:  # there are no threads to be had, at the limit of the system
                here.append(work)
        for work in here:
            work()
        found: dict[str, T] = {}
        for _ in jobs:
            box, value, error = ended.get()
            if error is not None:
                raise error
            found[box] = value
        return {box: found[box] for box in jobs}

    def close(self) -> None:
        """Let the threads end, each after what it is doing."""
        _ended(self._threads)

    def _thread_of(self, box: str) -> _Jobs:
        if self._process != os.getpid():  # a fork has none of them; whatever is sent there is refused by the link
            self._threads.clear()
            self._process = os.getpid()
        if box not in self._threads:
            jobs: _Jobs = SimpleQueue()
            threading.Thread(target=_work, args=(jobs,), name=f"bench {box}", daemon=True).start()
            self._threads[box] = jobs
        return self._threads[box]


def _work(jobs: _Jobs) -> None:
    while True:
        job = jobs.get()
        if job is None:
            return
        job()
        del job  # while it waits, it keeps nothing alive


def _ended(threads: dict[str, _Jobs]) -> None:
    while threads:
        threads.popitem()[1].put(None)


def _in_this_context(
    box: str, job: Callable[[], object], end: Callable[[tuple[str, Any, BaseException | None]], object]
) -> Callable[[], object]:
    """The job as another thread may do it: with what this one may send; it tells its end."""
    context = copy_context()

    def work() -> None:
        try:
            value = context.run(job)
        except BaseException as error:  # whatever it is, somebody waits for it
            end((box, None, error))
        else:
            end((box, value, None))

    return work
