"""An experiment: everything that a run needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from labrhel.arrays import Array
from labrhel.config import Document
from labrhel.executor import Handler, Recording, RigBackend, Safety, Stack, stack
from labrhel.experiment._interlocks import guards_of_loss, interlocks_of
from labrhel.frozen import FrozenArray, digest_of
from labrhel.learning.needs import out_of_reach
from labrhel.learning.optimizers import OPTIMIZERS, Optimizer
from labrhel.learning.task import Task, TrialSequence
from labrhel.learning.train import Problem
from labrhel.notebook import line, listed, table
from labrhel.rig.calibration import CalibrationSet, plain_of
from labrhel.rig.wiring import Wiring
from labrhel.shots.compile import IDEAL_CALIBRATION
from labrhel.shots.rig import Rig
from labrhel.shots.serialise import plain_declared
from labrhel.store.policy import Policy
from labrhel.store.provenance import provenance

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, repr=False)
class Experiment:
    """Everything a run needs.

    `home` is the folder that relative paths start from, `rig_url` the rig that was opened, `steps` the gradients to
    take, `tests` the test sets by name.  `bare` is a calibrated experiment without its calibration.
    """

    name: str
    home: Path
    document: Document
    rig_url: str
    rig: Rig
    problem: Problem
    tests: Mapping[str, tuple[TrialSequence, ...]]
    steps: int
    policy: Policy
    wiring: Wiring
    calibration: CalibrationSet = IDEAL_CALIBRATION
    bare: Experiment | None = None

    @property
    def config_text(self) -> str:
        """The configuration as it was written."""
        return self.document.source.text

    @property
    def model_kind(self) -> str:
        """The registered kind of the nominal model."""
        return self.document.config.model.kind

    @property
    def task(self) -> Task:
        """The task of the problem."""
        return self.problem.task

    @property
    def target_unit(self) -> str:
        """Unit of targets and read-outs."""
        return self.document.config.model.units.position

    @property
    def output_names(self) -> list[str]:
        """What the outputs of the read-out are called: as the arrays of the recording, or the channels they show."""
        data, count = self.document.config.data, len(self.problem.train[0].target)
        named = [] if data is None or data.target is None else list(data.target)
        for names in (named, list(self.task.channels)):
            if len(names) == count:
                return names
        return [f"y{index + 1}" for index in range(count)]

    @property
    def recording(self) -> str | None:
        """Digest of the data of a recording; None for a teacher's, whose last bits depend on the processor."""
        data = self.document.config.data
        if data is None or data.file is None:
            return None
        return digest_of([_content(item) for item in (*self.problem.train, *chain(*self.tests.values()))])

    @property
    def host_side(self) -> tuple[str, ...]:
        """What is trained in the host's model alone, since nothing sets it on the rig: the file allows it by name."""
        return out_of_reach(self.task.capabilities, self.problem.wanted)

    def executor(self, recording: Recording | None = None, *, of_several: bool = False) -> Stack:
        """The executor of the rig with all that protects it, and the recorder where there is a record.

        Links that fail are tried three times; the watchdog watches inside a `with` block.  `of_several`: the rig is one
        of several in a training, whose loss is looked at over all (`over_all`).
        """
        conditions, guards = interlocks_of(self.document, self.rig, self.wiring)
        guards = guards if of_several else (*guards, *guards_of_loss(self.document))
        patience = self.document.config.interlocks.patience
        safety = Safety(self.rig.make_safe, conditions, guards, patience)
        return self._around(RigBackend(self.rig), safety=safety, recording=recording, attempts=_ATTEMPTS)

    def over_all(self, recording: Recording, make_safe: Callable[[], None]) -> Stack:
        """What stands over the executors of several rigs, and never meets a shot: the record of the training, its loss.

        `make_safe` makes all rigs safe.
        """
        safety = Safety(make_safe, guards=guards_of_loss(self.document))
        return self._around(RigBackend(self.rig), safety=safety, recording=recording)

    def on_paper(self, backend: Handler) -> Stack:
        """The same for a backend that moves nothing: compile and limits."""
        return self._around(backend)

    def _around(self, backend: Handler, **more: Any) -> Stack:
        return stack(backend, self.rig.capabilities, self.wiring, calibration=self.calibration, **more)

    def theta(self, x: Array) -> dict[str, Array]:
        """All parameters, at the trained coordinates x."""
        return self.problem.theta(x)

    def make_optimizer(self) -> Optimizer:
        """A fresh optimizer at the starting values."""
        section, parameters = self.document.config.optimizer, self.problem.parameters
        with self.document.at("optimizer"):
            return OPTIMIZERS[section.kind](parameters.flat(), parameters.bounds(), **section.options())

    def manifest(self) -> dict[str, Any]:
        """What the record says of the run, as plain data; what `load_experiment` needs to make it again included."""
        return self.facts() | {"provenance": provenance(self.home, {"training": self.problem.seed})}

    def facts(self) -> dict[str, Any]:
        """The same without where the code comes from."""
        units = {parameter.name: parameter.unit for parameter in self.problem.parameters.parameters}
        return {
            "name": self.name,
            "home": str(self.home.absolute()),
            "rig": self.rig_url,
            "rig_capabilities": self.rig.capabilities.digest,
            "capabilities": plain_declared(self.rig.capabilities),
            "wiring": plain_declared(self.rig.wiring),
            "recording": self.recording,
            "seed": self.problem.seed,
            "steps": self.steps,
            "units": units,
            "target_unit": self.target_unit,
            "time_unit": self.document.config.model.units.time,
            "configuration_digest": digest_of(self.config_text),
            "calibration": plain_of(self.calibration),
            "configuration": self.document.config.model_dump(mode="json"),
            "code": dict(self.document.code.digests),
        }

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self._told())
        return line(f"<Experiment {self.name}: {told}>")

    def _repr_html_(self) -> str:
        return table(f"experiment {self.name}", self._told())

    def _told(self) -> list[tuple[str, object]]:
        """What it is, in words, row by row."""
        problem, config = self.problem, self.document.config
        tests = listed(f"{name} ({len(sequences)})" for name, sequences in self.tests.items())
        rows: list[tuple[str, object]] = [
            ("rig", self.rig_url),
            ("model", f"{self.model_kind} of {problem.task.model.size}"),
            ("rule", config.protocol.rule),
            ("trains", f"{len(problem.parameters)} values of {listed(problem.wanted)}"),
            ("sequences", f"{len(problem.train)}, {problem.batch} a step"),
            ("tests", tests or "none"),
            ("optimizer", f"{config.optimizer.kind}, {self.steps} steps, seed {problem.seed}"),
            ("record", str(self.policy)),
        ]
        if self.calibration.values:
            rows.append(("calibration", f"{self.calibration.digest[:8]}, {len(self.calibration.values)} values"))
        return rows


def _content(sequence: TrialSequence) -> tuple[Any, ...]:
    known = sequence.name, sequence.inputs, FrozenArray(sequence.target), FrozenArray(sequence.weight)
    return known if sequence.start is None else (*known, FrozenArray(sequence.start))  # others keep their digest
