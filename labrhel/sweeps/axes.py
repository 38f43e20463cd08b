"""Which values go together: `--set KEY=VALUES` each with all others, `--zip KEY=VALUES` one after the other.

VALUES are YAML with commas between them, and `0..4` stands for 0,1,2,3,4.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from labrhel.config.changes import parsed_change
from labrhel.config.reader import KeyPath, spell
from labrhel.errors import ConfigurationError

MOST = 100_000
"""Points of a sweep; more than that is a slip of the keyboard."""

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")

Values = tuple[Any, ...]
"""One value for each key, as plain data."""

_Listed = tuple[KeyPath, list[Any]]


@dataclass(frozen=True, slots=True)
class Axis:
    """Keys that change together: `values` holds, for each place along the axis, one value for each key."""

    keys: tuple[str, ...]
    values: tuple[Values, ...]

    @property
    def name(self) -> str:
        """The first key, which names the dimension."""
        return self.keys[0]


def axes_of(sets: Sequence[str], zips: Sequence[str]) -> tuple[Axis, ...]:
    """The axes that the words of a command line mean: one for each of `sets`, and one for all of `zips`.

    Raises ConfigurationError for what is not KEY=VALUES, keys that stand twice or in each other, values that stand
    twice, and `zips` of different lengths.
    """
    listed = [_listed(text, "--set") for text in sets], [_listed(text, "--zip") for text in zips]
    return _axes(*listed)


def axes_along(values: Mapping[str, Iterable[Any]], together: Mapping[str, Iterable[Any]]) -> tuple[Axis, ...]:
    """The same of values in Python; raises ConfigurationError as well for what no configuration can hold."""
    return _axes(*([_given(key, each) for key, each in given.items()] for given in (values, together)))


def _axes(sets: Sequence[_Listed], zips: Sequence[_Listed]) -> tuple[Axis, ...]:
    _require_apart([path for path, _ in (*sets, *zips)])
    axes = [Axis((spell(path),), tuple((value,) for value in values)) for path, values in sets]
    if zips:
        lengths = {spell(path): len(values) for path, values in zips}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{key} has {count}" for key, count in lengths.items())
            raise _wrong(f"the keys of --zip take as many values each, one after the other; {said}", "--zip")
        axes.append(Axis(tuple(lengths), tuple(zip(*(values for _, values in zips), strict=True))))
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST:
        raise ConfigurationError(f"these values make {count:,} points; a sweep has at most {MOST:,}")
    for axis in axes:
        seen = [_written(values) for values in axis.values]
        if len(set(seen)) < len(seen):
            twice = next(text for text in seen if seen.count(text) > 1)
            raise _wrong(f"{', '.join(axis.keys)}: the value {twice[1:-1]} stands twice; each makes one point", "--set")
    return tuple(axes)


def points_of(axes: Sequence[Axis]) -> Iterator[Values]:
    """The values of all keys, axis by axis, for every point: the last axis runs fastest."""
    for chosen in product(*(axis.values for axis in axes)):
        yield tuple(value for values in chosen for value in values)


def words_of(keys: Sequence[str], values: Values) -> list[str]:
    """The point as `labrhel run --set` takes it: KEY=VALUE for each key."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in zip(keys, values, strict=True)]


def _given(key: str, values: Iterable[Any]) -> _Listed:
    """Of Python: numbers and arrays of numpy as plain ones."""
    if isinstance(values, str):
        raise ConfigurationError(f"{key}: give a list of values, not the word {values!r}")
    path, _ = parsed_change(f"{key}=0")
    try:
        found = [_plain(value) for value in values]
    except (TypeError, ValueError) as error:
        words = f"{key}: {error}; values are finite numbers, words, and lists and mappings of them"
        raise ConfigurationError(words) from None
    if not found:
        raise ConfigurationError(f"{key} has no value")
    return path, found


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value.tolist() if hasattr(value, "tolist") else value, allow_nan=False))


def _listed(text: str, option: str) -> _Listed:
    key, sign, values = text.partition("=")
    try:
        path, written = parsed_change(f"{key}=[{values}]" if sign else text)
    except ConfigurationError as error:
        if not error.key:
            raise _wrong(f"{text!r} is not KEY=VALUES, such as optimizer.seed=0..4", option) from None
        words = f"{error.problem}: values stand with commas between them, those with a comma in quotes or brackets"
        raise ConfigurationError(words, file=Path(option), key=key) from None
    found = [each for value in json.loads(written) for each in _spread(value, text, option)]
    if not found:
        raise _wrong(f"{text!r} names no value", option)
    return path, found


def _spread(value: Any, text: str, option: str) -> Sequence[Any]:
    """The whole numbers of a range, or the value itself."""
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return [value]
    first, last = int(match[1]), int(match[2])
    if not first <= last < first + MOST:
        raise _wrong(f"{text!r}: a range goes up, as 0..4 does, and has at most {MOST:,} numbers", option)
    return range(first, last + 1)


def _require_apart(paths: Sequence[KeyPath]) -> None:
    for number, one in enumerate(paths):
        for other in paths[:number]:
            if one == other:
                raise _wrong(f"{spell(one)} stands twice; give all its values at once", "--set")
            if one[: len(other)] == other or other[: len(one)] == one:
                raise _wrong(f"{spell(other)} and {spell(one)} stand in each other; give one of them", "--set")


def _written(values: Values) -> str:
    return json.dumps(list(values), ensure_ascii=False)


def _wrong(words: str, option: str) -> ConfigurationError:
    return ConfigurationError(words, file=Path(option))
