"""`-v` and `--log FILE`: what goes to a rig and what comes back, step by step, on standard error or in a file.

Both listen to the standard library's logger "labrhel"; the innermost handler of the executor tells what it does
(`labrhel.executor.backend`), and this module the command, its end, and where it went wrong.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

_LOG = logging.getLogger("labrhel")
_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s"
_listening: list[logging.Handler] = []


def _verbose(context: typer.Context, much: int) -> int:
    if much and not context.resilient_parsing:
        _listen(logging.StreamHandler(sys.stderr), logging.INFO if much == 1 else logging.DEBUG)
    return much


def _file(context: typer.Context, file: Path | None) -> Path | None:
    if file is not None and not context.resilient_parsing:
        file.parent.mkdir(parents=True, exist_ok=True)
        _listen(logging.FileHandler(file, encoding="utf-8"), logging.DEBUG)
    return file


Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, callback=_verbose, help="Say each step and each setting; -vv: each shot, too."
    ),
]
Log = Annotated[
    Path | None,
    typer.Option("--log", metavar="FILE", callback=_file, help="Add all that happens to this file, with its time."),
]


def is_verbose() -> bool:
    """Whether standard error is taken, so that no progress bar can be drawn there."""
    return any(type(handler) is logging.StreamHandler for handler in _listening)


def failed(words: str) -> None:
    """Note what ended the command, and for the file where in the code it was."""
    if _listening:
        _LOG.error("%s", words)
        _LOG.debug("where it happened", exc_info=True)


def ended(status: int) -> None:
    """Note how the command ended, and listen no more."""
    if _listening:
        _LOG.info("exit status %d", status)
    while _listening:
        handler = _listening.pop()
        _LOG.removeHandler(handler)
        handler.close()
    _LOG.propagate = True
    _LOG.setLevel(logging.NOTSET)


def _listen(handler: logging.Handler, level: int) -> None:
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S"))
    _LOG.addHandler(handler)
    _LOG.setLevel(min(level, _LOG.level or level))
    _LOG.propagate = False  # what an application that calls us has set up is its own
    _listening.append(handler)
    handler.handle(_LOG.makeRecord("labrhel", logging.INFO, "", 0, "%s", (" ".join(sys.argv[1:]),), None))
