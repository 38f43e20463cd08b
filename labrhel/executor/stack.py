"""THE order of the executor, in one place: which handler holds which, from a protocol down to the rig.

    compile -> interlock -> limits -> recorder -> retry -> watchdog -> approach -> backend

compile      everything below speaks the unit of the terminals
interlock    asks its conditions before anything is checked or sent, and looks at what came back
limits       the last check: below it nothing is written that was not checked
recorder     writes what was asked and sent, and the answer that held, whatever it took to get it
retry        tries a shot again that prepares its own start, and leaves the failed attempts out of the record
watchdog     times each attempt, not their sum
approach     turns knobs with hysteresis beyond their values first, within the limits; the record holds the values
backend      the rig, or what stands in for it: a dry run, the nominal model, a record
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from labrhel.executor.approaching import Approaching
from labrhel.executor.compiling import Compiling
from labrhel.executor.handler import Handler
from labrhel.executor.interlock import Condition, Guard, Interlock
from labrhel.executor.limiting import Limiting
from labrhel.executor.recording import Recorder, Recording
from labrhel.executor.retry import Retry
from labrhel.executor.watchdog import Watchdog
from labrhel.rig.calibration import CalibrationSet
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import IDEAL_WIRING, Wiring
from labrhel.shots.compile import IDEAL_CALIBRATION
from labrhel.shots.operations import Operation

ORDER = ("compile", "interlock", "limits", "recorder", "retry", "watchdog", "approach")
"""The wrappers from the outside in; the backend is what the last one holds."""


@dataclass(frozen=True, slots=True)
class Safety:
    """What may stop a rig: conditions before shots, guards on answers, and operations that take too long.

    `make_safe` is called by whatever stops it.  `patience` [s] is what an operation may take beyond its shots; None
    leaves the watchdog out.
    """

    make_safe: Callable[[], None]
    conditions: tuple[Condition, ...] = ()
    guards: tuple[Guard, ...] = ()
    patience: float | None = None


class Stack:
    """The assembled executor.  `str` says its order; its watchdog, if it has one, watches inside a `with` block."""

    def __init__(self, layers: tuple[tuple[str, Handler], ...]) -> None:
        self._layers = layers
        self.do: Callable[[Operation], Any] = layers[0][1].do
        """Carry out one operation, through all layers."""
        self._open = ExitStack()

    def __enter__(self) -> Stack:
        for _, layer in self._layers:
            if isinstance(layer, Watchdog):
                self._open.enter_context(layer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def __str__(self) -> str:
        return " -> ".join(name for name, _ in self._layers)


def stack(
    backend: Handler,
    rig: Capabilities,
    wiring: Wiring = IDEAL_WIRING,
    *,
    calibration: CalibrationSet = IDEAL_CALIBRATION,
    safety: Safety | None = None,
    recording: Recording | None = None,
    attempts: int = 1,
) -> Stack:
    """The executor of a rig that declares `rig` behind `wiring`, around `backend`.  What is not asked for is left out.

    Compile and limits always stand.  `safety` brings the interlock and, with a patience, the watchdog; `recording`
    the recorder; more than one of `attempts` the retry; a knob of the wiring that overshoots the approach.
    """
    wrappers: dict[str, Callable[[Handler], Handler]] = {
        "compile": lambda inner: Compiling(inner, rig, wiring, calibration),
        "limits": lambda inner: Limiting(inner, rig, wiring),
    }
    if safety is not None:
        wrappers["interlock"] = lambda inner: Interlock(inner, safety.conditions, safety.make_safe, safety.guards)
        if (patience := safety.patience) is not None:
            wrappers["watchdog"] = lambda inner: Watchdog(inner, safety.make_safe, rig.time_unit, rig.pause, patience)
    if any(knob.approach.overshoot for knob in wiring.knobs.values()):
        wrappers["approach"] = lambda inner: Approaching(inner, rig, wiring)
    if recording is not None:
        wrappers["recorder"] = lambda inner: Recorder(inner, recording)
    if attempts != 1:
        wrappers["retry"] = lambda inner: Retry(inner, attempts)
    layers = [("backend", backend)]
    for name in reversed(ORDER):
        if name in wrappers:
            layers.insert(0, (name, wrappers[name](layers[0][1])))
    return Stack(tuple(layers))
