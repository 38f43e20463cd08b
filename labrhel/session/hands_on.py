"""An experiment in your hands: gradients, single steps, whole runs, and any protocol of your own.

Every call is as safe as a command: the rig stands within reach of `labrhel estop`, a watchdog looks for links that are
stuck, and at the end of the call, or of an error in it, every output is at its safe level.  Inside a `with` block the
rig keeps its levels between calls; the end of the block, or an error in it, makes it safe and gives it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from labrhel import experiment as assembled
from labrhel.arrays import Array
from labrhel.errors import ConfigurationError
from labrhel.executor import Stack, Tap, execute
from labrhel.executor.tap import After
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.task import TrialSequence
from labrhel.learning.train import take_up
from labrhel.notebook import line, table
from labrhel.rig.calibration import CalibrationSet
from labrhel.safety import estop, processes
from labrhel.safety.ending import Ending
from labrhel.session.health import Health
from labrhel.session.run import Watch, start
from labrhel.session.training import Concluded, training
from labrhel.shots.operations import Checkpoint, Operation, Protocol, Publish
from labrhel.store.opened import Run, open_run

R = TypeVar("R")


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """What happened in one step of the training.

    `number` counts from 0.  `gradient` was measured where the step began, and `parameters` are the trained values it
    led to, by name.  `scalars` are what a run would have recorded: the first and the last step hold the errors on the
    test sets, before and after training.
    """

    number: int
    gradient: Gradient
    parameters: Mapping[str, Array]
    scalars: Mapping[str, float]
    warnings: tuple[str, ...]

    @property
    def loss(self) -> float:
        """Of the forward passes, at the parameters where the step began."""
        return self.gradient.loss

    def __repr__(self) -> str:
        return line(f"<Step {self.number}: loss {self.loss:.6g}; {', '.join(map(_entry, self.parameters.items()))}>")

    def _repr_html_(self) -> str:
        return table(f"step {self.number}: loss {self.loss:.6g}", sorted(self.scalars.items()), ("scalar", "value"))


def _entry(item: tuple[str, Array]) -> str:
    name, value = item
    return f"{name} {np.array2string(value, precision=4, threshold=6, edgeitems=2)}"


@dataclass(slots=True)
class _State:
    """Where an experiment stands: the last checkpoint of its steps, and the `with` block it is in, if it is.

    `now` is the experiment on the rig as it is now: another one after its health has asked for a new calibration.
    """

    now: assembled.Experiment | None = None
    executor: Stack | None = None
    health: Health | None = None
    gradient: Gradient | None = None
    checkpoint: Checkpoint | None = None
    block: ExitStack | None = None
    ended: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Experiment(assembled.Experiment):
    """An experiment that was loaded, with its rig open: measure gradients, take steps, run it, run anything.

        with labrhel.load_experiment("coupled_oscillators") as experiment:
            gradient = experiment.gradient()
            for step in experiment: ...

    Its fields are those of `labrhel.experiment.Experiment`, and everything that takes one of those takes this one.
    """

    _state: _State = field(init=False, default_factory=_State)

    def gradient(
        self,
        x: ArrayLike | None = None,
        *,
        sequences: int | Iterable[int] | None = None,
        nudge: NudgeRecord | None = None,
    ) -> Gradient:
        """Measure the gradient of the loss, by the rule of the configuration.

        `x` (size,): trained coordinates; where the steps have come to if left out, which is the start before the
        first.  `sequences`: the first so many of the training sequences, or their indices; the whole training set if
        left out, whatever batch the steps take.  `nudge`: that of a gradient before, from which the rule goes on.
        Raises ConfigurationError for an x of another size and sequences that there are not.
        """
        problem = self._now.problem
        point = self.x if x is None else np.asarray(x, float)
        if point.shape != (len(problem.parameters),):
            wanted = f"({len(problem.parameters)},): {', '.join(problem.parameters.names[:3])} ..."
            raise ConfigurationError(f"x has shape {point.shape}; there are coordinates {wanted}")
        return self.execute(problem.gradient(point, self._chosen(sequences), nudge))

    def execute(self, protocol: Protocol[R]) -> R:
        """Run a protocol, a generator of operations, through the whole executor; what it returns."""
        with self._in_hand() as executor:
            return execute(protocol, executor)

    def step(self) -> Step:
        """Take one step of the training that `run` does whole, and go on from there the next time; nothing is recorded.

        The first step measures the errors on the test sets before it, the last one after it.  A step that fails is
        taken again by the next call.  Raises ConfigurationError when all steps have been taken.
        """
        if self.finished:
            raise ConfigurationError(f"all {self._taken} steps have been taken; load the experiment with more steps")
        state, notes = self._state, _Notes()
        with self._in_hand() as executor:
            handler = Tap(executor, after=(self._noting(notes),))
            x = execute(training(self._now, state.checkpoint, self._measured), handler)
            state.ended = isinstance(x, Concluded)
            assert state.gradient is not None
            if state.health is None:
                state.health = Health(self.document.config.health)
            if not isinstance(x, Concluded) and state.health.doubts(state.gradient):
                state.now, words = state.health.attended(self._now, x)
                state.executor = None
                notes.warnings.append(words)
        parameters = self._now.problem.parameters.values(self.x)
        return Step(self._taken - 1, state.gradient, parameters, notes.scalars, tuple(notes.warnings))

    def __iter__(self) -> Iterator[Step]:
        """Train step by step, to the end."""
        while not self.finished:
            yield self.step()

    def run(self, folder: str | Path = "runs", *, watch: Watch | None = None, telemetry: str | None = None) -> Run:
        """Train from the start to the end with a record below `folder`, as `labrhel run` does; the run, opened.

        `watch` is called with every `Publish`.  The rig is given back at the end: load the experiment again to go on.
        """
        self._refuse_if_closed()
        self._leave_block()
        self._state.closed = True  # whatever becomes of the run
        outcome = start(self, Path(folder), watch or (lambda published: None), telemetry=telemetry)
        return open_run(outcome.folder)

    @property
    def x(self) -> Array:
        """The trained coordinates (size,) that the next step begins at; the best ones after the last."""
        state, problem = self._state, self._now.problem
        if state.checkpoint is None:
            return problem.parameters.flat()
        optimizer = self.make_optimizer()
        take_up(optimizer, state.checkpoint.state, problem.parameters.names)
        return optimizer.best() if state.ended else optimizer.ask()

    @property
    def finished(self) -> bool:
        """Whether all steps have been taken, or the optimizer has converged."""
        return self._state.ended or self.steps == 0

    def close(self) -> None:
        """Make the rig safe and give it back."""
        if self._state.closed:
            return
        self._state.closed = True
        with Ending(self.rig.close), Ending(self._leave_block):
            self.rig.make_safe()

    def __enter__(self) -> Experiment:
        self._refuse_if_closed()
        if self._state.block is not None:
            raise ConfigurationError("this experiment is in a `with` block already; load it again for another")
        block = ExitStack()
        block.enter_context(processes.listening(self.rig_url, estop.emergency(self.rig)))
        self._state.block = block
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Ending(self.close).__exit__(kind, error, trace)

    # -- in hand

    @property
    def _now(self) -> assembled.Experiment:
        return self._state.now or self

    @property
    def _taken(self) -> int:
        return 0 if self._state.checkpoint is None else self._state.checkpoint.step

    @contextmanager
    def _in_hand(self) -> Iterator[Stack]:
        """The executor, watched; afterwards the rig is safe, unless all went well and a `with` block goes on."""
        self._refuse_if_closed()
        state = self._state
        if state.executor is None:  # one for all calls: guards compare with what they saw before
            state.executor = self._now.executor()
        with ExitStack() as around:
            if state.block is None:
                around.enter_context(processes.listening(self.rig_url, estop.emergency(self.rig)))
            around.enter_context(state.executor)
            good = False
            with Ending(lambda: None if good and state.block is not None else self.rig.make_safe()):
                yield state.executor
                good = True

    def _measured(self, gradient: Gradient) -> bool:
        """Ends the training after its first gradient."""
        self._state.gradient = gradient
        return True

    def _noting(self, notes: _Notes) -> After:
        def saw(operation: Operation, answer: Any) -> None:
            if isinstance(operation, Checkpoint):
                self._state.checkpoint = operation
            elif isinstance(operation, Publish):
                notes.scalars |= operation.scalars
                notes.warnings += operation.words

        return saw

    def _chosen(self, sequences: int | Iterable[int] | None) -> list[TrialSequence]:
        train = self._now.problem.train
        if sequences is None:
            return list(train)
        indices = list(range(sequences) if isinstance(sequences, int) else sequences)
        if not indices or not all(0 <= index < len(train) for index in indices):
            raise ConfigurationError(
                f"sequences {sequences!r} are not there: the training set has {len(train)}, numbered from 0"
            )
        return [train[index] for index in indices]

    def _leave_block(self) -> None:
        block, self._state.block = self._state.block, None
        if block is not None:
            block.close()

    def _refuse_if_closed(self) -> None:
        if self._state.closed:
            raise ConfigurationError("the rig of this experiment was given back; load the experiment again")


@dataclass(slots=True)
class _Notes:
    """What a step publishes."""

    scalars: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def load_experiment(
    configuration: str | Path,
    *,
    rig_url: str | None = None,
    seed: int | None = None,
    steps: int | None = None,
    home: Path | None = None,
    calibration: CalibrationSet | Path | None = None,
    trust: Sequence[Path | str] = (),
) -> Experiment:
    """The experiment of a configuration file, or of an example by name, with its rig open; nothing has moved.

    `rig_url`, `seed` and `steps` replace what the file says; `home`, the folder that relative paths start from, is
    that of the file if left out.  `calibration`: a set, or the folder of records in which that of the rig is looked
    for; none without it.  `trust`: files of code beside the configuration that may run in this call, besides those that
    the user has trusted for good.  Raises ConfigurationError for everything that can be known to be wrong before a
    shot.
    """
    found = assembled.load_experiment(
        configuration, rig_url=rig_url, seed=seed, steps=steps, home=home, calibration=calibration, trust=trust
    )
    return Experiment(**{item.name: getattr(found, item.name) for item in fields(found)})
