"""Means and error bars over blocks, by closed forms: standard errors, products of different blocks, the jackknife."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from protocols.echoes.blocks import Block, combined, relative_error
from protocols.echoes.plan import EchoReading
from protocols.forward.forward import ForwardBatch, ForwardPass

RANDOM = np.random.default_rng(12)


def forward(scale: float, kicks: int) -> ForwardPass:
    path = scale * np.ones((2, kicks))
    return ForwardPass(None, path, path, np.zeros((1, kicks)), path)  # type: ignore[arg-type]


def block(terms: dict[str, Any], number: int = 0, **reading: Any) -> Block:
    """A block with these terms; its read-outs and slopes (two sequences of 4 and 3 samples) are random."""
    random = np.random.default_rng([7, number])
    slopes = tuple((random.normal(size=(2, count)), random.normal(size=(3, count))) for count in (4, 3))
    direct = {
        "readout": sum(rho @ x.T for rho, x in slopes),
        "readout_offset": sum(rho.sum(axis=1) for rho, _ in slopes),
    }
    batch = ForwardBatch((forward(2.0, 5), forward(1.0, 3)), 1.0, direct, slopes, "")
    arrays = {name: np.array(value, float) for name, value in terms.items()}
    read = EchoReading(arrays, reading.get("response", 1.0), reading.get("miss", ()))
    return Block(batch, (), read, 1e-3)


SIZE = 2 * 5 * 2.0**2 + 2 * 3 * 1.0**2  # sum of squares of the forward pass: 46


def test_response_and_retrace_are_rms_over_the_rms_of_the_forward_pass() -> None:
    made = block({}, response=11.5, miss=(0.5 * np.ones((2, 5)), np.full((2, 3), -0.25)))
    assert made.response_ratio == pytest.approx(np.sqrt(11.5 / SIZE))
    assert made.retrace_error == pytest.approx(np.sqrt((10 * 0.25 + 6 * 0.0625) / SIZE))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_standard_error_is_the_deviation_over_the_blocks_by_the_root_of_their_number(count: int) -> None:
    values = RANDOM.normal(size=(count, 3))
    means, errors = combined([block({"mass": row}) for row in values], ())
    assert errors is not None
    mean = values.sum(axis=0) / count
    assert np.allclose(means["mass"], mean)
    assert np.allclose(errors["mass"] ** 2, ((values - mean) ** 2).sum(axis=0) / (count - 1) / count)


def test_one_block_has_no_standard_error_and_its_own_direct_terms() -> None:
    (only,) = blocks = [block({"mass": [1.0, 2.0]})]
    means, errors = combined(blocks, ("readout", "readout_offset"))
    assert errors is None
    assert np.allclose(means["readout"], only.batch.direct["readout"])
    assert np.allclose(means["readout_offset"], only.batch.direct["readout_offset"])


def crossed(blocks: list[Block]) -> np.ndarray:
    """The mean of rho_i x_j^T over all pairs of different blocks, summed over the sequences."""
    pairs = list(permutations(blocks, 2))
    return sum(
        one.batch.slopes[place][0] @ other.batch.slopes[place][1].T for one, other in pairs for place in range(2)
    ) / len(pairs)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_slope_by_the_readout_multiplies_readings_of_different_blocks(count: int) -> None:
    blocks = [block({}, number) for number in range(count)]
    means, errors = combined(blocks, ("readout", "readout_offset"))
    assert errors is not None
    assert np.allclose(means["readout"], crossed(blocks))
    offsets = np.array([item.batch.direct["readout_offset"] for item in blocks])
    assert np.allclose(means["readout_offset"], offsets.mean(axis=0))
    assert np.allclose(errors["readout_offset"], offsets.std(axis=0, ddof=1) / np.sqrt(count))
    if count == 2:
        own = np.array([item.batch.direct["readout"] for item in blocks])
        assert np.allclose(errors["readout"], np.abs(own[0] - own[1]) / 2)
        return
    without = np.array([crossed(blocks[:place] + blocks[place + 1 :]) for place in range(count)])
    jackknife = (count - 1) / count * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    assert np.allclose(errors["readout"], np.sqrt(jackknife))


def test_the_relative_error_is_the_norm_of_the_errors_over_the_norm_of_the_gradient() -> None:
    blocks = [block({"mass": [3.0, 0.0], "stiffness": [4.0]}), block({"mass": [5.0, 2.0], "stiffness": [8.0]})]
    # Means 4, 1, 6; standard errors 1, 1, 2.
    assert relative_error(blocks) == pytest.approx(np.sqrt(6 / 53))
    assert relative_error(blocks[:1]) == np.inf
    zero = [block({"mass": [sign]}) for sign in (1.0, -1.0)]
    assert relative_error(zero) == np.inf
    small = [block({"mass": [value]}) for value in (0.003, 0.005)]
    assert relative_error(small) == pytest.approx(0.25)


def test_a_floor_of_the_rigs_parameters_is_added_in_squares() -> None:
    blocks = [block({"mass": [3.0]}), block({"mass": [5.0]})]  # 4, give or take 1
    floor = {"mass": np.array([2.0]), "readout": np.array([100.0])}
    assert relative_error(blocks, floor) == pytest.approx(np.sqrt(1 + 4) / 4)


def test_a_block_that_nothing_is_said_of_has_no_jitter_distortion_or_clipping() -> None:
    plain = block({})
    assert (plain.jitter, plain.asked, plain.distortion) == (0.0, 0.0, 0.0)
    assert not plain.clipped and not plain.floor and not plain.captures
