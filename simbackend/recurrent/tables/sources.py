"""Which data a table of the paper is made of: the real sets in a folder, or made series of their shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from labrhel.config.problems import nearest
from labrhel.config.stack import EngineName, StackDocument, UnitName, stack_of
from labrhel.data.ppg_dalia import SOURCE, Windows
from labrhel.errors import ConfigurationError
from labrhel.records.tables import Asked
from simbackend.recurrent.stacks.experiment import StackExperiment
from simbackend.recurrent.stacks.paper import PAPER, Configuration
from simbackend.recurrent.stacks.problem import Problem, problem_of

UNITS: tuple[str, ...] = get_args(UnitName)
ENGINES: tuple[str, ...] = get_args(EngineName)
_ARCHIVE = ("{0}/{0}_TRAIN.ts", "{0}_TRAIN.ts", "{0}/{0}.npz", "{0}.npz")
_SUBJECTS = ("PPG_FieldStudy", "PPG-DaLiA/PPG_FieldStudy", "{0}")
_LEAST_STEPS, _LEAST_SERIES, _LEAST_READINGS, _LEAST_WINDOW = 32, 24, 40, 4  # what is left of made series to learn from
_USUAL: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Source:
    """A data set of a table: its name, its stack, where its data come from, and the folder they lie in."""

    name: str
    row: Configuration
    data: Mapping[str, Any]
    home: Path

    def document(
        self, unit: str, engine: str, seed: int, epochs: int, protocol: Mapping[str, Any] = _USUAL
    ) -> StackDocument:
        """The whole configuration of one training; `protocol` holds what is not as usual in that section."""
        sections = self.row.sections(unit, engine, seed, epochs, self.data)
        sections["protocol"] |= protocol
        return stack_of(sections, f"{self.name}-{unit}-{engine}-{seed}")

    def problem(self) -> Problem:
        """Its data, read or made.  Raises ConfigurationError for damaged ones."""
        return problem_of(self.document("linear", "echoes", 0, 1), [self.home])

    def experiment(self, document: StackDocument, problem: Problem) -> StackExperiment:
        """One training of the stack."""
        return StackExperiment(document.source.file.stem, self.home, document, problem, None, None)


@dataclass(frozen=True, slots=True)
class OfSources:
    """What all tables of figures have that are measured on data sets: what was asked, the sets, and the units."""

    asked: Asked
    found: Sequence[Source]
    units: Sequence[str]

    @property
    def words(self) -> str:
        """What the figures are of."""
        return said(self.asked, self.found)

    @property
    def left(self) -> str:
        """What is left when it is interrupted: measuring is short."""
        return "nothing is kept of this table; the same command makes it anew"


def sources(asked: Asked, own: Sequence[str], known: Sequence[str] = tuple(PAPER)) -> list[Source]:
    """The data sets that are asked for, those of the table's `own` choice if none are; `known`: those it can take.

    Raises ConfigurationError for a set without a configuration, and for one that is not in the folder.
    """
    return [_source(asked, name) for name in chosen(asked.sets, own, known, "data set of this table")]


def chosen(asked: Sequence[str], own: Sequence[str], known: Sequence[str], what: str) -> Sequence[str]:
    """What is asked for, the table's `own` choice if nothing is; raises ConfigurationError for what is not known."""
    for name in asked:
        if name not in known:
            raise ConfigurationError(f"there is no {what} {name!r}; {nearest(name, known)}")
    return tuple(dict.fromkeys(asked)) or own


def require_unasked(asked: Asked, *names: str) -> None:
    """Raise ConfigurationError for what is asked of a table that has no use for it."""
    for name in names:
        if getattr(asked, name):
            raise ConfigurationError(f"this table has no use for --{name}; leave it out")


def only_seed(asked: Asked) -> int:
    """The seed of a table that takes one, 0 if none is asked for; raises ConfigurationError for several."""
    if len(asked.seeds) > 1:
        raise ConfigurationError(f"this table is of one seed; {len(asked.seeds)} are given by --seeds")
    return asked.seeds[0] if asked.seeds else 0


def said(asked: Asked, found: Sequence[Source]) -> str:
    """What the figures are of, in one line."""
    names = ", ".join(source.name for source in found)
    if asked.data is not None:
        return f"data: {names}, from {asked.data}"
    size = "" if asked.shrink == 1 else f" {asked.shrink} times shorter and fewer,"
    return f"MADE SERIES of the same shapes,{size} in place of {names}: no figure is the paper's; --data takes the real"


def _source(asked: Asked, name: str) -> Source:
    row = PAPER[name]
    if asked.data is None:
        return Source(name, row, _made(row, asked.shrink), Path.cwd())
    if asked.shrink != 1:
        raise ConfigurationError("--shrink is of made series; leave it out, or --data")
    is_folder = row.output_step > 0
    for form in _SUBJECTS if is_folder else _ARCHIVE:
        path = asked.data / form.format(name)
        if path.is_dir() if is_folder else path.is_file():
            return Source(name, row, {"folder" if is_folder else "file": form.format(name)}, asked.data)
    where = SOURCE if is_folder else "timeseriesclassification.com"
    looked = ", ".join(form.format(name) for form in (_SUBJECTS if is_folder else _ARCHIVE))
    raise ConfigurationError(f"{name} is not in {asked.data} ({looked}); get it from {where}, or name others by --sets")


def _made(row: Configuration, shrink: int) -> dict[str, Any]:
    shape, whole = row.shape, Windows()
    if row.output_step:
        readings, subjects = max(shape.steps // shrink, _LEAST_READINGS), max(shape.series // shrink, 1)
        window = max(whole.length // shrink, _LEAST_WINDOW)
        return {
            "task": {"kind": "heart_rate", "steps": readings, "sequences": subjects},
            "windows": {"length": window, "every": max(whole.every // shrink, 1)},
        }
    return {
        "task": {
            "kind": "classes",
            "steps": max(shape.steps // shrink, _LEAST_STEPS),
            "sequences": max(shape.series // shrink, _LEAST_SERIES),
            "channels": shape.channels,
            "classes": shape.classes,
        }
    }
