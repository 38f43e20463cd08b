"""What the newest step that kept its captures read, and what the tests came to: small parts of a long journal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from labrhel.errors import RecordError
from labrhel.records.echoes import KeptShot, RecordedEcho, echo_of, read_out_channel
from labrhel.shots.capture import PassCapture
from labrhel.store._arrays import ArrayStore
from labrhel.store._captures import unpack_capture
from labrhel.store._checkpoints import read_slot
from labrhel.store._index import checked, content_digest
from labrhel.store._journal import Place, frames, load
from labrhel.store._values import unpack_value
from labrhel.store._verifying import captures_of, load_capture
from labrhel.view.progress import Progress


def newest_echo(progress: Progress) -> RecordedEcho | None:
    """The echoes that the run kept last, with their forward pass; None if it kept none, or they cannot be read."""
    between, manifest = progress.kept, progress.manifest
    if between is None:
        return None
    try:
        channel = read_out_channel(manifest)
        return echo_of(between.step, list(_kept(progress)), channel, manifest.get("target_unit", ""))
    except (RecordError, KeyError):  # a third party's record, or one that is being copied
        return None


def results_of_tests(progress: Progress) -> dict[str, dict[str, Any]]:
    """By test set, what `labrhel.store.consolidate.results_of` gives, once the run has ended; empty before."""
    for head in reversed(progress.checkpoints):
        state = read_slot(progress.folder, head["slot"], head["size"])
        if content_digest(state) == head["digest"]:
            return unpack_value(state).get("results", {})
    return {}


def _kept(progress: Progress) -> Iterator[KeptShot]:
    between, folder = progress.kept, progress.folder
    assert between is not None
    passes: dict[str, int] = {}  # by program; one that is not told here was told with an earlier step, so it is no echo
    for text, place in frames(folder, between.begin):
        if place.offset + place.size > between.end:
            return
        if text.startswith(b'{"program"'):
            program = json.loads(text)["program"]
            passes[program] = len(json.loads(load(folder, place))["$ShotProgram"]["passes"])
        if not text.startswith(b'{"operation"'):
            continue
        head = json.loads(text)
        if head["kind"] != "shots" or head["step"] != between.step:
            continue
        for number, (row, (digest, files, part)) in enumerate(
            zip(head["shots"], captures_of(head, place), strict=True)
        ):
            if digest is not None:
                capture = partial(_load, progress, digest, files, part, head["operation"], number)
                yield KeptShot(head["operation"], number, passes.get(row[0], 1), capture)


def _load(
    progress: Progress, digest: str, files: dict[str, str], part: Place, operation: int, number: int
) -> tuple[PassCapture, ...]:
    what = f"the capture of shot {number + 1} of operation {operation}"
    blob = load_capture(partial(checked, progress.folder), digest, files, part, what)
    return unpack_capture(blob, files, ArrayStore(progress.folder / "arrays").get)
