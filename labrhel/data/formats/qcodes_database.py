"""Databases of QCoDeS: the parameters of each run as RUN/PARAMETER, by SQLite alone.

A row holds a number, or an array as numpy saves it.  A run of one row of arrays is one recording; one of many rows has
a shot in each, (shots, samples), of which RUN/PARAMETER[3] is the fourth.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.interface import (
    Entry,
    Listing,
    Pick,
    UnreadableError,
    part_of,
    require_small,
    size_of,
)
from labrhel.data.formats.times import times_among

_MOST = 5_000  # parameters of all runs together


class QCoDeSDatabase:
    """The reader of QCoDeS databases."""

    def contents(self, file: Path) -> Listing:
        with closing(_opened(file)) as database:
            entries = tuple(_entries(database))
        return Listing(entries, None, times_among(entries))

    def read(self, file: Path, picks: Sequence[Pick]) -> list[Array]:
        with closing(_opened(file)) as database:
            return [_read(database, pick) for pick in picks]


def _opened(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
    database.execute("PRAGMA trusted_schema = OFF")  # what a schema computes is not asked
    try:
        database.execute("SELECT run_id, result_table_name FROM runs LIMIT 1").fetchall()
    except sqlite3.DatabaseError:
        database.close()
        raise UnreadableError("it is a database, but none of QCoDeS, or damaged") from None
    return database


def _entries(database: sqlite3.Connection) -> Iterator[Entry]:
    query = (
        "SELECT runs.run_id, result_table_name, parameter, unit FROM runs JOIN layouts ON layouts.run_id = runs.run_id "
        "ORDER BY runs.run_id, layout_id LIMIT ?"
    )
    found = database.execute(query, (_MOST + 1,)).fetchall()
    if len(found) > _MOST:
        raise UnreadableError(f"it holds more than {_MOST} parameters")
    for run, table, parameter, unit in found:
        name = f"{run}/{parameter}"
        rows, first = _rows(database, str(table), str(parameter))
        if not rows:
            yield Entry(name, (0,), "f", unit or "", (str(parameter),))
        elif isinstance(first, bytes):
            shape, dtype = _header(first, name)
            shape = tuple(length for length in shape if length != 1) or (1,)
            yield Entry(name, shape if rows == 1 else (rows, *shape), dtype.kind, unit or "", (str(parameter),))
        else:
            kind = "f" if isinstance(first, int | float) else "S"
            yield Entry(name, (rows,), kind, unit or "", (str(parameter),))


def _rows(database: sqlite3.Connection, table: str, parameter: str) -> tuple[int, Any]:
    column, source = _quoted(parameter), _quoted(table)
    try:
        (count,) = database.execute(f"SELECT COUNT({column}) FROM {source}").fetchone()
        first = database.execute(f"SELECT {column} FROM {source} WHERE {column} IS NOT NULL LIMIT 1").fetchone()
    except sqlite3.OperationalError:  # a run that was begun and holds no results
        return 0, None
    return count, first[0] if first else None


def _read(database: sqlite3.Connection, pick: Pick) -> Array:
    run, _, parameter = pick.name.partition("/")
    (table,) = database.execute("SELECT result_table_name FROM runs WHERE run_id = ?", (int(run),)).fetchone()
    entry = next(entry for entry in _entries(database) if entry.name == pick.name)
    require_small(size_of(part_of(entry.shape, pick.index), 8))
    column, source = _quoted(parameter), _quoted(str(table))
    count, first = _rows(database, str(table), parameter)
    begin, end, rest = 0, count, pick.index
    if rest and (count > 1 or not isinstance(first, bytes)):
        at, rest = rest[0], rest[1:]
        if isinstance(at, slice):
            chosen = range(*at.indices(count))
            begin, end = chosen.start, chosen.stop
        else:
            begin, end = at, at + 1
    query = f"SELECT {column} FROM {source} WHERE {column} IS NOT NULL ORDER BY id LIMIT ? OFFSET ?"
    values = []
    for (value,) in database.execute(query, (end - begin, begin)):
        values.append(_array(value, pick.name)[rest] if isinstance(value, bytes) else _number(value))
    if len({np.shape(value) for value in values}) > 1:
        raise UnreadableError(f"the shots of {pick.name!r} differ in length; pick one of them")
    whole = np.array(values)
    single = (count == 1 and isinstance(first, bytes)) or (pick.index and isinstance(pick.index[0], int) and count > 1)
    return whole[0] if single and len(whole) else whole


def _array(blob: bytes, name: str) -> Array:
    shape, dtype = _header(blob, name)
    values = np.lib.format.read_array(io.BytesIO(blob), allow_pickle=False)
    return np.atleast_1d(np.squeeze(values)) if shape and dtype.kind != "O" else np.atleast_1d(values)


def _header(blob: bytes, name: str) -> tuple[tuple[int, ...], np.dtype]:
    stream = io.BytesIO(blob)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except ValueError:
        raise UnreadableError(f"a value of {name!r} is no array") from None
    if dtype.hasobject or size_of(shape, dtype.itemsize) > len(blob):
        raise UnreadableError(f"a value of {name!r} claims more numbers than there are, or holds objects")
    return shape, dtype


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
