"""Who carries out points: processes of this computer, or any executor of the standard library's kind.

A crew begins points, and passes signals on to those it has begun.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any, Protocol

from labrhel.sweeps import child
from labrhel.sweeps.child import Ended, Task, perform

_KILLED = Ended(-signal.SIGKILL if hasattr(signal, "SIGKILL") else -9)


class Crew(Protocol):
    """Begins points, each in a process of its own."""

    def submit(self, task: Task) -> Future[Ended]:
        """Begin a point now, or when there is room for it."""
        ...

    def under_way(self) -> set[str]:
        """The runs that have been begun and have not ended."""
        ...

    def signal(self, number: int) -> None:
        """Send a signal to every point that has been begun and has not ended."""
        ...

    def close(self) -> None:
        """Let go of what it holds; what is under way is waited for."""
        ...

    def leave(self) -> None:
        """The same, without waiting: what is under way has been told to end, and does so by itself."""
        ...


class OnExecutor:
    """A crew of any `concurrent.futures.Executor` whose workers see the same folders.

    `everywhere` calls a function in every one of its processes, and lists what they answer; without it only the points
    that are waited for in this process are reached.
    """

    def __init__(self, executor: Executor, everywhere: Callable[..., list[Any]] | None = None) -> None:
        self._executor = executor
        self._everywhere = everywhere or (lambda function, *given: [function(*given)])

    def submit(self, task: Task) -> Future[Ended]:
        return self._executor.submit(perform, task)

    def under_way(self) -> set[str]:
        return {run for runs in self._everywhere(child.under_way) for run in runs}

    def signal(self, number: int) -> None:
        self._everywhere(child.send, number)

    def close(self) -> None:
        self._executor.shutdown()

    def leave(self) -> None:
        self._executor.shutdown(wait=False)


class Forked:
    """The crew of this computer: children of a nursery, which is started with the first point, and anew if it dies."""

    def __init__(self) -> None:
        self._nursery: subprocess.Popen[bytes] | None = None
        self._waiting: dict[str, tuple[subprocess.Popen[bytes], Future[Ended]]] = {}
        self._lock = threading.Lock()

    def submit(self, task: Task) -> Future[Ended]:
        future: Future[Ended] = Future()
        future.set_running_or_notify_cancel()
        rehearsal: tuple[str, ...] = ()
        with self._lock:
            if self._nursery is None or self._nursery.poll() is not None:
                self._nursery, rehearsal = _started(), task.rehearsal
                threading.Thread(target=self._listen, args=(self._nursery,), name="nursery", daemon=True).start()
            self._waiting[task.run] = self._nursery, future
        if rehearsal:
            self._say({"rehearse": rehearsal, "folder": task.folder})
        self._say({"run": task.run, "words": task.words, "folder": task.folder})
        return future

    def under_way(self) -> set[str]:
        with self._lock:
            return set(self._waiting)

    def signal(self, number: int) -> None:
        self._say({"signal": number})

    def close(self) -> None:
        nursery = self._nursery
        self.leave()
        if nursery is not None:
            nursery.wait()

    def leave(self) -> None:
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            assert nursery.stdin is not None
            with suppress(OSError):
                nursery.stdin.close()

    def _say(self, words: dict[str, object]) -> None:
        if self._nursery is None:
            return
        assert self._nursery.stdin is not None
        with suppress(OSError), self._lock:  # one that has died is noticed by who listens to it
            self._nursery.stdin.write((json.dumps(words) + "\n").encode())
            self._nursery.stdin.flush()

    def _listen(self, nursery: subprocess.Popen[bytes]) -> None:
        answers: IO[bytes] | None = nursery.stdout
        assert answers is not None
        for line in answers:
            answer = json.loads(line)
            with self._lock:
                _, future = self._waiting.pop(answer["run"])
            future.set_result(Ended(answer["status"], answer["said"]))
        answers.close()
        nursery.wait()
        with self._lock:  # its children see that it is gone, and end
            lost = {run: future for run, (whose, future) in self._waiting.items() if whose is nursery}
            for run in lost:
                del self._waiting[run]
        for future in lost.values():
            future.set_result(_KILLED)


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "labrhel.cli.nursery"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C at the terminal is passed on by who started it, in order
    )


def here(workers: int) -> Crew:
    """The crew of this computer, of `workers` processes where the system cannot fork."""
    return Forked() if hasattr(os, "fork") else OnExecutor(ThreadPoolExecutor(workers))


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
