"""The two origins of a data set: segments of a recording, and a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from labrhel.config import Document
from labrhel.config.data import DataSection, Segments, TestSegments
from labrhel.data.dataset import Dataset, sequence_of
from labrhel.data.finding import find_recording
from labrhel.errors import ConfigurationError
from labrhel.experiment._recorded import Measured, measured
from labrhel.experiment._sizes import MOST_KEPT, Factor, require_moderate, require_moderate_motion
from labrhel.experiment.model import readout_of
from labrhel.experiment.teacher import taught
from labrhel.learning.task import TrialSequence
from labrhel.model.interface import Model
from labrhel.shots.waveform import Interpolation


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

    def opened(name: str, *place: str) -> Measured:
        with at(*place):
            file = find_recording(name, folders, section.source)
        return measured(document, section, file, len(model.inputs), outputs, model.size, place)

    def cut(name: str, source: Measured, segments: Segments, *place: str) -> tuple[TrialSequence, ...]:
        whole = isinstance(segments, TestSegments) and segments.whole
        ranges = [(0, source.samples)] if whole else list(segments.ranges())
        _require_moderate(document, section, source, ranges, place)
        for index, (start, stop) in enumerate(ranges):
            with at(*((*place, "starts", index) if segments.starts else (*place, "stop"))):
                if stop > source.samples:
                    raise ConfigurationError(
                        f"the segment [{start}, {stop}) reaches beyond the recording, which has {source.samples} "
                        "samples"
                    )
        found = []
        for index, (u, y, start) in enumerate(source.segments(ranges)):
            with at("data", "skip"):
                label, ports = f"{name}[{index}]", model.inputs if len(u) else ()
                interpolation = Interpolation(section.interpolation)
                begins = np.concatenate([start, np.zeros(model.size - len(start))]) if len(start) else None
                made = sequence_of(label, ports, u, y, spacing, interpolation, section.skip)
                found.append(replace(made, start=begins))
        return tuple(found)

    main = opened(section.file, "data", "file")
    used = [(0, 0), *section.train.ranges(), *(r for s in section.test.values() if s.file is None for r in s.ranges())]
    spacing = main.seconds([r for r in used if r[1] <= main.samples]) / model.time_unit
    train = cut("train", main, section.train, "data", "train")
    tests = {}
    for name, segments in section.test.items():
        place = ("data", "test", name)
        source = main if segments.file is None else opened(segments.file, *place, "file")
        if source is not main:
            _require_same_spacing(document, source, segments, spacing * model.time_unit, place)
        tests[name] = cut(name, source, segments, *place)
    return Dataset(train, tests, spacing)


def _require_moderate(
    document: Document,
    section: DataSection,
    source: Measured,
    ranges: Sequence[tuple[int, int]],
    place: tuple[str, ...],
) -> None:
    longest = max(stop - start for start, stop in ranges)
    require_moderate(
        document,
        "a set of sequences",
        MOST_KEPT,
        [
            Factor(len(ranges), "segments", place),
            Factor(longest, "samples", place),
            Factor(source.columns, "columns", ("data", "input")),
        ],
    )
    require_moderate_motion(document, section, longest, place)


def _require_same_spacing(
    document: Document, source: Measured, segments: TestSegments, seconds: float, place: tuple[str, ...]
) -> None:
    found = source.seconds([(0, source.samples)] if segments.whole else list(segments.ranges()))
    if abs(found / seconds - 1) > 1e-3:
        raise document.source.error(
            f"{source.recording.file.name} has {1 / found:.6g} samples per second, and the file that is trained on "
            f"{1 / seconds:.6g}; they must agree",
            *place,
            "file",
        )
