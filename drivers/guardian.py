"""A small process that makes a bench safe when the program that drives it dies, or cannot do it.

No program can switch outputs off after kill -9, so another one has to.  The guardian (`drivers.guardian_process`) is
started when a bench is opened, imports everything that it may need, and waits at a pipe whose other end the owner
holds.  When the owner gives the bench back, every output seen safe, it says so.  When it dies, or gives up, the pipe
closes without a word: the guardian then makes every instrument safe, and keeps trying (`drivers.persistence`).

A station is in the ledger (labrhel.safety.ledger) from its opening until all of it was seen safe, and leaves it by the
hand of whoever saw it: its owner, its guardian, or a later program.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from drivers.bench.driven import outputs_of
from drivers.guardian_process import RELEASED
from labrhel.config.station import StationDocument
from labrhel.safety import ledger
from labrhel.safety.ledger import Remembered

_PATIENCE = 5.0  # s for the guardian to end when it is released


class Guardian:
    """Watches over the instruments of a station for this process, and remembers it, until `release`."""

    def __init__(self, file: Path, document: StationDocument) -> None:
        self._entry = _remembered(file, document)
        words = [str(file.resolve()), str(os.getpid())] + ([] if self._entry is None else [str(self._entry.place)])
        self._command = [sys.executable, "-m", "drivers.guardian_process", *words]
        self._child = self._start()

    @property
    def pid(self) -> int:
        """The guardian's process."""
        return self._child.pid

    def renew(self) -> None:
        """Start another one if the guardian has been killed; cheap enough to ask before every shot."""
        if self._child.poll() is not None:
            if self._child.stdin is not None:
                self._child.stdin.close()
            self._child = self._start()

    def release(self) -> None:
        """Every output was seen safe: nothing is left to guard.  Safe to call twice."""
        if self._entry is not None:
            self._entry.forget()
        pipe = self._child.stdin
        if pipe is None or pipe.closed:
            return
        with suppress(OSError):
            pipe.write(RELEASED)
            pipe.flush()
        with suppress(OSError):
            pipe.close()
        try:
            self._child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def take_over(self, outputs: Mapping[str, float | None], problem: str) -> None:
        """Outputs could not be seen safe: it keeps trying from now on, whatever becomes of this process."""
        self.renew()
        if self._entry is not None:
            self._entry.let_go(outputs, problem)
        if self._child.stdin is not None:
            with suppress(OSError):
                self._child.stdin.close()

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: the Ctrl-C that ends the owner must not end the guardian.
        return subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )  # fmt: skip


def _remembered(file: Path, document: StationDocument) -> Remembered | None:
    """The entry of a station that is about to be driven; without one where nothing can be written, which is said."""
    try:
        return ledger.remember(file, document.source.text, dict.fromkeys(outputs_of(document)))
    except OSError as error:
        print(f"warning: {file} cannot be remembered ({error}): if this program and its guardian are killed together, "
              "nobody will know that outputs are on", file=sys.stderr)  # fmt: skip
        return None
