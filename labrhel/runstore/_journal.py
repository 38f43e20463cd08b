"""The journal of a run: an SQLite file in write-ahead mode, one transaction per operation.

With `synchronous=NORMAL` a commit has been handed to the operating system when it returns: it survives kill -9 of
this process; a power cut may take the last moments, but never leaves the file damaged (sqlite.org/wal.html).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from labrhel.errors import RecordError
from labrhel.runstore._trouble import writing

FILE = "journal.sqlite"

# Tables grow only, with two exceptions: of the checkpoints the last two are kept, and a step that is done again after
# a resume replaces its scalars, words and parameters.  What grows with every shot has no index: an index on digests
# would touch a random page each time, and cost more than the row.
_SCHEMA = """
CREATE TABLE operations (          -- what the protocol asked, in order; `attempt` counts starts and resumes from 1
    seq INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL,
    asked TEXT NOT NULL,           -- digest of what was asked
    payload,                       -- packed arrays, or small JSON
    t_monotonic REAL NOT NULL, t_wall REAL NOT NULL);
CREATE TABLE shots (               -- one row per program of a RunShots
    id INTEGER PRIMARY KEY,        -- operation * 2^20 + number: finds the shots of an operation without an index
    operation INTEGER NOT NULL REFERENCES operations(seq), number INTEGER NOT NULL,
    program TEXT NOT NULL, compiled TEXT NOT NULL,  -- digests of what was meant and of what was sent
    planned_start REAL NOT NULL, actual_start REAL NOT NULL, passes_run INTEGER NOT NULL, over_range INTEGER NOT NULL,
    capture TEXT,                  -- digest of files and blob; null if the policy did not keep it
    files TEXT,                    -- JSON {name: digest in arrays/}; null if there are none
    blob BLOB);                    -- packed small arrays
CREATE TABLE programs (id INTEGER PRIMARY KEY, digest TEXT NOT NULL, packed BLOB NOT NULL);
CREATE TABLE scalars (step INTEGER NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY (step, name)) WITHOUT ROWID;
CREATE TABLE words (step INTEGER NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (step, number))
    WITHOUT ROWID;
CREATE TABLE parameters (step INTEGER PRIMARY KEY, value BLOB NOT NULL);          -- little-endian float64
CREATE TABLE parameter_names (number INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE checkpoints (seq INTEGER PRIMARY KEY, step INTEGER NOT NULL, state BLOB NOT NULL);
CREATE TABLE events (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, t_wall REAL NOT NULL, words TEXT NOT NULL);
"""


def shot_id(operation: int, number: int) -> int:
    """Row of a shot; a RunShots has fewer than 2^20 programs."""
    return (operation << 20) + number


def create_journal(folder: Path, created: float) -> None:
    """A new, empty journal whose first event is `created` [s since 1970]."""
    with writing(folder):
        connection = _connect(folder / FILE)
        connection.executescript(_SCHEMA)
        connection.execute("INSERT INTO events(kind, t_wall, words) VALUES ('created', ?, '')", (created,))
        connection.close()


def open_for_writing(folder: Path) -> sqlite3.Connection:
    """The journal, opened so that each committed row survives kill -9."""
    if not (folder / FILE).exists():
        raise RecordError(f"{folder} is not a run folder: it has no {FILE}")
    with writing(folder):
        return _connect(folder / FILE)


def _connect(path: Path) -> sqlite3.Connection:
    # One caller at a time (the executor), though not always from the thread that opened it.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")  # pages of 4 kB: moving 16 MB at once disturbs least
    return connection


def close_for_good(connection: sqlite3.Connection) -> None:
    """Close, and leave one plain file where no reader is in the way: it can be read on a read-only disk."""
    try:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError:
        pass  # somebody is reading, or the disk is full: the write-ahead file stays and is part of the record
    finally:
        connection.close()


def open_for_reading(folder: Path) -> sqlite3.Connection:
    """The journal, read-only; also while another process writes it."""
    path = folder / FILE
    if not path.exists():
        raise RecordError(f"{folder} is not a run folder: it has no {FILE}")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        connection.execute("SELECT count(*) FROM events").fetchone()
    except sqlite3.Error as error:
        raise RecordError(f"{path} cannot be read ({error}); restore the folder from a copy") from error
    return connection
