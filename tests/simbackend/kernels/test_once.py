"""Of programs that begin together one compiles, and the others load what it kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simbackend.kernels.once import one_at_a_time

KERNEL = "from simbackend.kernels.compiling import compiled\n\n\n@compiled\ndef twice(x):\n    return 2 * x\n"
# Each says when it is ready, so that all ask for the kernel in the same instant.
ASKS = """
import sys
from kernel import twice
print("ready", flush=True)
sys.stdin.readline()
print(twice(4.0), sum(twice.stats.cache_misses.values()), sum(twice.stats.cache_hits.values()), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="locks of bytes of a file are POSIX's")
def test_programs_that_begin_together_compile_once(tmp_path: Path) -> None:
    (tmp_path / "kernel.py").write_text(KERNEL)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", ASKS], text=True, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for program in programs:
        assert program.stdout is not None and program.stdout.readline() == "ready\n"
    said = sorted(program.communicate("go\n")[0].strip() for program in programs)
    assert said == ["8.0 0 1", "8.0 1 0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_who_stops_is_not_waited_for_longer_than_a_kernel_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simbackend.kernels.once._PATIENCE", 0.1)
    with one_at_a_time(str(tmp_path), "it"):
        held = (
            "import simbackend.kernels.once as once; once._PATIENCE = 0.1\n"
            f"with once.one_at_a_time({str(tmp_path)!r}, 'it'): print('went on')\n"
            f"with once.one_at_a_time({str(tmp_path)!r}, 'another'): print('at once')"
        )
        done = subprocess.run([sys.executable, "-c", held], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["went on", "at once"]


def test_without_a_place_for_the_lock_everybody_compiles(tmp_path: Path) -> None:
    with one_at_a_time(str(tmp_path / "nowhere"), "it"):
        pass
