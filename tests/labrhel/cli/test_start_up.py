"""What the command line loads before it knows what it is asked for."""

import json
import signal
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


SLOW = """
import sys, time
sys.path.insert(0, sys.argv.pop())
class Slow:
    def find_spec(self, name, path, target=None):
        if name == "labrhel.cli":
            print("typing" in sys.modules, flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from labrhel.__main__ import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends what Ctrl-C interrupts otherwise")
def test_ctrl_c_while_python_imports_the_command_line_says_nothing_and_little_is_imported_before() -> None:
    command = [sys.executable, "-I", "-S", "-c", SLOW, str(Path(__file__).parents[3])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "False\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT
        assert process.stderr.read() == ""
