"""What telemetry costs a run: microseconds a step on the control path, while a broker is published to.

    python -m benchmarks.telemetry

A step is what the training of the six coupled oscillators asks for: configure, two batches of shots, scalars, a
checkpoint.  The same operations go through an executor that answers at once, with and without an observer, rounds
interleaved; medians.  Needs mosquitto; without it the publisher looks for a broker all the time, and that is measured.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figure import Figure, print_table
from labrhel import session
from labrhel.executor import Handler, Tap, between_steps
from labrhel.experiment import load_experiment
from labrhel.safety.control import Control
from labrhel.shots.capture import Capture
from labrhel.shots.compile import compile as compile_shot
from labrhel.shots.operations import Checkpoint, Configure, Operation, Publish, RunShots
from labrhel.shots.program import Acquire, Pass, Rest, ShotProgram
from labrhel.telemetry import Run, Settings, Telemetry
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

ROUNDS, STEPS = 15, 400
CHANNELS, SAMPLES = 6, 2000
TARGET_US = 20.0
_PATHS = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin"


class _Ready:
    """Answers with a capture that is there already."""

    def __init__(self, capture: Capture) -> None:
        self._captures = [capture] * 3

    def do(self, operation: Operation) -> Any:
        return self._captures if isinstance(operation, RunShots) else None


def _step(handler: Handler, step: int) -> None:
    handler.do(Configure({}))
    handler.do(RunShots(()))
    handler.do(RunShots(()))
    handler.do(Publish(step, {f"scalar{index}": 0.1 for index in range(7)}))
    handler.do(Checkpoint(step + 1, {}))


def _seconds(handler: Handler) -> float:
    begin = time.perf_counter()
    for step in range(STEPS):
        _step(handler, step)
    return (time.perf_counter() - begin) / STEPS


@contextmanager
def broker() -> Iterator[int]:
    """The port of a mosquitto, or one where nobody listens."""
    program = shutil.which("mosquitto", path=_PATHS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    if program is None:
        yield port
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mosquitto.conf"
        file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        process = subprocess.Popen([program, "-c", str(file)], stderr=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.terminate()
            process.wait()


def added(port: int) -> float:
    """Seconds that telemetry adds to a step."""
    rig = SimulatedRig(OscillatorNetwork(CHANNELS))
    channels = tuple(f"q{index + 1}" for index in range(CHANNELS))
    program = ShotProgram(0.1, Rest(), (Pass(SAMPLES, (), Acquire(channels)),))
    (capture,) = rig.run([compile_shot(program, rig.capabilities)])
    bare = _Ready(capture)
    control = Control()
    with Telemetry(Settings("127.0.0.1", port, "bench"), Run("id", "name", STEPS, "V", "ms"), control) as telemetry:
        observed = Tap(bare, before=[between_steps(control.hold)], after=[telemetry.saw])
        rounds = []
        for _ in range(ROUNDS):
            rounds.append((_seconds(bare), _seconds(observed)))
            time.sleep(0.3)  # the publisher empties its queue
    return median(after for _, after in rounds) - median(before for before, _ in rounds)


def whole_runs(port: int, steps: int = 100, rounds: int = 5) -> tuple[float, float]:
    """Seconds a gradient of the six coupled oscillators takes, without and with telemetry."""
    url, times = f"mqtt://127.0.0.1:{port}/bench", ([], [])
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for kept, telemetry in zip(times, (None, url), strict=True):
                marks: list[float] = []
                experiment = load_experiment("coupled_oscillators", steps=steps)
                session.start(
                    experiment, Path(folder), lambda _, m=marks: m.append(time.perf_counter()), telemetry=telemetry
                )
                kept.append((marks[-2] - marks[1]) / (len(marks) - 3))
    return median(times[0]), median(times[1])


def targets() -> Iterator[Figure]:
    """What is promised, and what a real run makes of it."""
    with broker() as port:
        cost = added(port)
        yield Figure(
            f"telemetry adds <= {TARGET_US:g} us to a step's control path",
            f"{1e6 * cost:.1f} us",
            1e6 * cost <= TARGET_US,
        )
        without, publishing = whole_runs(port)
        words = f"{1e3 * without:.2f} ms, {1e3 * publishing:.2f} ms"
        yield Figure("  a gradient of the six oscillators, without and with telemetry", words, None)


if __name__ == "__main__":
    print_table(targets())
