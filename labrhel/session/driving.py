"""A run from its last checkpoint to its end: on every way out the rig is safe, and the record says how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from labrhel.errors import ConditionError, ConfigurationError
from labrhel.executor import Tap, between_steps, execute, published
from labrhel.executor.tap import After
from labrhel.experiment import Experiment, Fleet, InModelUnits
from labrhel.safety import estop, processes
from labrhel.safety.control import Control
from labrhel.safety.ending import Ending
from labrhel.safety.lifecycle import Event, Lifecycle
from labrhel.session.health import Health
from labrhel.session.outcome import Outcome, outcome_of
from labrhel.session.training import Concluded, training
from labrhel.session.waiting import wait_out
from labrhel.shots.operations import Publish
from labrhel.store import RunReader, RunWriter, consolidate
from labrhel.telemetry import Run, Settings, Telemetry

Watch = Callable[[Publish], None]


def require_same_data(folder: Path, manifest: Mapping[str, Any], experiment: Experiment) -> None:
    """Raise ConfigurationError unless the recording is the one that the run in `folder` began with."""
    if manifest.get("recording") not in (None, experiment.recording):
        raise ConfigurationError(f"the data are not those that {folder} began with; bring them back, or start anew")


def observed(
    about: Experiment | Fleet,
    name: str,
    writer: RunWriter,
    settings: Settings | None,
    drive: Callable[[Control, Sequence[After]], Outcome],
) -> Outcome:
    """Drive a run, and publish it if there are settings; without them it costs nothing."""
    units = about.document.config.model.units
    run = Run(writer.folder.name, name, about.steps, units.position, units.time)
    control = Control()
    control.life.on(Event.ARM)
    with nullcontext() if settings is None else Telemetry(settings, run, control, writer.step) as observer:
        return drive(control, [] if observer is None else [observer.saw])


def drive(
    experiment: Experiment, writer: RunWriter, watch: Watch, control: Control, observers: Sequence[After]
) -> Outcome:
    """From the last checkpoint to the end, on one rig."""
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
        alive(control.life, rig.make_safe),
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
def alive(life: Lifecycle, make_safe: Callable[[], None]) -> Iterator[None]:
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
