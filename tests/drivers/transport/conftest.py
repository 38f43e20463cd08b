"""Every test ends with as many threads and open files as it began with."""

import gc
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
import pyvisa


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.fixture(autouse=True)
def no_leaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))
    pyvisa.ResourceManager("@py")
    resource_tracker.ensure_running()  # of multiprocessing; it stays
    monkeypatch.setattr(pyvisa.logger, "disabled", True)  # pytest keeps what is logged, with the sockets in it
    gc.collect()
    threads, files = threading.active_count(), _open_files()
    yield
    end = time.monotonic() + 2
    while (threading.active_count() > threads or _open_files() > files) and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    assert threading.active_count() <= threads
    assert _open_files() <= files
