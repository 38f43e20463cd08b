"""Several things at once, each in a thread of its own: a shot of a bench waits on its sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of one: `value`, or the `error` that it has raised."""

    value: T | None = None
    error: BaseException | None = None


def in_parallel(tasks: Mapping[K, Callable[[], T]], halt: Callable[[], None]) -> dict[K, Outcome[T]]:
    """Carry out all tasks, and tell what came of each, in their order; of one task, without a thread.

    An interrupt of this thread, which a signal raises, calls `halt`, waits for the threads, and goes on.
    """
    found: dict[K, Outcome[T]] = {}

    def carry_out(key: K, task: Callable[[], T]) -> None:
        try:
            found[key] = Outcome(value=task())
        except BaseException as error:  # told to whoever waits
            found[key] = Outcome(error=error)

    if len(tasks) == 1:
        for key, task in tasks.items():
            carry_out(key, task)
            if isinstance(interrupt := found[key].error, KeyboardInterrupt):
                raise interrupt
        return found
    threads = [threading.Thread(target=carry_out, args=item, name=f"rig {item[0]}") for item in tasks.items()]
    begun: list[threading.Thread] = []
    try:
        for thread in threads:
            thread.start()
            begun.append(thread)
        for thread in begun:
            thread.join()
    except BaseException:
        try:
            halt()
        finally:
            for thread in begun:
                thread.join()
        raise
    return {key: found[key] for key in tasks}
