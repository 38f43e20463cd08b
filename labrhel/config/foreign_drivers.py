"""What can be said of `qcodes:MODULE.CLASS` and of the options of such a driver from the words alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from labrhel.config.templates import texts_of

FOREIGN = "qcodes:"
"""What the type of an instrument begins with whose driver is somebody else's."""
_NAME = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", re.ASCII)
_OURS = "name", "address", "visalib", "pyvisa_sim_file", "resource"
_NAMED_HERE = "name", "visalib", "pyvisa_sim_file"
DRIVER = "driver:"
"""What a resource begins with that has no address: driver and arguments follow."""
_URL = re.compile(r"[a-z]+://[\w.-]+(:\d+)?", re.ASCII)
_FILES = re.compile(r"[/\\]|\.(dll|so|dylib|py)$", re.IGNORECASE)


def module_and_class(type_: str) -> tuple[str, str]:
    """What a type names; raises ValueError for what is no such name."""
    named = type_.removeprefix(FOREIGN)
    if not _NAME.fullmatch(named):
        raise ValueError(
            f"a driver is named by its module and class, such as {FOREIGN}qcodes.instrument_drivers.Keysight."
            f"Keysight33522B, not {type_!r}"
        )
    module, _, name = named.rpartition(".")
    return module, name


def problem_of(options: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first option that no station file may give, and why: what is set here, and files."""
    for option, value in options.items():
        if option in _OURS:
            return option, f"init: {option} of a driver is set here: leave it out"
        for text in texts_of(value):
            if _FILES.search(text):
                return option, f"init: {option}: a station file names no files, such as {text!r}"
    return None


def problem_of_arguments(arguments: Mapping[str, Any]) -> tuple[str, str] | None:
    """The same of what a driver without VISA is made with: a host, a serial number."""
    for option, value in arguments.items():
        if option in _NAMED_HERE:
            return option, f"arguments: {option} of a driver is set here: leave it out"
        for text in texts_of(value):
            if _FILES.search(text) and not _URL.fullmatch(text):
                return option, f"arguments: {option}: a station file names no files, such as {text!r}"
    return None


def resource_of(type_: str, arguments: Mapping[str, Any]) -> str:
    """What an instrument is leased by whose driver has no address."""
    return f"{DRIVER}{type_.removeprefix(FOREIGN)}{json.dumps(dict(arguments), sort_keys=True, default=str)}"
