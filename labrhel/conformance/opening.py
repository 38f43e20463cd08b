"""From a URL and a configuration to the rig under test."""

from __future__ import annotations

from pathlib import Path

from labrhel import plugins
from labrhel.config import Document, find, load
from labrhel.conformance.bounds import TOLERANCE
from labrhel.conformance.subject import Subject
from labrhel.errors import ConfigurationError
from labrhel.experiment import wiring_of
from labrhel.experiment.model import model_of
from labrhel.model.interface import Model

_KICKS = 10  # in the time of the largest stable step: 31 in a period of the fastest mode


def subject_of(url: str, configuration: str | Path | None = None, *, tolerance: float = TOLERANCE) -> Subject:
    """The rig that `url` names, with the model, the map and the step of a configuration or example.

    `sim:NAME` and `sim:FILE.yaml` name theirs.  Raises ConfigurationError, also for a URL that names none where no
    configuration is given.
    """
    file = find(_named(url) if configuration is None else configuration)
    document, folder = load(file), file.parent if configuration is not None else Path()
    model = model_of(document)
    step = step_of(document, model)

    rig = plugins.open_rig(url, model, folder, step, document.code)
    opened = [rig]
    return Subject(
        lambda: opened.pop() if opened else plugins.open_rig(url, model, folder, step, document.code),
        model,
        step,
        wiring=wiring_of(document, rig.capabilities, rig.wiring),
        tolerance=tolerance,
    )


def step_of(document: Document, model: Model) -> float:
    """The step between kicks that the data of a configuration take, or a tenth of the largest stable one."""
    data = document.config.data
    if data is not None and data.teacher is not None:
        return data.teacher.spacing / data.substeps
    return model.largest_step({}) / _KICKS


def _named(url: str) -> str:
    scheme, _, rest = url.partition(":")
    name = rest.partition("?")[0]
    if scheme == "sim" and name:
        return name
    raise ConfigurationError(
        f"{url} names no nominal model to compare with: give a configuration or an example with --config"
    )
