"""A calibration of one rig, from the plan to the proposals in its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.finding import REFUSED, Finding
from calibration.graph import CALIBRATED, ROUTINES, Routine, chosen
from calibration.path_model import Record
from calibration.routines.paths import TELLS_ALL, reference_words
from calibration.subject import Bench
from calibration.unknowns import Reference
from labrhel.arrays import Array
from labrhel.errors import ConfigurationError
from labrhel.executor import Tap, execute
from labrhel.experiment import Experiment, calibrated
from labrhel.model.rotating import is_rotating
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.shots.operations import Configure, Operation, Protocol, RunShots
from labrhel.store.calibrations import CalibrationRecord, Entry


@dataclass(frozen=True, slots=True)
class Planned:
    """A routine that will run: shots and seconds of rig time that it takes."""

    routine: Routine
    shots: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """A routine that has run: what it found, and the entry of the record, if it proposed anything."""

    routine: Routine
    finding: Finding
    entry: Entry | None
    shots: int
    seconds: float
    doubt: str = ""  # why its values are proposed, and may not be accepted by a rule


def held_back(done: Sequence[Done]) -> dict[str, str]:
    """By routine, why its values wait for a person: its own doubt, or that of one that judges what it stands on."""
    held = {item.routine.name: item.doubt for item in done if item.doubt}
    if "reciprocity" in held:  # the paths were fitted by a model that is reciprocal
        words = "it was fitted by a reciprocal model, and the rig is not"
        for item in done:
            if item.routine.name == "paths" or "paths" in item.routine.needs:
                held.setdefault(item.routine.name, words)
    return held


class _Meter:
    """Counts shots and rig time."""

    def __init__(self, experiment: Experiment) -> None:
        self._rig = experiment.rig.capabilities
        self.shots, self.seconds = 0, 0.0

    def saw(self, operation: Operation, answer: object) -> None:
        if isinstance(operation, RunShots):
            for program in operation.programs:
                steps = sum(item.steps for item in program.passes)
                self.shots += program.repeats
                self.seconds += program.repeats * (steps * program.dt * self._rig.time_unit + self._rig.pause)


class Campaign:
    """Calibrates the rig of an experiment into `record`; the experiment itself must not be calibrated yet.

    It does so at the starting parameters, or `at` others: gains and springs are told apart by masses that are taken as
    declared, so what is found belongs to the neighbourhood of where it was measured.
    """

    def __init__(
        self,
        experiment: Experiment,
        record: CalibrationRecord,
        reference: Reference = Reference.MASSES,
        at: Array | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.experiment, self.record, self._clock = experiment, record, clock
        problem = experiment.problem
        if is_rotating(problem.task.model):
            raise ConfigurationError(
                "labrhel calibrate knows oscillators, and this rig has amplitudes in the rotating frame: give gains "
                "and delays of its terminals by map:, let lock: 6 learn the drive of echoes, and ask labrhel audit"
            )
        self._x = problem.parameters.flat() if at is None else at
        theta = problem.theta(self._x)
        bench = Bench.of(problem.task, theta, problem.train, problem.rule, problem.wanted)
        self.bench = replace(bench, reference=reference.for_model(bench.task.model))
        self.in_force = record.current()
        self._mine: set[str] = set()  # ids of what this campaign has proposed
        self._take_up(self.in_force)

    def plan(self, names: Sequence[str]) -> list[Planned]:
        """What will run, with what is out of date or was never measured first."""
        now = self._clock()
        fresh = {
            value.node
            for value in self.in_force.values.values()
            if value.valid_until is None or value.valid_until > now
        }
        return self._planned(chosen(names, fresh))

    def plan_of(self, names: Collection[str]) -> list[Planned]:
        """Just these routines, however fresh they and what they stand on are."""
        return self._planned([routine for routine in ROUTINES if routine.name in names])

    def _planned(self, routines: Sequence[Routine]) -> list[Planned]:
        unit, rest = self.bench.rig.time_unit, self.bench.rig.pause
        each = 1.5 * self.bench.steps * self.bench.step * unit + rest
        counts = [(routine, routine.shots(self.bench)) for routine in routines]
        return [Planned(routine, shots, shots * each) for routine, shots in counts]

    def run(self, plans: Sequence[Planned]) -> Iterator[Done]:
        """Each routine in turn; one that fails, or has nothing to stand on, says so, and the others go on.

        Raises TransportError and InterlockError: what was proposed until then stands.
        """
        failed: set[str] = set()
        doubted: dict[str, str] = {}
        for plan in plans:
            routine = plan.routine
            missing = [name for name in routine.needs if name in failed]
            if missing:
                failed.add(routine.name)
                yield Done(routine, Finding(failed=f"{missing[0]} gave no answer to stand on"), None, 0, 0.0)
                continue
            experiment, bench = self.experiment, self.bench
            if routine.name in CALIBRATED:
                experiment = calibrated(experiment, self._so_far())
                problem = experiment.problem
                theta = problem.theta(self._x)
                bench = replace(bench, theta=theta, rule=problem.rule, task=problem.task)
                if len(bench.channels) < len(self.bench.rig.position_matrix.values):
                    failed.add(routine.name)
                    yield Done(routine, Finding(failed="it needs all channels, and some dropped out"), None, 0, 0.0)
                    continue
            meter = _Meter(experiment)
            handler = Tap(experiment.executor(), after=(meter.saw,))
            try:
                handler.do(Configure(bench.task.rig_parameters(bench.theta)))
                finding = execute(routine.measure(bench), handler)
            except REFUSED as error:
                finding = Finding(failed=str(error))
            if finding.failed:
                failed.add(routine.name)
            self.bench = replace(self.bench.without(list(finding.bad)), noise={**self.bench.noise, **finding.noise})
            self.bench = self.bench.knowing(
                {name: _internal(name, item.value, self.bench) for name, item in finding.values.items()},
                {name: _internal(name, item.error, self.bench) for name, item in finding.values.items()},
            )
            entry = self._proposed(routine, finding)
            shaky = [name for name in routine.needs if name in doubted]
            doubt = finding.doubt or (f"it stands on {shaky[0]}, which is in doubt" if shaky else "")
            if doubt:
                doubted[routine.name] = doubt
            yield Done(routine, finding, entry, meter.shots, meter.seconds, doubt)

    def accept(self, done: Sequence[Done]) -> tuple[list[str], dict[str, str]]:
        """Put into force what no routine doubts: the names of those, and by name why the others are held back."""
        held = held_back(done)
        entries = [item.entry for item in done if item.entry is not None and item.routine.name not in held]
        if entries:
            self.record.accept(entries)
        return [entry.node for entry in entries], held

    def check(self) -> tuple[float, bool]:
        """One shot against the calibration in force: residual over noise, and whether that is in order.

        Raises ConfigurationError if nothing is in force.
        """
        if not any(value.node == "paths" for value in self.in_force.values.values()):
            raise ConfigurationError(f"{self.record.url} has no calibration to check; calibrate it first")
        bench = self.bench
        handler = self.experiment.executor()
        handler.do(Configure(bench.task.rig_parameters(bench.theta)))

        def fire() -> Protocol[list[Record]]:
            share = 0.35 / len(bench.ports) ** 0.5
            wave = {port: bench.amplitude(port, share) * bench.multisine(1 + i) for i, port in enumerate(bench.ports)}
            return (yield from bench.fire([wave]))

        (record,) = execute(fire(), handler)
        predicted, _ = bench.model.shows(record, bench.values, bench.channels, bench.steps)
        shown = np.stack([record.shown[name] for name in bench.channels])
        sigma = np.array([bench.noise[name] for name in bench.channels])[:, None]
        misfit = float(np.sqrt(np.mean(((shown - predicted) / sigma)[:, 1:] ** 2)))
        known = self.in_force.values.get("model.misfit")
        usual = 1.0 if known is None else known.value
        return misfit / usual, misfit <= TELLS_ALL * usual

    def _take_up(self, calibration: CalibrationSet) -> None:
        values = {name: _internal(name, item.value, self.bench) for name, item in calibration.values.items()}
        errors = {name: _internal(name, item.uncertainty, self.bench) for name, item in calibration.values.items()}
        noise = {
            name: max(self.bench.noise[name], values[f"{name}.noise"])
            for name in self.bench.channels
            if f"{name}.noise" in values
        }
        self.bench = replace(self.bench.knowing(values, errors), noise={**self.bench.noise, **noise})

    def _so_far(self) -> CalibrationSet:
        """What was measured in this campaign, over what was in force, as if it had been accepted."""
        values = dict(self.in_force.values)
        for entry in self.record.entries:
            if entry.id in self._mine:
                values = {name: value for name, value in values.items() if value.node != entry.node}
                values |= entry.values
        return CalibrationSet(values)

    def _proposed(self, routine: Routine, finding: Finding) -> Entry | None:
        if finding.failed or not finding.values:
            return None
        until = self._clock() + 3600 * routine.lifetime
        trusted = reference_words(self.bench) if routine.name == "paths" else ""
        values = {
            name: CalibratedValue(
                item.value,
                item.unit,
                item.error,
                routine.title,
                valid_until=until,
                node=routine.name,
                reference=trusted,
                correlations=item.correlations,
            )
            for name, item in finding.values.items()
        }
        words = [
            *finding.words,
            *(f"{name} {why}" for name, why in finding.bad.items()),
        ]
        entry = self.record.propose(routine.name, values, words, self.bench.rig.firmware)
        self._mine.add(entry.id)
        return entry


def _internal(name: str, value: float, bench: Bench) -> float:
    """Delays are kept in seconds, and used in model time."""
    return value / bench.rig.time_unit if name.endswith(".delay") else value


def campaign(
    experiment: Experiment, record: CalibrationRecord, reference: str = Reference.MASSES, at: Array | None = None
) -> Campaign:
    """A campaign that trusts the `reference` of that name, at the trained coordinates `at` (size,).

    Raises ConfigurationError for a reference that there is not.
    """
    known = [item.value for item in Reference]
    if reference not in known:
        raise ConfigurationError(f"the reference is {' or '.join(known)}, not {reference!r}")
    return Campaign(experiment, record, Reference(reference), at)
