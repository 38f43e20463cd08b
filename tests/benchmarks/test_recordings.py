"""Generated recordings are read right or refused, never silently wrong; a part of a large file costs that part."""

import pytest

from benchmarks.recordings import MOST, campaign, memory


@pytest.mark.slow
def test_generated_recordings_have_right_values_or_a_reason() -> None:
    ends, bad = campaign(30)
    assert bad == []
    assert ends["right, whole"] == 20
    assert ends["refused, damaged"] > 5


@pytest.mark.parametrize("kind", ["hdf5", "csv"])
def test_a_part_of_a_large_file_does_not_cost_the_file(kind: str) -> None:
    if kind == "csv":
        assert memory(40, kind) < MOST[kind] / 2
    else:
        assert memory(100, kind) < 1.6 * MOST[kind]  # what the libraries of a child take differs from place to place
