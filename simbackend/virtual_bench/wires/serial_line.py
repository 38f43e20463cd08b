"""A serial line: a pseudo-terminal whose other end is opened like any serial port."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty

from simbackend.virtual_bench.scpi.messages import Framer
from simbackend.virtual_bench.wires.exchange import LineBroke, Station

_CHUNK = 1 << 16
_PATIENCE = 0.05  # s between looks at whether to stop
_LONGEST_JOIN = 5.0  # s


class SerialLine:
    """Serves one instrument on `path`.  A restart loses what was on its way; the path stays."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._ours, self._theirs = os.openpty()
        self._ends = [self._theirs, self._ours]
        tty.setraw(self._ours)
        tty.setraw(self._theirs)  # kept open, so that a client that leaves does not hang the line up
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.start()

    def start(self) -> None:
        """Listen."""
        self._stopping.clear()
        thread = threading.Thread(target=self._serve, name=f"serial {self.path}")
        thread.start()
        self._thread = thread

    def stop(self) -> None:
        """Listen no more; `close` gives the path back."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_LONGEST_JOIN)

    def close(self) -> None:
        """Stop, and close both ends; harmless twice."""
        self.stop()
        while self._ends:
            os.close(self._ends.pop())

    def _serve(self) -> None:
        framer = Framer()
        while not self._stopping.is_set():
            if not select.select([self._ours], [], [], _PATIENCE)[0]:
                continue
            with contextlib.suppress(LineBroke):
                for message in framer.feed(os.read(self._ours, _CHUNK)):
                    answer = self._station.obey(message)
                    if answer is not None:
                        self._send(answer)

    def _send(self, data: bytes) -> None:
        while data and not self._stopping.is_set():
            if select.select([], [self._ours], [], _PATIENCE)[1]:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(self._ours, data) :]
