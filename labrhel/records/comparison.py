"""A record against a model: the recorded programs run on another rig, and what differs, channel by channel.

Of one step: forward passes, mean echoes and the answers to the nudge (half the difference of + and -), each relative
to its own size in the record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import RecordError
from labrhel.executor import execute
from labrhel.experiment import Experiment, calibrated, load_experiment, wiring_of
from labrhel.records import style
from labrhel.records.replay_rig import Entry, brought_by, capabilities_of, effective
from labrhel.rig.calibration import set_of
from labrhel.rig.capabilities import Kind
from labrhel.shots.capture import Capture
from labrhel.shots.decode import decode
from labrhel.shots.operations import Configure, Protocol, RunShots
from labrhel.shots.program import ShotProgram
from labrhel.store import RunReader
from labrhel.store.manifest import require_whole
from labrhel.store.outputs import written_aside
from labrhel.store.reader import ShotRecord


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one channel: relative rms difference of forward passes, echoes and responses; nan for what is not there."""

    channel: str
    forward: float
    echo: float
    response: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """By channel, and the traces of the first forward pass: by channel (recorded, model) over `times`."""

    step: int
    rows: tuple[Difference, ...]
    times: Array
    traces: dict[str, tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class RecordedShot:
    """A shot of a step, its program, and what its channels showed, decoded as the run decoded it."""

    record: ShotRecord
    program: ShotProgram
    capture: Capture

    @property
    def is_echo(self) -> bool:
        """Whether it was nudged, or brought back."""
        return len(self.program.passes) > 1


def recorded_shots(
    folder: Path, experiment: Experiment, step: int | None = None
) -> tuple[int, list[RecordedShot], dict]:
    """The kept shots of a step (the last gradient that was kept), and the parameters that were asked for before."""
    reader = RunReader(folder)
    require_whole(folder, reader.manifest, parts=True)
    entries = list(effective(reader))
    kept = [entry.shot.step for entry in entries if entry.shot is not None and entry.shot.capture is not None]
    if not kept:
        missing = reader.policy.what_is_missing() or "its journal holds no shot"
        raise RecordError(f"{reader.id} kept no traces ({missing}); record with record: all")
    step = _last_gradient(reader, entries) or kept[-1] if step is None else step
    if step not in kept:
        raise RecordError(f"step {step} kept no traces; steps that did: {_some(sorted(set(kept)))}")
    rig, calibration = capabilities_of(reader), set_of(reader.manifest.get("calibration", {}))
    wiring = wiring_of(experiment.document, rig, brought_by(reader))
    asked: dict[str, Array] = {}
    found = []
    for entry in entries:
        if entry.shot is None:
            if not found:
                asked |= {name[6:]: value for name, value in entry.values.items() if name.startswith("asked/")}
        elif entry.shot.step == step:
            program = reader.load_program(entry.shot.program)
            raw = Capture(None, reader.load_capture(entry.shot), entry.shot.passes_run)  # type: ignore[arg-type]
            found.append(RecordedShot(entry.shot, program, decode(raw, rig, wiring, calibration)))
    return step, found, asked


def _last_gradient(reader: RunReader, entries: Sequence[Entry]) -> int | None:
    """The last step that kept an echo; tests alone tell less."""
    for entry in reversed(entries):
        shot = entry.shot
        if shot is not None and shot.capture is not None and len(reader.load_program(shot.program).passes) > 1:
            return shot.step
    return None


def compare(folder: Path, rig: str, *, step: int | None = None) -> Comparison:
    """Run what was recorded on the rig `rig`; RecordError if nothing of that step was kept."""
    reader = RunReader(folder)
    manifest = reader.manifest
    experiment = load_experiment(
        folder / "config.yaml",
        rig_url=rig,
        seed=manifest["seed"],
        home=Path(manifest["home"]),
        code=manifest.get("code", {}),
    )
    with closing(experiment.rig):
        step, shots, asked = recorded_shots(folder, experiment, step)
        ready = calibrated(experiment, experiment.calibration)
        model = execute(_fire(ready, asked, [shot.program for shot in shots]), ready.executor())
    channels = [
        name for name in capabilities_of(reader).channels_of(Kind.POSITION) if name in shots[0].capture.last.traces
    ]
    pairs: dict[str, dict[str, list[tuple[Array, Array]]]] = defaultdict(lambda: defaultdict(list))
    pending: dict[int, tuple[RecordedShot, Capture]] = {}
    for shot, answer in zip(shots, model, strict=True):
        for channel in channels:
            if channel not in shot.capture.last.traces:
                continue
            both = tuple(np.asarray(item.last.traces[channel].values[0]) for item in (shot.capture, answer))
            pairs[channel]["echo" if shot.is_echo else "forward"].append(both)  # type: ignore[arg-type]
        if shot.is_echo:
            mate = pending.pop(shot.record.operation, None)
            if mate is None:
                pending[shot.record.operation] = (shot, answer)
                continue
            for channel in channels:
                halves = [
                    (np.asarray(one.last.traces[channel].values[0]) - np.asarray(two.last.traces[channel].values[0]))
                    / 2
                    for one, two in ((mate[0].capture, shot.capture), (mate[1], answer))
                ]
                pairs[channel]["response"].append((halves[0], halves[1]))
    rows = tuple(
        Difference(channel, *(_apart(pairs[channel][kind]) for kind in ("forward", "echo", "response")))
        for channel in channels
    )
    first = {channel: pairs[channel]["forward"][0] for channel in channels if pairs[channel]["forward"]}
    length = max((len(pair[0]) for pair in first.values()), default=0)
    return Comparison(step, rows, experiment.task.step * np.arange(length), first)


def save(comparison: Comparison, file: Path, unit: str, time: str) -> Path:
    """A picture: recorded and model, channel by channel."""
    from matplotlib.figure import Figure

    names = list(comparison.traces)
    with style.plain_text():
        figure = Figure(figsize=(9, 1.8 * max(1, len(names))), layout="constrained")
        grid = figure.subplots(max(1, len(names)), 1, sharex=True, squeeze=False)
        for axes, name in zip(grid[:, 0], names, strict=False):
            recorded, model = comparison.traces[name]
            factor, fits = style.scaled(unit, recorded, model)
            for values, label, drawn in (
                (recorded, "recorded", {"color": style.FORWARD, "lw": 2, "alpha": 0.4}),
                (model, "model", {"color": "black", "lw": 1, "ls": "--"}),
                (model - recorded, "difference", {"color": style.NUDGED, "lw": 0.8}),
            ):
                axes.plot(comparison.times[: len(values)], factor * values, label=label, **drawn)
            axes.set_ylabel(f"{name} [{fits}]")
        style.above(grid[0, 0])
        grid[-1, 0].set_xlabel(f"time [{style.printed(time)}]")
        with written_aside(file) as aside:
            figure.savefig(aside, dpi=110)
    return file


def _fire(experiment: Experiment, asked: dict[str, Array], programs: list[ShotProgram]) -> Protocol[list[Capture]]:
    known = {knob.name for knob in experiment.rig.capabilities.knobs}
    yield Configure({name: value for name, value in asked.items() if name in known})
    captures: list[Capture] = yield RunShots(tuple(programs), order="fixed")
    return captures


def _apart(pairs: list[tuple[Array, Array]]) -> float:
    if not pairs:
        return np.nan
    above = sum(float(np.sum((one - two) ** 2)) for one, two in pairs)
    below = sum(float(np.sum(one**2)) for one, _ in pairs)
    return float(np.sqrt(above / below)) if below else np.nan


def _some(steps: list[int]) -> str:
    return ", ".join(map(str, steps[:8])) + (", ..." if len(steps) > 8 else "")
