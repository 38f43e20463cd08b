"""The states of the last two checkpoints, in two files that are written in turn.

The journal names slot, size and digest of each, after it has been written.  A kill while a slot is written leaves
the other, which is the one the journal names last.  Overwriting in place costs a tenth of writing a new file and
renaming it, and keeps a run of many steps small.
"""

from __future__ import annotations

import os
from pathlib import Path

from labrhel.store._trouble import writing


class Slots:
    """Writes states in turn; `last` is the slot that must not be touched, None if there is none yet."""

    def __init__(self, folder: Path, last: int | None) -> None:
        self._folder, self._next = folder, 0 if last is None else 1 - last
        self._files: dict[int, int] = {}

    def put(self, state: bytes) -> int:
        """Write a state; returns its slot.  `keep` must follow when the journal names it."""
        with writing(self._folder):
            if self._next not in self._files:
                flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
                self._files[self._next] = os.open(slot_file(self._folder, self._next), flags, 0o644)
            file, rest = self._files[self._next], memoryview(state)
            os.lseek(file, 0, os.SEEK_SET)
            while rest:
                rest = rest[os.write(file, rest) :]
        return self._next

    def keep(self, slot: int) -> None:
        """The journal names the slot: write the other one next."""
        self._next = 1 - slot

    def close(self) -> None:
        """Wait until the disk has both, and close."""
        for file in self._files.values():
            os.fsync(file)
            os.close(file)
        self._files.clear()


def slot_file(folder: Path, slot: int) -> Path:
    """File of a slot."""
    return folder / f"checkpoint.{slot}"


def read_slot(folder: Path, slot: int, size: int) -> bytes:
    """The first `size` bytes of a slot, fewer if it holds fewer; whether they are the ones wanted, the digest says."""
    try:
        with slot_file(folder, slot).open("rb") as file:
            return file.read(size)
    except FileNotFoundError:
        return b""
