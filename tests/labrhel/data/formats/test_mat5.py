"""Parts of arrays in MATLAB's files are those that scipy reads as a whole, from the file and out of zlib."""

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from labrhel.data.formats.interface import Index, Pick, UnreadableError
from labrhel.data.formats.mat5 import part
from labrhel.data.formats.matlab import Matlab

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "column": RANDOM.normal(size=20_000), "m": np.arange(420_000.0).reshape(140_000, 3),
    "wide": RANDOM.normal(size=(2, 9000)),
    "codes": RANDOM.integers(-9, 9, size=(1000, 4)).astype("i2"), "f4": RANDOM.normal(size=(33, 5)).astype("f4"),
    "a_name_that_is_long": np.arange(9), "one": np.array([[3.5]]),
    "complex": RANDOM.normal(size=5) + 1j, "deep": RANDOM.normal(size=(3, 4, 5)), "flags": np.array([True, False]),
    "words": "words", "struct": {"x": np.arange(3.0)},
}  # fmt: skip
OTHERS = ("complex", "deep", "flags", "words", "struct")
BY_AXES: dict[int, list[Index]] = {
    1: [(), (slice(3, 7),), (slice(-2, None),), (0,)],
    2: [(), (slice(3, 17), 1), (1, slice(5, 9)), (slice(None), slice(0, 2)), (slice(2, 5),), (1, 1)],
}


@pytest.mark.parametrize("compressed", [False, True])
def test_a_part_is_that_of_the_whole(tmp_path: Path, *, compressed: bool) -> None:
    file = tmp_path / "a.mat"
    savemat(file, ARRAYS, do_compression=compressed, oned_as="column")
    for name in ARRAYS:
        if name in OTHERS:
            assert part(file, name, ()) is None
            continue
        whole = np.atleast_1d(np.squeeze(loadmat(file, variable_names=[name])[name]))
        for index in BY_AXES[whole.ndim]:
            found = part(file, name, index)
            assert found is not None
            np.testing.assert_array_equal(found, whole[index], f"{name}{index}")
            assert found.dtype == whole.dtype.newbyteorder("=")


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(name: bytes, stored: int, data: bytes, count: int, order: str = "<") -> bytes:
    """A column of doubles, kept in a smaller type, as MATLAB does with whole numbers."""
    dimensions = struct.pack(f"{order}ii", count, 1)
    parts = [(6, struct.pack(f"{order}II", 6, 0)), (5, dimensions), (1, name), (stored, data)]
    return element(14, b"".join(element(kind, words, order) for kind, words in parts), order)


@pytest.mark.parametrize("order", ["<", ">"])
def test_doubles_that_are_kept_as_whole_numbers_are_doubles_again_in_either_order_of_bytes(
    order: str, tmp_path: Path
) -> None:
    values = np.arange(500) - 200
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + (b"IM" if order == "<" else b"MI")
    body = matrix(b"y", 3, values.astype(f"{order}i2").tobytes(), 500, order)
    (tmp_path / "a.mat").write_bytes(head + body)
    (found,) = Matlab().read(tmp_path / "a.mat", [Pick("y", (slice(100, 110),))])
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, values[100:110])


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_that_ends_early_is_refused_also_behind_the_part(tmp_path: Path, *, compressed: bool) -> None:
    savemat(tmp_path / "a.mat", {"y": ARRAYS["column"]}, do_compression=compressed)
    whole = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableError, match="ends before its arrays do"):
        part(tmp_path / "cut.mat", "y", (slice(0, 5),))


def test_damage_behind_the_part_is_noticed_by_the_check_sum(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"y": np.zeros(40_000)}, do_compression=True)
    whole = bytearray((tmp_path / "a.mat").read_bytes())
    (size,) = struct.unpack_from("<I", whole, 132)
    plain = bytearray(zlib.decompress(bytes(whole[136 : 136 + size])))
    plain[-3] ^= 1
    changed = zlib.compress(bytes(plain))[:-4] + bytes(whole[136 + size - 4 : 136 + size])  # the sum of what was
    (tmp_path / "a.mat").write_bytes(whole[:132] + struct.pack("<I", len(changed)) + changed)
    with pytest.raises(UnreadableError, match="damaged"):
        part(tmp_path / "a.mat", "y", (slice(0, 5),))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_part_takes_little_memory(tmp_path: Path, *, compressed: bool) -> None:
    savemat(tmp_path / "a.mat", {"y": np.zeros(1_000_000), "m": np.zeros((3, 300_000))}, do_compression=compressed)
    tracemalloc.start()
    try:
        assert part(tmp_path / "a.mat", "y", (slice(0, 2),)) is not None
        assert part(tmp_path / "a.mat", "m", (0, slice(299_000, None))) is not None
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()
