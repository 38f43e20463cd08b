"""The conformance kit on a Verilated board, over TCP."""

from typing import Any

import pytest

from labrhel.conformance import Outcome, judge, subject_of, summary


@pytest.mark.slow
def test_a_healthy_board_passes(verilated: Any) -> None:
    with subject_of(f"fpga:{verilated.url}", "coupled_oscillators") as subject:
        results = list(judge(subject))
    print(summary(results))
    assert [str(item) for item in results if item.outcome is Outcome.FAILED] == []
    assert sum(item.outcome is Outcome.PASSED for item in results) >= 80
