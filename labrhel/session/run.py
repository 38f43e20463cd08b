"""A run from start to end: check, record, train, test, make safe; and going on after it was stopped.

Nothing is written before everything has been checked, a dry run of the first gradient included.  On every way out
the rig is made safe and the record says how the run ended.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labrhel.errors import ConfigurationError
from labrhel.experiment import Experiment, Fleet, load_experiment
from labrhel.rig.calibration import set_of
from labrhel.session import several
from labrhel.session.driving import Watch, drive, observed, require_same_data
from labrhel.session.foreign import rig_to_resume
from labrhel.session.outcome import Outcome
from labrhel.shots.rig import OfInstruments
from labrhel.store import RunReader, RunWriter, create_run, require_replayable
from labrhel.store.manifest import FLEET, SHARE
from labrhel.telemetry import Settings, settings_of
from labrhel.timeline.cost import rehearse


def telemetry_of(experiment: Experiment | Fleet, url: str | None, name: str | None = None) -> Settings | None:
    """Where a run will be published: by the `url`, or by its file; None for nowhere.  Raises ConfigurationError."""
    return settings_of(experiment.document, name or experiment.name, experiment.home, url, os.environ)


def start(
    experiment: Experiment | Fleet,
    root: Path,
    watch: Watch,
    *,
    telemetry: str | None = None,
    identity: str | None = None,
) -> Outcome:
    """Run an experiment into a new folder under `root`, named `identity`; `telemetry`: URL in place of the section."""
    if isinstance(experiment, Fleet):
        with several.closing_unless_begun(experiment):
            settings = telemetry_of(experiment, telemetry)
            for member in experiment.on_paper:
                rehearse(member)
            crew, writer = several.begin(experiment, root, identity)
        return observed(
            experiment, experiment.name, writer, settings,
            lambda control, observers: several.drive(crew, writer, watch, control, observers),
        )  # fmt: skip
    try:
        settings = telemetry_of(experiment, telemetry)
        rehearse(experiment)
        manifest = experiment.manifest()
        if isinstance(experiment.rig, OfInstruments):
            manifest["instruments"] = experiment.rig.settings()
        writer = create_run(
            root, experiment.name, manifest, experiment.config_text, experiment.policy, identity=identity
        )
    except BaseException:
        experiment.rig.close()
        raise
    return observed(
        experiment, experiment.name, writer, settings,
        lambda control, observers: drive(experiment, writer, watch, control, observers),
    )  # fmt: skip


def planned_steps(folder: Path, steps: int | None) -> int:
    """Steps a resumed run will have taken in all when it ends: `steps`, or what it was last asked for.

    Raises ConfigurationError for fewer than it has taken.
    """
    reader = RunReader(folder)
    checkpoint = reader.last_checkpoint()
    reader.close()
    taken, last = (0, None) if checkpoint is None else (checkpoint.step, checkpoint.state.get("planned_steps"))
    if steps is None:
        return int(reader.manifest["steps"] if last is None else last)
    if 0 <= steps < taken:
        raise ConfigurationError(f"the run has taken {taken} steps; it cannot go on to {steps}")
    return steps


def resume(
    folder: Path,
    watch: Watch,
    *,
    steps: int | None = None,
    telemetry: str | None = None,
    rig: str | None = None,
) -> Outcome:
    """Go on with a run from its last checkpoint; the result is the same as if it had never stopped.

    `rig` takes the place of the record's; a run that was not made here needs it (`labrhel.session.foreign`).  Raises
    ConfigurationError if configuration or recording are not those that the run began with.
    """
    reader = RunReader(folder)
    manifest, config = reader.manifest, folder / "config.yaml"
    require_replayable(manifest)
    if SHARE in manifest:
        raise ConfigurationError(f"{folder} is the record of one rig of {manifest[SHARE]}: resume that")
    if reader.config_changed:
        raise ConfigurationError(f"{config} is not what the run began with; restore it, or start a new run with it")
    url = rig_to_resume(folder, manifest, rig)
    if FLEET in manifest:
        fleet, missing = several.reopened(reader, planned_steps(folder, steps))
        with several.closing_unless_begun(fleet):
            settings = telemetry_of(fleet, telemetry, manifest["name"])
            for member in fleet.on_paper:
                rehearse(member)
            crew, writer = several.take_up(fleet, folder, missing)
        return observed(
            fleet, manifest["name"], writer, settings,
            lambda control, observers: several.drive(crew, writer, watch, control, observers),
        )  # fmt: skip
    experiment = load_experiment(
        config,
        rig_url=url,
        seed=manifest["seed"],
        steps=planned_steps(folder, steps),
        home=Path(manifest["home"]),
        calibration=set_of(_calibration_of(reader)),
        code=manifest.get("code", {}),
    )
    try:
        require_same_data(folder, manifest, experiment)
        settings = telemetry_of(experiment, telemetry, manifest["name"])
        rehearse(experiment)
        writer = RunWriter.open_for_resume(folder, "" if url == manifest["rig"] else f"on {url}")
    except BaseException:
        experiment.rig.close()
        raise
    return observed(
        experiment, manifest["name"], writer, settings,
        lambda control, observers: drive(experiment, writer, watch, control, observers),
    )  # fmt: skip


def _calibration_of(reader: RunReader) -> Mapping[str, Any]:
    """That of the last checkpoint, or the one that the run began with."""
    checkpoint = reader.last_checkpoint()
    found = None if checkpoint is None else checkpoint.state.get("calibration")
    return reader.manifest.get("calibration", {}) if found is None else found
