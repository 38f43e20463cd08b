"""What a journal holds, by kind and by content."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from labrhel.errors import RecordError
from labrhel.frozen import FrozenArray
from labrhel.store._arrays import ArrayStore
from labrhel.store._index import Index, array_head, content_digest, event, program_head
from labrhel.store._journal import FILE, Journal, create_journal, frame


def test_a_digest_is_that_of_the_parts_with_a_zero_between_them() -> None:
    for parts, joined in (
        (("ä", b"bc"), b"\xc3\xa4\0bc"),
        (("ab",), b"ab"),
        ((b"",), b""),
        (("a", "b", "c"), b"a\0b\0c"),
    ):
        assert content_digest(*parts) == hashlib.blake2b(joined, digest_size=16).hexdigest()


def test_frames_are_found_by_kind_and_those_that_are_written_later_too(tmp_path: Path) -> None:
    small, large = FrozenArray([[1.0, 2.0]]), FrozenArray([3.0])
    create_journal(tmp_path, frame(event("created", 1.5)), frame(array_head(small.digest, small.values), b"\0" * 16))
    index = Index(tmp_path)
    assert index.events == [{"event": "created", "wall": 1.5, "words": ""}]
    assert (list(index.arrays), list(index.programs), index.operations) == ([small.digest], [], [])
    with pytest.raises(RecordError, match=f"array {small.digest} in .* is not what was written"):
        index.array(small.digest)
    writer = Journal(tmp_path, index.end)
    writer.append(frame(program_head("ab" * 16), b"text"))
    writer.append(frame('{"operation":1,"kind":"read"}', b"data"))
    writer.append(frame('{"operation":2,"kind":"shots"}', b"more"))
    writer.append(frame(array_head(small.digest, small.values), small.values.tobytes()))
    writer.close()
    index.refresh()
    assert index.end == (tmp_path / FILE).stat().st_size and index.fault == ""
    assert len(index.events) == 1 and list(index.programs) == ["ab" * 16]
    assert [head["operation"] for head, _ in index.operations] == [1, 2]
    ((head, place),) = index.of_kind("shots")
    assert head["operation"] == 2
    assert index.load(place, content_digest(b"more"), "it") == b"more"
    assert index.load(place, content_digest("before", b"more"), "it", "before") == b"more"
    with pytest.raises(RecordError, match=r"^it in .* is not what was written; `labrhel verify` names all"):
        index.load(place, content_digest(b"less"), "it")
    found = index.array(small.digest)
    assert np.array_equal(found, small.values) and not found.flags.writeable
    ArrayStore(tmp_path / "arrays").put(large)
    assert isinstance(index.array(large.digest), np.memmap)
