"""A serial line, opened here or inside pyvisa-py, through pyserial."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import serial

from drivers.transport.deadline import Deadline
from drivers.transport.port import Port
from drivers.transport.traffic import TrafficLog

_POSIX = os.name == "posix"
_SLICE = 0.02
"""Longest wait inside pyserial [s]: setting its time-out anew each time would reprogram the line."""


class SerialPort(Port):
    """An open serial line; `on_close` closes what owns it.  Answers that are due survive closing and opening."""

    forgets = False

    def __init__(self, line: serial.Serial, name: str, log: TrafficLog | None, on_close: Callable[[], object]) -> None:
        super().__init__(name, log)
        line.timeout = _SLICE
        # No time-out of pyserial (3.5) for writing: it raises one when the program was held up after bytes had gone
        # out, and does not say how many; whoever sends them again sends them twice.
        line.write_timeout = 0 if _POSIX else None
        self._line, self._on_close = line, on_close
        self._interrupted = False

    def interrupt(self) -> None:
        self._interrupted = True
        with suppress(OSError, AttributeError, TypeError):
            self._line.cancel_read()  # pyright: ignore[reportAttributeAccessIssue]
            self._line.cancel_write()  # pyright: ignore[reportAttributeAccessIssue]

    def close(self) -> None:
        on_close, self._on_close = self._on_close, lambda: None
        on_close()

    def _write(self, data: bytes, deadline: Deadline) -> None:
        with _as_os_error(), memoryview(data) as view:
            sent = 0
            while sent < len(view):
                self._check()
                if _POSIX and not select.select([], [self._line.fileno()], [], _SLICE)[1]:
                    deadline.require()
                else:
                    sent += self._line.write(view[sent : sent + 256]) or 0

    def _read_into(self, view: memoryview, deadline: Deadline) -> int:
        with _as_os_error():
            while True:
                self._check()
                data = self._line.read(min(max(self._line.in_waiting, 1), len(view)))
                if data:
                    view[: len(data)] = data
                    return len(data)
                deadline.require()

    def _poll(self) -> bool:
        with _as_os_error():
            return self._line.in_waiting > 0

    def _check(self) -> None:
        if self._interrupted:
            raise ConnectionError("interrupted")


def open_serial(path: str, baud: int) -> serial.Serial:
    """An open line of 8 data bits without parity at `baud` bits/s; raises OSError."""
    with _as_os_error():
        return serial.serial_for_url(path, baudrate=baud, timeout=_SLICE)


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Pyserial also raises termios.error, and TypeError on a line that has just been closed."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise ConnectionError(f"the serial line failed: {error}") from error
