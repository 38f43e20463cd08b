"""The guardian itself: it listens at its pipe from its first moment, and gets ready to make a bench safe meanwhile.

Getting ready is to import whatever may be needed, a second or two of a processor.  A bench that is given back before
that ends is not kept waiting: the guardian goes at once.  See `drivers.guardian`, which starts it.

    python -m drivers.guardian_process STATION.yaml OWNER [ENTRY]
"""

from __future__ import annotations

import os
import select
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labrhel.config.station import StationDocument
    from labrhel.safety.ledger import Remembered

RELEASED = b"released\n"
"""What the owner says when every output was seen safe."""

_LOOK = 0.2  # s between two looks whether the owner is alive


class Readiness:
    """The station and its entry in the ledger, read at once, and all modules that making it safe takes, by a thread.

    A process that cannot get ready ends and says why, so that its owner starts another.
    """

    def __init__(self, station: str, place: str | None) -> None:
        self._found: tuple[StationDocument, Remembered | None] | None = None
        self._thread = threading.Thread(target=self._get_ready, args=(station, place), daemon=True)
        self._thread.start()

    def wait(self) -> tuple[StationDocument, Remembered | None]:
        """The station and its entry, as soon as everything is there."""
        self._thread.join()
        assert self._found is not None
        return self._found

    def _get_ready(self, station: str, place: str | None) -> None:
        try:
            self._found = _read(station, place)
        except BaseException as error:  # whatever it is: a thread's end would not be noticed
            sys.excepthook(type(error), error, error.__traceback__)
            os._exit(3)


def main(arguments: list[str]) -> int:
    """Wait at the pipe; 0 if the owner released the bench, or when everything was made safe."""
    readiness = Readiness(arguments[0], arguments[2] if len(arguments) > 2 else None)
    owner = int(arguments[1])
    if was_released(owner):
        os._exit(0)  # whatever is being imported
    document, entry = readiness.wait()
    from drivers.persistence import keep_trying

    return 0 if keep_trying(document, owner, entry) else 3


def was_released(owner: int) -> bool:
    """Wait until the owner says so, closes the pipe without a word, or is dead, whoever else holds its pipe open."""
    pipe, said = sys.stdin.fileno(), b""
    while True:
        if sys.platform != "win32" and not select.select([pipe], [], [], _LOOK)[0]:
            if os.getppid() != owner:
                return False
            continue
        piece = os.read(pipe, len(RELEASED))
        if not piece:
            return said.endswith(RELEASED)
        said += piece


def _read(station: str, place: str | None) -> tuple[StationDocument, Remembered | None]:
    from pathlib import Path

    from drivers.rescue import document_of, drivers_of
    from labrhel.config.station import load_station
    from labrhel.errors import LabrhelError
    from labrhel.safety import ledger

    try:
        entry = None if place is None else ledger.at(Path(place))
        # Before the rest: the file may go, or be changed, before its owner ends; and QCoDeS takes half a second.
        document = load_station(Path(station)) if entry is None else document_of(entry.entry)
        drivers_of(document)
    except LabrhelError as error:
        print(f"guardian: {error}; it cannot make the bench safe", file=sys.stderr, flush=True)
        os._exit(3)
    import drivers.making_safe
    import drivers.persistence  # noqa: F401

    return document, entry


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
