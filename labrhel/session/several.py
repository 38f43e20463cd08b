"""A run on several rigs: one learner, and for every rig what a run on it alone has (`labrhel.session.crew`).

    RUN/          the record of the training: scalars, parameters, checkpoints, which rig was lost
    RUN/rigs/1/   the record of the first rig, with its shots, settings and its own health; RUN/rigs/2/ ...

`labrhel export RUN/rigs/1 FILE.nc` makes the one file of a rig's record that the run has of its own.
A step counts when it is in the record of the run; those of the rigs follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from labrhel.arrays import Array
from labrhel.errors import ConditionError, LabrhelError, NotSafeError
from labrhel.executor import Stack, Tap, between_steps, execute, published
from labrhel.executor.tap import After
from labrhel.experiment import Fleet, InModelUnits, load_rigs
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.task import TrialSequence
from labrhel.learning.train import Problem
from labrhel.rig.calibration import CalibrationSet, set_of
from labrhel.safety import estop, processes
from labrhel.safety.control import Control
from labrhel.safety.ending import Ending
from labrhel.session.crew import Crew, LeadLostError
from labrhel.session.driving import Watch, alive, require_same_data
from labrhel.session.health import Health
from labrhel.session.member import Member
from labrhel.session.outcome import Outcome, outcome_of
from labrhel.session.training import Concluded, training
from labrhel.session.waiting import wait_out
from labrhel.shots import operations
from labrhel.shots.operations import Checkpoint, Operation, Publish
from labrhel.shots.rig import OfInstruments
from labrhel.store import RunReader, RunWriter, consolidate, create_run
from labrhel.store.manifest import FLEET, read_manifest


@contextmanager
def closing_unless_begun(fleet: Fleet) -> Iterator[None]:
    """Gives all rigs back if the block fails."""
    try:
        yield
    except BaseException:
        fleet.close()
        raise


def begin(fleet: Fleet, root: Path, identity: str | None) -> tuple[Crew, RunWriter]:
    """A new folder under `root` with the records of the run and of each rig."""
    about = fleet.lead
    run = create_run(root, fleet.name, fleet.manifest(), about.config_text, about.policy, identity=identity)
    try:
        members = []
        for number, member in enumerate(fleet.members):
            manifest = fleet.manifest_of(number, run.folder.name)
            if isinstance(member.rig, OfInstruments):
                manifest["instruments"] = member.rig.settings()
            writer = create_run(
                run.folder / FLEET, fleet.name, manifest, member.config_text, member.policy, identity=str(number + 1)
            )
            members.append(Member(number + 1, member, writer, Health(member.document.config.health)))
        return _crew(fleet, members, run), run
    except BaseException:
        run.close()
        raise


def reopened(reader: RunReader, steps: int) -> tuple[Fleet, dict[int, str]]:
    """The rigs of a run that was stopped, and why those that could not be reached were not, by number from 0.

    Raises the error of the first if none can be reached.
    """
    manifest, folder = reader.manifest, reader.folder
    errors: dict[int, LabrhelError] = {}

    def spared(number: int, url: str, error: LabrhelError) -> bool:
        errors[number] = error
        return len(errors) < len(manifest[FLEET])

    found = load_rigs(
        folder / "config.yaml",
        seed=manifest["seed"],
        steps=steps,
        home=Path(manifest["home"]),
        calibration=_calibrations(reader),
        code=manifest.get("code", {}),
        spared=spared,
    )
    fleet = Fleet(tuple(filter(None, found)))
    with closing_unless_begun(fleet):
        require_same_data(folder, manifest, fleet.lead)
    return fleet, {number: str(error) for number, error in errors.items()}


def _calibrations(reader: RunReader) -> list[CalibrationSet]:
    """Those of the last checkpoint, or the ones that the run began with."""
    checkpoint = reader.last_checkpoint()
    if checkpoint is not None:
        known = checkpoint.state["rigs"]
        return [set_of(known[place.name]["calibration"]) for place in reader.parts]
    return [set_of(read_manifest(place).get("calibration", {})) for place in reader.parts]


def take_up(fleet: Fleet, folder: Path, missing: Mapping[int, str]) -> tuple[Crew, RunWriter]:
    """The records of a run that was stopped, open again; rigs that were lost are used again if they are reached."""
    run = RunWriter.open_for_resume(folder)
    open_writers = [run]
    try:
        members, found = [], iter(fleet.members)
        for number, place in enumerate(RunReader(folder).parts):
            if number in missing:
                continue
            writer = RunWriter.open_for_resume(place)
            open_writers.append(writer)
            member = next(found)
            members.append(Member(number + 1, member, writer, Health(member.document.config.health)))
        for number, words in missing.items():
            run.lost(f"rig {number + 1} could not be reached, and its share goes to the others: {words}")
        return _crew(fleet, members, run), run
    except BaseException:
        for writer in open_writers:
            writer.close()
        raise


def _crew(fleet: Fleet, members: Sequence[Member], run: RunWriter) -> Crew:
    return Crew(members, run, even=fleet.document.config.optimizer.kind == "lbfgs")


def drive(crew: Crew, run: RunWriter, watch: Watch, control: Control, observers: Sequence[After]) -> Outcome:
    """From the last checkpoint to the end; on every way out all rigs are safe and all records closed."""
    words = ""
    try:
        with run:
            with ExitStack() as around:
                for member in crew.alive:
                    around.push(_closing_record(member))
                    around.enter_context(Ending(_unless_lost(member, member.experiment.rig.close)))
                for member in crew.alive:
                    first = member is crew.lead
                    around.enter_context(
                        processes.listening(
                            member.experiment.rig_url,
                            _unless_lost(member, estop.emergency(member.experiment.rig)),
                            run=run.folder.name if first else "",
                            answer=(lambda request: control.ask(request)[1]) if first else processes.nothing_else,
                        )
                    )
                around.enter_context(alive(control.life, crew.make_safe))
                words = _train(crew, run, watch, control, observers)
            _say_what_is_on(crew, f"the training itself is whole: {words} (run {run.folder})")
    except NotSafeError:
        if words:  # the training is whole, and its file too; but what may still be on comes before what that file lacks
            with suppress(LabrhelError, OSError):
                consolidate(run.folder)
        raise
    consolidate(run.folder)
    return outcome_of(run.folder, crew.members[0].experiment.target_unit)


def _say_what_is_on(crew: Crew, words: str) -> None:
    """Raise NotSafeError for the outputs of rigs that were lost, and that nobody has seen safe since."""
    unsafe = {member: error for member in crew.members if (error := member.still_on) is not None}
    if unsafe:
        outputs = {
            f"rig {member.number} {name}": volts
            for member, error in unsafe.items()
            for name, volts in error.outputs.items()
        }
        why = "; ".join(f"{member.name}: {error.why}" for member, error in unsafe.items())
        raise NotSafeError(outputs, f"{why}; {words}")


def _unless_lost(member: Member, act: Callable[[], None]) -> Callable[[], None]:
    """A rig that was lost was given back: its station is the guardian's business."""
    return lambda: None if member.lost else act()


def _closing_record(member: Member) -> Callable[..., bool]:
    def close(*how: Any) -> bool:
        if not member.lost:
            member.writer.__exit__(*how)
        return False

    return close


def _train(crew: Crew, run: RunWriter, watch: Watch, control: Control, observers: Sequence[After]) -> str:
    """In stretches, between which rigs are calibrated, waited for, or left out; how it ended, in words."""
    while True:
        checkpoint = RunReader(run.folder).last_checkpoint()
        if checkpoint is not None:
            crew.take_up(checkpoint.state)
        lead = crew.lead.experiment
        experiment = replace(lead, problem=_shared(lead.problem, crew.gradient))
        over_all = experiment.over_all(run, crew.make_safe)
        try:
            with crew.watched():
                handler = Tap(
                    _Parting(over_all, crew),
                    before=(between_steps(lambda: control.hold(run.held)),),
                    after=(published(watch), *observers),
                )
                x = execute(training(experiment, checkpoint, crew.doubts, crew.state), handler)
        except LeadLostError:
            continue
        except ConditionError as error:
            waits = crew.waits_for
            section = lead.document.config.interlocks.readings.get(error.name)
            if waits is None or section is None:
                raise
            crew.waits_for = None
            readings = InModelUnits(waits.experiment.rig, waits.experiment.wiring)
            wait_out(error, section, readings, run, control)
            for member in crew.alive:  # their part of that step is done again, too
                member.writer.taken_up(f"{error.name} of {waits.name} is back")
            continue
        if isinstance(x, Concluded):
            words = "; ".join([x.words, *crew.lost])
            for writer in (run, *(member.writer for member in crew.alive)):
                writer.conclude("stalled" if x.stalled else "done", words)
            return x.words
        done = crew.attend(x)
        handler.do(Publish(run.step - 1, {"recalibrations": float(crew.recalibrations)}, done))


@dataclass(frozen=True, slots=True)
class _Parting:
    """Tests go to the lead, scalars and checkpoints to the record of the run."""

    over_all: Stack
    crew: Crew

    def do(self, operation: Operation) -> Any:
        if not isinstance(operation, Publish | Checkpoint):
            return self.crew.attempt(operation)
        answer = self.over_all.do(operation)
        if isinstance(operation, Checkpoint):
            self.crew.checkpointed(operation)
        return answer


@dataclass(frozen=True, slots=True)
class _Shared(Problem):
    """A problem whose gradient several rigs measure together; each has its own way, and its own nudge, for its part."""

    together: Callable[[Array, Sequence[TrialSequence]], Gradient]

    def gradient(
        self, x: Array, sequences: Sequence[TrialSequence], previous: NudgeRecord | None = None
    ) -> operations.Protocol[Gradient]:
        """Asks for no operation: every rig has its own executor."""
        yield from ()
        return self.together(x, sequences)


def _shared(problem: Problem, together: Callable[[Array, Sequence[TrialSequence]], Gradient]) -> _Shared:
    return _Shared(**{item.name: getattr(problem, item.name) for item in fields(problem)}, together=together)
