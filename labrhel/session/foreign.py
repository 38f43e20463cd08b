"""Going on with a run that was not made here: which rig it would drive is said, and asked, before it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labrhel.errors import ConfigurationError
from labrhel.rig.settings import settings_of
from labrhel.store.manifest import FLEET, is_made_here, require_replayable

_MOVES_NOTHING = ("sim", "replay")  # kinds of rig with nothing behind them


def rig_to_resume(
    folder: Path, manifest: Mapping[str, Any], named: str | None, ask: Callable[[str], bool] | None = None
) -> str:
    """The URL of the rig that a resume of the run may drive: the one that the user `named`, or the record's.

    The record's is taken if the record was made here by this user, if it drives nothing and writes nothing, or if
    `ask` says yes to a sentence.  Raises ConfigurationError otherwise, and RecordError for a record that is too old.
    """
    require_replayable(manifest)  # no use in asking for a rig that cannot go on
    urls, url = [str(item) for item in manifest.get(FLEET, [manifest["rig"]])], str(manifest["rig"])
    if named not in (None, url) and len(urls) > 1:
        raise ConfigurationError(f"{folder} runs on the {len(urls)} rigs that its record names; leave out --rig")
    if named is not None:
        return named
    if is_made_here(manifest) or not any(map(_touches_something, urls)):
        return url
    words = f"{folder} was not recorded by you on this computer; a resume would {_what_it_does(url, manifest)}"
    if ask is not None and ask(words):
        return url
    then = (
        "name the rig yourself with --rig URL" if len(urls) == 1 else "start a run of your own with its configuration"
    )
    raise ConfigurationError(f"{words}: look at it (`labrhel show`), then {then}")


def _touches_something(url: str) -> bool:
    scheme, _, rest = url.partition(":")
    return scheme not in _MOVES_NOTHING or bool(_traffic(rest))


def _what_it_does(url: str, manifest: Mapping[str, Any]) -> str:
    said = f"drive {url}"
    where = manifest.get("home")
    if where:
        said += f" as seen from {where}"
    files = _traffic(url)
    if files:
        said += f", write the traffic of its wires to {', '.join(files)}"
    section = manifest.get("configuration", {}).get("telemetry")
    if isinstance(section, dict) and section.get("broker"):
        said += f", and let {section['broker']} watch and stop it"
    return said


def _traffic(url: str) -> list[str]:
    return [value for key, value in settings_of(url.partition("?")[2]).items() if key == "traffic"]
