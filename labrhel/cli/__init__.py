"""The command line.  This module stays light: `labrhel --help` must answer at once."""

from __future__ import annotations

import io
import os
import sys

from labrhel.cli.ending import INTERRUPTED, Interrupts, interruptible, own_streams

FAILED = 3


def main(*, alone: bool = True) -> None:
    """Entry point of `labrhel`: runs a command and turns errors into one sentence and an exit status.

    `alone`: the process does nothing else, so its streams and signals are labrhel's.
    """
    status = FAILED
    try:
        with interruptible(alone=alone) as interrupts:
            if alone:
                # Before numpy is imported.  Our matrices are small, and threads of OpenBLAS spin around them: a step of
                # training took 192 ms with two and 107 ms with one.  Who sets the variable has it their way.
                os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
                own_streams()
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, io.TextIOWrapper):
                    stream.reconfigure(errors="replace")
            status = _status(interrupts)
    except KeyboardInterrupt:  # between two lines of this function
        status = INTERRUPTED
    finally:
        _logged(status)
    sys.exit(status)


def _status(interrupts: Interrupts) -> int:
    """Run the command that was asked for; its exit status."""
    from labrhel.errors import LabrhelError

    try:
        try:
            return _called()
        finally:
            sys.stdout.flush()  # so that a full disk is said now, and not by Python at its end
    except LabrhelError as error:
        return _failed(str(error), error.exit_status)
    except MemoryError as error:
        words = f"the memory does not suffice ({error}); take fewer or shorter sequences, or fewer oscillators"
        return _failed(words, FAILED)
    except KeyboardInterrupt:  # typer does the same for one that comes while a command runs
        return INTERRUPTED
    except OSError as error:
        name = "" if error.filename is None else f"{error.filename}: "
        return _failed(f"{name}{error.strerror or error}", FAILED)
    except Exception:
        if not interrupts.came:
            raise
        return INTERRUPTED  # a library was interrupted where it did not expect it, such as while it was imported


def _logged(status: int) -> None:
    """The end of the command, for who listens (`labrhel.cli.logs`)."""
    if logs := sys.modules.get("labrhel.cli.logs"):
        logs.ended(status)


def _called() -> int:
    from labrhel.cli.app import app
    from labrhel.cli.recorded import app as with_records  # the same one: importing adds the commands
    from labrhel.cli.rig_commands import app as with_rigs

    assert with_records is app and with_rigs is app
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def _failed(words: str, status: int) -> int:
    if logs := sys.modules.get("labrhel.cli.logs"):
        logs.failed(words)
    print(f"error: {words}", file=sys.stderr)
    return status
