"""`replay:RUN`: a rig that answers from a record.

strict        the same shots in the same order; any other one is an error that shows the difference
results       shots in any order, found by what was sent: other optimizers, losses and estimators may ask for them
hybrid        the same, and what the record does not hold comes from another rig, and is counted

A replay answers with the readings as they came, to the bit; it needs a run that kept its traces (`record: all`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, DivergedError, RecordError
from labrhel.learning.train import DIVERGED
from labrhel.model.interface import Model
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import IDEAL_WIRING, Wiring
from labrhel.shots.capture import Capture
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.program import ShotProgram
from labrhel.shots.rig import Rig
from labrhel.shots.serialise import declared
from labrhel.store import RunReader, find_run, require_replayable
from labrhel.store.manifest import require_whole
from labrhel.store.reader import ShotRecord

MODES = ("strict", "results", "hybrid")


def open_rig(url: str, model: Model, folder: Path) -> ReplayRig:
    """Answers from the record of a run: replay:RUN?mode=strict, results or hybrid."""
    name, _, query = url.partition("?")
    settings = dict(parse_qsl(query))
    mode = settings.pop("mode", "strict")
    if settings or mode not in MODES:
        raise ConfigurationError(f"replay:RUN takes ?mode= with {', '.join(MODES)}, not {query!r}")
    del model
    place = folder / name
    return ReplayRig(RunReader(place if place.is_dir() else find_run(name, Path("runs"))), mode)


def capabilities_of(reader: RunReader) -> Capabilities:
    """What the rig of a run declared; RecordError for a record that does not say."""
    plain = reader.manifest.get("capabilities")
    if plain is None:
        raise RecordError(f"{reader.id} does not say what its rig declared; it was recorded by an older labrhel")
    return declared(plain)


def brought_by(reader: RunReader) -> Wiring:
    """The wiring that the rig of a run brought; ideal for one that brought none."""
    plain = reader.manifest.get("wiring")
    return IDEAL_WIRING if plain is None else declared(plain)


@dataclass(frozen=True, slots=True)
class Entry:
    """A shot, or a setting of knobs, as it was recorded."""

    shot: ShotRecord | None
    values: Mapping[str, Array]
    step: int


class ReplayRig:
    """A rig (labrhel.shots.rig.Rig); `missing` counts the shots that another rig answered, in place of the record.

    `step`: only what was recorded of that one.
    """

    def __init__(
        self, reader: RunReader, mode: str = "strict", otherwise: Rig | None = None, *, step: int | None = None
    ) -> None:
        require_replayable(reader.manifest)
        require_whole(reader.folder, reader.manifest, parts=mode != "strict")
        self.capabilities, self.wiring = capabilities_of(reader), brought_by(reader)
        self.missing = self.answered = 0
        self._reader, self._mode, self._otherwise = reader, mode, otherwise
        self._entries = [entry for entry in effective(reader) if step in (None, entry.step)]
        self._next = 0
        scalars = reader.scalars()
        diverged = scalars.get(DIVERGED, np.zeros(len(scalars["step"])))
        self._diverged = {int(step) for step in scalars["step"][diverged > 0]}
        self._by_sent: dict[str, list[ShotRecord]] = defaultdict(list)
        for entry in self._entries:
            if entry.shot is not None:
                self._by_sent[entry.shot.compiled].append(entry.shot)

    @property
    def finished(self) -> bool:
        """Whether everything that was recorded has been asked for."""
        return self._next == len(self._entries)

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """What the knobs were then, if they are set to what they were set to."""
        if self._mode != "strict":
            achieved = {name: np.asarray(value) for name, value in knobs.items()}
            return achieved if self._otherwise is None else self._otherwise.configure(knobs)
        entry = self._take("a setting of knobs")
        if entry.shot is not None:
            raise RecordError(
                f"{self._where()} the record has a shot, and knobs are to be set: the protocol is another"
            )
        for name, value in knobs.items():
            then = entry.values.get(f"knobs/{name}")
            if then is None or not np.array_equal(then, value):
                words = (
                    "was not set" if then is None else f"was set to {_short(then)}, not to {_short(np.asarray(value))}"
                )
                raise RecordError(f"{self._where()} knob {name} {words}: parameters or optimizer are others")
        return {name: np.asarray(entry.values[f"achieved/{name}"]) for name in knobs}

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """The recorded captures of these shots."""
        return [self._answer(shot) for shot in shots]

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Answer nothing: slow readings are not replayed."""
        raise RecordError(f"a replay cannot read {', '.join(names)}: only shots and knobs were recorded")

    def make_safe(self) -> None:
        """Do nothing: a record moves nothing."""

    def close(self) -> None:
        """Forget the record."""
        self._reader.close()

    def _answer(self, shot: CompiledShot) -> Capture:
        self.answered += 1
        if self._mode == "strict":
            self._diverge_as_it_did()
            entry = self._take("a shot")
            if entry.shot is None:
                raise RecordError(
                    f"{self._where()} the record sets knobs where a shot is fired now: the protocol is another"
                )
            if entry.shot.compiled != shot.digest:
                then = self._reader.load_program(entry.shot.program)
                raise RecordError(f"{self._where()} {difference(then, shot.program)}")
            return self._captured(entry.shot, shot)
        known = self._by_sent[shot.digest]
        if known:
            return self._captured(known.pop(0) if len(known) > 1 else known[0], shot)
        if self._mode == "results" or self._otherwise is None:
            raise RecordError(
                f"shot {self.answered} of the replay was never fired: {self._nearest(shot.program)}; "
                "mode hybrid takes it from another rig"
            )
        self.missing += 1
        (capture,) = self._otherwise.run([shot])
        return capture

    def _diverge_as_it_did(self) -> None:
        """Of a shot at which the motion diverged nothing was recorded but that it did."""
        before = self._entries[self._next - 1].step if self._next else -1
        if before in self._diverged and (self.finished or self._entries[self._next].step != before):
            raise DivergedError(f"it diverged at step {before}, as it was recorded")

    def _captured(self, record: ShotRecord, shot: CompiledShot) -> Capture:
        passes = self._reader.load_capture(record)
        return Capture(shot, passes, record.passes_run, record.planned_start, record.actual_start)

    def _take(self, what: str) -> Entry:
        if self._next == len(self._entries):
            raise RecordError(f"the record ends here, and {what} more is asked for: it was recorded with fewer steps")
        self._next += 1
        return self._entries[self._next - 1]

    def _where(self) -> str:
        shots = sum(entry.shot is not None for entry in self._entries[: self._next])
        step = next((entry.shot.step for entry in self._entries[self._next - 1 :: -1] if entry.shot is not None), 0)
        return f"step {step}, recorded shot {shots}:"

    def _nearest(self, program: ShotProgram) -> str:
        for entry in self._entries:
            if entry.shot is not None:
                then = self._reader.load_program(entry.shot.program)
                if len(then.passes) == len(program.passes):
                    return difference(then, program)
        return "no recorded shot has as many passes"


def effective(reader: RunReader) -> Iterator[Entry]:
    """What led to the result, in order: a step that was interrupted and done again counts as it was done last."""
    shots: dict[int, list[ShotRecord]] = defaultdict(list)
    for shot in reader.shots():
        shots[shot.operation].append(shot)
    operations = [item for item in reader.operations() if item.kind in ("shots", "configure")]
    last: dict[int, int] = {}
    for item in operations:
        last[item.step] = max(last.get(item.step, 0), item.attempt)
    for item in operations:
        if item.attempt != last[item.step]:
            continue
        if item.kind == "shots":
            yield from (Entry(shot, {}, item.step) for shot in shots[item.seq])
        else:
            yield Entry(None, item.values, item.step)


def difference(then: ShotProgram, now: ShotProgram) -> str:
    """How two programs differ, in words: the first thing that does, and by how much."""
    if then.dt != now.dt:
        return f"the step between kicks was {then.dt:g}, and is {now.dt:g}"
    if len(then.passes) != len(now.passes):
        return f"the shot had {len(then.passes)} passes, and has {len(now.passes)}"
    if then.prepare != now.prepare:
        return f"the shot began with {type(then.prepare).__name__}, and begins with {type(now.prepare).__name__}"
    for index, (old, new) in enumerate(zip(then.passes, now.passes, strict=True), 1):
        if old.steps != new.steps:
            return f"pass {index} had {old.steps} kicks, and has {new.steps}"
        if old.echo != new.echo:
            return f"pass {index} {'was' if old.echo else 'was not'} an echo"
        for side, other, word in ((old, new, "no longer"), (new, old, "now")):
            names = {(drive.port, drive.role) for drive in other.drives}
            for drive in side.drives:
                if (drive.port, drive.role) not in names:
                    return f"pass {index}: port {drive.port} {word} plays its {drive.role}"
        for one in old.drives:
            for two in new.drives:
                if (one.port, one.role) != (two.port, two.role) or one.waveform == two.waveform:
                    continue
                a, b = (item.waveform.on_grid(now.dt, new.steps) for item in (one, two))
                apart, size = float(np.abs(a - b).max()), float(np.abs(a).max()) or 1.0
                return (
                    f"pass {index}: the {one.role} on port {one.port} differs by up to {apart:.3g}, "
                    f"{100 * apart / size:.3g} % of what it was"
                )
        if old.acquire != new.acquire:
            return f"pass {index} read {', '.join(old.acquire.channels)}, and reads {', '.join(new.acquire.channels)}"
    return "the programs are equal, but what was sent for them is not: wiring, calibration or rig are others"


def _short(value: Array) -> str:
    flat = np.ravel(value)
    listed = ", ".join(f"{item:.6g}" for item in flat[:3])
    return f"[{listed}{', ...' if flat.size > 3 else ''}]"
