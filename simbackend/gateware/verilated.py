"""The gateware under Verilator: the circuit itself, as a process at the end of a TCP connection or a serial line.

What answers is the Verilog that a vendor's tool would get, so a driver cannot tell it from a board except by its speed.
Programs are built once and kept under a digest of all that goes into them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Self

from labrhel.errors import ConfigurationError, InstrumentError
from labrhel.wire.board import Build
from simbackend.gateware.board import Board
from simbackend.gateware.verilog import intermediate, verilog

HARNESS = Path(__file__).with_name("harness.cpp")
TOOLS = ("verilator", "g++", "make")
_OPTIONS = ("--cc", "--exe", "--build", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal",
            "-Wno-lint", "-CFLAGS", "-O3", "--top-module", "board")  # fmt: skip


def missing_tools() -> list[str]:
    """What this machine lacks to build a board."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def program(build: Build, environment: Mapping[str, str] = os.environ) -> Path:
    """The program that is the board; makes it (some 20 s) unless it has been made before.

    Kept in the user's cache folder, or where LABRHEL_CACHE says.  Raises ConfigurationError where tools are missing.
    """
    if missing := missing_tools():
        raise ConfigurationError(f"a simulated board needs {', '.join(missing)}: apt install verilator g++ make")
    design, digest = _design(build)
    kept = _folder(environment) / f"board-{digest[:24]}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as name:
            (Path(name) / "board.v").write_text(verilog(design))
            command = ["verilator", *_OPTIONS, "board.v", str(HARNESS), "-o", "board", "--Mdir", "made"]
            answer = subprocess.run(command, cwd=name, capture_output=True, text=True, check=False)
            if answer.returncode:
                raise ConfigurationError(f"Verilator has failed: {answer.stderr[-800:]}")
            (Path(name) / "made" / "board").rename(kept)  # whole or not at all; of two builders the last one wins
    return kept


class VerilatedBoard:
    """A board that runs while this object is open; `url` is where it listens.

    `wire` is "tcp", at `port` (0: any free one), or "serial", a pseudo-terminal.
    """

    def __init__(self, build: Build | None = None, *, wire: str = "tcp", port: int = 0) -> None:
        self.build = Build() if build is None else build
        words = [str(program(self.build)), wire, *([str(port)] if wire == "tcp" else [])]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            _, said = self._process.communicate()
            raise InstrumentError(f"the simulated board did not start: {said.strip()}")

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def reset(self) -> None:
        """Press the board's reset button: registers are as after power on, memories keep what they held."""
        self._process.send_signal(signal.SIGUSR1)

    def describe(self) -> list[str]:
        """The line that says how to reach it, and which gateware it holds."""
        return [f"{'board':10}{self.url:52}gateware {self.build.gateware:08x}"]

    def close(self) -> None:
        """Switch the board off."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@cache
def _design(build: Build) -> tuple[str, str]:
    """The design, and a digest of all that goes into its program; it takes Amaranth a second, so once in a process."""
    design = intermediate(Board(build))
    parts = [design, HARNESS.read_text(), " ".join(_OPTIONS), _version()]
    return design, sha256("|".join(parts).encode()).hexdigest()


def _version() -> str:
    return subprocess.run(["verilator", "--version"], capture_output=True, text=True, check=True).stdout


def _folder(environment: Mapping[str, str]) -> Path:
    if named := environment.get("LABRHEL_CACHE"):
        return Path(named)
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labrhel"
