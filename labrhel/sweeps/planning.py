"""The points of a sweep: what each is called, by all that decides its result.

    NAME-DIGEST/                 the run folder of a point
    sweep-NAME-DIGEST.json       the sweep: its axes, and the run and the values of every point

The digest of a point is that of its resolved configuration, of the content of the files that it names, and of the
calibration in force for its rig: the same training is the same folder in every sweep.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from labrhel.config import find
from labrhel.config.changes import parsed_change, read_changed
from labrhel.config.code import Reference
from labrhel.config.document import Config
from labrhel.config.problems import sentence
from labrhel.config.reader import KeyPath, Source
from labrhel.config.rigs import SEPARATOR, said, urls_of
from labrhel.config.stack import KIND, kind_of
from labrhel.data import search_path
from labrhel.data.finding import find_recording
from labrhel.errors import ConfigurationError
from labrhel.experiment import calibration_in_force
from labrhel.experiment.points import identity, identity_of
from labrhel.experiment.runners import own_runner
from labrhel.frozen import digest_of
from labrhel.store.folder import short_name
from labrhel.sweeps.axes import Axis, Values, points_of, words_of

_BLOCK = 1 << 20  # bytes
MOVES_NOTHING = ("sim", "replay")
"""Kinds of rig of which any number may run at once."""


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """A point: its run, its values in the order of the keys, and its rig; "" for a stack, which has none."""

    run: str
    values: Values
    rig: str = ""

    @property
    def bench(self) -> str:
        """What only one point at a time may drive: rigs that are not simulated, without the settings of their URLs."""
        moving = [url for url in self.rig.split(SEPARATOR) if url and url.partition(":")[0] not in MOVES_NOTHING]
        return SEPARATOR.join(url.partition("?")[0] for url in moving)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Points along axes; `file` is the configuration, and `name` what it is called.  `calibrations`: their folder."""

    name: str
    axes: tuple[Axis, ...]
    points: tuple[SweepPoint, ...]
    file: Path = Path()
    calibrations: Path | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key, axis by axis."""
        return tuple(key for axis in self.axes for key in axis.keys)

    @property
    def identity(self) -> str:
        """What the sweep is called."""
        return f"sweep-{identity_of(self.name, {'keys': self.keys, 'points': [point.run for point in self.points]})}"

    def words(self, point: SweepPoint) -> list[str]:
        """What makes the point of the configuration: KEY=VALUE for each key."""
        return words_of(self.keys, point.values)


def planned(configuration: str | Path, axes: Sequence[Axis], calibrations: Path | None = None) -> Sweep:
    """The sweep of a configuration file, or of an example by name, along `axes`; nothing is opened or written.

    `calibrations`: the folder of records in which that of a rig is looked for.  Raises ConfigurationError for a point
    whose configuration is wrong, or whose data are not there.
    """
    file = find(configuration)
    keys = [key for axis in axes for key in axis.keys]
    every = list(points_of(axes))
    first = read_changed(file, words_of(keys, every[0]))
    name = short_name(os.fsencode(file.stem).decode("utf-8", "replace"))
    by = _Stacks(file, keys) if kind_of(first) == KIND else _Rigs(name, file, first, keys, calibrations)
    return Sweep(name, tuple(axes), tuple(by.point(values) for values in every), file, calibrations)


class _Stacks:
    """Points that have an engine of their own, which says itself what decides their result."""

    def __init__(self, file: Path, keys: Sequence[str]) -> None:
        self._file, self._keys = file, keys

    def point(self, values: Values) -> SweepPoint:
        run = own_runner(self._file, rig=None, steps=None, seed=None, changes=words_of(self._keys, values))
        if run is None:
            raise ConfigurationError(f"a sweep is of stacks alone, or of rigs alone; take {KIND} out of model.kind")
        return SweepPoint(identity(run), values)  # type: ignore[arg-type]


class _Rigs:
    """Points on rigs.  Ten thousand of them take a second: a section is checked once for each of its values."""

    def __init__(self, name: str, file: Path, first: Source, keys: Sequence[str], calibrations: Path | None) -> None:
        self._name, self._file, self._first, self._keys = name, file, first, keys
        self._calibrations = calibrations
        self._paths = [parsed_change(f"{key}=0")[0] for key in keys]
        self._slow = _is_shared(first.data)
        self._known: dict[tuple[str, str], tuple[str, Any]] = {}
        whole = _checked(first)
        self._usual = {section: self._section(section, getattr(whole, section)) for section in Config.model_fields}
        self._in_force = cache(self._calibration)

    def point(self, values: Values) -> SweepPoint:
        if self._slow:  # text that stands in several places at once
            whole = _checked(read_changed(self._file, words_of(self._keys, values)))
            sections = {name: self._section(name, getattr(whole, name)) for name in Config.model_fields}
        else:
            sections = dict(self._usual)
            for name in {str(path[0]) for path in self._paths}:
                sections[name] = self._changed(name, values)
        rigs = urls_of(sections["rig"][1])
        in_force = [self._in_force(rig) for rig in rigs]
        decides: dict[str, Any] = {name: digest for name, (digest, _) in sections.items()}
        decides["calibration"] = in_force if len(rigs) > 1 else in_force[0]
        return SweepPoint(identity_of(self._name, decides), values, said(rigs))

    def _changed(self, name: str, values: Values) -> tuple[str, Any]:
        chosen = [(path, value) for path, value in zip(self._paths, values, strict=True) if path[0] == name]
        known = name, repr(chosen)
        if known not in self._known:
            data = self._first.data
            for path, value in chosen:
                data = _with(data, path, value)
            try:
                section = _adapter(name).validate_python(data[name])
            except ValidationError:
                _checked(read_changed(self._file, words_of(self._keys, values)))  # raises, and names the key
                raise
            self._known[known] = self._section(name, section)
        return self._known[known]

    def _section(self, name: str, section: Any) -> tuple[str, Any]:
        """The digest of a section and of the files that it names, and the section."""
        return digest_of([_adapter(name).dump_json(section).decode(), *self._files(section)]), section

    def _files(self, section: Any) -> list[str]:
        """Digests of the files that a section names: recordings, rigs, code."""
        if section is None:
            return []
        home = self._file.parent
        if isinstance(section, str | list):
            urls = urls_of(section)
            names = [name for url in urls for name in (url.partition(":")[2].partition("?")[0], *_code(url))]
        elif hasattr(section, "teacher"):
            tests = [item.file for item in section.test.values() if item.file is not None]
            folders = search_path(home, os.environ)
            wanted = [name for name in (section.file, *tests) if name is not None]
            return [_content(find_recording(name, folders, section.source)) for name in wanted]
        else:
            names = [found for key in ("kind", "rule") for found in _code(getattr(section, key, None))]
        return [_content(home / name) for name in names if name and (home / name).is_file()]

    def _calibration(self, rig: str) -> str:
        if self._calibrations is None:
            return ""
        found = calibration_in_force(self._calibrations, rig)
        return found.digest if found.values else ""


def _checked(source: Source) -> Config:
    try:
        return Config.model_validate(source.data)
    except ValidationError as error:
        raise sentence(source, error) from None


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(Any if (kind := Config.model_fields[name].annotation) is None else kind)


def _code(text: Any) -> list[str]:
    reference = Reference.of(text) if isinstance(text, str) else None
    return [] if reference is None else [reference.file]


def _with(data: Any, path: KeyPath, value: Any) -> Any:
    """The same data, with another value at a path that it has; nothing that is shared is changed."""
    if not path:
        return value
    changed = data.copy()
    changed[path[0]] = _with(data[path[0]], path[1:], value)
    return changed


def _is_shared(data: Any, seen: set[int] | None = None) -> bool:
    """Whether a list or a mapping stands in several places: by its name (&, *)."""
    seen = set() if seen is None else seen
    if not isinstance(data, dict | list):
        return False
    if id(data) in seen:
        return True
    seen.add(id(data))
    return any(_is_shared(item, seen) for item in (data.values() if isinstance(data, dict) else data))


@cache
def _content_as_it_was(file: Path, size: int, changed: int) -> str:
    digest = sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _content(file: Path) -> str:
    about = file.stat()
    return _content_as_it_was(file, about.st_size, about.st_mtime_ns)
