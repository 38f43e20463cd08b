"""Packed arrays: the layout by its definition, byte by byte, and what is refused."""

import json

import numpy as np
import pytest

from labrhel.errors import RecordError
from labrhel.store._packing import pack, unpack

ARRAYS = {
    "five bytes": np.arange(5, dtype=np.int8),
    "square": np.array([[1.5, -2.0], [0.25, 4.0]]),
    "none": np.empty((0, 3), ">f4"),
    "wave": np.array([1 + 2j, -3j]),
    "number": np.array(7, np.int32),
}


def test_arrays_and_note_come_back_with_type_and_shape() -> None:
    arrays, note = unpack(pack(ARRAYS, ("a", (1, None, True))))
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(arrays[name], array)
        assert not arrays[name].flags.writeable
    assert note == ["a", [1, None, True]]


def test_a_blob_is_a_length_a_header_and_data_each_on_a_multiple_of_eight_bytes() -> None:
    blob = pack(ARRAYS, "note")
    size = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + size])
    assert size % 8 == 0 and header["note"] == "note"
    assert header["arrays"] == [
        ["five bytes", "|i1", [5], 0],
        ["square", "<f8", [2, 2], 8],
        ["none", ">f4", [0, 3], 40],
        ["wave", "<c16", [2], 40],
        ["number", "<i4", [], 72],
    ]
    assert len(blob) == 8 + size + 80
    assert blob[8 + size : 8 + size + 8] == bytes([0, 1, 2, 3, 4, 0, 0, 0])
    assert blob[8 + size + 72 :] == bytes([7, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("length", range(8))
def test_the_header_is_filled_up_with_no_more_spaces_than_it_takes(length: int) -> None:
    blob = pack({"one": np.array([1.5])}, "n" * length)
    size = int.from_bytes(blob[:8], "little")
    assert size % 8 == 0
    assert size - len(blob[8 : 8 + size].rstrip(b" ")) < 8
    assert blob[8 + size :] == np.array([1.5]).tobytes()


def test_equal_content_gives_equal_bytes_and_another_note_does_not() -> None:
    assert pack(ARRAYS, "n") == pack({name: array.copy() for name, array in ARRAYS.items()}, "n")
    assert pack(ARRAYS, "n") != pack(ARRAYS, "m")
    assert unpack(pack({})) == ({}, "")


def test_a_numpy_number_in_a_note_is_a_number() -> None:
    assert unpack(pack({}, (np.float64(0.5), np.int64(3))))[1] == [0.5, 3]


def test_objects_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="cannot hold odd, an array of objects"):
        pack({"odd": np.array([{}], object)})
    with pytest.raises(TypeError, match="a record cannot hold a frozenset beside an array"):
        pack({}, (frozenset(),))


@pytest.mark.parametrize("blob", [b"", b"\x08" + bytes(7) + b"nonsense", pack(ARRAYS, "n")[:-8], pack(ARRAYS)[:40]])
def test_bytes_that_were_not_packed_are_damage(blob: bytes) -> None:
    with pytest.raises(RecordError, match="packed arrays in the journal are damaged"):
        unpack(blob)
