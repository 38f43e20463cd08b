"""Captures packed and unpacked, with scales, offsets, units and time axes that are not those of everybody."""

import numpy as np
import pytest

from labrhel.shots.capture import Capture, PassCapture, State, Trace
from labrhel.store._captures import pack_capture, unpack_capture
from labrhel.store._values import INLINE_BELOW


def codes(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int32).reshape(shape)


PASSES = (
    PassCapture(
        {
            "q1": Trace(np.array([[1.0, 2.0], [3.0, 4.0]]), "mm", 0.25, 0.5, 3, codes(2, 2), 0.01, -1.5),
            "v2": Trace(np.array([[5.0, 6.0], [7.0, 8.0]]), "mm/s", 0.125, 0.25, 0, None, 2.0, 0.5),
            "q3": Trace(np.array([[9.0, 1.0], [2.0, 3.0]]), "V", -0.5, 0.5, 1, codes(2, 2) + 9, 0.02, 1.5),
            "long": Trace(np.arange(6.0).reshape(2, 3), "V", 0.0, 0.1),
        },
        {"mass": np.array([[1.0, 2.0], [3.0, 5.0]]), "k": np.array([7.0, 8.0])},
    ),
    PassCapture({}, {}, State(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))),
    PassCapture({"q1": Trace(np.array([[4.0 + 1j]]), "mm", 1.0, 2.0)}),
)


def again(*passes: PassCapture) -> tuple[PassCapture, ...]:
    packed = pack_capture(Capture(None, passes, 1))  # type: ignore[arg-type]
    store = {array.digest: array.values for array in packed.large.values()}
    files = {name: array.digest for name, array in packed.large.items()}
    return unpack_capture(packed.blob, files, store.__getitem__)


def test_every_fact_of_every_trace_comes_back() -> None:
    found = again(*PASSES)
    assert [list(item.traces) for item in found] == [["q1", "v2", "q3", "long"], [], ["q1"]]
    for before, after in zip(PASSES, found, strict=True):
        for name, trace in before.traces.items():
            other = after.traces[name]
            assert other.values.dtype == trace.values.dtype and np.array_equal(other.values, trace.values)
            assert (other.unit, other.t0, other.dt) == (trace.unit, trace.t0, trace.dt)
            assert (other.over_range, other.scale, other.offset) == (trace.over_range, trace.scale, trace.offset)
            assert (other.codes is None) == (trace.codes is None)
            assert trace.codes is None or np.array_equal(other.codes, trace.codes)  # type: ignore[arg-type]
        assert list(after.observables) == list(before.observables)
        assert all(np.array_equal(after.observables[name], value) for name, value in before.observables.items())
        assert (after.end_state is None) == (before.end_state is None)
    end = found[1].end_state
    assert end is not None
    assert (end.position.tolist(), end.momentum.tolist()) == ([[1.0, 2.0]], [[3.0, 4.0]])


@pytest.mark.parametrize(("bytes_short", "files"), [(8, 0), (0, 1), (-8, 1)])
def test_what_reaches_the_size_of_a_file_becomes_one(bytes_short: int, files: int) -> None:
    samples = (INLINE_BELOW - bytes_short) // 8
    one = PassCapture({"q1": Trace(np.arange(samples, dtype=float)[None], "V", 0.0, 0.1)})
    assert len(pack_capture(Capture(None, (one,), 1)).large) == files  # type: ignore[arg-type]
    pair = {name: Trace(np.arange(samples / 2)[None], "V", 0.0, 0.1) for name in ("q1", "q2")}
    if samples % 2 == 0:  # two traces of half the size are one array
        assert len(pack_capture(Capture(None, (PassCapture(pair),), 1)).large) == files  # type: ignore[arg-type]
    apart = pair | {"q2": Trace(np.arange(samples / 2 - 1)[None], "V", 0.0, 0.1)}  # and of two sizes two small ones
    assert not pack_capture(Capture(None, (PassCapture(apart),), 1)).large  # type: ignore[arg-type]
    assert np.array_equal(again(one)[0].traces["q1"].values, one.traces["q1"].values)


def test_traces_of_one_kind_are_one_file_with_their_codes_beside() -> None:
    count = INLINE_BELOW // 8
    traces = {
        name: Trace(np.full((1, count), float(place)), "V", 0.0, 0.1, codes=codes(1, count) + place)
        for place, name in enumerate(("a", "b", "c"))
    }
    packed = pack_capture(Capture(None, (PassCapture(traces),), 1))  # type: ignore[arg-type]
    assert {name: array.shape for name, array in packed.large.items()} == {
        "0/values/0": (3, 1, count), "0/codes/0": (3, 1, count),
    }  # fmt: skip
    found = again(PassCapture(traces))[0].traces
    assert [found[name].values[0, 0] for name in ("c", "a", "b")] == [2.0, 0.0, 1.0]
    assert [int(found[name].codes[0, 0]) for name in ("c", "a", "b")] == [2, 0, 1]  # type: ignore[index]


@pytest.mark.parametrize("first", [True, False])
def test_of_two_traces_of_one_shape_one_may_have_codes(*, first: bool) -> None:
    found = again(
        PassCapture({
            name: Trace(np.array([[1.0, 2.0]]), "V", 0.0, 0.1, codes=codes(1, 2) + 5 if with_codes else None)
            for name, with_codes in (("q1", first), ("q2", not first), ("q3", first))
        })
    )[0].traces  # fmt: skip
    assert [None if trace.codes is None else trace.codes.tolist() for trace in found.values()] == [
        [[5, 6]] if first else None,
        None if first else [[5, 6]],
        [[5, 6]] if first else None,
    ]
