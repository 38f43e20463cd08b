"""A run from start to end: check, record, train, test, make safe; and going on after it was stopped.

Nothing is written before everything has been checked, a dry run of the first gradient included.  On every way out
the rig is made safe and the record says how the run ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from labrhel.errors import ConditionError, ConfigurationError
from labrhel.executor import Tap, between_steps, execute, published
from labrhel.executor.tap import After
from labrhel.experiment import Experiment, InModelUnits, load_experiment
from labrhel.rig.calibration import set_of
from labrhel.safety import estop, processes
from labrhel.safety.control import Control
from labrhel.safety.ending import Ending
from labrhel.safety.lifecycle import Event, Lifecycle
from labrhel.session.foreign import rig_to_resume
from labrhel.session.health import Health
from labrhel.session.outcome import Outcome, outcome_of
from labrhel.session.training import Concluded, training
from labrhel.session.waiting import wait_out
from labrhel.shots.operations import Publish
from labrhel.shots.rig import OfInstruments
from labrhel.store import RunReader, RunWriter, consolidate, create_run, require_replayable
from labrhel.telemetry import Run, Settings, Telemetry, settings_of
from labrhel.timeline.cost import rehearse

Watch = Callable[[Publish], None]


def telemetry_of(experiment: Experiment, url: str | None, name: str | None = None) -> Settings | None:
    """Where a run will be published: by the `url`, or by its file; None for nowhere.  Raises ConfigurationError."""
    return settings_of(experiment.document, name or experiment.name, experiment.home, url, os.environ)


def start(
    experiment: Experiment, root: Path, watch: Watch, *, telemetry: str | None = None, identity: str | None = None
) -> Outcome:
    """Run an experiment into a new folder under `root`, named `identity`; `telemetry`: URL in place of the section."""
    try:
        settings = telemetry_of(experiment, telemetry)
        rehearse(experiment)
        manifest = experiment.manifest()
        if isinstance(experiment.rig, OfInstruments):
            manifest["instruments"] = experiment.rig.settings()
        writer = create_run(
            root, experiment.name, manifest, experiment.config_text, experiment.policy, identity=identity
        )
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


def resume(
    folder: Path,
    watch: Watch,
    *,
    steps: int | None = None,
    telemetry: str | None = None,
    rig: str | None = None,
) -> Outcome:
    """Go on with a run from its last checkpoint; the result is the same as if it had never stopped.

    `rig` takes the place of the record's; a run that was not made here needs it (`labrhel.session.foreign`).  Raises
    ConfigurationError if configuration or recording are not those that the run began with.
    """
    reader = RunReader(folder)
    manifest, config = reader.manifest, folder / "config.yaml"
    require_replayable(manifest)
    if reader.config_changed:
        raise ConfigurationError(f"{config} is not what the run began with; restore it, or start a new run with it")
    url = rig_to_resume(folder, manifest, rig)
    experiment = load_experiment(
        config,
        rig_url=url,
        seed=manifest["seed"],
        steps=planned_steps(folder, steps),
        home=Path(manifest["home"]),
        calibration=set_of(_calibration_of(reader)),
        code=manifest.get("code", {}),
    )
    try:
        if manifest.get("recording") not in (None, experiment.recording):
            raise ConfigurationError(f"the data are not those that {folder} began with; bring them back, or start anew")
        settings = telemetry_of(experiment, telemetry, manifest["name"])
        rehearse(experiment)
        writer = RunWriter.open_for_resume(folder, "" if url == manifest["rig"] else f"on {url}")
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
        return _drive(experiment, writer, watch, control, [] if observer is None else [observer.saw])


def _drive(
    experiment: Experiment, writer: RunWriter, watch: Watch, control: Control, observers: Sequence[After]
) -> Outcome:
    """From the last checkpoint to the end; on every way out the rig is safe and the record closed."""
    rig = experiment.rig
    with (
        writer,
        Ending(rig.close),
        processes.listening(
            experiment.rig_url,
            estop.emergency(rig),
            run=writer.folder.name,
            answer=lambda request: control.ask(request)[1],
        ),
        _alive(control.life, rig.make_safe),
    ):
        _train(experiment, writer, watch, control, observers)
    consolidate(writer.folder)
    return outcome_of(writer.folder, experiment.target_unit)


def _train(
    experiment: Experiment,
    writer: RunWriter,
    watch: Watch,
    control: Control,
    observers: Sequence[After],
) -> None:
    """In stretches, between which the rig is calibrated again if its health asks for it, or waits for a reading."""
    health = Health(experiment.document.config.health)
    while True:
        checkpoint = RunReader(writer.folder).last_checkpoint()
        try:
            with experiment.executor(writer) as executor:
                handler = Tap(
                    executor,
                    before=(between_steps(lambda: control.hold(writer.held)),),
                    after=(published(watch), *observers),
                )
                x = execute(training(experiment, checkpoint, health.doubts), handler)
        except ConditionError as error:
            section = experiment.document.config.interlocks.readings.get(error.name)
            if section is None or section.resume_when is None:
                raise
            wait_out(error, section, InModelUnits(experiment.rig, experiment.wiring), writer, control)
            continue
        if isinstance(x, Concluded):
            writer.conclude("stalled" if x.stalled else "done", x.words)
            return
        experiment, words = health.attended(experiment, x)
        handler.do(Publish(writer.step - 1, {"recalibrations": float(health.recalibrations)}, (words,)))


@contextmanager
def _alive(life: Lifecycle, make_safe: Callable[[], None]) -> Iterator[None]:
    """Started inside the block; after it the rig is safe, and the state says how it ended."""
    end = Event.FAIL
    life.on(Event.START)
    try:
        with Ending(make_safe, again=False):
            try:
                yield
            except KeyboardInterrupt:
                life.on(Event.ABORT)
                raise
        end = Event.FINISH
    except KeyboardInterrupt:
        end = Event.SAFE
        raise
    finally:
        if estop.latched() and end is not Event.FINISH:
            end = Event.ESTOP
        life.on(end)
