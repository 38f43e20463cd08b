"""What is kept, what is dropped and counted, and what a payload says; without a broker."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrhel.shots.operations import Publish
from labrhel.telemetry import payloads
from labrhel.telemetry.outbox import Outbox
from labrhel.telemetry.payloads import Run, thinned

RUN = Run("id", "name", 3, "V", "ms")


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 8))
def test_what_comes_out_and_what_was_dropped_are_all_that_went_in(puts: list[bool], bound: int) -> None:
    outbox, put, seen, dropped = Outbox(bound, lambda: 0.0), 0, [], 0
    for putting in [*puts, *[False] * (bound + 1)]:
        if putting:
            outbox.put(Publish(put, {}))
            put += 1
        elif (taken := outbox.take()) is not None:
            dropped += taken.dropped
            seen.append(taken.step)
        assert len(outbox) <= bound
    assert seen == sorted(set(seen))
    assert len(seen) + dropped == put


def test_of_captures_only_the_newest_is_kept() -> None:
    outbox = Outbox(5, lambda: 1.5)
    for step in range(3):
        outbox.put_capture(step, object())  # type: ignore[arg-type]
    taken = outbox.take_capture()
    assert taken is not None
    assert (taken.step, taken.time) == (2, 1.5)
    assert outbox.take_capture() is None


def test_numbers_that_json_cannot_spell_are_null() -> None:
    outbox = Outbox(1, lambda: 0.0)
    outbox.put(Publish(0, {"loss": math.nan, "test_a": math.inf, "eps": np.float64(2)}, ("ümlaut",)))
    taken = outbox.take()
    assert taken is not None
    content = json.loads(payloads.scalars(RUN, taken))
    assert content["scalars"] == {"loss": None, "test_a": None, "eps": 2.0}
    assert content["units"] == {"loss": "1", "test_a": "V", "eps": "V^2/ms"}
    assert content["warnings"] == ["ümlaut"]


@pytest.mark.parametrize("samples", [1, 19, 20, 21, 399, 20_001])
def test_a_thinned_trace_is_short_and_keeps_its_extremes(samples: int) -> None:
    values = np.random.default_rng(samples).normal(size=samples)
    kept, every = thinned(values, 20)
    assert len(kept) <= 20
    assert (kept.min(), kept.max()) == (values.min(), values.max())
    assert samples <= len(kept) * every < samples + 2 * every or every == 1


def test_a_fast_oscillation_keeps_its_amplitude_when_thinned() -> None:
    kept, _ = thinned(np.sin(np.pi * 0.999 * np.arange(20_000)), 300)
    assert np.abs(kept[10:-10]).min() > 0.05
    assert np.ptp(kept) > 1.99


def test_readings_in_two_quadratures_are_two_channels() -> None:
    assert list(payloads._real("q1", np.array([1 + 2j]))) == ["q1.re", "q1.im"]
