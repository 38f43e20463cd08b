"""What the instruments of a bench are set to, for the record of a run: the values of a QCoDeS snapshot.

Drivers of ours are asked for what they have not been told or asked before.  Somebody else's is asked nothing: what its
questions do to a measurement, only it knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from drivers.foreign.box import Box
from drivers.instruments.linked import LinkedInstrument
from drivers.roles import Instrument


def settings_of(instruments: Mapping[str, Instrument]) -> dict[str, dict[str, Any]]:
    """By instrument and parameter (`ch1.amplitude`), the values that are plain: numbers, words, flags."""
    found: dict[str, dict[str, Any]] = {}
    for name, box in instruments.items():
        if isinstance(box, LinkedInstrument):
            found[name] = dict(_values(box.snapshot(update=None)))
        elif isinstance(box, Box):
            found[name] = dict(_values(box.driver.snapshot(update=False)))
    return found


def _values(part: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, parameter in part.get("parameters", {}).items():
        value = parameter.get("value")
        if isinstance(value, float) and not math.isfinite(value):
            value = str(value)  # JSON knows no infinity
        if isinstance(value, bool | int | float | str):
            yield f"{path}{name}", value
    for group in ("submodules", "channels"):
        for name, inner in part.get(group, {}).items():
            yield from _values(inner, f"{path}{name}.")
