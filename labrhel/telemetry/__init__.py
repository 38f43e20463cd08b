"""Runs over MQTT: status, scalars and traces out; pause, resume and stop in.  docs/telemetry.md shows the topics."""

from labrhel.telemetry.observer import Telemetry
from labrhel.telemetry.payloads import Run
from labrhel.telemetry.settings import Settings, settings_of

__all__ = ["Run", "Settings", "Telemetry", "settings_of"]
