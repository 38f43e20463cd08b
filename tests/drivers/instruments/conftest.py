"""Instruments of a virtual bench, over real wires; every test ends with as many threads and files as it began with."""

import gc
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import pyvisa

from drivers.instruments import open_instrument
from simbackend.virtual_bench import virtual_bench

MODEL = """
model:
  oscillators: 2
  coupling: chain
  units: {time: ms, position: V, input: V}
  parameters: {stiffness: [1.0, 1.3], cubic: 0.2, coupling: 0.15, friction: 0.05}
"""


def _open_files():
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.fixture(autouse=True)
def no_leaks(tmp_path, monkeypatch):
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))
    pyvisa.ResourceManager("@py")
    import qcodes.instrument  # noqa: F401

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


@pytest.fixture
def start(tmp_path):
    """Start a bench of two oscillators from the sections `instruments` and `leads`; it is closed at the end."""
    (tmp_path / "pair.yaml").write_text(MODEL, encoding="utf-8")
    with ExitStack() as stack:

        def started(text, speed=float("inf")):
            file = tmp_path / "bench.yaml"
            file.write_text("model: pair.yaml\nring_down: 2s\n" + text, encoding="utf-8")
            return stack.enter_context(virtual_bench(file, speed=speed))

        yield started


@pytest.fixture
def opened():
    """Open instruments of a bench by their name there; they are closed before the bench."""
    with ExitStack() as stack:

        def one(bench, name, wire="socket", **options):
            kind = bench.spec.instruments[name].kind
            options = {"timeout": 5.0} | options
            return stack.enter_context(closing(open_instrument(kind, name, bench.addresses[name][wire], **options)))

        yield one
