"""The instruments of virtual benches, by the kind under which they are registered (`labrhel.plugins`)."""

from __future__ import annotations

from typing import Any, TypeAlias

from labrhel import plugins
from labrhel.errors import ConfigurationError
from simbackend.virtual_bench.instruments.instrument import VirtualInstrument

Entry: TypeAlias = type[VirtualInstrument]
"""The class says what there is to know of a kind."""


def entry_of(kind: str) -> Entry:
    """What stands for a kind of instrument; raises ConfigurationError for one that does not exist."""
    return plugins.virtual_instrument(kind)


def made(kind: str, model: str, world: Any, name: str, options: dict[str, Any]) -> VirtualInstrument:
    """An instrument; raises ConfigurationError for a model or option that its kind does not have."""
    entry = entry_of(kind)
    chosen = model or entry.models[0]
    if chosen not in entry.models:
        raise ConfigurationError(f"a {kind} is a {' or '.join(entry.models)}, not {chosen!r}")
    for option in options:
        if option not in entry.options:
            words = ", ".join(entry.options) or "none"
            raise ConfigurationError(f"a {kind} has no option {option!r}; it has: {words}")
    serial = f"VB{abs(sum(ord(letter) * 31**place for place, letter in enumerate(name))) % 10**8:08d}"
    return entry(world, name, entry.says(chosen, serial), **options)
