"""Reading a run, also while it is being written: manifest, journal and arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import RecordError
from labrhel.frozen import digest_of
from labrhel.safety.holding import is_held
from labrhel.shots.capture import PassCapture
from labrhel.shots.operations import Checkpoint
from labrhel.shots.program import ShotProgram
from labrhel.shots.serialise import from_data
from labrhel.store._captures import unpack_capture
from labrhel.store._checkpoints import read_slot
from labrhel.store._index import Head, Index, content_digest, damaged
from labrhel.store._packing import unpack
from labrhel.store._values import unpack_value
from labrhel.store._verifying import captures_of, faults, load_capture
from labrhel.store.folder import CONFIG, LOCK, find_run, name_of, require_plain, run_folders
from labrhel.store.manifest import FLEET, read_manifest
from labrhel.store.policy import Policy

_PATIENCE = 10  # times a checkpoint is looked for while a writer replaces them


@dataclass(frozen=True, slots=True)
class ShotRecord:
    """One recorded shot: digests, times [s, the rig's clock] and counts; `capture` is None if it was not kept.

    `attempt` counts starts and resumes from 1: a step that was interrupted and done again has shots of both.
    """

    operation: int
    number: int
    attempt: int
    step: int
    program: str
    compiled: str
    capture: str | None
    planned_start: float
    actual_start: float
    passes_run: int
    over_range: int


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One recorded operation; `values` holds what was set or read, for `configure` and `read`."""

    seq: int
    attempt: int
    step: int
    kind: str
    values: dict[str, Array]


class RunReader:
    """The record in a folder.  Raises RecordError for a folder that is no run, or one of a newer version."""

    def __init__(self, folder: Path) -> None:
        require_plain(folder)
        self.folder = folder
        self.manifest: dict[str, Any] = read_manifest(folder)
        self.policy = Policy.parse(self.manifest["policy"])

    @classmethod
    def find(cls, text: str, root: Path) -> RunReader:
        """The run named by a folder, an id, or the beginning of one."""
        return cls(find_run(text, root))

    @cached_property
    def _known(self) -> Index:
        return Index(self.folder)

    @property
    def _index(self) -> Index:
        self._known.refresh()
        if self._known.fault:
            raise RecordError(f"{self._known.fault}; restore the folder from a copy")
        return self._known

    def close(self) -> None:
        """Forget what was read; reading again reads it again."""
        self.__dict__.pop("_known", None)

    @property
    def id(self) -> str:
        """What the run is called here: the name of its folder."""
        return name_of(self.folder)

    @property
    def origin(self) -> str:
        """The id under which it was recorded; another one than `id` in a folder that was copied or renamed."""
        return self.manifest["id"]

    @property
    def parts(self) -> list[Path]:
        """The records of the rigs of a run on several, in the order of their numbers; none of a run on one."""
        return [self.folder / FLEET / str(number + 1) for number in range(len(self.manifest.get(FLEET, [])))]

    @property
    def config_text(self) -> str:
        """The user's file, as it was; RecordError if it is not what the run began with."""
        if self.config_changed:
            raise RecordError(
                f"{self.folder / CONFIG} is not what the run began with; restore it, or start a new run with it"
            )
        return self._config()

    @property
    def config_changed(self) -> bool:
        """Whether the file says something else than when the run began."""
        return self.manifest.get("configuration_digest") not in (None, digest_of(self._config()))

    def _config(self) -> str:
        try:
            return (self.folder / CONFIG).read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{self.folder / CONFIG} cannot be read ({error}); restore it from a copy") from error

    @property
    def status(self) -> str:
        """done, stalled, failed, interrupted, unsafe, running, paused, or killed: not ended, and nobody is writing it.

        stalled: it ended before its planned steps, and had not converged.  unsafe: when it ended outputs could not be
        made safe.
        """
        return state_after(self.events()[-1][0], self.folder)

    def events(self) -> list[tuple[str, float, str]]:
        """Changes of state: (kind, time [s since 1970], words)."""
        events = self._index.events
        if not events:
            raise RecordError(f"the journal in {self.folder} cannot be read from its beginning; restore it from a copy")
        return [(head["event"], head["wall"], head["words"]) for head in events]

    def scalars(self) -> dict[str, Array]:
        """Published scalars by name, each (steps,), NaN where a step did not publish it; `step` holds the numbers."""
        by_step: dict[int, dict[str, float]] = {}
        for head in self._published():
            by_step.setdefault(head["step"], {}).update(head["scalars"])
        steps = sorted(step for step, scalars in by_step.items() if scalars)
        names = sorted({name for scalars in by_step.values() for name in scalars})
        columns = {name: np.array([by_step[step].get(name, np.nan) for step in steps]) for name in names}
        return {"step": np.array(steps, np.int64), **columns}

    def parameters(self) -> dict[str, Array]:
        """Trained coordinates by name, each (steps,), as each step measured them; `step` holds the numbers."""
        index, rows, names = self._index, {}, []
        for head, place in index.of_kind("checkpoint"):
            names = head.get("names", names)
            if "measured" in head:
                rows[head["measured"]] = place, head["data"]
        steps = sorted(rows)
        vectors = [np.frombuffer(index.load(*rows[step], f"the point of step {step}"), "<f8") for step in steps]
        table = np.stack(vectors) if vectors else np.empty((0, len(names)))
        names = names + [f"parameter[{number}]" for number in range(len(names), table.shape[1])]
        columns = {name: table[:, number].copy() for number, name in enumerate(names)}
        return {"step": np.array(steps, np.int64), **columns}

    def words(self) -> list[tuple[int, str]]:
        """Warnings: (step, text), in order."""
        published = sorted(self._published(), key=lambda head: head["step"])
        return [(head["step"], text) for head in published for text in head["words"]]

    def arrays(self, step: int) -> dict[str, Array]:
        """Arrays that a step published, by name; of a step that was done again, what it published last."""
        index, found = self._index, {}
        for head, place in index.of_kind("publish"):
            if head["step"] == step and "data" in head:
                found = unpack(index.load(place, head["data"], f"what step {step} published"))[0]
        return found

    def _published(self) -> Iterator[Head]:
        """What was published, but for steps that were done again after a resume: of these, what was published last."""
        heads = [head for head, _ in self._index.of_kind("publish")]
        last = {head["step"]: head["attempt"] for head in heads}
        return (head for head in heads if head["attempt"] == last[head["step"]])

    def last_checkpoint(self) -> Checkpoint | None:
        """The state to go on from; None if the run was stopped before its first."""
        for _ in range(_PATIENCE):
            # The last two states are there; a writer that has gone on since the journal was read leaves newer ones.
            heads = [head for head, _ in self._index.of_kind("checkpoint")]
            for head in heads[:-3:-1]:
                state = read_slot(self.folder, head["slot"], head["size"])
                if content_digest(state) == head["digest"]:
                    return Checkpoint(head["step"], unpack_value(state))
            if not heads:
                return None
        raise RecordError(f"the checkpoints in {self.folder} are not what was written; restore the folder from a copy")

    def operations(self) -> list[OperationRecord]:
        """Everything the protocol asked, in order."""
        index = self._index
        return [
            OperationRecord(
                head["operation"], head["attempt"], head["step"], head["kind"],
                unpack(index.load(place, head["data"], f"what operation {head['operation']} set or read"))[0]
                if head["kind"] in ("configure", "read")
                else {},
            )
            for head, place in index.operations
        ]  # fmt: skip

    def shots(self, step: int | None = None) -> list[ShotRecord]:
        """Recorded shots in order: all, or those made during a step."""
        index = self._index
        return [
            ShotRecord(
                head["operation"], number, head["attempt"], head["step"], program, compiled, capture,
                from_data(planned, index.array), from_data(actual, index.array), passes, over,
            )
            for head, _ in index.of_kind("shots") if step is None or head["step"] == step
            for number, (program, compiled, planned, actual, passes, over, capture, *_) in enumerate(head["shots"])
        ]  # fmt: skip

    def load_program(self, digest: str) -> ShotProgram:
        """The program of that digest; raises RecordError if the recording policy did not keep it."""
        index = self._index
        if digest not in index.programs:
            raise RecordError(f"program {digest} is not in the record: {self._why_missing()}")
        text = index.load(index.programs[digest], digest, f"program {digest}")
        program = from_data(json.loads(text), index.array)
        if program.digest != digest:
            raise damaged(self.folder, f"program {digest}")
        return program

    def load_capture(self, shot: ShotRecord) -> tuple[PassCapture, ...]:
        """What came back from a shot; large traces are mapped from their files and read as they are used."""
        index = self._index
        digest, files, place = captures_of(*index.operations[shot.operation - 1])[shot.number]
        if digest is None:
            raise RecordError(
                f"the capture of shot {shot.number + 1} of operation {shot.operation} is not in the record: "
                f"{self._why_missing()}"
            )
        what = f"the capture of shot {shot.number + 1} of operation {shot.operation}"
        return unpack_capture(load_capture(index.load, digest, files, place, what), files, index.array)

    def _why_missing(self) -> str:
        return self.policy.what_is_missing() or "the folder is not complete; restore it from a copy"

    def verify(self) -> list[str]:
        """What is damaged or missing, a sentence each; empty if every byte is what was written."""
        self._known.refresh()
        found = list(faults(self.folder, self._known, self.load_program))
        for place in self.parts:
            try:
                found += [f"{FLEET}/{place.name}: {words}" for words in RunReader(place).verify()]
            except RecordError as error:
                found.append(str(error))
        try:
            self.config_text  # noqa: B018 - read for its check
        except RecordError as error:
            found.append(str(error))
        return found


def state_after(event: str, folder: Path) -> str:
    """The status of the run in a folder (`RunReader.status`) whose last event is this."""
    if event in ("done", "stalled", "failed", "interrupted", "unsafe"):
        return event
    alive = "paused" if event == "paused" else "running"
    return alive if is_held(folder / LOCK) else "killed"


def list_runs(root: Path) -> list[RunReader]:
    """The runs below `root`, newest first."""
    return [RunReader(folder) for folder in run_folders(root)]
