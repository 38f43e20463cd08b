"""Where labrhel keeps what outlives a program: leases, the latch of the stop, lives of devices, and what is trusted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """LABRHEL_STATE, else where the system keeps state of users.  Users who share a bench share LABRHEL_STATE."""
    given = environment.get("LABRHEL_STATE")
    if given:
        return Path(given)
    base = environment.get("XDG_STATE_HOME") or environment.get("LOCALAPPDATA")
    root = Path(base) if base else Path.home() / ".local" / "state"
    return root / "labrhel"


def own_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where a user's own decisions lie, which are never shared: in the system's folder for configurations of users."""
    base = environment.get("XDG_CONFIG_HOME") or environment.get("APPDATA")
    return (Path(base) if base else Path.home() / ".config") / "labrhel"
