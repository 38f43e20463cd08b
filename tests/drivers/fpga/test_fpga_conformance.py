"""The conformance kit on a Verilated board, over TCP."""

from typing import Any

import pytest

from labrhel.conformance import Outcome, judge, subject_of, summary
from labrhel.testing.programs import VERILATOR


@pytest.mark.needs(*VERILATOR)
@pytest.mark.slow
def test_a_healthy_board_passes(board: Any) -> None:
    with subject_of(f"fpga:{board.url}", "coupled_oscillators") as subject:
        results = list(judge(subject))
    print(summary(results))
    assert [str(item) for item in results if item.outcome is Outcome.FAILED] == []
    assert sum(item.outcome is Outcome.PASSED for item in results) >= 80
