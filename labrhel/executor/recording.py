"""The recorder: what was asked, sent and answered goes to the record before the protocol hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from labrhel.arrays import Arrays
from labrhel.executor.handler import Handler
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Checkpoint, Configure, Operation, Publish, Read, RunShots


class Recording(Protocol):
    """Where a recorder writes; the run store is one.  A method that returns has the data safe against kill -9."""

    def shots(self, operation: RunShots, captures: Sequence[Capture]) -> None:
        """Record programs, what was sent, and what came back."""
        ...

    def configured(self, operation: Configure, achieved: Arrays) -> None:
        """Record parameters asked for and achieved."""
        ...

    def read(self, operation: Read, answer: Arrays) -> None:
        """Record slow readings."""
        ...

    def checkpoint(self, operation: Checkpoint) -> None:
        """Record the state to go on from."""
        ...

    def published(self, operation: Publish) -> None:
        """Record the scalars of a step."""
        ...


class Recorder:
    """Writes every operation and its answer; an answer is given on only when it has been written."""

    def __init__(self, inner: Handler, recording: Recording) -> None:
        self._inner = inner
        self._recording = recording

    def do(self, operation: Operation) -> Any:
        """Carry out, write, answer."""
        answer = self._inner.do(operation)
        match operation:
            case RunShots():
                self._recording.shots(operation, answer)
            case Configure():
                self._recording.configured(operation, answer)
            case Read():
                self._recording.read(operation, answer)
            case Checkpoint():
                self._recording.checkpoint(operation)
            case Publish():
                self._recording.published(operation)
        return answer
