"""Where labrhel keeps what outlives a program: leases, the latch of the stop, lives of devices, and what is trusted.

What an emergency needs must be kept somewhere even where the state folder is full, read-only or another user's: a
second folder, on the disk of temporary files, stands in for it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_PREFIX = "labrhel-"


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """LABRHEL_STATE, else where the system keeps state of users.  Users who share a bench share LABRHEL_STATE."""
    given = environment.get("LABRHEL_STATE")
    if given:
        return Path(given)
    base = environment.get("XDG_STATE_HOME") or environment.get("LOCALAPPDATA")
    try:
        root = Path(base) if base else Path.home() / ".local" / "state"
    except RuntimeError:  # a user without a home
        root = temporary_folder()
    return root / "labrhel"


def own_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where a user's own decisions lie, which are never shared: in the system's folder for configurations of users."""
    base = environment.get("XDG_CONFIG_HOME") or environment.get("APPDATA")
    try:
        root = Path(base) if base else Path.home() / ".config"
    except RuntimeError:  # a user without a home has decided nothing, and nothing can be kept for them
        root = Path(os.devnull)
    return root / "labrhel"


def temporary_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where temporary files lie; the same for every program of this machine, and nothing is written to find out.

    Where `tempfile.gettempdir` looks depends on what can be written, which changes while a disk fills.
    """
    if os.name == "posix":
        return Path("/tmp")
    return Path(environment.get("TEMP") or environment.get("TMP") or Path.home())


def folders(folder: Path | None = None) -> tuple[Path, Path]:
    """The state folder, or the given one in its place, and the one that stands in for it; they need not be there."""
    first = folder or state_folder()
    digest = hashlib.sha256(str(first.absolute()).encode()).hexdigest()[:12]
    user = os.getuid() if hasattr(os, "getuid") else ""
    return first, temporary_folder() / f"{_PREFIX}{user}-{digest}"


def kept(name: str, text: str, folder: Path | None = None) -> Path:
    """Write a file `name` (a path) for this user alone, in the first folder that takes it; whole, or not at all.

    Raises OSError, that of the first folder, if none does.
    """
    first: OSError | None = None
    for place in folders(folder):
        try:
            _made((place / name).parent, place)
            rewrite(place / name, text)
            return place / name
        except OSError as error:
            first = first or error
    assert first is not None
    raise first


def rewrite(file: Path, text: str) -> None:
    """Write a file for this user alone, whole; on OSError it is what it was."""
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as out:
            out.write(text)
        beside.replace(file)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def found(name: str, folder: Path | None = None) -> list[Path]:
    """The files of that name that were kept, the first folder's first; those that cannot be looked at are not there."""
    return [file for place in folders(folder) if is_ours(place) and is_there(file := place / name)]


def listed(name: str, ending: str, folder: Path | None = None) -> tuple[list[Path], list[Path]]:
    """Files with that ending that were kept in the folder `name`, and the folders of that name that nobody may read."""
    files: list[Path] = []
    closed: list[Path] = []
    for place in folders(folder):
        if not is_ours(place):
            continue
        try:
            files += sorted(Path(entry.path) for entry in os.scandir(place / name) if entry.name.endswith(ending))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            closed.append(place / name)
    return [file for file in files if not file.name.startswith(".")], closed


def is_there(file: Path) -> bool:
    """False also for what may not be looked at."""
    try:
        return file.exists()
    except OSError:
        return False


def is_ours(place: Path) -> bool:
    """Whether a folder may be believed: one for temporary files can have been made by anybody."""
    if place.parent != temporary_folder() or not place.name.startswith(_PREFIX) or not hasattr(os, "getuid"):
        return True
    try:
        seen = place.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.getuid()


def _made(folder: Path, place: Path) -> None:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_ours(place):
        raise PermissionError(1, "belongs to another user", str(place))
    if folder != place and folder.stat().st_mode & 0o077:
        with suppress(OSError):  # another user's: what is written there is for this user alone all the same
            folder.chmod(0o700)
