"""The life of a device, counted in shots: what noise and drift are functions of.

In memory it starts at zero each time the rig is opened.  Kept in a file, one per device, it goes on from run to run,
as a real rig does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from labrhel.errors import ConfigurationError
from labrhel.safety.places import state_folder


def state_file(seed: int, environment: Mapping[str, str]) -> Path:
    """Where the life of device `seed` is kept."""
    return state_folder(environment) / f"device-{seed}.json"


class Life:
    """How many shots a device has fired; with a `file`, since it was first used."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.shots = 0 if file is None or not file.exists() else _read(file)

    def fire(self, count: int) -> int:
        """Count shots before they are fired, so that none is ever counted twice; returns the number of the first."""
        first = self.shots
        self.shots += count
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            beside = self._file.with_suffix(f".{os.getpid()}.tmp")
            beside.write_text(json.dumps({"shots": self.shots}), encoding="utf-8")
            beside.replace(self._file)
        return first


def _read(file: Path) -> int:
    try:
        shots = json.loads(file.read_text(encoding="utf-8"))["shots"]
    except (OSError, ValueError, KeyError, TypeError):
        shots = None
    if type(shots) is not int or shots < 0:
        raise ConfigurationError(f"{file} does not say how many shots the device has fired; delete it to start anew")
    return shots
