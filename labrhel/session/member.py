"""One rig of a training on several: its part of the work, its record, and how it is given up."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import DivergedError, LabrhelError, NotFiniteError, NotSafeError
from labrhel.executor import Stack, Tap, execute
from labrhel.experiment import Experiment
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.task import TrialSequence
from labrhel.learning.train import nudge_of, nudge_state, scalars_of
from labrhel.rig.calibration import plain_of
from labrhel.safety import ledger
from labrhel.safety.ending import Ending
from labrhel.safety.ledger import Remembered
from labrhel.session.health import Health
from labrhel.shots.operations import Operation, Publish
from labrhel.store import RunWriter

OF_THE_POINT = (DivergedError, NotFiniteError)
"""What any rig would say at these parameters: the optimizer backs off, and no rig is to blame."""


@dataclass(slots=True, eq=False)
class Member:
    """A rig, by its `number` from 1 in the order of the file.

    `experiment`: on the rig as it is now; `nudge`: of its last gradient that counted; `lost`: why it is no longer used,
    "" while it is; `doubted`: whether its last echoes have put its calibration in doubt.
    """

    number: int
    experiment: Experiment
    writer: RunWriter
    health: Health
    nudge: NudgeRecord | None = None
    lost: str = ""
    doubted: bool = False
    _executor: Stack | None = None
    _handler: Tap | None = None
    _unsafe: NotSafeError | None = None
    _left: list[Remembered] = field(default_factory=list)
    _shots: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What sentences call it."""
        return f"rig {self.number} ({self.experiment.rig_url})"

    def watched(self, look: Callable[[Operation], None]) -> Stack:
        """A new executor, for a `with` block; `look` sees every operation before it, and may stop it."""
        self._executor = self.experiment.executor(self.writer, of_several=True)
        self._handler = Tap(self._executor, before=(look,))
        return self._executor

    def do(self, operation: Operation) -> Any:
        """Carry out an operation on the rig, through all that protects it; what fails leaves it safe."""
        assert self._handler is not None
        return self._safely(lambda handler: handler.do(operation))

    def begin(self, step: int) -> None:
        """What follows belongs to that step."""
        self.writer.step = step
        self._shots = {}

    def measure(self, x: Array, sequences: Sequence[TrialSequence], nudge: NudgeRecord | None) -> Gradient:
        """The gradient of the loss of these sequences alone; what it says of itself goes to the rig's own record."""
        problem = self.experiment.problem

        def measured(handler: Tap) -> Gradient:
            gradient = execute(problem.gradient(x, sequences, nudge), handler)
            scalars = scalars_of(gradient, problem.parameters.pull_back(x, gradient.values))
            for name in ("shots", "passes"):  # of all its shares of the step: it may have taken over another rig's
                scalars[name] = self._shots[name] = scalars[name] + self._shots.get(name, 0.0)
            places = {id(item): place for place, item in enumerate(problem.train)}
            served = np.array([places[id(item)] for item in sequences])
            handler.do(Publish(self.writer.step, scalars, gradient.warnings, {"sequences": served}))
            self.doubted = self.health.doubts(gradient)
            return gradient

        return self._safely(measured)

    def _safely(self, act: Callable[[Tap], Any]) -> Any:
        assert self._handler is not None
        good = False
        with Ending(lambda: None if good else self.experiment.rig.make_safe()):
            try:
                answer = act(self._handler)
            except OF_THE_POINT:
                good = True
                raise
            good = True
        return answer

    def give_up(self, error: BaseException) -> str:
        """Make the rig safe and give it back; a sentence about it, which names what may still be on.

        Its leases are free then, and what could not be seen safe is in the ledger, for the guardian.
        """
        found = error
        try:
            with Ending(self.experiment.rig.close):
                raise error
        except BaseException as said:
            found = said
        self.lost = str(found) or type(found).__name__
        if isinstance(found, NotSafeError):
            self._unsafe, self._left = found, self._in_ledger()
        if self._executor is not None:
            self._executor.__exit__(None, None, None)
        try:
            self.writer.end("unsafe" if isinstance(found, NotSafeError) else "failed", self.lost)
        except LabrhelError as trouble:
            self.lost += f"; {trouble}"
        return self.lost

    def _in_ledger(self) -> list[Remembered]:
        station = Path(self.experiment.rig_url.partition(":")[2].partition("?")[0]).name
        mine = [item for item in ledger.left() if item.entry.pid == os.getpid() and not item.is_driven]
        return [item for item in mine if station and Path(item.entry.station).name == station]

    @property
    def still_on(self) -> NotSafeError | None:
        """What could not be made safe when the rig was lost, unless its guardian has done that since."""
        resolved = bool(self._left) and not any(item.stands for item in self._left)
        return None if resolved else self._unsafe

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            **nudge_state(self.nudge),
            "url": self.experiment.rig_url,
            "lost": self.lost,
            "calibration": plain_of(self.experiment.calibration),
        }

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.nudge = nudge_of(state)
