"""Writing `steps.log` while a run goes on, and bringing it up to date with the journal when one is taken up again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.store._steps import FILE, FIRST, Columns, Gathering, JournalRows, Rows, Said, StepRows, packed
from labrhel.store._trouble import writing

_CLOSED = -1
_END = FIRST.index("end")


class StepLog:
    """The one writer of `steps.log`, whose run has a journal that is whole up to byte `end`.

    What the file lacks of the journal is added; what the journal has lost, and what is damaged, is cut off first.
    `gathering` is told of shots.  Raises RecordError if the file cannot be written.
    """

    def __init__(self, folder: Path, end: int) -> None:
        self._folder = folder
        with writing(folder):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            self._file = os.open(folder / FILE, flags, 0o644)
        try:
            names, columns, known, self._end = _whole(folder, end)
            with writing(folder):
                os.ftruncate(self._file, self._end)
            self._columns: Columns | None = columns
            missing = JournalRows(folder, known, names)
            self.gathering: Gathering = missing.gathering
            self._write(missing.read())
        except BaseException:
            self.close()
            raise

    def published(self, step: int, scalars: Mapping[str, float], words: Sequence[str], wall: float, end: int) -> None:
        """What a step published, in the journal up to byte `end`; it is written when the step is done."""
        self._write(self.gathering.published(step, scalars, words, wall, end))

    def checkpoint(self, step: int, point: Array | None, names: Sequence[str], wall: float, end: int) -> None:
        """A step is done, which measured the parameters `names` at `point`."""
        self.gathering.names = names
        self._write(self.gathering.checkpoint(step, point, wall, end))

    def finish(self) -> None:
        """Write what no checkpoint came after."""
        if self._file != _CLOSED:
            self._write(self.gathering.rest())

    def _write(self, items: Iterable[Rows | Said]) -> None:
        """All of a row or frame, or nothing."""
        for item in items:
            data = b"".join(packed(item, self._columns))
            with writing(self._folder):
                try:
                    rest = memoryview(data)
                    while rest:
                        rest = rest[os.write(self._file, rest) :]
                except BaseException:
                    os.ftruncate(self._file, self._end)
                    raise
            self._end += len(data)
            if isinstance(item, Rows):
                self._columns = item.columns

    def close(self) -> None:
        """Close the file, in which nothing stands that the journal does not hold; harmless twice."""
        file, self._file = self._file, _CLOSED
        if file != _CLOSED:
            os.close(file)


def _whole(folder: Path, journal: int) -> tuple[tuple[str, ...], Columns | None, int, int]:
    """Of the rows that the journal up to byte `journal` holds: the last names of parameters, the columns, and where
    they end, in the journal and in the file.
    """
    rows = StepRows(folder)
    names: tuple[str, ...] = ()
    columns: Columns | None = None
    known = end = 0
    for item in rows.read():
        if isinstance(item, Rows):
            lost = item.table[:, _END] > journal
            good = int(np.argmax(lost)) if lost.any() else len(lost)
            if good:
                columns, names = item.columns, item.columns[1] or names
                known = int(item.table[good - 1, _END])
                end = rows.end - (len(lost) - good) * rows.row
            if good < len(lost):
                break
    return names, columns, known, end
