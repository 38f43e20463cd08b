"""Is a record what was written?  Everything is named by its content, so the answer is to hash it all again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from labrhel.errors import RecordError
from labrhel.shots.program import ShotProgram
from labrhel.store._arrays import ArrayStore
from labrhel.store._checkpoints import read_slot
from labrhel.store._index import Head, Index
from labrhel.store._journal import Place


def content_digest(*parts: str | bytes) -> str:
    """Digest (32 hexadecimal characters) of texts and bytes, in order."""
    joined = parts[0] if len(parts) == 1 else b"\0".join([_bytes(part) for part in parts])
    return hashlib.blake2b(_bytes(joined), digest_size=16).hexdigest()


def _bytes(part: str | bytes) -> bytes:
    return part.encode() if isinstance(part, str) else part


def captures_of(head: Head, place: Place) -> list[tuple[str | None, dict[str, str], Place]]:
    """Digest, files and place of the capture of each shot of an operation, in order."""
    found, offset = [], place.offset
    for *_, digest, files, size in head["shots"]:
        found.append((digest, files or {}, Place(offset, size)))
        offset += size
    return found


def faults(folder: Path, index: Index, load_program: Callable[[str], ShotProgram]) -> Iterator[str]:
    """One sentence for everything in a record that is damaged or missing."""
    damage = index.damage()
    if damage:
        yield damage
    arrays = ArrayStore(folder / "arrays")
    for head, place in index.operations:
        number = head["operation"]
        if head["kind"] == "shots":
            yield from _shots(head, place, index, arrays)
        elif "data" in head and content_digest(index.load(place)) != head["data"]:
            yield f"the values of operation {number} ({head['kind']}) are not what was written"
    for head, _ in index.of_kind("checkpoint")[-1:]:
        # The one before may be half overwritten: that is what it is there for.
        if content_digest(read_slot(folder, head["slot"], head["size"])) != head["digest"]:
            yield f"the checkpoint of operation {head['operation']} is not what was written"
    yield from _programs(index, load_program)
    for digest in index.damaged_arrays():
        yield f"array {digest} in the journal is not what was written"
    for path in arrays.damaged():
        yield f"{path} is not what was written: its content does not have the digest that is its name"


def _shots(head: Head, place: Place, index: Index, arrays: ArrayStore) -> Iterator[str]:
    for number, (digest, files, part) in enumerate(captures_of(head, place)):
        if digest is None:
            continue
        shot, blob = f"shot {number + 1} of operation {head['operation']}", index.load(part)
        if content_digest(*([json.dumps(files, separators=(",", ":"))] if files else []), blob) != digest:
            yield f"the capture of {shot} is not what was written"
            continue
        for name, array in files.items():
            if not arrays.has(array):
                yield f"{name} of {shot} is missing: array {array}"


def _programs(index: Index, load_program: Callable[[str], ShotProgram]) -> Iterator[str]:
    for digest, place in index.programs.items():
        try:
            if content_digest(index.load(place)) != digest or load_program(digest).digest != digest:
                yield f"program {digest} is not what was written"
        except RecordError as error:
            yield f"program {digest} cannot be read: {error}"
        except ValueError as error:
            yield f"program {digest} is damaged: {error}"
