"""Programs beside Python that some tests drive: which are here, and which to do without for once.

`LABRHEL_TEST_WITHOUT=mosquitto,verilator make test` runs the tests as on a machine that lacks both.
"""

from __future__ import annotations

import os
import shutil

# A package may put a server where users do not look.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"))
VERILATOR = ("verilator", "g++", "make")
"""What a board under Verilator takes, beside the packages of the extra `gateware`."""

_NAMES = {"chromium": ("chromium", "chromium-browser", "google-chrome")}


def program(name: str) -> str | None:
    """Where a program is; None if it is missing, or named in LABRHEL_TEST_WITHOUT."""
    if name in os.environ.get("LABRHEL_TEST_WITHOUT", "").split(","):
        return None
    found = (shutil.which(one, path=_PATH) for one in _NAMES.get(name, (name,)))
    return next(filter(None, found), None)


def missing(*names: str) -> list[str]:
    """Those programs that are missing."""
    return [name for name in names if program(name) is None]
