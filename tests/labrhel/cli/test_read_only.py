"""Users without a home, and an installation that nobody can write: one warning, and everything works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import labrhel
from labrhel.testing.configurations import SMALL
from labrhel.testing.programs import program

SOURCES = Path(labrhel.__file__).parents[1]
MOUNT = f"mount --bind '{SOURCES}' '{SOURCES}' && mount -o remount,ro,bind '{SOURCES}'"
"""In a mount namespace of its own, which ends with the command."""

PLACES = ("HOME", *(f"XDG_{name}_HOME" for name in ("CACHE", "CONFIG", "STATE", "DATA")))


def mounted(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "no-home").touch()  # a file of this test, where no folder can be made
    homeless = dict.fromkeys(PLACES, str(folder / "no-home"))
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{MOUNT} && {words}"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "LABRHEL_STATE"} | homeless,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if program("unshare") is None or mounted(f"! touch '{SOURCES}/tried'", tmp_path).returncode:
        pytest.skip("only the superuser of Linux can make an installation read-only for one command")
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("runs_that_draw")
def test_a_run_needs_no_home_and_writes_nothing_beside_the_code(folder: Path) -> None:
    done = mounted(f"'{sys.executable}' -m labrhel run small.yaml --steps 2", folder)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "test error" in done.stdout + done.stderr
    (run,) = (folder / "runs").iterdir()
    assert (run / "plot.png").stat().st_size
    assert done.stderr.count("cannot be kept") <= 1


@pytest.mark.slow
def test_the_emergency_stop_latches_elsewhere_and_is_released(folder: Path) -> None:
    tool = f"'{sys.executable}' -m labrhel"
    done = mounted(f"TMPDIR='{folder}'; {tool} estop; {tool} run small.yaml; {tool} reset", folder)
    assert done.returncode == 0, done.stderr
    assert "no program of this machine drives a rig" in done.stdout + done.stderr
    assert "labrhel reset" in done.stderr  # the run says what holds it
    assert "released" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
