"""The innermost handler: hands compiled operations to a rig, and tells the logger "labrhel" what was done."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labrhel.errors import DeadlineError
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Checkpoint, Configure, Operation, Publish, Read, RunShots
from labrhel.shots.rig import Rig

_LOG = logging.getLogger(__name__)
_SHOWN = 8  # values of a parameter that are written out


class RigBackend:
    """Carries out operations on a rig; checkpoints and scalars are the recorder's and end here.

    `quiet` tells the logger nothing: of a model that only makes data nobody wants to read.
    """

    def __init__(self, rig: Rig, *, quiet: bool = False) -> None:
        self._rig, self._quiet = rig, quiet
        self._latest = min([item.latest for item in rig.capabilities.triggers], default=math.inf)

    def do(self, operation: Operation) -> Any:
        """Configure, run or read; DeadlineError for a shot that the rig started too late."""
        tells = not self._quiet and _LOG.isEnabledFor(logging.INFO)
        began, answer = time.perf_counter() if tells else 0.0, None
        if isinstance(operation, RunShots):
            if operation.order == "free":
                answer = self._in_time(self._rig.run(operation.compiled))
            else:
                answer = [capture for shot in operation.compiled for capture in self._in_time(self._rig.run([shot]))]
        elif isinstance(operation, Configure):
            answer = self._rig.configure(operation.knobs)
        elif isinstance(operation, Read):
            answer = self._rig.read(operation.names)
        if tells:
            _tell(operation, answer, time.perf_counter() - began)
        return answer

    def _in_time(self, captures: Sequence[Capture]) -> list[Capture]:
        for capture in captures:
            late = capture.actual_start - capture.planned_start
            if not late <= self._latest:
                raise DeadlineError(
                    f"a shot started {late:.3g} s after it was planned, and {self._latest:.3g} s are allowed: its "
                    "readings are not those of the program; look for what holds the link or the computer up"
                )
        return list(captures)


def _tell(operation: Operation, answer: Any, seconds: float) -> None:
    took = f"{1e3 * seconds:.3g} ms"
    match operation:
        case RunShots():
            passes = sum(capture.passes_run for capture in answer)
            over = sum(
                trace.over_range for capture in answer for item in capture.passes for trace in item.traces.values()
            )
            clipped = f", {over} samples over range" if over else ""
            _LOG.debug("%d shots, %d passes in %s%s", len(answer), passes, took, clipped)
        case Configure():
            _LOG.info("knobs set to %s in %s", _listed(answer), took)
        case Read():
            _LOG.debug("read %s in %s", _listed(answer), took)
        case Checkpoint():
            _LOG.debug("checkpoint of step %d", operation.step)
        case Publish():
            _LOG.info("step %d: %s", operation.step, _listed(operation.scalars))
            for words in operation.words:
                _LOG.warning("step %d: %s", operation.step, words)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_numbers(value)}" for name, value in values.items()) or "nothing"


def _numbers(value: Any) -> str:
    flat = np.ravel(value)
    shown = " ".join(f"{item:.6g}" for item in flat[:_SHOWN])
    return shown if flat.size == 1 else f"[{shown}{' ...' if flat.size > _SHOWN else ''}]"
