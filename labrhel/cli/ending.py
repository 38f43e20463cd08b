"""How a command ends: by a signal, by a reader who has gone away, or on a disk that is full.  Never with a traceback.

Ctrl-C, SIGTERM and SIGHUP (the terminal was closed) are the same: the first one interrupts, and what is open makes its
outputs safe and closes its record.  Later ones change nothing: an impatient finger must not leave outputs half safe.
This module is imported before all others, and imports what starts with Python.
"""

from __future__ import annotations

import _thread
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130
OUTPUT = "standard output"

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupts:
    """Raises KeyboardInterrupt, with its number, at the first signal; `came` from then on."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.came:
            self.came = True
            raise KeyboardInterrupt(number)

    def swallowed(self, about: Any) -> None:
        """`sys.unraisablehook`: an interrupt that fell into a destructor is lost there; it comes once more."""
        if self.came and issubclass(about.exc_type, KeyboardInterrupt):
            self.came = False
            again = threading.Timer(0.01, _interrupt_main)
            again.daemon = True
            again.start()
        else:
            sys.__unraisablehook__(about)


@contextmanager
def interruptible(*, alone: bool) -> Iterator[Interrupts]:
    """Inside the block signals interrupt once; after it they end the process at once if it is labrhel `alone`."""
    interrupts = Interrupts()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    hook = sys.unraisablehook
    for number, handler in before.items():
        if not (handler is signal.SIG_IGN and number not in (signal.SIGINT, signal.SIGTERM)):  # nohup stays nohup
            signal.signal(number, interrupts)
    sys.unraisablehook = interrupts.swallowed
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, _leave if alone and handler is not signal.SIG_IGN else handler)
        if not alone:
            sys.unraisablehook = hook


def _interrupt_main() -> None:
    """By a real signal, where there is one for a thread: it ends what the main thread waits for, too."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _leave(number: int, frame: FrameType | None) -> None:
    """Everything is closed, and Python is only tidying up."""
    os._exit(INTERRUPTED)


class _Output(io.RawIOBase):
    """A standard stream that goes on without its reader, and names itself when its disk is full."""

    def __init__(self, descriptor: int, name: str, *, may_fail: bool) -> None:
        self._descriptor, self._name, self._may_fail = descriptor, name, may_fail
        self._gone = False
        self._is_terminal = os.isatty(descriptor)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if self._gone:
            return size
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            self._gone = True
            reader_left = error.errno == errno.EPIPE or (self._is_terminal and error.errno in (errno.EIO, errno.ENXIO))
            if reader_left or self._may_fail:
                return size
            raise OSError(error.errno, error.strerror, self._name) from None


def own_streams() -> None:
    """Put streams in place of the standard ones that go on when their reader has gone away (`labrhel runs | head`)."""
    for number, name, words in ((1, "stdout", OUTPUT), (2, "stderr", "standard error")):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            unbuffered = isinstance(stream.buffer, io.RawIOBase)  # python -u
            if isinstance(stream.buffer if unbuffered else stream.buffer.raw, io.FileIO):
                setattr(sys, name, _in_place_of(stream, _Output(number, words, may_fail=name == "stderr"), unbuffered))


def _in_place_of(stream: io.TextIOWrapper, raw: _Output, unbuffered: bool) -> io.TextIOWrapper:  # noqa: FBT001
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),  # type: ignore[arg-type]
        encoding=stream.encoding,
        errors="replace",  # a terminal without UTF-8 shows ? for what it cannot show
        line_buffering=stream.line_buffering,
        write_through=unbuffered,
    )
