"""What a run is: `manifest.json`, written once, checked by its own digest and its schema whenever it is read.

Format 1 had no digest, and recorded a bench in model units.  A key that a record lacks is a RecordError that
names it, wherever it is asked for, since records come from other people and other versions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labrhel.errors import ConfigurationError, RecordError
from labrhel.safety.seal import is_ours, seal
from labrhel.store._index import content_digest
from labrhel.store.policy import Policy

FILE = "manifest.json"
FORMAT = 2
"""Since 2 a manifest has a digest, and a bench records volts with the wiring that makes model units of them."""
FLEET = "rigs"
"""The key of a run on several rigs, with their URLs; also the folder in it that holds a record of each."""
SHARE = "share_of"
"""The key of the record of one of them: the id of the run that it is a part of."""
_DIGEST, _SEAL = "digest", "seal"


class ManifestSchema(BaseModel):
    """The keys that labrhel reads, and their kinds; what a third party's runner adds is kept as it is."""

    model_config = ConfigDict(strict=True)

    format: int = Field(ge=1)
    id: str = Field(min_length=1)
    name: str
    created: str
    policy: str
    home: str = ""
    rig: str = ""
    rigs: list[str] = []
    share_of: str = ""
    seed: int = 0
    steps: int = 0
    units: dict[str, str] = {}
    target_unit: str = ""
    time_unit: float | str = ""
    recording: str | None = None
    rig_capabilities: str = ""
    configuration_digest: str | None = None
    capabilities: dict[str, Any] = {}
    calibration: dict[str, dict[str, Any]] = {}
    configuration: dict[str, Any] = {}
    code: dict[str, str] = {}
    provenance: dict[str, Any] = {}
    instruments: dict[str, dict[str, Any]] = {}
    command_line: list[str] = []
    seal: str = ""


class Manifest(dict[str, Any]):
    """The manifest as plain data; asking it for a key that it lacks is a RecordError."""

    def __init__(self, folder: Path, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self._folder = folder

    def __missing__(self, key: str) -> Any:
        raise RecordError(f"{self._folder / FILE} has no {key!r}, which this needs; restore it from a copy")


def manifest_text(facts: Mapping[str, Any]) -> str:
    """The text of a manifest of these facts, with its digest."""
    plain = json.loads(json.dumps({**facts, "format": FORMAT}))  # as it will be read: keys are strings
    return json.dumps({**plain, _DIGEST: _digest_of(plain)}, indent=1) + "\n"


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with the seal that says that this user recorded them on this computer."""
    return {**facts, _SEAL: seal(_content_of(facts))}


def is_made_here(manifest: Mapping[str, Any]) -> bool:
    """Whether this user recorded the run on this computer, and the manifest is what was written then."""
    return is_ours(_content_of(manifest), manifest.get(_SEAL))


def _content_of(facts: Mapping[str, Any]) -> str:
    added = (_SEAL, _DIGEST, "format")
    return _digest_of(json.loads(json.dumps({key: value for key, value in facts.items() if key not in added})))


def read_manifest(folder: Path) -> Manifest:
    """The manifest; raises RecordError for a folder that is no run, a damaged one, or one of a newer version."""
    path = folder / FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(
            f"{folder} is not a run folder: it has no {FILE}; `labrhel runs` lists those there are"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path} cannot be read ({error}); restore it from a copy") from error
    number = data.get("format") if isinstance(data, dict) else None
    if not isinstance(number, int) or number < 1:
        raise RecordError(f"{path} says no record format; restore it from a copy")
    if number > FORMAT:
        raise RecordError(
            f"{folder} has record format {number}; this version of labrhel reads up to {FORMAT}: update labrhel"
        )
    found = data.pop(_DIGEST, None)
    if (found is None) is (number > 1) or (found is not None and found != _digest_of(data)):
        raise RecordError(f"{path} is not what was written; restore it from a copy")
    try:
        ManifestSchema.model_validate(data)
        Policy.parse(data["policy"])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RecordError(f"{path} cannot be read ({where}: {first['msg']}); restore it from a copy") from None
    except ConfigurationError as error:
        raise RecordError(f"{path} cannot be read (policy: {error}); restore it from a copy") from None
    return Manifest(folder, data)


def require_replayable(manifest: Mapping[str, Any]) -> None:
    """Raise RecordError for a run on a bench of format 1, whose shots cannot be those of today: they were no volts."""
    url = str(manifest.get("rig", ""))
    if int(manifest["format"]) < 2 and url.partition(":")[0] == "bench":
        raise RecordError(
            f"{manifest.get('id', url)} was recorded on a bench in record format 1, whose shots are in model units; "
            f"format {FORMAT} holds volts, so it cannot be replayed or resumed, only shown, plotted and exported: "
            "start a new run"
        )


def require_whole(folder: Path, manifest: Mapping[str, Any], *, parts: bool = False) -> None:
    """Raise RecordError for the record of a run on several rigs, and, unless `parts` will do, for that of one of them.

    The first holds no shots, and the second not all of a gradient.
    """
    urls = manifest.get(FLEET, [])
    if urls:
        raise RecordError(
            f"{folder} was recorded on {len(urls)} rigs, and the shots of each are in a record of its own: name one of "
            f"these, such as {folder / FLEET / '1'}"
        )
    if not parts and manifest.get(SHARE):
        raise RecordError(
            f"{folder} holds the shares of one rig of {manifest[SHARE]}, which alone make no step: the run as a whole "
            "can be resumed, its parts shown, plotted, exported, compared with a rig, or a twin fitted to them"
        )


def _digest_of(facts: Mapping[str, Any]) -> str:
    return content_digest(json.dumps(facts, sort_keys=True, separators=(",", ":")))
