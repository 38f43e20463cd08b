"""A process that has imported everything, and forks one child for each point: an interpreter takes seconds to start.

It is told by lines of JSON on standard input, and answers on standard output:

    {"run": ID, "words": [...], "folder": ...}     begin `labrhel WORDS` there
    {"rehearse": [...], "folder": ...}             do that in this process: it loads what points need, and moves nothing
    {"signal": N}                                  send it to every child
    {"run": ID, "status": N, "said": ...}          the answer when one has ended

One thread, so that a fork is whole.  When its own starter dies its input ends: the children are interrupted, as by
Ctrl-C, and it waits for them.  When it dies itself, the children see that for themselves (`labrhel.cli.point`).
"""

from __future__ import annotations

import importlib
import json
import os
import selectors
import signal
import sys
import traceback
from contextlib import chdir, suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from labrhel.cli import main as command
from labrhel.cli.ending import INTERRUPTED
from labrhel.cli.point import live
from labrhel.sweeps.child import MOST_SAID

_IMPORTED = (
    "labrhel.cli.recorded", "labrhel.cli.running", "labrhel.cli.stopping", "labrhel.session",
    "labrhel.records.plots", "matplotlib.figure", "matplotlib.backends.backend_agg",
    "h5netcdf", "xarray.backends.h5netcdf_",
)  # fmt: skip
_LINE = 1 << 16  # bytes read at once


@dataclass(slots=True)
class _Child:
    run: str
    pid: int
    pipe: int
    said: bytearray = field(default_factory=bytearray)


class Nursery:
    """Serves one starter, who speaks through the descriptors `requests` and `answers`."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._children: dict[int, _Child] = {}
        self._rest = b""
        self._selector = selectors.DefaultSelector()
        self._lifeline = os.pipe()  # held open until this process ends
        self._woken, self._wakes = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wakes, False)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._selector.register(requests, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until the starter is gone and every child has ended."""
        asked = True
        while asked or self._children:
            for key, _ in self._selector.select():
                if key.fd == self._requests:
                    asked = self._heard()
                elif key.fd == self._woken:
                    with suppress(BlockingIOError):
                        os.read(self._woken, _LINE)
                elif key.fd in self._children:
                    self._listen(self._children[key.fd])
            self._reap()

    def _heard(self) -> bool:
        """Obey what the starter says; False when it is gone."""
        said = os.read(self._requests, _LINE)
        if not said:
            self._selector.unregister(self._requests)
            self._signal(signal.SIGTERM)
            return False
        *lines, self._rest = (self._rest + said).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            if "signal" in asked:
                self._signal(asked["signal"])
            elif "rehearse" in asked:
                _rehearse(asked["rehearse"], asked["folder"])
            else:
                self._begin(asked)
        return True

    def _signal(self, number: int) -> None:
        for child in self._children.values():
            os.kill(child.pid, number)  # not reaped yet, so that the number is its own

    def _begin(self, asked: dict[str, Any]) -> None:
        reading, writing = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self._become(asked, writing)
        os.close(writing)
        os.set_blocking(reading, False)
        self._children[reading] = _Child(asked["run"], pid, reading)
        self._selector.register(reading, selectors.EVENT_READ)

    def _become(self, asked: dict[str, Any], writing: int) -> NoReturn:
        """In the child: nothing of the nursery stays, but the end of the pipe that says whether it is alive."""
        status = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._selector.close()
            own = (self._requests, self._answers, self._woken, self._wakes, self._lifeline[1])
            for descriptor in (*own, *self._children):
                os.close(descriptor)
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            os.close(writing)
            os.chdir(asked["folder"])
            live(asked["words"], self._lifeline[0])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except KeyboardInterrupt:  # before it could begin
            status = INTERRUPTED
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _listen(self, child: _Child) -> None:
        """Keep the last of what a child says, and be done with a pipe that has ended."""
        with suppress(BlockingIOError):
            while piece := os.read(child.pipe, _LINE):
                child.said += piece
                del child.said[:-MOST_SAID]
            with suppress(KeyError):
                self._selector.unregister(child.pipe)

    def _reap(self) -> None:
        for child in list(self._children.values()):
            pid, how = os.waitpid(child.pid, os.WNOHANG)
            if not pid:
                continue
            self._listen(child)  # what it left; a guardian of its rig may hold the pipe for longer
            with suppress(KeyError):
                self._selector.unregister(child.pipe)
            os.close(child.pipe)
            del self._children[child.pipe]
            said = child.said.decode("utf-8", "replace")
            answer = {"run": child.run, "status": os.waitstatus_to_exitcode(how), "said": said}
            with suppress(OSError):  # the starter may be gone
                _write(self._answers, (json.dumps(answer) + "\n").encode())


def _rehearse(words: list[str], folder: str) -> None:
    """Whatever is wrong with it, the points say themselves."""
    sys.argv[:] = ["labrhel", *words]
    with suppress(Exception, SystemExit, KeyboardInterrupt), chdir(folder):
        command(alone=False)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def imported() -> None:
    """Import what a run needs, so that the children need not."""
    for name in _IMPORTED:
        with suppress(ImportError):
            importlib.import_module(name)


def main() -> None:
    """Serve whoever started this."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it: no threads before a fork
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the starter's
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    imported()
    Nursery(requests, answers).serve()


if __name__ == "__main__":
    main()
