"""What a journal holds and where: heads in memory, data left in the file until they are wanted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import RecordError
from labrhel.frozen import FrozenArray
from labrhel.store._arrays import ArrayStore
from labrhel.store._journal import Place, damage, frames, load

Head = dict[str, Any]

_ARRAY, _PROGRAM = b'{"array":"', b'{"program":"'


class Index:
    """The frames of a journal by kind; `refresh` adds what has been written since.

    `operations` and `events` are in the order of the journal, `arrays` and `programs` by digest.  `fault` says why the
    journal cannot be read to its end, "" if it can.  What is handed out has been checked against its digest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._large = ArrayStore(folder / "arrays")
        self.end, self.fault = 0, ""
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
        self.fault = damage(self._folder, self.end)

    def of_kind(self, kind: str) -> list[tuple[Head, Place]]:
        """Operations of one kind."""
        return [item for item in self.operations if item[0]["kind"] == kind]

    def load(self, place: Place, digest: str, what: str, *before: str) -> bytes:
        """`checked` data of this journal."""
        return checked(self._folder, place, digest, what, *before)

    def array(self, digest: str) -> Array:
        """The array of that digest, read-only; a large one is mapped from its file."""
        if digest not in self.arrays:
            return self._large.get(digest)
        text, place = self.arrays[digest]
        head = json.loads(text)
        try:
            array = np.frombuffer(load(self._folder, place), head["dtype"]).reshape(head["shape"])
        except ValueError:
            raise damaged(self._folder, f"array {digest}") from None
        if FrozenArray(array).digest != digest:
            raise damaged(self._folder, f"array {digest}")
        return array


def checked(folder: Path, place: Place, digest: str, what: str, *before: str) -> bytes:
    """Data of a frame, or a part of them, whose content (after the texts `before`) has that digest.

    Raises RecordError, which names `what` they are, if they are not what was written.
    """
    data = load(folder, place)
    if content_digest(*before, data) != digest:
        raise damaged(folder, what)
    return data


def damaged(folder: Path, what: str) -> RecordError:
    """What is said of something in a record that is not what was written."""
    return RecordError(
        f"{what} in {folder} is not what was written; `labrhel verify` names all that is damaged: "
        "restore it from a copy"
    )


def content_digest(*parts: str | bytes) -> str:
    """Digest (32 hexadecimal characters) of texts and bytes, in order."""
    joined = parts[0] if len(parts) == 1 else b"\0".join([_bytes(part) for part in parts])
    return hashlib.blake2b(_bytes(joined), digest_size=16).hexdigest()


def _bytes(part: str | bytes) -> bytes:
    return part.encode() if isinstance(part, str) else part


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
