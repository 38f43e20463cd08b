"""Vectors in compiled code, the functions made of them, and the matrix products."""

import numba
import numpy as np
import pytest

from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels import chunks
from simbackend.recurrent.kernels.hyperbolic import tanh_parts
from simbackend.recurrent.kernels.lane_functions import least, magnitude, most, root, signed, total
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES, load, store

KINDS = (np.float32, np.float64)


@numba.njit
def _arithmetic(a, b, out):
    x, y = load(a, 0, 0, 1), load(b, 0, 0, 1)
    store(out, 0, 0, x + y * 2.0)
    store(out, 1, 0, (1.0 - x) / y)
    store(out, 2, 0, -x * y)
    store(out, 3, 0, least(x, y))
    store(out, 4, 0, most(x, 0.25))
    store(out, 5, 0, signed(magnitude(x), y))
    store(out, 6, 0, root(magnitude(x)))
    out[7, 0] = total(x)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_calculate_like_numpy(kind: type) -> None:
    random, width = np.random.default_rng(0), REGISTER_BYTES // np.dtype(kind).itemsize
    x, y = random.normal(size=(2, 1, width)).astype(kind)
    out = np.zeros((8, width), kind)
    _arithmetic(x, y, out)
    expected = [
        x + 2 * y, (1 - x) / y, -x * y, np.minimum(x, y), np.maximum(x, 0.25), np.copysign(x, y), np.sqrt(np.abs(x))
    ]  # fmt: skip
    for mine, theirs in zip(out, expected, strict=False):
        assert np.allclose(mine, theirs[0], rtol=4 * np.finfo(kind).eps, atol=0)
    assert out[7, 0] == pytest.approx(float(x.sum()), rel=1e-5)


@numba.njit
def _tanh(x, out):
    for i in range(0, x.shape[1], 4 * REGISTER_BYTES // x.itemsize):
        above, below, e = tanh_parts(load(x, 0, i, 4))
        store(out, 0, i, above / below)
        store(out, 1, i, 4.0 * e / (below * below))


@pytest.mark.parametrize("kind", KINDS)
def test_tanh_and_its_slope_keep_their_relative_accuracy_everywhere(kind: type) -> None:
    small, unit = 10.0 ** np.linspace(-30, 0, 4096), np.finfo(kind).eps
    x = np.concatenate([-small, small, np.linspace(-19, 19, 8192)]).astype(kind)[None]
    out = np.empty((2, x.shape[1]), kind)
    _tanh(x, out)
    exact = x[0].astype(np.longdouble)
    e = np.exp(-2 * np.abs(exact))
    assert np.max(np.abs(out[0] / np.tanh(exact) - 1)) < 3 * unit
    # exp(y) has the relative error u |y| / 2 of its argument.
    assert np.max(np.abs(out[1] / (4 * e / (1 + e) ** 2) - 1) / (1 + np.abs(exact))) < 4 * unit


@pytest.mark.parametrize("kind", KINDS)
def test_tanh_reaches_one_and_stays_there(kind: type) -> None:
    x = np.array([[0.0, -0.0, 25.0, -25.0, 1e4, -1e30] + [0.0] * 58], kind)
    out = np.empty((2, 64), kind)
    _tanh(x, out)
    assert out[0, :6].tolist() == [0, 0, 1, -1, 1, -1]
    assert (out[1, 2:6] < 1e-15).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("terms", [1, 2, 4, 7, 40])
def test_matrix_products_are_those_of_numpy(terms: int, kind: type) -> None:
    random, size, steps, count, first = np.random.default_rng(terms), 64, 50, 19, 23
    coefficients, offset = random.normal(size=(terms, size)).astype(kind), random.normal(size=(1, size)).astype(kind)
    sequence = random.normal(size=(steps, terms)).astype(kind)
    stretch = slice(first, first + count)
    tolerance = 50 * np.finfo(kind).eps

    into = np.zeros((32, 2 * size), kind)
    chunks.spread(coefficients, offset, sequence, first, 0, count, into, size)
    assert np.allclose(into[:count, size:], offset + sequence[stretch] @ coefficients, rtol=tolerance, atol=tolerance)
    assert not into[:, :size].any()
    assert not into[count:].any()

    values = random.normal(size=(32, 2 * size)).astype(kind)
    across = np.zeros((size, 64), kind)
    across[:, :terms] = coefficients.T
    for turned in (np.zeros((size, 0), kind), across):
        out = np.zeros((steps, terms), kind)
        chunks.gather(coefficients, turned, values, size, count, out, first)
        assert np.allclose(out[stretch], values[:count, size:] @ coefficients.T, rtol=tolerance, atol=tolerance)
        assert not out[:first].any()
        assert not out[first + count :].any()

    sums = np.ones((terms, size), kind)
    chunks.correlate(sequence, first, 0, count, values, size, sums)
    expected = 1 + sequence[stretch].T @ values[:count, size:]
    assert np.allclose(sums, expected, rtol=tolerance, atol=tolerance)


def test_a_cached_kernel_belongs_to_the_sources_it_was_made_of() -> None:
    @compiled
    def twice(x):
        return 2 * x

    assert twice(2) == 4
    stamp = twice._cache._cache_file._source_stamp
    assert stamp == (stamp[0], chunks.spread._cache._cache_file._source_stamp[1])
