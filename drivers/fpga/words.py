"""Traces and states as words of a board: step by step, `stride(units)` words for each."""

from __future__ import annotations

import numpy as np

from drivers.fpga.board import FpgaBoard
from labrhel.wire.board import Region, stride
from labrhel.wire.fixed_point import Codes


def write_waveforms(board: FpgaBoard, region: Region, codes: Codes) -> None:
    """Codes (ports or units, steps) to Region.INPUTS or Region.NUDGES."""
    width = stride(board.build.ports if region is Region.INPUTS else board.build.units)
    rows = np.zeros((codes.shape[1], width), np.int64)
    rows[:, : len(codes)] = codes.T
    board.write(region, 0, rows)


def read_traces(board: FpgaBoard, region: Region, size: int, steps: int) -> Codes:
    """Codes (size, steps) from Region.POSITIONS or Region.MOMENTA."""
    width = stride(board.build.units)
    return board.read(region, 0, steps * width).reshape(steps, width).T[:size]


def read_state(board: FpgaBoard, slot: int, size: int) -> Codes:
    """Positions and momenta (2, size) in a slot."""
    width = stride(board.build.units)
    return board.read(Region.STATES, slot * 2 * width, 2 * width).reshape(2, width)[:, :size]


def write_state(board: FpgaBoard, slot: int, state: Codes) -> None:
    """The inverse of `read_state`."""
    width = stride(board.build.units)
    words = np.zeros((2, width), np.int64)
    words[:, : state.shape[1]] = state
    board.write(Region.STATES, slot * 2 * width, words)
