"""The vendor's emulator of a LUCIDAC as a process on this machine, as it comes or with another tolerance.

    with emulator() as endpoint:                     # tcp://127.0.0.1:PORT
        rig = plugins.open_rig(f"lucidac:{endpoint}", model, folder)

    with machine(seed=3) as endpoint:                # its lanes are off, and its converters have bits

As it comes, it integrates by SciPy's `solve_ivp` with a relative tolerance of 1e-3, which nothing from outside sets:
`rtol` serves the same emulator with a subclass of its simulation.  The emulator is ideal; a `machine` is not: a proxy
on the wire changes the coefficients on their way in, and the readings on their way out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.transport.address import split_url
from labrhel.arrays import Array
from labrhel.errors import TransportError

_LANES, _BITS = 32, 12
_READS = 1.25  # the ends of its converters [machine units]


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


@dataclass(frozen=True, slots=True)
class Faults:
    """What a share c of full scale becomes: gain * c + offset, in steps of 12 bits; (2, lanes), plain and amplified."""

    gain: Array
    offset: Array

    @classmethod
    def drawn(cls, seed: int, *, off: tuple[float, float] = (0.02, 0.1), offset: float = 0.005) -> Faults:
        """Gains that are off by between `off` to either side, and offsets up to `offset`."""
        random = np.random.default_rng([20, seed])
        sizes = random.uniform(*off, (2, _LANES)) * random.choice([-1.0, 1.0], (2, _LANES))
        return cls(1 + sizes, random.uniform(-offset, offset, (2, _LANES)))

    def sent(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message to the machine; the lanes of a circuit that are in use become what they really are."""
        if message.get("type") == "set_circuit":
            cluster = message["msg"]["config"]["/0"]
            step = 2.0 ** (1 - _BITS)
            for lane, source in enumerate(cluster["/U"]["outputs"]):
                if source is not None:
                    row = int(cluster["/I"]["upscaling"][lane])
                    share = round(cluster["/C"]["elements"][lane] / step) * step
                    cluster["/C"]["elements"][lane] = float(self.gain[row, lane] * share + self.offset[row, lane])
        return message

    def read(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message from the machine; readings become codes of its converters."""
        if message.get("type") == "run_data":
            step = 2 * _READS / 2**_BITS
            codes = np.round(np.clip(message["msg"]["data"], -_READS, _READS) / step)
            message["msg"]["data"] = (codes * step).tolist()
        return message


@contextmanager
def proxy(endpoint: str, faults: Faults) -> Iterator[str]:
    """An endpoint before another one, which stays as it is; every connection has one of its own behind."""
    _, host, port, *_ = split_url(endpoint)

    class Between(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, port)) as behind, behind.makefile("rb") as answers:
                for wire in (self.request, behind):
                    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=_pass_on, args=(answers, self.request, faults.read))
                thread.start()
                _pass_on(self.rfile, behind, faults.sent)
                with contextlib.suppress(OSError):
                    behind.shutdown(socket.SHUT_RDWR)
                thread.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Between) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _pass_on(lines: Any, wire: socket.socket, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    with contextlib.suppress(OSError):
        for line in lines:
            if line.strip():
                wire.sendall(json.dumps(change(json.loads(line))).encode() + b"\n")


@contextmanager
def machine(seed: int, rtol: float | None = None) -> Iterator[str]:
    """The endpoint of an emulated machine whose lanes are off by 2 to 10 %, as `seed` draws them."""
    with emulator(rtol) as ideal, proxy(ideal, Faults.drawn(seed)) as endpoint:
        yield endpoint


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
