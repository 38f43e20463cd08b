"""The guardian as a process: it hears its owner from its first moment, and does not live on if it is of no use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labrhel.testing.waiting import PATIENCE


def started(station: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "drivers.guardian_process", str(station), str(os.getpid())]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in folders")
def test_a_bench_that_is_given_back_before_its_guardian_is_ready_does_not_wait_for_it(tmp_path: Path) -> None:
    os.mkfifo(station := tmp_path / "station.yaml")  # nobody writes into it, so the guardian never gets ready
    guardian = started(station)
    _, said = guardian.communicate(b"released\n", timeout=PATIENCE)
    assert (guardian.returncode, said) == (0, b"")


def test_a_guardian_that_cannot_read_its_station_says_so_and_ends_so_that_another_is_started(tmp_path: Path) -> None:
    with started(tmp_path / "gone.yaml") as process:  # its pipe stays open
        assert process.wait(PATIENCE) == 3
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert said.startswith("guardian: ") and "gone.yaml" in said and said.endswith("it cannot make the bench safe\n")
