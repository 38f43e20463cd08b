"""Manifests: what is written is what is read, and every other text is refused with what is wrong in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from labrhel.errors import RecordError
from labrhel.store._index import content_digest
from labrhel.store.manifest import (
    FILE,
    FORMAT,
    is_made_here,
    manifest_text,
    read_manifest,
    require_replayable,
    sealed,
)

FACTS: dict[str, Any] = {
    "id": "r",
    "name": "one",
    "created": "2030",
    "policy": "every 3",
    "extra": [1, {"b": 2, "a": 1}],
}


def written(folder: Path, text: str) -> Path:
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder


def signed(facts: dict[str, Any]) -> str:
    """By its definition: the digest of the text with sorted keys and no spaces."""
    return json.dumps({**facts, "digest": content_digest(json.dumps(facts, sort_keys=True, separators=(",", ":")))})


def test_what_is_written_is_read_with_the_format_and_without_the_digest(tmp_path: Path) -> None:
    found = read_manifest(written(tmp_path, manifest_text({**FACTS, "numbers": {1: 2}})))
    assert found == {**FACTS, "numbers": {"1": 2}, "format": FORMAT}
    assert read_manifest(written(tmp_path, signed({**FACTS, "format": 2}))) == {**FACTS, "format": 2}
    reordered = dict(reversed(json.loads(manifest_text(FACTS)).items()))
    assert read_manifest(written(tmp_path, json.dumps(reordered))) == {**FACTS, "format": 2}


def test_a_key_that_is_not_there_is_named_when_it_is_asked_for(tmp_path: Path) -> None:
    found = read_manifest(written(tmp_path, manifest_text(FACTS)))
    assert found.get("seed", 7) == 7
    with pytest.raises(RecordError, match=r"manifest\.json has no 'seed', which this needs"):
        found["seed"]


def test_a_manifest_of_format_1_has_no_digest_and_may_not_have_one(tmp_path: Path) -> None:
    assert read_manifest(written(tmp_path, json.dumps({**FACTS, "format": 1})))["format"] == 1
    for spoiled in ({**FACTS, "format": 2}, {**FACTS, "format": 1, "digest": "0" * 32}):
        with pytest.raises(RecordError, match="is not what was written"):
            read_manifest(written(tmp_path, json.dumps(spoiled)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[1]", "says no record format"),
        ("{}", "says no record format"),
        ('{"format": "2"}', "says no record format"),
        ('{"format": 0}', "says no record format"),
        ('{"format": 3}', r"has record format 3; this version of labrhel reads up to 2: update labrhel"),
        (manifest_text(FACTS).replace('"one"', '"two"'), "is not what was written"),
        (signed({**FACTS, "format": 2, "id": ""}), r"\(id: String should have at least 1 character\)"),
        (signed({**FACTS, "format": 2, "units": {"a": 1}}), r"\(units\.a: Input should be a valid string\)"),
        (signed({**FACTS, "format": 2, "policy": "some"}), r"\(policy: traces are kept of all, every N"),
    ],
)
def test_a_text_that_is_no_manifest_is_refused_with_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        read_manifest(written(tmp_path, text))


def test_a_folder_without_one_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"is not a run folder: it has no manifest\.json"):
        read_manifest(tmp_path)


def test_what_was_sealed_here_is_known_until_a_fact_of_it_changes(tmp_path: Path) -> None:
    found = read_manifest(written(tmp_path, manifest_text(sealed(FACTS))))
    assert is_made_here(found)
    assert is_made_here({**found, "format": 1, "digest": "x"})  # which the seal is not about
    assert not is_made_here({**found, "policy": "all"})
    assert not is_made_here({**found, "more": 1})
    assert not is_made_here(FACTS)


@pytest.mark.parametrize(
    ("number", "rig", "refused"),
    [(1, "bench:lab.yaml", True), (2, "bench:lab.yaml", False), (1, "sim:bench", False), (1, "", False)],
)
def test_only_benches_of_format_1_cannot_be_replayed(number: int, rig: str, *, refused: bool) -> None:
    manifest = {"format": number, "rig": rig, "id": "r1"}
    if not refused:
        require_replayable(manifest)
        return
    with pytest.raises(RecordError, match=r"^r1 was recorded on a bench in record format 1"):
        require_replayable(manifest)
