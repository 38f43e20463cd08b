"""What the boxes of a bench do at the same time: each has a wire of its own, and none has to wait for another's.

A wire is silent most of the time that an exchange takes, so several exchanges at once take hardly longer than one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from drivers.making_safe import Attempt

T = TypeVar("T")


def side_by_side(jobs: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """What each job returns, by box, in the order of `jobs`; all are done at once, and may send what this thread may.

    The first failure is raised at once, whatever the others are in the middle of.  They send nothing any more as soon
    as the bench is made safe (`drivers.transport.permit`), which therefore has to be what follows.
    """
    if len(jobs) < 2:
        return {box: job() for box, job in jobs.items()}
    ended: SimpleQueue[tuple[str, T | None, BaseException | None]] = SimpleQueue()
    for box, job in jobs.items():
        Attempt(partial(_do, box, job, ended.put))
    found: dict[str, T] = {}
    for _ in jobs:
        box, value, error = ended.get()
        if error is not None:
            raise error
        found[box] = value  # pyright: ignore[reportArgumentType]  (without an error it is what the job returned)
    return {box: found[box] for box in jobs}


def _do(box: str, job: Callable[[], T], end: Callable[[tuple[str, T | None, BaseException | None]], object]) -> None:
    try:
        value = job()
    except BaseException as error:  # whatever it is, somebody waits for it
        end((box, None, error))
    else:
        end((box, value, None))
