"""Training on the gateware itself, at a reduced count; benchmarks/fpga_training.py has the full one."""

from typing import Any

import pytest

from labrhel.testing.programs import VERILATOR


@pytest.mark.needs(*VERILATOR)
@pytest.mark.slow
def test_training_on_the_verilated_board_is_that_of_the_simulated_rig(board: Any) -> None:
    from benchmarks import fpga_training

    for figure in fpga_training.targets(steps=12):
        print(figure)
        assert figure.met is not False
