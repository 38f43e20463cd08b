"""A point of a sweep, in a process of its own: the command line, as a user would call it, on a lifeline.

It holds one end of a pipe whose other end its starter holds.  When the starter dies, however it dies, the pipe ends,
and the process ends as Ctrl-C would have it: outputs safe, record closed, and the next one goes on from there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from labrhel.cli import main


def live(words: Sequence[str], pipe: int) -> NoReturn:
    """Be `labrhel WORDS`, until the other end of `pipe` is gone."""
    sys.argv[:] = sys.orig_argv[:] = ["labrhel", *words]
    os.environ["LABRHEL_NO_MESSAGE"] = "1"  # the sweep has one, at its end (`labrhel.telemetry.at_the_end`)
    threading.Thread(target=_wait, args=(pipe,), name="starter", daemon=True).start()
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
