"""A run from start to end: its operations, its health, its outcome."""

from labrhel.session.foreign import rig_to_resume
from labrhel.session.outcome import Metric, Outcome, outcome_of, said_once
from labrhel.session.run import planned_steps, resume, start, telemetry_of
from labrhel.session.training import training

__all__ = [
    "Metric",
    "Outcome",
    "outcome_of",
    "planned_steps",
    "resume",
    "rig_to_resume",
    "said_once",
    "start",
    "telemetry_of",
    "training",
]
