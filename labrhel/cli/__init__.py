"""The command line.  This module stays light: `labrhel --help` must answer at once."""

from __future__ import annotations

import io
import signal
import sys
from types import FrameType

INTERRUPTED = 130
FAILED = 3


def main() -> None:
    """Entry point of `labrhel`: runs a command and turns errors into one sentence and an exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows ? for what it cannot show
    before = signal.signal(signal.SIGTERM, _like_ctrl_c)
    try:
        _call()
    except KeyboardInterrupt:  # typer does the same for one that comes while a command runs
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def _call() -> None:
    from labrhel.cli.app import app
    from labrhel.cli.recorded import app as with_records  # the same one: importing adds the commands
    from labrhel.errors import LabrhelError

    assert with_records is app
    try:
        app()
    except LabrhelError as error:
        _end(str(error), error.exit_status)
    except MemoryError as error:
        _end(f"the memory does not suffice ({error}); take fewer or shorter sequences, or fewer oscillators", FAILED)
    except OSError as error:
        name = "" if error.filename is None else f"{error.filename}: "
        _end(f"{name}{error.strerror or error}", FAILED)


def _end(words: str, status: int) -> None:
    print(f"error: {words}", file=sys.stderr)
    sys.exit(status)


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
