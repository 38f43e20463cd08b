"""Replay a run: the same protocol again, answered from the record; what comes out, and whether it is the same.

`strict` proves that the record is complete and the host deterministic: parameters are the same to the bit.  With
another configuration, or mode `results`, it answers "what would another optimizer have made of these shots?"; `hybrid`
lets a rig answer what was never fired.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError
from labrhel.executor import Tap, execute, published
from labrhel.experiment import Experiment, load_experiment
from labrhel.records.replay_rig import ReplayRig
from labrhel.rig.calibration import set_of
from labrhel.session.run import planned_steps
from labrhel.session.training import training
from labrhel.shots.operations import Checkpoint, Operation, Publish
from labrhel.shots.rig import Rig
from labrhel.store import RunReader


@dataclass(frozen=True, slots=True)
class Replayed:
    """Losses (steps,) and final parameters by name; `same`: whether the record's are equal to the bit.

    `largest`: the largest difference of a final parameter; `missing` shots of `answered` came from another rig;
    `seconds` it took, and `recorded` seconds the run took.
    """

    losses: Array
    parameters: dict[str, float]
    same: bool
    largest: float
    answered: int
    missing: int
    seconds: float
    recorded: float


@dataclass(slots=True)
class _Notes:
    """What a run would have recorded of its steps."""

    losses: list[float] = field(default_factory=list)
    last: Checkpoint | None = None

    def saw(self, operation: Operation, answer: Any) -> None:
        if isinstance(operation, Checkpoint):
            self.last = operation
        elif isinstance(operation, Publish) and "loss" in operation.scalars:
            self.losses.append(operation.scalars["loss"])


def replay(
    folder: Path,
    mode: str = "strict",
    *,
    config: Path | None = None,
    steps: int | None = None,
    rig: str | None = None,
    watch: Callable[[Publish], None] = lambda published: None,
) -> Replayed:
    """Replay the run in `folder`, with its own configuration or another one; `rig` answers what a hybrid replay lacks.

    Raises RecordError where the record does not hold what is asked for, with the difference.
    """
    reader = RunReader(folder)
    manifest = reader.manifest
    if rig is not None and mode != "hybrid":
        raise ConfigurationError("another rig answers in mode hybrid only; add --mode hybrid")
    asked: dict[str, Any] = {
        "seed": manifest["seed"],
        "steps": planned_steps(folder, None) if steps is None else steps,
        "calibration": set_of(manifest.get("calibration", {})),
        "home": Path(manifest["home"]) if config is None else None,
        "code": manifest.get("code", {}) if config is None else None,
    }
    file = folder / "config.yaml" if config is None else config
    otherwise: Rig | None = None
    if mode == "hybrid":
        if rig is None:
            raise ConfigurationError("a hybrid replay needs a rig for what was not recorded: add --rig URL")
        otherwise = load_experiment(file, rig_url=rig, **asked).rig
    experiment = load_experiment(file, rig_url=f"replay:{folder.absolute()}?mode={mode}", **asked)
    assert isinstance(experiment.rig, ReplayRig)
    answering = experiment.rig if otherwise is None else ReplayRig(reader, mode, otherwise)
    return _run(experiment, answering, reader, watch)


def _run(experiment: Experiment, rig: ReplayRig, reader: RunReader, watch: Callable[[Publish], None]) -> Replayed:
    begin = time.perf_counter()
    seen = _Notes()
    handler = replace(experiment, rig=rig).executor()
    execute(training(experiment, None), Tap(handler, after=(seen.saw, published(watch))))
    seconds = time.perf_counter() - begin
    events = reader.events()
    checkpoint, last = reader.last_checkpoint(), seen.last
    assert last is not None
    found = _trained(last.state)
    then = {} if checkpoint is None else _trained(checkpoint.state)
    shared = [abs(found[name] - then[name]) for name in found if name in then]
    return Replayed(
        losses=np.array(seen.losses),
        parameters={name: float(value) for name, value in found.items()},
        same=bool(shared) and set(found) == set(then) and max(shared) == 0.0,
        largest=max(shared, default=np.inf),
        answered=rig.answered,
        missing=rig.missing,
        seconds=seconds,
        recorded=events[-1][1] - events[0][1],
    )


def _trained(state: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a checkpoint by name."""
    return dict(zip(state["parameter_names"], np.asarray(state["parameters"], float), strict=True))
