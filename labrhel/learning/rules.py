"""What the training loop and the checks need of a learning rule; implementations live in `protocols`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from labrhel.arrays import Arrays
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.needs import Needs
from labrhel.learning.readings import Masks
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots import operations


@dataclass(frozen=True, slots=True)
class GradientRequest:
    """What a rule is asked: the gradient of the loss of `sequences` at `theta` for the parameters named in `wanted`.

    `theta` holds all parameters of the model and of the read-out; `previous` is the nudge of the gradient before this
    one, if there was one.  `trained`: the entries of each parameter that are asked for, all of one that is not named; a
    rule may answer 0 for the others.
    """

    task: Task
    sequences: Sequence[TrialSequence]
    theta: Arrays
    wanted: Sequence[str]
    previous: NudgeRecord | None = None
    trained: Masks = field(default_factory=dict)

    def at(self, achieved: Arrays) -> GradientRequest:
        """The same request at the values that the rig has achieved, as it answers a `Configure`."""
        return replace(self, theta={**self.theta, **achieved})


class Rule(Protocol):
    """A learning rule: a generator of operations that returns a `Gradient`, and what it needs of a rig."""

    @property
    def needs(self) -> Needs:
        """What a rig must offer before the rule is worth trying."""
        ...

    def gradient(self, asked: GradientRequest) -> operations.Protocol[Gradient]:
        """The gradient that is asked for."""
        ...
