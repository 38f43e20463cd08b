"""An experiment, assembled from a configuration and checked before anything runs.

Loading opens the rig and reads the data; it moves nothing and writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from labrhel import plugins
from labrhel.config import Document, find, load
from labrhel.data import Dataset, search_path
from labrhel.errors import ConfigurationError, DeadlineError, InstrumentError, LabrhelError, TransportError
from labrhel.experiment._calibrated import calibrated, calibration_in_force
from labrhel.experiment._experiment import Experiment
from labrhel.experiment._interlocks import interlocks_of
from labrhel.experiment._parts import batch_of, check_paths, check_rule, coordinates_of, rule_of, task_of
from labrhel.experiment._wiring import wiring_of
from labrhel.experiment.dataset import dataset_of
from labrhel.experiment.model import model_of
from labrhel.learning.train import Problem
from labrhel.model.interface import Model
from labrhel.rig.calibration import CalibrationSet
from labrhel.rig.model_side import model_side
from labrhel.safety.trust import granting
from labrhel.store.policy import Policy


def load_experiment(
    configuration: str | Path,
    *,
    rig_url: str | None = None,
    seed: int | None = None,
    steps: int | None = None,
    home: Path | None = None,
    calibration: CalibrationSet | Path | None = None,
    code: Mapping[str, str] | None = None,
    trust: Sequence[Path | str] = (),
    changes: Sequence[str] = (),
) -> Experiment:
    """The experiment of a configuration file, or of an example by name.

    `rig_url`, `seed` and `steps` replace what the file says; `home`, the folder that relative paths start from, is
    that of the file if left out.  `calibration`: a set, or the folder of records in which that of the rig is
    looked for; none without it.  `trust`: files of code beside the configuration that may run in this call, besides
    those that the user has trusted for good; `code`: the digests it must have, by the record of a run.
    `changes`: KEY=VALUE in place of what the file says, such as `optimizer.rate=0.1`.

    Raises ConfigurationError for everything that can be known to be wrong before a shot is fired: an unknown rig, a
    step that is unstable, a read-out that does not exist, data that do not fit.
    """
    file = find(configuration)
    with granting(trust):
        document = load(file, home, code, changes)
        if rig_url is None and len(document.config.rigs) > 1:
            raise document.source.error(
                "this works on one rig at a time, and the file names several: name the one that is meant "
                "(--rig URL, or rig_url=URL)",
                "rig",
            )
        return _Assembly(document, home or file.parent, seed, steps).on(rig_url, calibration)


def rigs_of(configuration: str | Path, changes: Sequence[str] = ()) -> tuple[str, ...]:
    """The URLs of the rigs that a configuration names; nothing is opened."""
    return load(find(configuration), changes=changes).config.rigs


def load_rigs(
    configuration: str | Path,
    *,
    seed: int | None = None,
    steps: int | None = None,
    home: Path | None = None,
    calibration: Sequence[CalibrationSet] | Path | None = None,
    code: Mapping[str, str] | None = None,
    changes: Sequence[str] = (),
    spared: Callable[[int, str, LabrhelError], bool] = lambda number, url, error: False,
) -> list[Experiment | None]:
    """The same experiment on every rig that the file names, which train together; the data are made once.

    `calibration`: a set for each, or the folder of records.  A rig that cannot be reached is None if `spared`, called
    with its number from 0, its URL and what was wrong, is true.  The rest as for `load_experiment`.
    """
    file = find(configuration)
    document = load(file, home, code, changes)
    assembly = _Assembly(document, home or file.parent, seed, steps)
    found: list[Experiment | None] = []
    try:
        for number, url in enumerate(document.config.rigs):
            known = calibration if calibration is None or isinstance(calibration, Path) else calibration[number]
            try:
                found.append(assembly.on(None, known, number))
            except (TransportError, InstrumentError, DeadlineError) as error:
                if not spared(number, url, error):
                    raise
                found.append(None)
    except BaseException:
        with ExitStack() as closing:
            for experiment in filter(None, found):
                closing.callback(experiment.rig.close)
        raise
    return found


@dataclass(frozen=True, slots=True)
class _Assembly:
    """A file that was read, with the home of its paths, and what replaces what it says."""

    document: Document
    home: Path
    seed: int | None
    steps: int | None
    _data: list[Dataset] = field(default_factory=list)  # what was read, or made, for the first rig

    def __post_init__(self) -> None:
        for name, value in (("seed", self.seed), ("steps", self.steps)):
            if value is not None and value < 0:
                raise ConfigurationError(f"{name} must be 0 or more, not {value}")

    def on(self, url: str | None, calibration: CalibrationSet | Path | None, number: int = 0) -> Experiment:
        """The experiment on the rig of that URL, None for the one of that number, from 0, in the file."""
        return _assembled(self, url, calibration, number)

    def dataset(self, model: Model) -> Dataset:
        """The data, read once."""
        if not self._data:
            self._data.append(dataset_of(self.document, model, search_path(self.home, os.environ)))
        return self._data[0]


def _assembled(
    asked: _Assembly, rig_url: str | None, calibration: CalibrationSet | Path | None, number: int
) -> Experiment:
    document, home, seed, steps = asked.document, asked.home, asked.seed, asked.steps
    file = document.source.file
    model = model_of(document)
    parameters, theta = coordinates_of(document, model)
    rule = rule_of(document)
    dataset = asked.dataset(model)
    url = document.config.rigs[number] if rig_url is None else rig_url
    assert document.config.data is not None
    step = dataset.spacing / document.config.data.substeps
    if url.partition("?")[0] == "sim:" and document.config.imperfections.model_fields_set:
        raise document.source.error(
            f"sim: is the ideal rig; for these imperfections name this file as the rig: sim:{file.name}",
            "imperfections",
        )
    # The line of the file is only to blame for a URL that stands there.
    with document.at("rig") if rig_url is None else nullcontext():
        rig = plugins.open_rig(url, model, home, step, document.code)
    optimizer = document.config.optimizer
    try:
        wiring = wiring_of(document, rig.capabilities, rig.wiring)
        experiment = Experiment(
            name=os.fsencode(file.stem).decode("utf-8", "replace"),  # whatever the locale makes of it
            home=home,
            document=document,
            rig_url=url,
            rig=rig,
            problem=Problem(
                task=task_of(document, model, model_side(rig.capabilities, wiring), dataset, theta(parameters.flat())),
                rule=rule,
                parameters=parameters,
                theta=theta,
                train=dataset.train,
                batch=batch_of(document, len(dataset.train)),
                seed=optimizer.seed if seed is None else seed,
            ),
            tests=dataset.tests,
            steps=optimizer.steps if steps is None else steps,
            policy=Policy.parse(document.config.protocol.record),
            wiring=wiring,
        )
        if isinstance(calibration, Path):
            calibration = calibration_in_force(calibration, url)
        if calibration is not None:
            experiment = calibrated(experiment, calibration)
        experiment.make_optimizer()  # so that bad options are found now
        check_paths(document, experiment.problem)
        check_rule(document, experiment.problem)
        interlocks_of(document, rig, wiring)
    except BaseException:
        rig.close()
        raise
    return experiment
