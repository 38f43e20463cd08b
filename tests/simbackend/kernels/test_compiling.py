"""Kernels are compiled wherever there is a place for their cache, and where there is none."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import simbackend
from simbackend.kernels.compiling import inlined, sources_of_kernels

KERNEL = """
import logging, sys
logging.basicConfig(format="%(message)s")
from simbackend.kernels.compiling import compiled
space = {}
exec(compile("def twice(x):\\n    return 2 * x\\n", "/proc/version", "exec"), space)
exec(compile("def thrice(x):\\n    return 3 * x\\n", "/proc/version", "exec"), space)
print(compiled(space["twice"])(4.0), compiled(space["thrice"])(4.0))
"""


@pytest.mark.skipif(not Path("/proc/version").is_file(), reason="no file here that nobody can write beside")
@pytest.mark.parametrize("words", ["kept in", "kept nowhere"])
def test_without_a_home_and_beside_sources_that_cannot_be_written_one_warning_is_all(
    tmp_path: Path, words: str
) -> None:
    homeless = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "TMPDIR": str(tmp_path)}
    if words == "kept nowhere":
        (tmp_path / f"labrhel-kernels-{os.getuid()}").mkdir(mode=0o777)
        (tmp_path / f"labrhel-kernels-{os.getuid()}").chmod(0o777)  # anybody may have put something there
    done = subprocess.run(
        [sys.executable, "-c", KERNEL], capture_output=True, text=True, env=os.environ | homeless, check=False
    )
    assert done.stdout == "8.0 12.0\n", done.stderr
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_a_piece_is_compiled_once_whatever_constants_a_kernel_calls_it_with() -> None:
    @inlined
    def piece(x, first):  # type: ignore[no-untyped-def]
        return x + first

    @numba.njit
    def kernel(x, first):  # type: ignore[no-untyped-def]
        return piece(x, first) + piece(x, 0) + piece(x, 1)

    assert kernel(0.5, 2) == 4.5
    assert len(piece.signatures) == 1


def test_an_edit_of_whatever_a_kernel_may_be_made_of_makes_all_kernels_anew(tmp_path: Path) -> None:
    package = Path(simbackend.__file__).parent
    makers = [
        file
        for file in package.rglob("*.py")
        if re.search(r"^(import|from) numba|^from .*compiling import", file.read_text(), re.MULTILINE)
    ]
    assert len(makers) > 10
    for file in makers:
        copy = tmp_path / file.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    for file in makers:
        before = sources_of_kernels(tmp_path)
        copy = tmp_path / file.relative_to(package)
        copy.write_text(copy.read_text() + "# edited\n")
        assert sources_of_kernels(tmp_path) != before, f"kernels do not look at {file.name}"
