"""Where recordings lie: beside the configuration, or in the folder that the user has named for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from labrhel.errors import ConfigurationError

VARIABLE = "LABRHEL_DATA"
"""Environment variable that names a folder of recordings."""


def search_path(folder: Path, environment: Mapping[str, str]) -> list[Path]:
    """Where recordings are looked for: beside the configuration, then in LABRHEL_DATA and its sub-folder `data`."""
    named = environment.get(VARIABLE)
    return [folder] if not named else [folder, Path(named), Path(named) / "data"]


def find_recording(name: str, folders: Sequence[Path], source: str) -> Path:
    """The file of that name in the first folder that has it.

    Raises ConfigurationError that says where was looked and, from `source`, where the file can be had.
    """
    return _find("file", name, folders, source, Path.is_file)


def find_folder(name: str, folders: Sequence[Path], source: str) -> Path:
    """The same for a data set that is a folder of files."""
    return _find("folder", name, folders, source, Path.is_dir)


def _find(kind: str, name: str, folders: Sequence[Path], source: str, there: Callable[[Path], bool]) -> Path:
    for folder in folders:
        if there(folder / name):
            return folder / name
    looked = ", ".join(str(folder.absolute()) for folder in folders)
    get = f"get it from {source}; " if source else ""
    raise ConfigurationError(
        f"there is no data {kind} {name} in {looked}; {get}"
        f"put it beside the configuration, or name its folder in {VARIABLE}"
    )
