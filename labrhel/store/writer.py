"""Writing a run: what the executor's recorder hands over is safe against kill -9 when a method returns.

Per operation: large arrays become files, then one write appends all frames to the journal.  A kill between the two
leaves an array that nothing names, which is harmless; a frame never names an array that is not there.  What live
views read (`labrhel.store._steps`) is written after the journal, and brought up to date with it after a kill.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from labrhel.arrays import Arrays
from labrhel.errors import NotSafeError, RecordError
from labrhel.frozen import FrozenArray, encode
from labrhel.safety.holding import Held, TakenError
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Checkpoint, Configure, Publish, Read, RunShots
from labrhel.shots.program import GivenState, ShotProgram
from labrhel.store._arrays import ArrayStore, bytes_of
from labrhel.store._captures import pack_capture
from labrhel.store._checkpoints import Slots
from labrhel.store._index import Index, array_head, content_digest, event, program_head
from labrhel.store._journal import Buffer, Journal, frame
from labrhel.store._packing import pack
from labrhel.store._step_log import StepLog
from labrhel.store._summary import write_summary
from labrhel.store._trouble import writing
from labrhel.store._values import INLINE_BELOW, pack_value
from labrhel.store.folder import LOCK, make_run_folder, random_token, require_plain, utc_now
from labrhel.store.manifest import SHARE, read_manifest
from labrhel.store.policy import Policy

_COPIED_BELOW = 1 << 14  # bytes; copying so few is faster than making the view of them

_TRIES, _PAUSE = 10, 0.005  # s

_json = json.JSONEncoder(separators=(",", ":")).encode

Ending = Literal["done", "stalled", "failed", "interrupted", "unsafe"]
Clock = Callable[[], float]


def create_run(
    root: Path,
    name: str,
    manifest: Mapping[str, Any],
    config_text: str,
    policy: Policy,
    *,
    now: Callable[[], datetime] = utc_now,
    token: Callable[[], str] = random_token,
    identity: str | None = None,
) -> RunWriter:
    """Make a run folder (`make_run_folder` explains the arguments) and open it for writing."""
    folder = make_run_folder(root, name, manifest, config_text, policy, now=now, token=token, identity=identity)
    return RunWriter(folder)


class RunWriter:
    """The one writer of a run; satisfies `labrhel.executor.Recording`.

    `step` is the training step whose shots are being written: it starts at 0, or at the last checkpoint's step after
    a resume, and follows the checkpoints.  Raises RecordError if the folder is no run, is being written by another
    process, or cannot be written.
    """

    def __init__(
        self, folder: Path, words: str = "", *, monotonic: Clock = time.monotonic, wall: Clock = time.time
    ) -> None:
        require_plain(folder)
        self.folder = folder
        manifest = read_manifest(folder)
        self.policy, self._is_part = Policy.parse(manifest["policy"]), bool(manifest.get(SHARE))
        self._monotonic, self._wall = monotonic, wall
        self._conclusion: tuple[Ending, str] = ("done", "")
        self._lock = _lock(folder)
        try:
            self._take_up(Index(folder), words)
        except BaseException:
            self._lock.close()
            raise

    @classmethod
    def open_for_resume(cls, folder: Path, words: str = "") -> RunWriter:
        """Open a run that was stopped or killed, to go on from its last checkpoint; `words` say what is new."""
        return cls(folder, words)

    def _take_up(self, past: Index, words: str) -> None:
        checkpoints = [head for head, _ in past.of_kind("checkpoint")]
        names = [head["names"] for head in checkpoints if "names" in head]
        self._seq = len(past.operations)
        self._attempt = 1 + sum(head["event"] in ("running", "resumed") for head in past.events)
        self.step: int = checkpoints[-1]["step"] if checkpoints else 0
        self._names: list[str] = names[-1] if names else []
        self._known = past.arrays.keys() | past.programs.keys()
        self._arrays = ArrayStore(self.folder / "arrays")
        self._slots = Slots(self.folder, checkpoints[-1]["slot"] if checkpoints else None)
        self._journal = Journal(self.folder, past.end)
        self._steps = StepLog(self.folder, past.end)
        self._event("running" if self._attempt == 1 else "resumed", words)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            return self.end(*self._conclusion)
        how: Ending = "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"
        if how == "interrupted" and error is not None and not self._is_part:
            error.add_note(f"run     {self.folder}")  # for whoever says what was interrupted
        try:
            if isinstance(error, NotSafeError):
                self.end("unsafe", str(error))
            else:
                self.end(how, f"{kind.__name__}: {error}")
        except RecordError as trouble:  # what went wrong before is what has to be said
            if error is not None:
                error.add_note(str(trouble))
        return None

    def held(self, how: Literal["paused", "continued"]) -> None:
        """Write that the run waits between two steps, or goes on."""
        self._event(how, "")

    def lost(self, words: str) -> None:
        """Write which of several rigs the run goes on without, and why."""
        self._event("lost", words)

    def broken_off(self, words: str) -> None:
        """Write that the run waits in the middle of a step, and why."""
        self._event("paused", words)

    def taken_up(self, words: str) -> None:
        """Write that it goes on from its last checkpoint: a step that was broken off is done again, as in a resume."""
        self._attempt += 1
        self._event("resumed", words)

    def conclude(self, how: Ending, words: str) -> None:
        """How the run will have ended, and why, if nothing goes wrong until the folder is closed."""
        self._conclusion = how, words

    def end(self, how: Ending, words: str = "") -> None:
        """Write how the run ended, and give the folder free."""
        try:
            self._event(how, words)
        finally:
            self.close()
        write_summary(self.folder)

    def close(self) -> None:
        """Give the folder free without a word on how the run ended."""
        try:
            self._slots.close()
            self._journal.close()
            self._steps.finish()
        finally:
            self._steps.close()
            self._lock.close()

    # -- labrhel.executor.Recording -------------------------------------------------------------------------------

    def shots(self, operation: RunShots, captures: Sequence[Capture]) -> None:
        """Digests of programs and of what was sent; by policy the programs, waveforms and captures themselves."""
        keep = self.policy.keeps(self.step)
        rows, blobs = [], []
        new: dict[str, list[Buffer]] = {}
        for program, capture in zip(operation.programs, captures, strict=True):
            kept = "null,null,0"
            if keep:
                self._keep_program(program, new)
                kept, blob = self._keep_capture(capture)
                blobs.append(blob)
            over = 0
            for item in capture.passes:
                for trace in item.traces.values():
                    over += trace.over_range
            starts = f"{float(capture.planned_start)},{float(capture.actual_start)}"
            if "n" in starts:  # inf and nan are no JSON; other starts are written once, and no cache has them
                starts = f"{encode(float(capture.planned_start))},{encode(float(capture.actual_start))}"
            rows.append(f'["{program.digest}","{capture.shot.digest}",{starts},{capture.passes_run:d},{over:d},{kept}]')
        fields = f'"order":"{operation.order}","shots":[{",".join(rows)}]'
        before = [piece for pieces in new.values() for piece in pieces]
        self._append("shots", self.step, fields, blobs, before)
        self._known.update(new)
        if keep:
            self._steps.gathering.shots(len(blobs))

    def configured(self, operation: Configure, achieved: Arrays) -> None:
        """Parameters asked for, knobs sent, parameters achieved, packed as asked/NAME, knobs/NAME, achieved/NAME."""
        values = {f"asked/{name}": np.asarray(value) for name, value in operation.parameters.items()}
        values.update({f"knobs/{name}": np.asarray(value) for name, value in operation.knobs.items()})
        values.update({f"achieved/{name}": np.asarray(value) for name, value in achieved.items()})
        self._append_values("configure", values)

    def read(self, operation: Read, answer: Arrays) -> None:
        """Record slow readings."""
        self._append_values("read", {name: np.asarray(value) for name, value in answer.items()})

    def checkpoint(self, operation: Checkpoint) -> None:
        """State to go on from.  A checkpoint of step n is taken when steps 0 .. n-1 are done.

        `state["parameters"]` (size,) with `state["parameter_names"]`, if there, enter the table of parameters under
        the step that was going on: what step n-1 measured, and under n what a second, final checkpoint of n says.
        """
        blob, step = pack_value(operation.state), operation.step
        slot = self._slots.put(blob)
        fields = {"slot": slot, "size": len(blob), "digest": content_digest(blob)}
        data, values, point = [], operation.state.get("parameters"), None
        names = list(operation.state.get("parameter_names", self._names))
        if values is not None:
            point = np.asarray(values, dtype="<f8")
            data = [point.tobytes()]
            fields |= {"measured": self.step, "data": content_digest(*data)}
            if names != self._names:
                fields["names"] = names
        wall = self._append("checkpoint", step, _json(fields)[1:-1], data)
        self._slots.keep(slot)
        self._steps.checkpoint(step if point is None else self.step, point, names, wall, self._journal.end)
        self.step, self._names = step, names

    def published(self, operation: Publish) -> None:
        """Scalars and words of a step; a step that is done again after a resume replaces what it left before."""
        scalars = {name: float(value) for name, value in operation.scalars.items()}
        fields: dict[str, Any] = {"scalars": scalars, "words": operation.words}
        data = [pack({name: np.asarray(value) for name, value in operation.arrays.items()})] if operation.arrays else []
        if data:
            fields["data"] = content_digest(*data)
        wall = self._append("publish", operation.step, _json(fields)[1:-1], data)
        self._steps.published(operation.step, scalars, operation.words, wall, self._journal.end)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _append(
        self,
        kind: str,
        step: int,
        fields: str,
        data: Sequence[Buffer] = (),
        before: Sequence[Buffer] = (),
    ) -> float:
        """One operation with JSON `fields`, and before it the frames of what it names; all of it or nothing.

        Returns when that was [s since 1970].
        """
        wall = round(self._wall(), 6)
        # Put together by hand: a tenth of the time of a JSON encoder, and every part is a number, a digest or JSON.
        head = (
            f'{{"operation":{self._seq + 1},"kind":"{kind}","attempt":{self._attempt},"step":{step:d},'
            f'"monotonic":{self._monotonic():.6f},"wall":{wall:.6f},{fields}}}'
        )
        self._journal.append([*before, *frame(head, *data)])
        self._seq += 1
        return wall

    def _append_values(self, kind: str, values: Arrays) -> None:
        data = pack(values)
        self._append(kind, self.step, f'"data":"{content_digest(data)}"', [data])

    def _event(self, kind: str, words: str) -> None:
        self._journal.append(frame(event(kind, self._wall(), words)))

    def _keep_program(self, program: ShotProgram, new: dict[str, list[Buffer]]) -> None:
        text = program.content()
        digest = program.digest
        if digest in self._known or digest in new:
            return
        for array in _arrays_of(program):
            if array.values.nbytes >= INLINE_BELOW:
                self._arrays.put(array)
            elif array.digest not in self._known and array.digest not in new:
                new[array.digest] = _array_frame(array)
        new[digest] = frame(program_head(digest), text)

    def _keep_capture(self, capture: Capture) -> tuple[str, bytes]:
        packed = pack_capture(capture)
        if not packed.large:
            return f'"{content_digest(packed.blob)}",null,{len(packed.blob)}', packed.blob
        files = _json({name: self._arrays.put(array) for name, array in packed.large.items()})
        return f'"{content_digest(files, packed.blob)}",{files},{len(packed.blob)}', packed.blob


def _arrays_of(program: ShotProgram) -> Iterator[FrozenArray]:
    """Every array that the text of a program names."""
    if isinstance(program.prepare, GivenState):
        yield program.prepare.position
        yield program.prepare.momentum
    for item in program.passes:
        for drive in item.drives:
            yield drive.waveform.samples


def _array_frame(array: FrozenArray) -> list[Buffer]:
    values = array.values
    data = bytes_of(values) if values.nbytes > _COPIED_BELOW else values.tobytes()
    return frame(array_head(array.digest, values), data)


def _lock(folder: Path) -> Held:
    holder = ""
    for _ in range(_TRIES):
        try:
            with writing(folder):
                return Held(folder / LOCK)
        except TakenError as taken:  # perhaps by a view that looks, for microseconds, whether anybody writes it
            holder = taken.holder
            time.sleep(_PAUSE)
    raise RecordError(f"{holder} is writing {folder}; wait for it to end, or stop it, then resume")
