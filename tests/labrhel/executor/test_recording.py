"""Every operation is written down with its answer, and no answer goes on before it is."""

from typing import Any

import pytest

from labrhel.errors import RecordError
from labrhel.executor import Recorder
from labrhel.shots.operations import Checkpoint, Configure, Operation, Publish, Read, RunShots


class Record:
    """Remembers what it was told; carries out, too, so that the order shows."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def do(self, operation: Operation) -> str:
        self.told.append("done")
        return "answer"

    def shots(self, operation: Operation, captures: Any) -> None:
        self.told.append(("shots", operation, captures))

    def configured(self, operation: Operation, achieved: Any) -> None:
        self.told.append(("configured", operation, achieved))

    def read(self, operation: Operation, answer: Any) -> None:
        self.told.append(("read", operation, answer))

    def checkpoint(self, operation: Operation) -> None:
        self.told.append(("checkpoint", operation))

    def published(self, operation: Operation) -> None:
        self.told.append(("published", operation))


@pytest.mark.parametrize(
    ("operation", "kind", "answered"),
    [
        (RunShots(()), "shots", True),
        (Configure({}), "configured", True),
        (Read(("a",)), "read", True),
        (Checkpoint(1, {}), "checkpoint", False),
        (Publish(1, {}), "published", False),
    ],
)
def test_each_operation_is_recorded_once_after_it_was_carried_out(
    operation: Operation,
    kind: str,
    answered: bool,  # noqa: FBT001
) -> None:
    record = Record()
    assert Recorder(record, record).do(operation) == "answer"
    assert record.told == ["done", (kind, operation, *(["answer"] if answered else []))]


def test_an_answer_that_could_not_be_written_is_not_given() -> None:
    class Full(Record):
        def shots(self, operation: Operation, captures: Any) -> None:
            raise RecordError("the disk is full")

    record = Full()
    with pytest.raises(RecordError, match="the disk is full"):
        Recorder(record, record).do(RunShots(()))
