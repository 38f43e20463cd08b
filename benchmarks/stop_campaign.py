"""Emergency stops under random faults of a bench: who was called, when the outputs went off, and what was said.

    python -m benchmarks.stop_campaign [--from SEED] [--count N] [--keep FILE]

The faults are those of `benchmarks.fault_campaign`, done just before the stop is pressed.  A stop is good if

1. its status is 0 and no output is on, or it is 3;
2. a program that listens before and after it is named among those that were called;
3. the outputs that can be reached went off within 100 ms of the press, where a live program drives them.

What the machine adds is measured beside each stop, and taken off: how long the bench stood still
(`benchmarks.standstill`), and what a program took that is called by the same press, drives no rig, and has as many
exchanges with a socket of the process in which the bench runs as a rig has that is switched off.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks.campaign import Outcome, asked, each, pursue, say, told
from benchmarks.commands import FORKED
from benchmarks.faulty_lab import GIVE_UP, Attempt, Lab, Trial, estop, lab
from benchmarks.figure import Figure
from benchmarks.standstill import Standstill
from drivers.testing.cut_wires import CutWire
from labrhel.safety import processes
from labrhel.testing.waiting import wait_for

EFFECT = 0.1
"""Seconds from the press to the last moment at which an output was on that can be reached."""

_EXCHANGES = 10  # that it takes to switch a generator off, then the levels of a source
_SETTLED = 20.0  # s for a guardian to make safe what the stop could not


@dataclass(frozen=True, slots=True)
class Stopped:
    """What came of a press: exit `status`, what was on then, when the last output went off, and what the machine added.

    `called`: whether the program was named; None if it was not, and did not listen any more.  Times [s] from the press.
    """

    status: int
    on: tuple[str, ...]
    effect: float | None
    stalled: float
    control: float
    called: bool | None
    words: str

    def __str__(self) -> str:
        stood = f", {1e3 * self.stalled:.0f} of which the bench stood still"
        effect = "" if self.effect is None else f", off after {1e3 * self.effect:.0f} ms{stood}"
        on = f", on: {' '.join(self.on)}" if self.on else ""
        return f"status {self.status}{effect}, control {1e3 * self.control:.0f} ms{on}"

    def faults(self) -> Iterator[str]:
        """What is wrong."""
        if self.status == 0 and self.on:
            yield "status 0 with an output on"
        if self.status not in (0, 3):
            yield f"status {self.status}"
        if self.called is False:
            yield "a live program was not called"
        if self.effect is not None and self.effect - self.stalled > EFFECT + self.control:
            yield f"off after {1e3 * self.effect:.0f} ms"
        if "Traceback" in self.words:
            yield "a traceback"


class Control:
    """A program that is called by every press, drives no rig, and asks the process that the bench runs in."""

    def __init__(self, folder: Path) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._echo, daemon=True).start()
        self._wire = CutWire(self._server.getsockname())
        self._process = FORKED.Process(target=_listen, args=(folder, self._wire.port))
        self._process.start()
        wait_for(lambda: list((folder / "rigs").glob("*.json")), "the control")
        (self._file,) = (folder / "rigs").glob("*.json")
        self.pid = self._process.pid

    def enter(self, state: Path) -> None:
        """Be found there by a press."""
        (state / "rigs").mkdir(mode=0o700, exist_ok=True)
        (state / "rigs" / f"{secrets.token_hex(4)}.json").write_bytes(self._file.read_bytes())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._wire.close()
        self._server.close()

    def _echo(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._server.accept()
                with caller, suppress(OSError):
                    while words := caller.recv(64):
                        caller.sendall(words)


def _listen(folder: Path, port: int) -> None:
    def make_safe() -> None:
        with socket.create_connection(("127.0.0.1", port), GIVE_UP) as wire:
            for _ in range(_EXCHANGES):
                wire.sendall(b"OFF\n")
                wire.recv(64)

    with processes.listening("control", make_safe, folder):
        threading.Event().wait()


class _Finger:
    """A process that has all imported, and presses when it is told."""

    def __init__(self) -> None:
        self._near, far = FORKED.Pipe()
        self._process: BaseProcess = FORKED.Process(target=_press, args=(far,))
        self._process.start()

    def press(self, state: Path) -> tuple[float, int, str]:
        """When it was pressed [s, monotonic], the exit status, and the words; TimeoutError if it hangs."""
        self._near.send(str(state))
        if not self._near.poll(GIVE_UP):
            raise TimeoutError("the stop hangs")
        return self._near.recv()

    def close(self) -> None:
        """End it."""
        self._process.kill()


def _press(told_by: Connection) -> None:
    import drivers.rescue  # noqa: F401  # what taking up a bench imports
    from labrhel.cli import stopping

    while True:
        os.environ["LABRHEL_STATE"] = told_by.recv()
        out, status = io.StringIO(), 3
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            begin = time.monotonic()
            try:
                status = 0 if stopping.press() else 3
            except Exception:
                traceback.print_exc()
        told_by.send((begin, status, out.getvalue()))


@contextmanager
def stops(lab: Lab) -> Iterator[tuple[Control, _Finger]]:
    """What every trial uses."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as opened:
        control, finger = Control(Path(name)), _Finger()
        opened.callback(control.close)
        opened.callback(finger.close)
        yield control, finger


def stop(lab: Lab, trial: Trial, control: Control, finger: _Finger) -> Stopped:
    """An emergency stop under the conditions of a trial."""
    tried = Attempt(lab, trial)
    idle: list[socket.socket] = []
    try:
        tried.wait_for_levels()
        control.enter(tried.state)
        listening = [one for one in processes.programs(tried.state) if one.pid != control.pid]
        for one in listening:
            idle += [socket.create_connection(("127.0.0.1", one.port)) for _ in range(trial.callers)]
        tried.harm()
        with Standstill(lambda: lab.on(but=tried.spoiled)) as watch:
            pressed, status, words = finger.press(tried.state)
            on = tuple(lab.on())
        killed = trial.kind in ("owner killed", "both killed")
        called = not killed and f"(process {tried.command.pid})" in words
        lives = tried.command.status() is None and any(not one.is_gone for one in listening)
        took = [float(ms) for ms in re.findall(rf"process {control.pid}\): safe after (\d+) ms", words)]
        effect = max(watch.last - pressed, 0.0) if called else None
        stalled = 0.0 if effect is None else watch.between(pressed, watch.last)
        return Stopped(
            status, on, effect, stalled, max(took, default=0.0) / 1e3, called if called or lives else None, words
        )
    finally:
        for one in idle:
            one.close()
        tried.mend()
        with suppress(AssertionError):
            wait_for(lambda: not lab.on(), "the guardian", _SETTLED)
        if lab.on():
            estop(tried.state)
        tried.close()


def outcome(lab: Lab, control: Control, finger: _Finger, seed: int) -> Outcome:
    """The stop of a seed."""
    trial = Trial.of(seed, lab.kinds)
    found = stop(lab, trial, control, finger)
    facts = {"status": found.status, "effect": found.effect, "stalled": found.stalled, "control": found.control}
    facts |= {"words": found.words}
    words = f"{trial.command}, {trial.callers} idle callers, {found}"
    return Outcome(seed, f"stop, {trial.kind}", words, tuple(found.faults()), facts)


def targets(count: int = 100) -> Iterator[Figure]:
    """For the table of `benchmarks.targets`."""
    with lab(disk=True) as place, stops(place) as (control, finger):
        tally = pursue(each(partial(outcome, place, control, finger), range(count)), say=lambda words: None)
    words = f"{len(tally.bad)} failed {'; '.join(map(str, tally.bad))}"
    target = f"{count} stops under faults: off within 100 ms, never status 0 with an output on"
    yield Figure(target, words, not tally.bad)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run trials, print each, and a table of tried and failed; 1 if any failed."""
    chosen = asked(__doc__, 100, arguments)
    with lab(disk=True) as place, stops(place) as (control, finger):
        seeds = range(chosen.first, chosen.first + chosen.count)
        return told(pursue(each(partial(outcome, place, control, finger), seeds), chosen.keep, say))


if __name__ == "__main__":
    sys.exit(main())
