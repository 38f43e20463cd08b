"""The record of a rig's calibrations: every proposal and acceptance, in the order they came, never changed.

A record is a file of JSON lines, one for each rig, in a folder that the laboratory keeps (`calibrations/`).  A line is
`proposed` (a node's values), `accepted` (ids of proposals) or `rolled back` (to the state after an earlier line).
What is in force is what the lines say, read from the top.  How a line is written, and what a crash or a flipped bit
does to it, is `labrhel.store._lines`' business.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labrhel.errors import ConfigurationError, RecordError
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.store._lines import append_line, read_lines

FOLDER = Path("calibrations")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: its id, when [UTC], what kind, the node it is of, the values proposed, the ids it refers to, words."""

    id: str
    time: datetime
    kind: str
    node: str = ""
    values: Mapping[str, CalibratedValue] = field(default_factory=dict)
    refers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


class CalibrationRecord:
    """The record of the rig `url` in `folder`; nothing is written before `propose` or `accept`.

    Without a folder nothing is written at all: what is proposed is known as long as the object lives.
    """

    def __init__(self, folder: Path | None, url: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.url, self._now = url, now
        self.file = None if folder is None else folder / f"{_slug(url)}.jsonl"
        self.entries: list[Entry] = [] if self.file is None else _read(self.file)

    @classmethod
    def holding(cls, url: str, calibration: CalibrationSet) -> CalibrationRecord:
        """A record without a file in which `calibration` is in force."""
        record = cls(None, url)
        nodes = dict.fromkeys(value.node for value in calibration.values.values())
        record.accept([
            record.propose(node, {name: item for name, item in calibration.values.items() if item.node == node})
            for node in nodes
        ])  # fmt: skip
        return record

    def propose(
        self, node: str, values: Mapping[str, CalibratedValue], words: Sequence[str] = (), firmware: str = ""
    ) -> Entry:
        """Write down what a node has measured; it is in force only once it is accepted."""
        return self._append("proposed", node, values, (), words, firmware)

    def accept(self, entries: Sequence[Entry]) -> Entry:
        """Put proposals into force."""
        return self._append("accepted", "", {}, tuple(entry.id for entry in entries), ())

    def roll_back(self, identity: str) -> Entry:
        """Back to what was in force after the entry whose id begins so."""
        return self._append("rolled back", "", {}, (self.find(identity).id,), ())

    def find(self, identity: str) -> Entry:
        """The entry whose id begins so; ConfigurationError if there is none, or more than one."""
        found = [entry for entry in self.entries if entry.id.startswith(identity)]
        if len(found) != 1:
            words = "no entry begins" if not found else f"{len(found)} entries begin"
            raise ConfigurationError(f"{words} with {identity!r}; `labrhel calibration log` lists them")
        return found[0]

    def current(self, until: str = "") -> CalibrationSet:
        """What is in force now, or was after the entry `until`."""
        proposed: dict[str, Entry] = {}
        states: dict[str, dict[str, CalibratedValue]] = {}
        values: dict[str, CalibratedValue] = {}
        for entry in self.entries:
            if entry.kind == "proposed":
                proposed[entry.id] = entry
            elif entry.kind == "accepted":
                values = dict(values)
                for one in entry.refers:
                    # A node says all it knows: what it no longer tells is no longer known.
                    values = {name: value for name, value in values.items() if value.node != proposed[one].node}
                    values |= proposed[one].values
            elif entry.kind == "rolled back":
                values = states[entry.refers[0]]
            states[entry.id] = values
            if entry.id == until:
                break
        return CalibrationSet(values)

    def _append(
        self,
        kind: str,
        node: str,
        values: Mapping[str, CalibratedValue],
        refers: tuple[str, ...],
        words: Sequence[str],
        firmware: str = "",
    ) -> Entry:
        entry = Entry(secrets.token_hex(4), self._now(), kind, node, dict(values), refers, tuple(words))
        line: dict[str, Any] = {"id": entry.id, "time": entry.time.isoformat(), "kind": kind, "rig": self.url}
        line |= {"node": node, "firmware": firmware} if node else {}
        line |= {"values": {name: _plain(value) for name, value in values.items()}} if values else {}
        line |= {"refers": list(refers)} if refers else {}
        line |= {"words": list(words)} if words else {}
        if self.file is not None:
            append_line(self.file, line)
        self.entries.append(entry)
        return entry


def _read(file: Path) -> list[Entry]:
    found = []
    for number, data in read_lines(file):
        try:
            values = {name: CalibratedValue(**value) for name, value in data.get("values", {}).items()}
            found.append(
                Entry(
                    data["id"], datetime.fromisoformat(data["time"]), data["kind"], data.get("node", ""), values,
                    tuple(data.get("refers", ())), tuple(data.get("words", ())),
                )
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(
                f"{file}:{number} is no line of a calibration record ({error}); restore the file from a copy"
            ) from None
    known: dict[str, str] = {}
    for entry in found:
        if missing := [one for one in entry.refers if one not in known]:
            raise RecordError(
                f"{file}: {entry.kind} {entry.id} refers to {missing[0]}, which is not there; restore it from a copy"
            )
        wrong = entry.kind == "accepted" and any(known[one] != "proposed" for one in entry.refers)
        if wrong or (entry.kind == "rolled back" and len(entry.refers) != 1):
            raise RecordError(f"{file}: {entry.kind} {entry.id} refers to no proposal; restore it from a copy")
        known[entry.id] = entry.kind
    return found


def _plain(value: CalibratedValue) -> dict[str, Any]:
    found = {name: getattr(value, name) for name in CalibratedValue.__dataclass_fields__}
    if not value.correlations:
        del found["correlations"]
    return found


def _slug(url: str) -> str:
    """A file name for a rig; what differs in settings of the virtual device is another rig."""
    scheme, _, rest = url.partition(":")
    if scheme == "bench":  # wherever it is started from, and whether its traffic is written
        rest = str(Path(rest.partition("?")[0]).absolute())
    from labrhel.frozen import digest_of

    name = re.sub(r"[^A-Za-z0-9]+", "-", f"{scheme}-{Path(rest.partition('?')[0]).name}").strip("-")[:60]
    return f"{name}-{digest_of(f'{scheme}:{rest}')[:8]}"
