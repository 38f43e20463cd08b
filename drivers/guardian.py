"""A small process that makes a bench safe when the program that drives it dies, or cannot do it.

No program can switch outputs off after kill -9, so another one has to.  The guardian is started when a bench is opened,
has everything imported that it may need, and waits at a pipe whose other end the owner holds.  When the owner gives the
bench back, every output seen safe, it says so.  When it dies, or gives up, the pipe closes without a word: the guardian
then opens the instruments itself, all at once, and makes each safe, as drivers.making_safe does.  It keeps trying until
every one was safe; what a dead or dying owner still holds it waits for, and then takes over.

A station stays in the ledger (labrhel.safety.ledger) from its opening until all of that was seen, and leaves it by the
hand of whoever saw it: its owner, its guardian, or, when both were killed, a later program (`take_up`).

    python -m drivers.guardian STATION.yaml OWNER [ENTRY]         (what `Guardian` starts; of no use by hand)
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.bench.driven import outputs_of
from labrhel import plugins
from labrhel.config.station import StationDocument, load_station
from labrhel.errors import LabrhelError, NotSafeError
from labrhel.safety import ledger
from labrhel.safety.ledger import Remembered

if TYPE_CHECKING:
    from drivers.roles import Instrument

_RELEASED = b"released\n"
_PATIENCE = 5.0  # s for the guardian to end when it is released
_LOOK = 0.2  # s between two looks whether the owner is alive
_WAIT = 2.0  # s for an owner that is dying to give back what it holds
_PAUSE = 0.25  # s between two attempts


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


def make_all_safe(
    document: StationDocument, names: Collection[str] = (), *, wait: float = 0.0, dying: int | None = None
) -> dict[str, str]:
    """Open instruments, all if none are named, and switch them off, all at once, then ramp what stays on.

    What went wrong, by name.  `wait` [s]: how long another program may take to give one back; from the process `dying`
    it is taken then.
    """
    from drivers.instruments import open_instrument
    from drivers.making_safe import TURN, Attempt, SafeLevels, at_once, ramps_of, wait_for_all

    sections = document.station.instruments
    boxes: dict[str, Instrument] = {}

    def off(name: str) -> None:
        section = sections[name]
        link = {"wait": wait, "dying": dying}
        boxes[name] = box = open_instrument(section.type, name, section.address, **section.init, **link)
        box.switch_off()

    levels = SafeLevels(ramps_of(document))
    off_now = {name: Attempt(lambda name=name: off(name)) for name in names or sections}
    wait_for_all(off_now.values(), TURN)
    swift = {name: box for name, box in list(boxes.items()) if off_now[name].ended}
    levels.ramp(swift.values())  # what goes wrong is said when it is closed, which makes it safe once more
    problems = at_once({name: box.close for name, box in swift.items()})
    wait_for_all(off_now.values())
    late = {name: box for name, box in boxes.items() if name not in swift}
    levels.ramp(late.values())
    problems |= at_once({name: box.close for name, box in late.items()})
    problems |= {name: item.error for name, item in off_now.items() if name not in boxes and item.error is not None}
    return {name: str(error) or type(error).__name__ for name, error in problems.items()}


def take_up(left: Remembered) -> None:
    """Make a station safe that a program has left, and forget it; raises NotSafeError if that cannot be done now."""
    entry = left.entry
    try:
        document = _document(entry.station, entry.text)
        problems = make_all_safe(document, wait=2 * _WAIT, dying=entry.pid)
    except LabrhelError as error:
        problems, document = {"": str(error)}, None
    if not problems:
        left.forget()
    elif left.stands:  # nobody else has seen it safe meanwhile
        levels = dict(entry.outputs)
        if document is not None:
            levels = {name: volts for name, volts in levels.items() if name.partition(".")[0] in problems}
        if not levels:
            return left.forget()  # what does not answer drives nothing
        why = next(iter(problems.values()))
        left.let_go(levels, why)
        raise NotSafeError(levels, f"{entry.station}, which process {entry.pid} has left: {why}")
    return None


def of_the_same(document: StationDocument) -> list[Remembered]:
    """What was left of the instruments of a station, by whatever station file."""
    addresses = {section.address for section in document.station.instruments.values()}
    found = []
    for item in ledger.left():
        if item.is_driven:
            continue
        with suppress(LabrhelError):
            before = _document(item.entry.station, item.entry.text).station.instruments.values()
            if addresses & {section.address for section in before}:
                found.append(item)
    return found


def keep_trying(document: StationDocument, owner: int, entry: Remembered | None) -> None:
    """Until every instrument was made safe, by this process, or by another one that took the station up."""
    names: Collection[str] = list(document.station.instruments)
    driving = {terminal.partition(".")[0] for terminal in outputs_of(document)}
    is_first = True
    while entry is None or entry.stands:
        problems = make_all_safe(document, names, wait=_WAIT, dying=owner)
        if not driving & problems.keys():
            if entry is not None:
                entry.forget()
            return
        names = driving & problems.keys()
        if is_first:
            _say_and_part(problems)
            is_first = False
        time.sleep(_PAUSE)


def main(arguments: list[str]) -> int:
    """Wait at the pipe; 0 if the owner released the bench, or when everything was made safe."""
    try:
        document = load_station(Path(arguments[0]))  # at once: the file may go before its owner does
        for section in document.station.instruments.values():
            plugins.instrument_driver(section.type)  # QCoDeS: half a second that must not be lost when it matters
    except LabrhelError as error:
        print(f"guardian: {error}; it cannot make the bench safe", file=sys.stderr)
        return 3
    import drivers.making_safe  # noqa: F401  (as above)

    owner = int(arguments[1])
    entry = ledger.at(Path(arguments[2])) if len(arguments) > 2 else None
    if not _was_released(owner):
        keep_trying(document, owner, entry)
    return 0


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
    """Say what is not safe, and let the terminal go: whoever reads the owner's errors must not wait for the guardian."""
    with suppress(OSError):
        for name, words in problems.items():
            print(f"guardian: {name} is NOT SAFE: {words}; it keeps trying", file=sys.stderr, flush=True)
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stderr.fileno())


def _remembered(file: Path, document: StationDocument) -> Remembered | None:
    """The entry of a station that is about to be driven; without one where nothing can be written, which is said."""
    try:
        entry = ledger.remember(file, file.read_text(encoding="utf-8"), dict.fromkeys(outputs_of(document)))
    except OSError as error:
        print(f"warning: {file} cannot be remembered ({error}): if this program and its guardian are killed together, "
              "nobody will know that outputs are on", file=sys.stderr)  # fmt: skip
        return None
    entry.hold()
    return entry


def _document(station: str, text: str) -> StationDocument:
    """A station as it was when it was opened, whatever has become of its file."""
    with suppress(OSError):
        if Path(station).read_text(encoding="utf-8") == text:
            return load_station(Path(station))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(station).name
        copy.write_text(text, encoding="utf-8")
        return load_station(copy)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
