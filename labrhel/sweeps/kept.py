"""The file of a sweep, beside its run folders: axes and points, so that it can be found and tabled again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labrhel.errors import ConfigurationError, RecordError
from labrhel.frozen import digest_of
from labrhel.safety.plain_files import read_plain
from labrhel.store.outputs import written_aside
from labrhel.sweeps.axes import Axis, points_of
from labrhel.sweeps.planning import Sweep, SweepPoint

_FORMAT = 1
_BEGIN, _ENDING = "sweep-", ".json"
_LARGEST = 200_000_000  # bytes


def keep(sweep: Sweep, root: Path) -> Path:
    """Write the file of a sweep below `root`, if it is not there; RecordError if it cannot be written."""
    file = root / f"{sweep.identity}{_ENDING}"
    if not file.is_file():
        with written_aside(file, making_folders=True) as aside:
            aside.write_text(_text(sweep), encoding="utf-8")
    return file


def read_sweep(file: Path) -> Sweep:
    """The sweep of a file; RecordError for one that is not what was written."""
    try:
        data = json.loads(read_plain(file, _LARGEST))
        digest = data.pop("digest")
        if data["format"] != _FORMAT or digest != digest_of(data):
            raise ValueError("it is not what was written")
        axes = tuple(
            Axis(tuple(each["keys"]), tuple(tuple(values) for values in each["values"])) for each in data["axes"]
        )
        points = zip(data["runs"], data["rigs"], points_of(axes), strict=True)
        return Sweep(data["name"], axes, tuple(SweepPoint(run, values, rig) for run, rig, values in points))
    except OSError as error:
        raise RecordError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(f"{file} is no sweep ({error}); the same `labrhel sweep` writes it again") from None


def sweep_files(root: Path) -> list[Path]:
    """The files of all sweeps below `root`, the newest first."""
    found = [file for file in root.glob(f"{_BEGIN}*{_ENDING}") if file.is_file()]
    return sorted(found, key=lambda file: (file.stat().st_mtime_ns, file.name), reverse=True)


def find_sweep(text: str, root: Path) -> Path | None:
    """The file of the sweep that `text` names: a file, its name, or the beginning of the name or of its last part.

    None if no sweep fits; ConfigurationError if several do.
    """
    if text.endswith(_ENDING) and Path(text).is_file():
        return Path(text)
    fitting = (
        [file for file in sweep_files(root) if any(word.startswith(text) for word in _called(file))] if text else []
    )
    exact = [file for file in fitting if file.stem == text]
    if len(exact or fitting) > 1:
        raise ConfigurationError(f"{text!r} fits {len(fitting)} sweeps: {', '.join(file.stem for file in fitting[:5])}")
    return next(iter(exact or fitting), None)


def _called(file: Path) -> Iterator[str]:
    yield file.stem
    yield file.stem.rpartition("-")[2]


def _text(sweep: Sweep) -> str:
    data: dict[str, Any] = {
        "format": _FORMAT,
        "name": sweep.name,
        "axes": [{"keys": axis.keys, "values": axis.values} for axis in sweep.axes],
        "runs": [point.run for point in sweep.points],
        "rigs": [point.rig for point in sweep.points],
    }
    plain = json.loads(json.dumps(data))  # as it will be read: tuples are lists
    return json.dumps({**plain, "digest": digest_of(plain)}, ensure_ascii=False) + "\n"
