"""Instruments by the name of their dialect."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from drivers.transport import open_link
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError

if TYPE_CHECKING:
    from drivers.instruments.linked import LinkedInstrument

KINDS = {
    "keysight_33600": "Keysight33600",
    "rigol_ds1000z": "RigolDS1000Z",
    "qdac2": "QDac2",
    "red_pitaya": "RedPitaya",
    "infiniivision": "InfiniiVision",
    "e36300": "E36300",
}
"""Classes by kind; the module of each has the kind's name."""


def open_instrument(kind: str, name: str, address: str, **options: Any) -> LinkedInstrument:
    """Open the instrument at a VISA address as `name`; nothing in it changes.

    `options`: those of its class, and of its link (`drivers.transport.open_link`).  Raises ConfigurationError for a
    kind or an option that does not exist, and for another instrument at that address; TransportError if nobody answers.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"there is no driver {kind!r}; {nearest(kind, KINDS)}")
    made = getattr(import_module(f"drivers.instruments.{kind}"), KINDS[kind])
    known = {*_names(made.__init__), *_names(open_link)} - {"terminator", "marker"}
    for option in options:
        if option not in known:
            raise ConfigurationError(f"a {kind} has no option {option!r}; {nearest(option, known)}")
    if made.exist(name, made.__mro__[-1]):
        raise ConfigurationError(f"an instrument {name!r} is open already: close it first, or choose another name")
    return made(name, address, **options)


def _names(function: Any) -> list[str]:
    """Its options."""
    return [item.name for item in inspect.signature(function).parameters.values() if item.kind is item.KEYWORD_ONLY]
