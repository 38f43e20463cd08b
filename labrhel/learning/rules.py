"""What the training loop and the checks need of a learning rule; implementations live in `protocols`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from labrhel.arrays import Arrays
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.needs import Needs
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots import operations


class Rule(Protocol):
    """A learning rule: a generator of operations that returns a `Gradient`, and what it needs of a rig."""

    @property
    def needs(self) -> Needs:
        """What must be there before it is worth trying."""
        ...

    def gradient(
        self,
        task: Task,
        sequences: Sequence[TrialSequence],
        theta: Arrays,
        wanted: Sequence[str],
        previous: NudgeRecord | None = None,
    ) -> operations.Protocol[Gradient]:
        """Gradient of the loss of `sequences` at `theta` for the parameters named in `wanted`."""
        ...
