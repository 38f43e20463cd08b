"""A run from start to end: check, record, train, test, make safe; and going on after it was stopped.

Nothing is written before everything has been checked, a dry run of the first gradient included.  On every way out
the rig is made safe and the record says how the run ended.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labrhel import estop, operations, programs
from labrhel.arrays import Array
from labrhel.calibration_set import set_of
from labrhel.control import Control
from labrhel.errors import ConfigurationError
from labrhel.executor import (
    Compiling,
    DryBackend,
    Handler,
    Limiting,
    Observer,
    Observing,
    RigBackend,
    Watchdog,
    execute,
)
from labrhel.executor.dry import Cost
from labrhel.experiment import Experiment, handler_for, load_experiment
from labrhel.frozen import digest_of
from labrhel.gradient import Gradient
from labrhel.health import Health
from labrhel.learning.train import batch_at, checkpoint_state, free_run, rms_error, take_up, train
from labrhel.lifecycle import Event, Lifecycle
from labrhel.operations import Checkpoint, Operation, Publish
from labrhel.runstore import RunReader, RunWriter, consolidate, create_run
from labrhel.telemetry import Run, Settings, Telemetry, settings_of
from labrhel.units import with_prefix

Watch = Callable[[Publish], None]

_NUMBER = re.compile(r"\d+(\.\d+)?(e[-+]?\d+)?")
_TEST = "test_"  # scalars whose names begin so are errors on a test set


@dataclass(frozen=True, slots=True)
class Metric:
    """rms error on a test set [unit], before and after training."""

    name: str
    before: float
    after: float
    unit: str

    def __str__(self) -> str:
        before, after = with_prefix(self.before, self.unit), with_prefix(self.after, self.unit)
        return f"{self.name} error {after} rms (before {before})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run has to say; `losses` (gradients,), `warnings` once each, with how often they came."""

    folder: Path
    losses: Array
    metrics: tuple[Metric, ...]
    warnings: tuple[str, ...]


def outcome_of(folder: Path, unit: str) -> Outcome:
    """Read the outcome of a run from its record."""
    reader = RunReader(folder)
    scalars = reader.scalars()
    losses = scalars.pop("loss", np.array([]))
    metrics = []
    for name, values in scalars.items():
        if name.startswith(_TEST):
            known = values[np.isfinite(values)]
            metrics.append(Metric(name.removeprefix(_TEST), float(known[0]), float(known[-1]), unit))
    warnings = said_once(reader.words())
    reader.close()
    return Outcome(folder, losses[np.isfinite(losses)], tuple(metrics), warnings)


def said_once(words: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """Warnings (step, text) that differ in their numbers alone as one, which says how often and when it came first."""
    alike: dict[str, list[tuple[int, str]]] = {}
    for step, text in words:
        alike.setdefault(_NUMBER.sub("#", text), []).append((step, text))
    return tuple(
        text if len(same) == 1 else f"{text} (at gradient {step}, and {len(same) - 1} times more)"
        for same in alike.values()
        for step, text in same[:1]
    )


class _Watched:
    """Tells an onlooker of every `Publish` after it has been carried out."""

    def __init__(self, inner: Handler, watch: Watch) -> None:
        self._inner, self._watch = inner, watch

    def do(self, operation: Operation) -> object:
        answer = self._inner.do(operation)
        if isinstance(operation, Publish):
            self._watch(operation)
        return answer


def rehearse(experiment: Experiment) -> Cost:
    """Compile and limit-check one gradient and the tests without moving anything; what they would cost."""
    capabilities = experiment.rig.capabilities
    backend = DryBackend(capabilities)
    handler = Compiling(
        Limiting(backend, capabilities),
        capabilities,
        experiment.port_map,
        experiment.parameter_map,
        experiment.calibration,
    )
    problem = experiment.problem
    x = problem.parameters.flat()
    sequences = [problem.train[index] for index in batch_at(len(problem.train), problem.batch, problem.seed, 0)]
    execute(problem.rule.gradient(problem.task, sequences, problem.theta(x), problem.wanted), handler)
    return backend.cost


def telemetry_of(experiment: Experiment, url: str | None, name: str | None = None) -> Settings | None:
    """Where a run will be published: by the `url`, or by its file; None for nowhere.  Raises ConfigurationError."""
    return settings_of(experiment.document, name or experiment.name, experiment.home, url, os.environ)


def start(experiment: Experiment, root: Path, watch: Watch, *, telemetry: str | None = None) -> Outcome:
    """Run an experiment into a new folder under `root`; `telemetry` is a URL that replaces the file's section."""
    try:
        settings = telemetry_of(experiment, telemetry)
        rehearse(experiment)
        writer = create_run(root, experiment.name, experiment.manifest(), experiment.config_text, experiment.policy)
    except BaseException:
        experiment.rig.close()
        raise
    return _published(experiment, experiment.name, writer, watch, settings)


def planned_steps(folder: Path, steps: int | None) -> int:
    """Steps a resumed run will have taken in all when it ends: `steps`, or what it was last asked for.

    Raises ConfigurationError for fewer than it has taken.
    """
    reader = RunReader(folder)
    checkpoint = reader.last_checkpoint()
    reader.close()
    taken, last = (0, None) if checkpoint is None else (checkpoint.step, checkpoint.state.get("planned_steps"))
    if steps is None:
        return int(reader.manifest["steps"] if last is None else last)
    if 0 <= steps < taken:
        raise ConfigurationError(f"the run has taken {taken} steps; it cannot go on to {steps}")
    return steps


def resume(folder: Path, watch: Watch, *, steps: int | None = None, telemetry: str | None = None) -> Outcome:
    """Go on with a run from its last checkpoint; the result is the same as if it had never stopped.

    Raises ConfigurationError if configuration or recording are not those that the run began with.
    """
    reader = RunReader(folder)
    manifest, config = reader.manifest, folder / "config.yaml"
    if manifest.get("configuration_digest") not in (None, digest_of(reader.config_text)):
        raise ConfigurationError(f"{config} is not what the run began with; restore it, or start a new run with it")
    experiment = load_experiment(
        config,
        rig_url=manifest["rig"],
        seed=manifest["seed"],
        steps=planned_steps(folder, steps),
        home=Path(manifest["home"]),
        calibration=set_of(_calibration_of(reader)),
    )
    try:
        if manifest.get("recording") not in (None, experiment.recording):
            raise ConfigurationError(f"the data are not those that {folder} began with; bring them back, or start anew")
        settings = telemetry_of(experiment, telemetry, manifest["name"])
        rehearse(experiment)
        writer = RunWriter.open_for_resume(folder)
    except BaseException:
        experiment.rig.close()
        raise
    return _published(experiment, manifest["name"], writer, watch, settings)


def _calibration_of(reader: RunReader) -> Mapping[str, Any]:
    """That of the last checkpoint, or the one that the run began with."""
    checkpoint = reader.last_checkpoint()
    found = None if checkpoint is None else checkpoint.state.get("calibration")
    return reader.manifest.get("calibration", {}) if found is None else found


def _published(
    experiment: Experiment, name: str, writer: RunWriter, watch: Watch, settings: Settings | None
) -> Outcome:
    """Drive the run, and publish it if there are settings; without them it costs nothing."""
    units = experiment.document.config.model.units
    run = Run(writer.folder.name, name, experiment.steps, units.position, units.time)
    control = Control()
    control.life.on(Event.ARM)
    with nullcontext() if settings is None else Telemetry(settings, run, control, writer.step) as observer:
        return _drive(experiment, writer, watch, control, [] if observer is None else [observer])


def _drive(
    experiment: Experiment, writer: RunWriter, watch: Watch, control: Control, observers: Sequence[Observer]
) -> Outcome:
    """From the last checkpoint to the end; on every way out the rig is safe and the record closed."""
    rig, capabilities = experiment.rig, experiment.rig.capabilities
    patience = experiment.document.config.interlocks.patience
    try:
        with (
            writer,
            programs.listening(
                experiment.rig_url,
                rig.make_safe,
                run=writer.folder.name,
                answer=lambda request: control.ask(request)[1],
            ),
            _alive(control.life, rig.make_safe),
            Watchdog(
                RigBackend(rig), rig.make_safe, capabilities.time_unit, capabilities.ring_down_time, patience
            ) as backend,
        ):
            _train(experiment, writer, backend, watch, control, observers)
    finally:
        rig.close()
    consolidate(writer.folder)
    return outcome_of(writer.folder, experiment.target_unit)


def _train(
    experiment: Experiment,
    writer: RunWriter,
    backend: Handler,
    watch: Watch,
    control: Control,
    observers: Sequence[Observer],
) -> None:
    """In stretches, between which the rig is calibrated again if its health asks for it."""
    health = Health(experiment.document.config.health)
    while True:
        handler = Observing(_Watched(handler_for(experiment, writer, backend), watch), observers, control.hold)
        checkpoint = RunReader(writer.folder).last_checkpoint()
        x = execute(training(experiment, checkpoint, health.doubts), handler)
        if x is None:
            return
        experiment, words = health.attended(experiment, x)
        handler.do(Publish(writer.step - 1, {"recalibrations": float(health.recalibrations)}, (words,)))


@contextmanager
def _alive(life: Lifecycle, make_safe: Callable[[], None]) -> Iterator[None]:
    """Started inside the block; after it the rig is safe, and the state says how it ended."""
    end = Event.FAIL
    life.on(Event.START)
    try:
        yield
        end = Event.FINISH
    except KeyboardInterrupt:
        life.on(Event.ABORT)
        end = Event.SAFE
        raise
    finally:
        if estop.latched() and end is not Event.FINISH:
            end = Event.ESTOP
        try:
            make_safe()
        except BaseException:
            life.on(Event.FAIL)
            raise
        life.on(end)


def training(
    experiment: Experiment, checkpoint: Checkpoint | None, doubts: Callable[[Gradient], bool] = lambda gradient: False
) -> operations.Protocol[Array | None]:
    """Test, train from the checkpoint on (None: the start), and test; the point (size,) to go on from after doubts."""
    problem, optimizer = experiment.problem, experiment.make_optimizer()
    names = problem.parameters.names
    begin, nudge = 0, None
    if checkpoint is not None:
        begin, nudge = checkpoint.step, take_up(optimizer, checkpoint.state, names)
    else:
        yield Publish(0, (yield from _tests(experiment, problem.parameters.flat()))[0])
    also = {"calibration": {name: asdict(value) for name, value in experiment.calibration.values.items()}}
    taken, nudge = yield from train(
        problem, optimizer, experiment.steps, start=begin, nudge=nudge, ends=doubts, also=also
    )
    if taken < experiment.steps and not optimizer.done:
        return optimizer.ask()
    best = optimizer.best()
    errors, results = yield from _tests(experiment, best)
    yield Publish(taken, errors)
    state = checkpoint_state(problem.parameters, optimizer, nudge, best)
    yield Checkpoint(taken, state | also | {"planned_steps": experiment.steps, "results": results})
    return None


def _tests(
    experiment: Experiment, x: Array
) -> operations.Protocol[tuple[dict[str, float], dict[str, dict[str, Array]]]]:
    """The rms error by metric, and read-out and target of the first sequence of each test set."""
    errors, results = {}, {}
    for name, sequences in experiment.tests.items():
        outputs = yield from free_run(experiment.task, sequences, experiment.theta(x))
        errors[_TEST + name] = rms_error(sequences, outputs)
        results[name] = {"output": outputs[0], "target": sequences[0].target, "weight": sequences[0].weight}
    return errors, results
