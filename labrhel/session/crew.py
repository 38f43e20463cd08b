"""Several rigs that measure one gradient: each its share of the batch, at the same time.

The shares are drawn anew each step (`labrhel.learning.dealing`): whatever is peculiar to a rig then falls on all
sequences alike.  A rig that fails is made safe and given back at once, its share of that step is dealt to those that
are left, and so are all later batches.  What every rig would meet, such as a trial that diverges, or the emergency
stop, is no failure of one.  The last rig that fails ends the training, as the only one would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from labrhel.arrays import Array
from labrhel.errors import ConditionError, InterlockError, LabrhelError, NotSafeError, RecordError
from labrhel.learning.dealing import combined, deal
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.scatter import Scatter, Share
from labrhel.learning.task import TrialSequence
from labrhel.safety import estop
from labrhel.session.member import OF_THE_POINT, Member
from labrhel.session.parallel import in_parallel
from labrhel.shots.operations import Checkpoint, Operation
from labrhel.store import RunWriter


class Halted(Exception):  # noqa: N818 - it is no error of the rig whose thread it ends
    """The training was interrupted while this rig measured."""


class Crew:
    """The rigs of a training, and what has to be known of them together; `run` is the record of the whole.

    `even`: deal each step as the first one and count all sequences alike, for optimizers that compare losses.
    """

    def __init__(self, members: Sequence[Member], run: RunWriter, *, even: bool) -> None:
        self.members, self._run, self._even = tuple(members), run, even
        self._scatter = Scatter()
        self._absent: dict[str, Any] = {}
        self._halted = False
        self._said: list[str] = []
        self.waits_for: Member | None = None
        """Whose reading has stopped the training, if it is to wait for it."""

    @property
    def alive(self) -> list[Member]:
        """Those that are used."""
        return [member for member in self.members if not member.lost]

    @property
    def lead(self) -> Member:
        """The one that runs the tests."""
        return self.alive[0]

    @property
    def lost(self) -> list[str]:
        """A sentence about each rig that was lost."""
        return [f"{member.name} was lost: {member.lost}" for member in self.members if member.lost]

    def gradient(self, x: Array, sequences: Sequence[TrialSequence]) -> Gradient:
        """The gradient of the loss of the batch at the coordinates x, by all rigs together."""
        step = self._run.step
        for member in self.alive:
            member.begin(step)
        scatter = None if self._even else self._scatter
        nudges = {member: member.nudge for member in self.alive}
        shares: list[Share] = []
        left = list(sequences)
        while left:
            left = self._dealt(x, left, 0 if self._even else step, nudges, shares)
        shares.sort(key=lambda share: share.rig)
        gradient = combined(shares, scatter)
        self._scatter.learn(shares)
        for member in self.alive:
            member.nudge = nudges[member]
        words, self._said = tuple(self._said), []
        return replace(gradient, warnings=(*words, *gradient.warnings))

    def _dealt(
        self,
        x: Array,
        sequences: list[TrialSequence],
        step: int,
        nudges: dict[Member, NudgeRecord | None],
        shares: list[Share],
    ) -> list[TrialSequence]:
        """Measure these, and add what came of it to `shares`; the sequences whose rig failed."""
        alive = self.alive
        seed = alive[0].experiment.problem.seed
        dealt = {
            member: [sequences[place] for place in places]
            for member, places in zip(alive, deal(len(sequences), len(alive), seed, step), strict=True)
            if places
        }

        def task(member: Member) -> Callable[[], Gradient]:
            return lambda: member.measure(x, dealt[member], nudges[member])

        outcomes = in_parallel({member: task(member) for member in dealt}, self.halt)
        errors = {member: item.error for member, item in outcomes.items() if item.error is not None}
        self._judge(errors)
        left: list[TrialSequence] = []
        for member, outcome in outcomes.items():
            if outcome.value is None:
                left += dealt[member]
                continue
            shares.append(Share(member.number, member.name, dealt[member], outcome.value))
            nudges[member] = outcome.value.nudge
        return left

    def _judge(self, errors: Mapping[Member, BaseException]) -> None:
        """Give up the rigs that failed; raise what is no failure of a rig, and what the last one failed with."""
        for member, error in errors.items():
            if self._ends_the_run(member, error):
                raise error
        of_the_point = [error for error in errors.values() if isinstance(error, OF_THE_POINT)]
        for member, error in errors.items():
            if not isinstance(error, OF_THE_POINT):
                self.lose(member, error)
        if of_the_point:
            raise of_the_point[0]

    def _ends_the_run(self, member: Member, error: BaseException) -> bool:
        if isinstance(error, ConditionError):
            section = member.experiment.document.config.interlocks.readings.get(error.name)
            if section is not None and section.resume_when is not None:
                self.waits_for = member
                return True
        if estop.latched() or isinstance(error, RecordError):
            return True
        return not isinstance(error, LabrhelError | OSError)

    def lose(self, member: Member, error: BaseException) -> None:
        """Go on without it; raises the error if it is the last one."""
        if len(self.alive) == 1:
            raise error
        words = f"{member.name} was lost, and its share goes to the others: {member.give_up(error)}"
        self._run.lost(words)
        self._said.append(words)

    def attempt(self, operation: Operation) -> Any:
        """Carry out an operation of the tests on the lead; raises LeadLostError if that fails and there are others."""
        lead = self.lead
        lead.writer.step = self._run.step
        try:
            return lead.do(operation)
        except OF_THE_POINT:
            raise
        except Exception as error:
            if self._ends_the_run(lead, error):
                raise
            self.lose(lead, error)
            raise LeadLostError(lead.lost) from error

    def checkpointed(self, checkpoint: Checkpoint) -> None:
        """Mark the end of the step in the record of each rig, once it is in that of the run."""
        point = {name: checkpoint.state[name] for name in ("parameters", "parameter_names")}
        for member in self.alive:
            member.writer.checkpoint(Checkpoint(checkpoint.step, point))

    def attend(self, x: Array) -> tuple[str, ...]:
        """Calibrate the rigs whose echoes miss, and say so; those that cannot be helped are lost."""
        words = []
        for member in self.alive:
            if not member.doubted:
                continue
            member.doubted = False
            try:
                member.experiment, said = member.health.attended(member.experiment, x)
            except (InterlockError, NotSafeError, OSError, LabrhelError) as error:
                if self._ends_the_run(member, error):
                    raise
                self.lose(member, error)
            else:
                words.append(f"{member.name}: {said}")
        said_of_lost, self._said = tuple(self._said), []
        return (*said_of_lost, *words)

    @property
    def recalibrations(self) -> int:
        """How often a rig was calibrated again."""
        return sum(member.health.recalibrations for member in self.members)

    def doubts(self, gradient: Gradient) -> bool:
        """Whether a calibration is to be attended to after this gradient."""
        return any(member.doubted for member in self.alive)

    def watched(self) -> ExitStack:
        """The executors of all rigs, for a `with` block."""
        around = ExitStack()
        for member in self.alive:
            around.enter_context(member.watched(self._look))
        return around

    def _look(self, operation: Operation) -> None:
        if self._halted:
            raise Halted("the training was interrupted")

    def halt(self) -> None:
        """Let no rig begin anything more, and make all safe while their threads end."""
        self._halted = True
        self.make_safe()

    def make_safe(self) -> None:
        """Make all rigs safe at the same time; NotSafeError names the outputs of all that could not be."""
        alive = self.alive
        outcomes = in_parallel({member.name: member.experiment.rig.make_safe for member in alive}, lambda: None)
        raise_worst({name: item.error for name, item in outcomes.items() if item.error is not None})

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of all."""
        known = {str(member.number): member.state() for member in self.members}
        return {"rigs": {**self._absent, **known}, "scatter": self._scatter.state()}

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint, which keeps what it knows of rigs that could not be reached this time."""
        self._absent = dict(state["rigs"])
        for member in self.members:
            member.take_up(self._absent.pop(str(member.number)))
        self._scatter = Scatter.taken_up(state["scatter"])


class LeadLostError(LabrhelError):
    """The rig that ran the tests was lost: they begin again on another one."""


def raise_worst(errors: Mapping[str, BaseException]) -> None:
    """Raise NotSafeError for the outputs of all rigs that may be on, else the first error; nothing if there is none."""
    unsafe = {name: error for name, error in errors.items() if isinstance(error, NotSafeError)}
    if len(unsafe) > 1:
        outputs = {
            f"{name} {output}": volts for name, error in unsafe.items() for output, volts in error.outputs.items()
        }
        raise NotSafeError(outputs, "; ".join(f"{name}: {error.why}" for name, error in unsafe.items()))
    for error in (*unsafe.values(), *errors.values()):
        raise error
