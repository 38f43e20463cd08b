"""The executor: one method, `do(operation)`, wrapped from the outside in as

compile -> interlock -> limits -> recorder -> retry -> watchdog -> backend.

Each wrapper is a handler that holds the next one.  Below `limits` nothing is written that was not checked.
"""

from labrhel.executor.backend import RigBackend
from labrhel.executor.compiling import Compiling
from labrhel.executor.dry import DryBackend
from labrhel.executor.handler import Handler, execute
from labrhel.executor.interlock import Condition, Guard, Interlock
from labrhel.executor.limiting import Limiting
from labrhel.executor.observing import Observer, Observing
from labrhel.executor.recording import Recorder, Recording
from labrhel.executor.retry import Retry
from labrhel.executor.watchdog import Watchdog

__all__ = [
    "Compiling",
    "Condition",
    "DryBackend",
    "Guard",
    "Handler",
    "Interlock",
    "Limiting",
    "Observer",
    "Observing",
    "Recorder",
    "Recording",
    "Retry",
    "RigBackend",
    "Watchdog",
    "execute",
]
