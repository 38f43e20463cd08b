"""A point as a process of its own: `labrhel run` or `resume`, with its own signals, as a user would start it.

It holds one end of a pipe whose other end its starter holds.  When the starter dies, however it dies, the pipe ends,
and the process ends as Ctrl-C would have it: outputs safe, record closed, and the next one goes on from there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

MOST_SAID = 1 << 14
"""Bytes of what a point says that are kept: the last ones, which say how it ended."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to call: the run that comes of it, the words behind `labrhel`, and the folder that paths start from.

    `rehearsal`: words that move nothing and load what the point needs; none for a rig that is no simulation.
    """

    run: str
    words: tuple[str, ...]
    folder: str
    rehearsal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit status, that of a signal negative; and the last of what it said."""

    status: int
    said: str = ""

    @property
    def why(self) -> str:
        """Its last words, in a line: after `error:`, if it said so."""
        lines = [line for line in self.said.splitlines() if line.strip()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        if self.status < 0:
            return f"its process was ended by signal {-self.status}"
        return (errors or lines or [f"exit status {self.status}"])[-1]


_alive: dict[str, subprocess.Popen[bytes]] = {}


def perform(task: Task) -> Ended:
    """Carry out a point in a process of its own, and wait for its end: what an executor is given."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labrhel.sweeps.child", *task.words],
        cwd=task.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C at the terminal is the starter's, who passes it on
    )
    assert process.stdout is not None
    _alive[task.run] = process
    said = bytearray()
    try:
        with process:
            while piece := os.read(process.stdout.fileno(), MOST_SAID):
                said += piece
                del said[:-MOST_SAID]
    finally:
        _alive.pop(task.run, None)
    return Ended(process.returncode, said.decode("utf-8", "replace"))


def under_way() -> list[str]:
    """The runs of the points that `perform` waits for in this process."""
    return list(_alive)


def send(number: int) -> None:
    """Send a signal to every point that `perform` waits for in this process."""
    for process in list(_alive.values()):
        process.send_signal(number)


def live(words: Sequence[str], pipe: int) -> NoReturn:
    """Be `labrhel WORDS`, until the other end of `pipe` is gone."""
    sys.argv[:] = sys.orig_argv[:] = ["labrhel", *words]
    os.environ["LABRHEL_NO_MESSAGE"] = "1"  # the sweep has one, at its end (`labrhel.telemetry.at_the_end`)
    threading.Thread(target=_wait, args=(pipe,), name="starter", daemon=True).start()
    from labrhel.cli import main

    main()
    raise AssertionError("unreachable: the command line leaves by SystemExit")


def _wait(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    starter = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    live(sys.argv[1:], starter)
