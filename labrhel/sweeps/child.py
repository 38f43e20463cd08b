"""A point as a process of its own (`labrhel.cli.point`): `labrhel run` or `resume`, with its own signals."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

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
        [sys.executable, "-m", "labrhel.cli.point", *task.words],
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
