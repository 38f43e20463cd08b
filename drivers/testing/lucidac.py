"""The vendor's emulator of a LUCIDAC as a process on this machine, as it comes or with another tolerance.

    with emulator() as endpoint:                     # tcp://127.0.0.1:PORT
        rig = plugins.open_rig(f"lucidac:{endpoint}", model, folder)

As it comes, it integrates by SciPy's `solve_ivp` with a relative tolerance of 1e-3, which nothing from outside sets:
`rtol` serves the same emulator with a subclass of its simulation.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labrhel.errors import TransportError


@contextmanager
def emulator(rtol: float | None = None) -> Iterator[str]:
    """Its endpoint; the process is gone afterwards."""
    with emulator_process(rtol) as (_, endpoint):
        yield endpoint


@contextmanager
def emulator_process(rtol: float | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, which leads a group of its own, and its endpoint."""
    command = [sys.executable, "-m", "drivers.testing.lucidac", *([] if rtol is None else ["--rtol", str(rtol)])]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        endpoint = process.stdout.readline().strip()
        if not endpoint:
            raise TransportError("the emulator did not start: is lucipy installed?")
        yield process, endpoint
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def _serve(rtol: float | None) -> None:
    import scipy.integrate  # noqa: F401  once, and not in the process of every connection
    from lucipy import simulator

    if rtol is not None:

        class Finer(simulator.Simulation):
            """The vendor's simulation, integrated with another tolerance."""

            def solve_ivp(self, *arguments: Any, **options: Any) -> Any:
                return super().solve_ivp(*arguments, rtol=rtol, atol=rtol * 1e-3, **options)

        simulator.Simulation = Finer
    emulation = simulator.Emulation(bind_port=0)
    process = emulation.serve_forking()  # a process for each connection, each with a machine of its own
    print(emulation.endpoint(), flush=True)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    process.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rtol", type=float)
    _serve(parser.parse_args().rtol)
