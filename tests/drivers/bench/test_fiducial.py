"""The time axis of a digitizer with a clock of its own."""

import numpy as np
import pytest

from drivers.bench.fiducial import time_axis
from drivers.roles import Record
from labrhel.errors import InstrumentError

LENGTH, DT = 0.5, 1e-5


def record(rise: float, fall: float, rate: float = 1.0, t0: float = -1e-3, high: float = 3.0) -> Record:
    """Edges at `rise` and `fall` [s of the generator], seen by a clock that runs `rate` times as fast."""
    seen = (t0 + DT * np.arange(int((LENGTH + 3e-3) / DT))) / rate
    volts = np.where((seen >= rise) & (seen < fall), high, 0.0)
    return Record(np.round(volts * 1000).astype(np.int32), 1e-3, 0.0, t0, DT)


@pytest.mark.parametrize("rate", [1.0, 1 + 5e-5, 1 - 5e-5, 1 + 5e-4])
def test_both_edges_give_the_begin_and_the_rate_to_a_sample(rate: float) -> None:
    axis = time_axis(record(2e-4, 2e-4 + LENGTH, rate), 1.5, LENGTH, "scope1.ch4")
    assert axis.begin == pytest.approx(2e-4 * rate, abs=DT)
    assert axis.rate == pytest.approx(rate, abs=2 * DT / LENGTH)
    times = np.linspace(0, LENGTH, 7)
    assert axis.of(times) == pytest.approx(rate * (2e-4 + times), abs=1.5 * DT)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (record(2e-4, 10.0), "has 1 edges"),
        (record(-10.0, 0.3), "has 1 edges"),
        (record(0.0, LENGTH, high=1.0), "has 0 edges"),
        (record(0.0, LENGTH / 2), "not that of this shot"),
    ],
)
def test_a_fiducial_that_is_not_there_is_named(seen: Record, words: str) -> None:
    with pytest.raises(InstrumentError, match=words) as caught:
        time_axis(seen, 1.5, LENGTH, "scope1.ch4")
    assert "scope1.ch4" in str(caught.value)
