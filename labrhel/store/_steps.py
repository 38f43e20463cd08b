"""One row a step beside the journal: what a live view reads of a run, however long it is.

`steps.log` is made from the journal's operations as they are written, and can be made again from them; the record is
the journal alone. A row is all numbers, so that a million are read in a second; where the columns change, or words
are said, a frame of the journal's kind stands between two rows:

    row = crc of what follows u32 | values u32 | step, wall, end, kept, warned, values: f64

`wall` [s since 1970]; `end`: byte of the journal where the step ends; `kept`: shots of it whose captures were kept;
`warned`: sentences it was warned with.  A row that a kill cut short is cut off by the next writer, as is one that the
journal has lost.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.store._journal import Buffer, frame, frames, load, unframed

FILE = "steps.log"
FIRST = ("step", "wall", "end", "kept", "warned")
"""What every row begins with."""

_PREFIX = struct.Struct("<II")
_BLOCK = 1 << 23  # bytes that are read at once
_LONGEST = 1 << 26  # bytes of a frame between rows
_AGAIN = 100  # steps after which the same words are written again
_NUMBER = re.compile(r"[-+]?\d[\d.e+-]*")

Columns = tuple[tuple[str, ...], tuple[str, ...]]
"""Names of the scalars and of the parameters of a row, in its order."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows (rows, len(FIRST) + scalars + parameters) of the same columns."""

    columns: Columns
    table: Array


@dataclass(frozen=True, slots=True)
class Said:
    """Words of a step; words that differ in their numbers alone are repeated each hundredth step only."""

    step: int
    words: tuple[str, ...]


@dataclass(slots=True)
class Gathering:
    """Makes rows of operations: what was published of a step, until its checkpoint, or words of another step."""

    names: Sequence[str] = ()
    _step: int = 0
    _wall: float = 0.0
    _end: int = 0
    _kept: int = 0
    _warned: int = 0
    _scalars: dict[str, float] = field(default_factory=dict)
    _said: dict[str, int] = field(default_factory=dict)

    def shots(self, kept: int) -> None:
        """So many captures were kept."""
        self._kept += kept

    def published(
        self, step: int, scalars: Mapping[str, float], words: Sequence[str], wall: float, end: int
    ) -> Iterator[Rows | Said]:
        """What of it is to be written: nothing, as a rule."""
        if self._scalars and step != self._step:
            yield self._row(self._step, (), self._wall, self._end)
        self._scalars.update(scalars)
        self._step, self._wall, self._end, self._warned = step, wall, end, self._warned + len(words)
        new = tuple(text for text in words if self._is_new(text, step))
        if new:
            yield Said(step, new)

    def checkpoint(self, step: int, values: Array | None, wall: float, end: int) -> Iterator[Rows]:
        """The row of a step that was done, with the parameters it measured."""
        if self._scalars and self._step != step:
            yield self._row(self._step, (), self._wall, self._end)
        if self._scalars or values is not None:
            yield self._row(step, () if values is None else values, wall, end)

    def rest(self) -> Iterator[Rows]:
        """What no checkpoint came after."""
        if self._scalars:
            yield self._row(self._step, (), self._wall, self._end)

    def _row(self, step: int, values: Array | Sequence[float], wall: float, end: int) -> Rows:
        names = tuple(self.names[: len(values)])
        names += tuple(f"parameter[{number}]" for number in range(len(names), len(values)))
        table = np.array([[step, wall, end, self._kept, self._warned, *self._scalars.values(), *values]], float)
        columns = tuple(self._scalars), names
        self._kept = self._warned = 0
        self._scalars = {}
        return Rows(columns, table)

    def _is_new(self, text: str, step: int) -> bool:
        kind = _NUMBER.sub("#", text)
        last = self._said.get(kind)
        if last is not None and last <= step < last + _AGAIN:
            return False
        self._said[kind] = step
        return True


def packed(item: Rows | Said, before: Columns | None) -> list[Buffer]:
    """The bytes of rows or words, after rows of the columns `before`."""
    if isinstance(item, Said):
        return frame(json.dumps({"step": item.step, "words": item.words}))
    pieces: list[Buffer] = []
    if item.columns != before:
        pieces += frame(json.dumps({"scalars": item.columns[0], "parameters": item.columns[1]}))
    for row in item.table:
        body = _PREFIX.pack(0, len(row))[4:] + row.astype("<f8").tobytes()
        pieces.append(zlib.crc32(body).to_bytes(4, "little") + body)
    return pieces


class StepRows:
    """Reads `steps.log` from where it stopped reading; `fault` says why it cannot be read on, "" if it can.

    `end`: the byte where the last whole row or frame ends; `columns`: those of the rows from there on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.end, self.fault = 0, ""
        self.columns: Columns | None = None

    def read(self) -> Iterator[Rows | Said]:
        """What has been written since; a block at a time, so that memory stays small."""
        try:
            file = (self._folder / FILE).open("rb", buffering=0)
        except OSError as error:
            self.fault = f"{self._folder / FILE} cannot be read ({error.strerror})"
            return
        with file:
            size = _BLOCK
            while not self.fault:
                file.seek(self.end)
                block = file.read(size) or b""
                rows = self._rows_of(block)
                if rows is not None:
                    yield rows
                    continue
                found = unframed(block)
                if found is not None and found[1]:
                    self.end += found[1]
                    said = self._of_head(json.loads(found[0]))
                    if said is not None:
                        yield said
                elif found is not None and len(block) == size < _LONGEST:
                    size = _LONGEST
                    continue
                else:
                    if found is None and len(block) >= self.row and any(block):  # zeros are left by a power cut
                        self.fault = f"{self._folder / FILE} is damaged at byte {self.end}"
                    return
                size = _BLOCK

    def _of_head(self, head: dict[str, Any]) -> Said | None:
        if "words" in head:
            return Said(head["step"], tuple(head["words"]))
        self.columns = tuple(head["scalars"]), tuple(head["parameters"])
        return None

    @property
    def was_cut(self) -> bool:
        """Whether a writer that took the run up cut off what was read: it has to be read from the beginning."""
        try:
            return (self._folder / FILE).stat().st_size < self.end
        except OSError:
            return True

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return _PREFIX.size + 8 * (len(FIRST) + sum(map(len, self.columns or ())))

    def _rows_of(self, block: bytes) -> Rows | None:
        """The whole rows that a block begins with; None if it begins with none."""
        if self.columns is None:
            return None
        size = self.row
        values = (size - _PREFIX.size) // 8
        whole = len(block) // size
        if not whole:
            return None
        words = np.frombuffer(block, "<u4", whole * size // 4).reshape(whole, -1)
        view = memoryview(block)
        sums = [zlib.crc32(view[at + 4 : at + size]) for at in range(0, whole * size, size)]
        good = (words[:, 0] == np.array(sums, "<u4")) & (words[:, 1] == values)
        count = whole if good.all() else int(np.argmin(good))
        if not count:
            return None
        self.end += count * size
        table = np.frombuffer(words[:count, 2:].tobytes(), "<f8").reshape(count, values)
        return Rows(self.columns, table)


class JournalRows:
    """The same rows from the journal itself, for records of earlier versions, which have no `steps.log`."""

    def __init__(self, folder: Path, start: int = 0, names: Sequence[str] = ()) -> None:
        self._folder = folder
        self.end, self.fault = start, ""
        self._gathering = Gathering(names)

    def read(self) -> Iterator[Rows | Said]:
        """What has been written since; the last step's scalars wait for its checkpoint."""
        gathering = self._gathering
        for text, place in frames(self._folder, self.end):
            self.end = place.offset + place.size
            if not text.startswith(b'{"operation"'):
                continue
            head = json.loads(text)
            if head["kind"] == "shots":
                gathering.shots(sum(shot[6] is not None for shot in head["shots"]))
            elif head["kind"] == "publish":
                yield from gathering.published(head["step"], head["scalars"], head["words"], head["wall"], self.end)
            elif head["kind"] == "checkpoint":
                gathering.names = head.get("names", gathering.names)
                values = np.frombuffer(load(self._folder, place), "<f8") if "measured" in head else None
                yield from gathering.checkpoint(head.get("measured", head["step"]), values, head["wall"], self.end)

    @property
    def gathering(self) -> Gathering:
        """Where the next row is gathered."""
        return self._gathering
