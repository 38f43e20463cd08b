"""The two origins of a data set: segments of a recording, and a teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.config import Document
from labrhel.config.data import DataSection, Segments
from labrhel.data.dataset import Dataset, sequence_of
from labrhel.data.recording import columns, find_recording, read_recording
from labrhel.errors import ConfigurationError
from labrhel.experiment._sizes import MOST_KEPT, Factor, require_moderate, require_moderate_motion
from labrhel.experiment.model import readout_of
from labrhel.experiment.teacher import taught
from labrhel.learning.task import TrialSequence
from labrhel.model.interface import Model
from labrhel.shots.waveform import Interpolation
from labrhel.units import factor


def dataset_of(document: Document, model: Model, folders: Sequence[Path]) -> Dataset:
    """The data set of a configuration; `folders` is where a recording is looked for.

    Raises ConfigurationError with file, line and key.
    """
    section = document.config.data
    if section is None:
        raise document.source.error("the section 'data' is missing: training needs inputs and targets")
    if section.teacher is not None:
        return taught(document, section, section.teacher)
    gain, _, _ = readout_of(document)
    return _recorded(document, section, model, len(gain), folders)


def _recorded(document: Document, section: DataSection, model: Model, outputs: int, folders: Sequence[Path]) -> Dataset:
    at = document.at
    assert section.file is not None
    assert section.train is not None
    with at("data", "file"):
        file = find_recording(section.file, folders, section.source)
        arrays, units = read_recording(file)
        units = {**units, **section.units}
    with at("data", "input"):
        own = document.config.model.units
        u = columns(_in(arrays, section.input, units, own.input), section.input, "input")
        _agree("input columns", len(u), "inputs of the model", len(model.inputs))
    with at("data", "target"):
        y = columns(_in(arrays, section.target, units, own.position), section.target, "target")
        _agree("target columns", len(y), "outputs of the read-out", outputs)
        _agree("target samples", y.shape[1], "input samples", u.shape[1])
    with at("data", "rate"):
        spacing = 1.0 / (_rate(section.rate, arrays) * model.time_unit)

    segments = [(section.train, ("data", "train")), *((s, ("data", "test", n)) for n, s in section.test.items())]
    for part, place in segments:
        lengths = [stop - start for start, stop in part.ranges()]
        require_moderate(
            document,
            "a set of sequences",
            MOST_KEPT,
            [
                Factor(len(lengths), "segments", place),
                Factor(max(lengths), "samples", place),
                Factor(len(u) + len(y), "columns", ("data", "input")),
            ],
        )
        require_moderate_motion(document, section, max(lengths), place)

    def cut(name: str, segments: Segments, *place: str) -> tuple[TrialSequence, ...]:
        found = []
        for index, (start, stop) in enumerate(segments.ranges()):
            where = (*place, "starts", index) if segments.starts else (*place, "stop")
            with at(*where):
                if stop > u.shape[1]:
                    raise ConfigurationError(
                        f"the segment [{start}, {stop}) reaches beyond the recording, which has {u.shape[1]} samples"
                    )
            with at("data", "skip"):
                label, ports = f"{name}[{index}]", model.inputs
                interpolation = Interpolation(section.interpolation)
                found.append(
                    sequence_of(label, ports, u[:, start:stop], y[:, start:stop], spacing, interpolation, section.skip)
                )
        return tuple(found)

    train = cut("train", section.train, "data", "train")
    tests = {name: cut(name, segments, "data", "test", name) for name, segments in section.test.items()}
    return Dataset(train, tests, spacing)


def _in(arrays: Mapping[str, Array], names: Sequence[str], units: Mapping[str, str], wanted: str) -> dict[str, Array]:
    """The arrays, those named in the unit of the model; one that has another kind of unit is refused."""
    found = dict(arrays)
    for name in names:
        unit = units.get(name, wanted)
        if name in found and unit != wanted and wanted != "1":  # a model without a unit takes numbers as they are
            found[name] = _ratio(name, unit, wanted) * np.asarray(found[name], float)
    return found


def _ratio(name: str, unit: str, wanted: str) -> float:
    """How many of the model's units one of the file's is: 1e-3 for mV and V, 1e3 for V and mV."""
    for base in (wanted, unit):
        with suppress(ConfigurationError):
            return factor(unit, base) / factor(wanted, base)
    raise ConfigurationError(
        f"the array {name!r} is in {unit}, and the model in {wanted}: convert it, or name its unit"
    )


def _agree(what: str, found: int, other: str, wanted: int) -> None:
    if found != wanted:
        raise ConfigurationError(f"{what}: {found}, {other}: {wanted}; they must agree")


def _rate(rate: object, arrays: Mapping[str, Array]) -> float:
    if isinstance(rate, int | float):
        return float(rate)
    value = columns({str(rate): np.ravel(arrays[str(rate)])} if rate in arrays else arrays, [str(rate)], "rate")
    if value.size != 1 or not value.item() > 0:
        raise ConfigurationError(f"the array {rate!r} must hold one positive number of samples per second")
    return float(value.item())
