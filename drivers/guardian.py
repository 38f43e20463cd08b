"""A small process that makes a bench safe when the program that drives it dies, or cannot do it.

No program can switch outputs off after kill -9, so another one has to.  The guardian is started when a bench is opened,
has everything imported that it may need, and waits at a pipe whose other end the owner holds.  When the owner gives the
bench back, every output seen safe, it says so.  When it dies, or gives up, the pipe closes without a word: the guardian
then makes every instrument safe (drivers.rescue), and keeps trying, at first four times a second, then every other
second, after a minute every ten seconds, for `LONGEST`.  After that the bench is gone for good, and what it may have
on stays in the ledger.

A station is in the ledger (labrhel.safety.ledger) from its opening until all of it was seen safe, and leaves it by the
hand of whoever saw it: its owner, its guardian, or a later program.

    python -m drivers.guardian STATION.yaml OWNER [ENTRY]         (what `Guardian` starts; of no use by hand)
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from drivers.bench.driven import outputs_of
from drivers.rescue import document_of, drivers_of, make_all_safe
from labrhel.config.station import StationDocument, load_station
from labrhel.errors import LabrhelError
from labrhel.safety import ledger
from labrhel.safety.ledger import Remembered

LONGEST = 3600.0
"""Seconds for which a guardian keeps trying."""

_RELEASED = b"released\n"
_PATIENCE = 5.0  # s for the guardian to end when it is released
_LOOK = 0.2  # s between two looks whether the owner is alive
_WAIT = 2.0  # s for an owner that is dying to give back what it holds
_PAUSES = 0.25, 2.0, 10.0  # s between two attempts, at first, soon, and at last; each pause half as long again
_SOON = 60.0  # s of pauses after which a bench is hardly about to come back: an attempt takes a core for a while


class Guardian:
    """Watches over the instruments of a station for this process, and remembers it, until `release`."""

    def __init__(self, file: Path, document: StationDocument) -> None:
        self._entry = _remembered(file, document)
        entry = [] if self._entry is None else [str(self._entry.place)]
        self._command = [sys.executable, "-m", "drivers.guardian", str(file.resolve()), str(os.getpid()), *entry]
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
            pipe.write(_RELEASED)
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


def keep_trying(
    document: StationDocument,
    owner: int,
    entry: Remembered | None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Until every instrument was made safe, by this process or by another that took the station up, or it is too late.

    True if it was.
    """
    names: Collection[str] = list(document.station.instruments)
    driving = {terminal.partition(".")[0] for terminal in outputs_of(document)}
    end, pauses = clock() + LONGEST, _pauses()
    is_first = True
    while entry is None or entry.stands:
        problems = make_all_safe(document, names, wait=_WAIT, dying=owner)
        if not driving & problems.keys():
            if entry is not None:
                entry.forget()
            return True
        if clock() > end:
            return False
        names = driving & problems.keys()
        if is_first:
            _say_and_part({name: problems[name] for name in names})
            is_first = False
        sleep(next(pauses))
    return True


def main(arguments: list[str]) -> int:
    """Wait at the pipe; 0 if the owner released the bench, or when everything was made safe."""
    try:
        entry = ledger.at(Path(arguments[2])) if len(arguments) > 2 else None
        # At once: the file may go, or be changed, before its owner ends; and QCoDeS takes half a second to import.
        document = load_station(Path(arguments[0])) if entry is None else document_of(entry.entry)
        drivers_of(document)
    except LabrhelError as error:
        print(f"guardian: {error}; it cannot make the bench safe", file=sys.stderr)
        return 3
    import drivers.making_safe  # noqa: F401  (as above)

    owner = int(arguments[1])
    if _was_released(owner) or keep_trying(document, owner, entry):
        return 0
    return 3


def _pauses() -> Iterator[float]:
    pause, soon, longest = _PAUSES
    paused = 0.0
    while True:
        yield pause
        paused += pause
        pause = min(1.5 * pause, soon if paused < _SOON else longest)


def _was_released(owner: int) -> bool:
    """Wait until the owner says so, closes the pipe without a word, or is dead, whoever else holds its pipe open."""
    pipe, said = sys.stdin.fileno(), b""
    while True:
        if sys.platform != "win32" and not select.select([pipe], [], [], _LOOK)[0]:
            if os.getppid() != owner:
                return False
            continue
        piece = os.read(pipe, len(_RELEASED))
        if not piece:
            return said.endswith(_RELEASED)
        said += piece


def _say_and_part(problems: Mapping[str, str]) -> None:
    """Say what is not safe, and let the terminal go: who reads the owner's errors must not wait for the guardian."""
    with suppress(OSError):
        for name, words in problems.items():
            print(f"guardian: {name} is NOT SAFE: {words}; it keeps trying", file=sys.stderr, flush=True)
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stderr.fileno())


def _remembered(file: Path, document: StationDocument) -> Remembered | None:
    """The entry of a station that is about to be driven; without one where nothing can be written, which is said."""
    try:
        return ledger.remember(file, document.source.text, dict.fromkeys(outputs_of(document)))
    except OSError as error:
        print(f"warning: {file} cannot be remembered ({error}): if this program and its guardian are killed together, "
              "nobody will know that outputs are on", file=sys.stderr)  # fmt: skip
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
