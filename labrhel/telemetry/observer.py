"""A run's observer that publishes it: on the run's own path nothing happens but an append to a deque."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from labrhel.errors import NotSafeError
from labrhel.safety.control import Control
from labrhel.safety.lifecycle import State
from labrhel.shots.operations import Checkpoint, Operation, Publish, RunShots
from labrhel.telemetry.outbox import Outbox
from labrhel.telemetry.payloads import Run
from labrhel.telemetry.publisher import Publisher
from labrhel.telemetry.settings import Settings


class Telemetry:
    """Publishes inside a `with` block, whose end decides the last status: done, stopped, failed or unsafe.

    `control` takes the commands that come over MQTT.
    """

    def __init__(self, settings: Settings, run: Run, control: Control, step: int = 0) -> None:
        self._outbox, self._control = Outbox(settings.queue), control
        self._state, self._step, self._traces = "running", step, settings.traces_per_second > 0
        self._publisher = Publisher(settings, run, self._outbox, self._control, self._now)

    def __enter__(self) -> Telemetry:
        self._publisher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state = "done" if kind is None else "stopped" if issubclass(kind, KeyboardInterrupt) else "failed"
        if isinstance(error, NotSafeError):
            self._state = "unsafe"
        self._publisher.finish("" if kind is None else f"{kind.__name__}: {error}".removesuffix(": "))

    def saw(self, operation: Operation, answer: Any) -> None:
        """Put by what the publisher may find."""
        if isinstance(operation, RunShots):
            if self._traces and answer:
                self._outbox.put_capture(self._step, answer[0])
        elif isinstance(operation, Publish):
            self._outbox.put(operation)
        elif isinstance(operation, Checkpoint):
            self._step = operation.step

    def _now(self) -> tuple[str, int]:
        return "paused" if self._control.life.state is State.PAUSED else self._state, self._step
