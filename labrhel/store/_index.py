"""What a journal holds and where: heads in memory, data left in the file until they are wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.frozen import FrozenArray
from labrhel.store._arrays import ArrayStore
from labrhel.store._journal import Place, damage, frames, load

Head = dict[str, Any]

_ARRAY, _PROGRAM = b'{"array":"', b'{"program":"'


class Index:
    """The frames of a journal by kind; `refresh` adds what has been written since.

    `operations` and `events` are in the order of the journal, `arrays` and `programs` by digest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._large = ArrayStore(folder / "arrays")
        self.end = 0
        self.events: list[Head] = []
        self.operations: list[tuple[Head, Place]] = []
        self.arrays: dict[str, tuple[bytes, Place]] = {}
        self.programs: dict[str, Place] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the heads of the frames that are new."""
        for text, place in frames(self._folder, self.end):
            self.end = place.offset + place.size
            # Most frames are arrays and programs; finding their digest without reading JSON takes half the time.
            if text.startswith(_ARRAY):
                self.arrays[_digest(text, _ARRAY)] = text, place
            elif text.startswith(_PROGRAM):
                self.programs[_digest(text, _PROGRAM)] = place
            else:
                head = json.loads(text)
                if "operation" in head:
                    self.operations.append((head, place))
                else:
                    self.events.append(head)

    def of_kind(self, kind: str) -> list[tuple[Head, Place]]:
        """Operations of one kind."""
        return [item for item in self.operations if item[0]["kind"] == kind]

    def load(self, place: Place) -> bytes:
        """Data of a frame, or a part of them."""
        return load(self._folder, place)

    def array(self, digest: str) -> Array:
        """The array of that digest, read-only; a large one is mapped from its file."""
        if digest not in self.arrays:
            return self._large.get(digest)
        text, place = self.arrays[digest]
        head = json.loads(text)
        return np.frombuffer(self.load(place), head["dtype"]).reshape(head["shape"])

    def damaged_arrays(self) -> list[str]:
        """Arrays of the journal whose content is not what their name says."""
        return [digest for digest in self.arrays if not self._sound(digest)]

    def _sound(self, digest: str) -> bool:
        try:
            return FrozenArray(self.array(digest)).digest == digest
        except ValueError:
            return False

    def damage(self) -> str:
        """What is wrong after the last frame that could be read; "" for nothing."""
        return damage(self._folder, self.end)


def event(kind: str, wall: float, words: str = "") -> str:
    """Head of a frame that says how a run goes."""
    return json.dumps({"event": kind, "wall": wall, "words": words})


def array_head(digest: str, values: Array) -> str:
    """Head of a frame whose data are those of an array."""
    return f'{{"array":"{digest}","dtype":"{values.dtype.str}","shape":{list(values.shape)}}}'


def program_head(digest: str) -> str:
    """Head of a frame whose data are the text of a program."""
    return f'{{"program":"{digest}"}}'


def _digest(head: bytes, begin: bytes) -> str:
    return head[len(begin) : head.index(b'"', len(begin))].decode()
