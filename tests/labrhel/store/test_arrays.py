"""Arrays by content: one file each, whole or not at all, found again when they are damaged."""

import os
from pathlib import Path

import numpy as np
import pytest

from labrhel.errors import RecordError
from labrhel.frozen import FrozenArray
from labrhel.store._arrays import ArrayStore, Stacked

PARTS = [np.arange(6.0).reshape(2, 3) + 10 * number for number in range(3)]


def test_a_stack_has_the_shape_the_values_and_the_digest_of_the_array_it_stands_for(tmp_path: Path) -> None:
    stack = Stacked(part.T.copy().T for part in PARTS)
    assert stack.shape == (3, 2, 3)
    assert np.array_equal(stack.values, np.stack(PARTS))
    assert stack.digest == FrozenArray(np.stack(PARTS)).digest
    digest = ArrayStore(tmp_path).put(stack)
    assert np.array_equal(np.load(tmp_path / digest[:2] / f"{digest}.npy"), np.stack(PARTS))


def test_what_is_there_is_not_written_again_by_this_store_or_another(tmp_path: Path) -> None:
    array = FrozenArray([1.0, 2.0])
    store = ArrayStore(tmp_path)
    digest = store.put(array)
    file = tmp_path / digest[:2] / f"{digest}.npy"
    os.utime(file, (1, 1))
    assert store.put(array) == ArrayStore(tmp_path).put(array) == digest
    assert file.stat().st_mtime == 1
    file.unlink()
    assert store.put(array) == digest and not file.exists()  # it knows that it has written it
    assert not store.has(digest)
    assert ArrayStore(tmp_path).put(array) == digest and store.has(digest)


def test_a_stack_may_be_of_one_array_or_of_arrays_of_nothing(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path)
    for parts in (PARTS[:1], [np.empty((0, 3))] * 2):
        found = store.get(store.put(Stacked(parts)))
        assert np.array_equal(found, np.stack(parts)) and found.shape == np.stack(parts).shape


def test_the_content_of_a_file_is_looked_at_once_and_a_link_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labrhel.store import _arrays

    looked: list[tuple[int, ...]] = []
    hashed = _arrays.hash_array
    monkeypatch.setattr(_arrays, "hash_array", lambda *what: (looked.append(what[1]), hashed(*what))[1])
    store = ArrayStore(tmp_path)
    digest = store.put(FrozenArray([1.0, 2.0]))
    for _ in range(3):
        assert store.get(digest).tolist() == [1.0, 2.0]
    assert looked == [(2,)]
    file = tmp_path / digest[:2] / f"{digest}.npy"
    for place in (file, file.parent):
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(RecordError, match="is a link"):
            store.get(digest)
        place.unlink()
        (tmp_path / "elsewhere").rename(place)
    assert store.get(digest).tolist() == [1.0, 2.0]


def test_a_stored_array_is_mapped_and_read_only(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path)
    array = store.get(store.put(FrozenArray([1.0, 2.0])))
    assert isinstance(array, np.memmap) and not array.flags.writeable


def test_arrays_that_are_not_there_or_cannot_be_read_are_told_apart(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path)
    digest = store.put(FrozenArray([1.0, 2.0]))
    with pytest.raises(RecordError, match="the recording policy did not keep it"):
        store.get("0" * 32)
    (tmp_path / digest[:2] / f"{digest}.npy").write_bytes(b"nothing of numpy's")
    with pytest.raises(RecordError, match="its name is its content"):
        store.get(digest)


@pytest.mark.parametrize("spoil", [lambda data: data[:-1] + b"\x01", lambda data: data[:20], lambda data: b""])
def test_only_the_damaged_files_are_named(tmp_path: Path, spoil: object) -> None:
    store = ArrayStore(tmp_path)
    digests = [store.put(FrozenArray([float(number)])) for number in range(3)]
    victim = tmp_path / digests[1][:2] / f"{digests[1]}.npy"
    victim.write_bytes(spoil(victim.read_bytes()))  # type: ignore[operator]
    assert list(store.damaged()) == [victim]


def test_a_write_that_stops_short_goes_on_and_one_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labrhel.store import _arrays

    class Slow:
        """A file that takes 5 bytes a write, and fails after `room`."""

        room = 10**6

        def __init__(self, path: str, *_: object, **__: object) -> None:
            self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115

        def __enter__(self) -> "Slow":
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> int:
            if Slow.room <= 0:
                raise OSError(28, "No space left on device")
            Slow.room -= 5
            if len(data) > 100 and not isinstance(data, memoryview):
                return self._file.write(data)  # the header
            return self._file.write(data[:5]) or 0

    monkeypatch.setattr(_arrays, "open", Slow, raising=False)
    array = FrozenArray(np.arange(4.0))
    store = ArrayStore(tmp_path)
    digest = store.put(array)
    assert np.array_equal(np.load(tmp_path / digest[:2] / f"{digest}.npy"), array.values)
    Slow.room = 10
    with pytest.raises(RecordError, match="is full"):
        store.put(FrozenArray(np.arange(9.0)))
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    Slow.room = 10**6
    assert store.has(store.put(FrozenArray(np.arange(9.0))))
