"""An experiment on a calibrated rig: paths corrected, knobs set so that the rig is what is asked for, nudges tuned."""

from __future__ import annotations

import time
from dataclasses import is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError
from labrhel.frozen import FrozenArray
from labrhel.learning.rules import Rule
from labrhel.learning.task import Flip
from labrhel.rig.calibrated import as_they_are
from labrhel.rig.calibration import CalibrationSet
from labrhel.rig.capabilities import Capabilities, Kind
from labrhel.store.calibrations import CalibrationRecord

if TYPE_CHECKING:
    from labrhel.experiment._experiment import Experiment


def calibration_in_force(folder: Path, url: str, now: float | None = None) -> CalibrationSet:
    """What is in force for the rig `url`; empty if it was never calibrated.

    Raises ConfigurationError if a part of it has expired: a calibration that is out of date is not to be ignored.
    """
    calibration = CalibrationRecord(folder, url).current()
    expired = calibration.expired(time.time() if now is None else now)
    if expired:
        oldest = min(calibration.values[name].valid_until or 0.0 for name in expired)
        since = datetime.fromtimestamp(oldest, UTC).astimezone().isoformat(" ", "minutes")
        raise ConfigurationError(
            f"the calibration of {url} expired on {since} ({', '.join(expired[:3])}"
            f"{' ...' if len(expired) > 3 else ''}): run `labrhel calibrate {url} --accept` again, or start with "
            "--uncalibrated"
        )
    return calibration


def calibrated(experiment: Experiment, calibration: CalibrationSet) -> Experiment:
    """The experiment, using `calibration`; the same one for an empty set."""
    if not calibration.values:
        return experiment
    assert experiment.bare is None, "calibrated twice"
    problem = experiment.problem
    specs, knobs = problem.task.model.parameters, {knob.name for knob in problem.task.capabilities.knobs}
    # Springs with a knob are brought to what the configuration says; the rest is what it is.
    turned = {name for name in knobs if name in specs and specs[name].kind in ("potential", "directed", "input")}
    fixed = set(specs) - set(problem.wanted) - turned
    as_set = problem.theta

    def theta(x: Array) -> dict[str, Array]:
        return as_they_are(calibration, as_set(x), fixed)

    model = problem.task.model
    task = replace(
        problem.task,
        flip=_flip(calibration, model.size),
        capabilities=_seeing(problem.task.capabilities),
        calibration=calibration,
    )
    return replace(
        experiment,
        problem=replace(problem, theta=theta, rule=_tuned(problem.rule, calibration), task=task),
        calibration=calibration,
        bare=experiment,
    )


def _seeing(rig: Capabilities) -> Capabilities:
    """Without its velocity channels, which nothing has calibrated: velocities then come from calibrated positions."""
    return replace(
        rig,
        channels=tuple(channel for channel in rig.channels if channel.kind is not Kind.VELOCITY),
        velocity_matrix=FrozenArray(np.zeros((0, rig.size))),
    )


def _flip(calibration: CalibrationSet, size: int) -> Flip | None:
    gain = calibration.values.get("flip.gain")
    if gain is None:
        return None
    known = [calibration.values.get(f"flip[{index}].offset") for index in range(size)]
    return Flip(gain.value, np.array([0.0 if item is None else item.value for item in known]))


def _tuned(rule: Rule, calibration: CalibrationSet) -> Rule:
    """With the response that was found best, where the configuration leaves it to the rule."""
    found = calibration.values.get("nudge.response")
    free = getattr(rule, "eps", 0.0) is None and getattr(rule, "response", 0.0) is None
    if found is None or not free or not is_dataclass(rule) or isinstance(rule, type):
        return rule
    return replace(rule, response=found.value)  # type: ignore[arg-type]
