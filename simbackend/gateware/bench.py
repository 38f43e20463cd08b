"""FPGA boards for `labrhel bench up`: the Verilated board behind a socket or a serial line, as long as it is wanted.

`labrhel bench up fpga_board --for "labrhel run coupled_oscillators --rig {rig}"` trains on it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError

if TYPE_CHECKING:
    from simbackend.gateware.verilated import VerilatedBoard

_WIRES = {"fpga_board": "tcp", "fpga_board_serial": "serial"}


def stations() -> dict[str, Path]:
    """The boards there are, by name, with the file that makes each."""
    return dict.fromkeys(_WIRES, Path(__file__).with_name("verilated.py"))


def virtual_bench(name: str, *, speed: float = math.inf) -> VerilatedBoard:
    """Start a board; raises ConfigurationError for a name that does not exist, or without the tools that it takes."""
    if name not in _WIRES:
        raise ConfigurationError(f"there is no board {name!r}; {nearest(name, _WIRES)}")
    if not math.isinf(speed):
        raise ConfigurationError("a simulated board runs as fast as it can: leave out --speed")
    try:
        from simbackend.gateware.verilated import VerilatedBoard
    except ImportError:
        raise ConfigurationError(
            "a simulated board needs Amaranth and Yosys: pip install 'labrhel[gateware]'"
        ) from None
    return VerilatedBoard(wire=_WIRES[name])


def station_text(bench: VerilatedBoard) -> str:
    """What a configuration says to run on it, as YAML."""
    return f"# Written by labrhel bench up, for as long as that board is up.\nrig: {rig_url(bench)!r}\n"


def rig_url(bench: VerilatedBoard, station: Path | None = None) -> str:
    """The rig that it is; a board has no station file."""
    return f"fpga:{bench.url}"
