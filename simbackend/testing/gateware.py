"""A board that runs the gateware: under Verilator where that is installed, else under Amaranth's own simulator."""

from __future__ import annotations

from typing import Literal

from labrhel.testing.programs import VERILATOR, missing
from labrhel.wire.board import Build
from simbackend.gateware.simulated import SimulatedBoard
from simbackend.gateware.verilated import VerilatedBoard


def a_board(build: Build | None = None, *, wire: Literal["tcp", "serial"] = "tcp") -> VerilatedBoard | SimulatedBoard:
    """A board behind a socket, or, under Verilator alone, a serial line; its `url` is that of a link."""
    if wire == "tcp" and missing(*VERILATOR):
        return SimulatedBoard(build)
    return VerilatedBoard(build, wire=wire)
