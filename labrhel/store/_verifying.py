"""Is a record what was written?  Everything is named by its content: the answer is to read it all, with its checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from labrhel.errors import RecordError
from labrhel.shots.program import ShotProgram
from labrhel.store._arrays import ArrayStore
from labrhel.store._checkpoints import read_slot
from labrhel.store._index import Head, Index, content_digest
from labrhel.store._journal import Place

Load = Callable[..., bytes]
"""`Index.load`, or `checked` of a folder: place, digest, what it is, texts before."""


def captures_of(head: Head, place: Place) -> list[tuple[str | None, dict[str, str], Place]]:
    """Digest, files and place of the capture of each shot of an operation, in order."""
    found, offset = [], place.offset
    for *_, digest, files, size in head["shots"]:
        found.append((digest, files or {}, Place(offset, size)))
        offset += size
    return found


def load_capture(load: Load, digest: str, files: dict[str, str], place: Place, what: str) -> bytes:
    """The packed capture at `place`, checked by `load`; its digest holds the names of its large arrays, too."""
    before = [json.dumps(files, separators=(",", ":"))] if files else []
    return load(place, digest, what, *before)


def faults(folder: Path, index: Index, load_program: Callable[[str], ShotProgram]) -> Iterator[str]:
    """One sentence for everything in a journal, its checkpoints and its arrays that is damaged or missing."""
    if index.fault:
        yield index.fault
    arrays = ArrayStore(folder / "arrays")
    for head, place in index.operations:
        if head["kind"] == "shots":
            yield from _shots(index, head, place, arrays)
        elif "data" in head:
            what = f"the values of operation {head['operation']} ({head['kind']})"
            yield from _said(lambda head=head, place=place, what=what: index.load(place, head["data"], what))
    yield from _last_checkpoint(folder, index)
    for digest in index.programs:
        yield from _said(lambda digest=digest: load_program(digest), f"program {digest}: ")
    for digest in index.arrays:
        yield from _said(lambda digest=digest: index.array(digest))
    for path in arrays.damaged():
        yield f"{path} is not what was written: its content does not have the digest that is its name"


def _said(check: Callable[[], object], what: str = "") -> Iterator[str]:
    try:
        check()
    except RecordError as error:
        yield f"{what}{error}"


def _shots(index: Index, head: Head, place: Place, arrays: ArrayStore) -> Iterator[str]:
    for number, (digest, files, part) in enumerate(captures_of(head, place), 1):
        if digest is None:
            continue
        shot = f"shot {number} of operation {head['operation']}"
        yield from _said(
            lambda digest=digest, files=files, part=part, shot=shot: load_capture(
                index.load, digest, files, part, f"the capture of {shot}"
            )
        )
        for name, array in files.items():
            if not arrays.has(array):
                yield f"{name} of {shot} is missing: array {array}"


def _last_checkpoint(folder: Path, index: Index) -> Iterator[str]:
    """The one before the last may be half overwritten: that is what it is there for."""
    heads = [head for head, _ in index.of_kind("checkpoint")][:-3:-1]
    whole = [content_digest(read_slot(folder, head["slot"], head["size"])) == head["digest"] for head in heads]
    if heads and not whole[0]:
        goes_on = f"a resume goes on from step {heads[1]['step']}" if any(whole) else "there is none to go on from"
        yield f"the checkpoint of step {heads[0]['step']} in {folder} is not what was written: {goes_on}"
