"""How much memory there is, so that what can never fit is refused before anything is begun.

Linux grants an array of any size and takes memory for it as it is written; when there is none left, the kernel ends a
process, without a word and perhaps another one.  What is too large is therefore found by counting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from labrhel.errors import ConfigurationError

COUNTED_FROM = 1 << 28
"""Bytes that nobody asks about: what is smaller is not worth looking at the system for."""
_GB = 1e9


def most(root: Path = Path("/")) -> int | None:
    """Bytes that this process can hope for: what the machine has left, swap included, and the bound of its control
    groups; None where the system says neither.  `root` is that of the file system.
    """
    return min([*_of_machine(root), *_of_groups(root)], default=None)


def require_room(needed: float, what: str, remedy: str) -> None:
    """Raise ConfigurationError if `what` takes at least `needed` bytes, and there are fewer."""
    if needed < COUNTED_FROM:
        return
    there = most()
    if there is not None and needed > there:
        raise ConfigurationError(
            f"{what} takes {needed / _GB:.3g} GB of memory or more, and {there / _GB:.3g} GB are left; {remedy}"
        )


def _of_machine(root: Path) -> Iterator[int]:
    try:
        lines = (root / "proc" / "meminfo").read_text(encoding="ascii").splitlines()
        kilobytes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
        yield 1024 * (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0))
        return
    except (OSError, ValueError, KeyError, IndexError):
        pass
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return


def _of_groups(root: Path) -> Iterator[int]:
    """The bounds of this process's group and of those above it, which containers are made of (version 1 and 2)."""
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, group = line.split(":", 2) if line.count(":") >= 2 else ("", "none", "")
        top = root / "sys" / "fs" / "cgroup"
        if not controllers:
            file = "memory.max"
        elif "memory" in controllers.split(","):
            top, file = top / "memory", "memory.limit_in_bytes"
        else:
            continue
        here = top / group.strip("/")
        for folder in (here, *(above for above in here.parents if above.is_relative_to(top))):
            try:
                yield int((folder / file).read_text(encoding="ascii"))
            except (OSError, ValueError):  # "max", or a group of a container seen from within
                continue
