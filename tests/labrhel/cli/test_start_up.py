"""What the command line loads before it knows what it is asked for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"numpy", "pydantic", "qcodes", "scipy", "xarray", "numba", "matplotlib", "h5py", "ruamel"}

ASKED = """
import json, sys
from labrhel.cli import main
sys.argv = ["labrhel", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def loaded(*words: str, state: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", ASKED, *words],
        capture_output=True,
        text=True,
        check=True,
        env={"LABRHEL_STATE": str(state), "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_waits_for_no_library(tmp_path: Path) -> None:
    found = loaded("--help", state=tmp_path)
    assert "typer" in found
    assert not found & HEAVY


@pytest.mark.parametrize("words", ["run --help", "calibration --help", "bench --help", "estop"])
def test_help_on_a_command_and_the_emergency_stop_wait_for_none_but_what_typer_takes(
    words: str, tmp_path: Path
) -> None:
    assert not loaded(*words.split(), state=tmp_path) & (HEAVY - {"pydantic"})  # typer converts options with it


def test_a_command_that_computes_loads_what_it_needs(tmp_path: Path) -> None:
    assert {"numpy", "pydantic"} <= loaded("rigs", state=tmp_path)
