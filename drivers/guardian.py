"""A small process that makes a bench safe when the program that drives it dies.

No program can switch outputs off after kill -9, so another one has to.  The guardian is started when a bench is opened,
has everything imported that it may need, and waits at a pipe whose other end the owner holds.  When the owner gives the
bench back it says so; when it dies the operating system closes the pipe without a word, and frees its leases: the
guardian then opens the instruments itself, all at once, and makes each safe, as drivers.making_safe does.

    python -m drivers.guardian STATION.yaml         (what `Guardian` starts; of no use by hand)
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from labrhel import plugins
from labrhel.config.station import StationDocument, load_station
from labrhel.config.station_sections import InstrumentSection
from labrhel.errors import LabrhelError

if TYPE_CHECKING:
    from drivers.roles import Instrument

_RELEASED = b"released\n"
_PATIENCE = 5.0  # s for the guardian to end when it is released


class Guardian:
    """Watches over the instruments of a station file for this process, until `release`."""

    def __init__(self, file: Path) -> None:
        self._command = [sys.executable, "-m", "drivers.guardian", str(file.resolve())]
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
        """The bench is safe and given back: nothing is left to guard.  Safe to call twice."""
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

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: the Ctrl-C that ends the owner must not end the guardian.
        return subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )  # fmt: skip


def make_all_safe(document: StationDocument) -> dict[str, str]:
    """Open every instrument and switch it off, all at once, then ramp what stays on; what went wrong, by name."""
    from drivers.instruments import open_instrument
    from drivers.making_safe import SafeLevels, ramps_of

    instruments = document.station.instruments
    boxes: dict[str, Instrument] = {}
    words: dict[str, str] = {}

    def off(name: str, section: InstrumentSection) -> None:
        try:
            boxes[name] = box = open_instrument(section.type, name, section.address, **section.init)
            box.switch_off()
        except LabrhelError as error:
            words[name] = str(error)

    def close(name: str) -> None:
        try:
            boxes[name].close()  # which makes it safe once more
        except LabrhelError as error:
            words.setdefault(name, str(error))

    with ThreadPoolExecutor(max(1, len(instruments))) as pool:
        list(pool.map(lambda item: off(*item), instruments.items()))
        with suppress(LabrhelError):  # closing tells which
            SafeLevels(ramps_of(document)).ramp(boxes.values())
        list(pool.map(close, boxes))
    return words


def main(arguments: list[str]) -> int:
    """Wait at the pipe; 0 if the owner released the bench, or everything could be made safe."""
    try:
        document = load_station(Path(arguments[0]))  # at once: the file may go before its owner does
        for section in document.station.instruments.values():
            plugins.instrument_driver(section.type)  # QCoDeS: half a second that must not be lost when it matters
    except LabrhelError as error:
        print(f"guardian: {error}; it cannot make the bench safe", file=sys.stderr)
        return 3
    import drivers.making_safe  # noqa: F401  (as above)

    if sys.stdin.buffer.read().endswith(_RELEASED):
        return 0
    problems = make_all_safe(document)
    for name, words in problems.items():
        print(f"guardian: {name} is NOT SAFE: {words}", file=sys.stderr)
    return 3 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
