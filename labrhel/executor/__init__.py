"""The executor: one method, `do(operation)`, wrapped from the outside in as

compile -> interlock -> limits -> recorder -> retry -> watchdog -> approach -> backend.

Each wrapper is a handler that holds the next one; `stack` assembles them, and nothing else does.  A `Tap` may stand
around any of them.
"""

from labrhel.executor.approaching import Approaching
from labrhel.executor.backend import RigBackend
from labrhel.executor.compiling import Compiling
from labrhel.executor.dry import DryBackend
from labrhel.executor.handler import Handler, execute
from labrhel.executor.interlock import Condition, Guard, Interlock
from labrhel.executor.limiting import Limiting
from labrhel.executor.recording import Recorder, Recording
from labrhel.executor.retry import Retry
from labrhel.executor.stack import ORDER, Safety, Stack, stack
from labrhel.executor.tap import Tap, between_steps, published
from labrhel.executor.watchdog import Watchdog

__all__ = [
    "ORDER",
    "Approaching",
    "Compiling",
    "Condition",
    "DryBackend",
    "Guard",
    "Handler",
    "Interlock",
    "Limiting",
    "Recorder",
    "Recording",
    "Retry",
    "RigBackend",
    "Safety",
    "Stack",
    "Tap",
    "Watchdog",
    "between_steps",
    "execute",
    "published",
    "stack",
]
