"""How long outputs of a virtual bench stay on after an emergency stop, and after kill -9 of the program that drives it.

    python -m benchmarks.stop_latency [--stops N] [--kills N]

The bench runs in real time, as a process of its own, and is asked through its side channel what its generators and its
source put out.  A stop comes at a random instant of running shots, from another process than the one that drives the
rig; its time counts from the press to the last moment at which any output was seen to move.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure, print_table
from labrhel.safety import estop

OUTPUTS = [*(f"awg{box}.ch{channel}" for box in (1, 2, 3, 4) for channel in (1, 2)), "bias.ch1", "bias.ch15"]
_QUIET = 0.15  # s without a movement that count as safe; the shots' input crosses zero every 5 ms
_DRIVER = """
import sys
from pathlib import Path
import numpy as np
from labrhel.safety import estop, processes
from labrhel.shots.compile import compile
from labrhel.errors import LabrhelError
from labrhel.experiment import load_experiment
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform

experiment = load_experiment("bench_oscillators", rig_url="bench:" + sys.argv[1])
rig, dt, steps = experiment.rig, experiment.task.step, int(sys.argv[2])
wave = Waveform.of(np.sin(dt * np.arange(steps)), dt)
program = ShotProgram(dt, Rest(), (Pass(steps, (Drive("u1", wave, Role.INPUT),), Acquire(("q1",))),))
shot = compile(program, rig.capabilities)
with processes.listening("bench", estop.emergency(rig)):
    while True:
        rig.configure({"coupling": np.full(15, 0.2)})
        print("running", flush=True)
        try:
            rig.run([shot] * 1000)
        except LabrhelError as error:
            print("stopped:", error, flush=True)
        if not sys.stdin.readline():
            break
rig.close()
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """A bench in a process of its own."""

    station: Path
    control: socket.socket

    def volts(self) -> list[float]:
        """What the generators and two of the source's outputs are at now."""
        return [self._ask({"volts": name})["volts"] for name in OUTPUTS]

    def wait_until_moving(self, process: subprocess.Popen[str]) -> None:
        """Until a burst plays."""
        while not any(self.volts()[:8]):
            if process.poll() is not None:
                raise RuntimeError("the driver has ended")
            time.sleep(0.002)

    def last_movement(self, since: float, patience: float = 10.0) -> float:
        """Seconds from `since` (monotonic) to the last moment at which an output was not at 0 V."""
        last = since
        while (now := time.monotonic()) < last + _QUIET:
            if any(self.volts()):
                last = now
            if now > since + patience:
                raise RuntimeError("the outputs stay on")
        return last - since

    def _ask(self, order: dict[str, str]) -> dict[str, float]:
        self.control.sendall(json.dumps(order).encode() + b"\n")
        answer = bytearray()
        while not answer.endswith(b"\n"):
            answer += self.control.recv(4096)
        return json.loads(answer)


@contextmanager
def watched_bench(folder: Path, speed: float = 1.0) -> Iterator[Watched]:
    """A bench in real time."""
    station = folder / "station.yaml"
    words = [sys.executable, "-m", "labrhel", "bench", "up", "coupled_oscillators"]
    words += ["--write", str(station), "--speed", str(speed)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if line.startswith("control"))
            host, port = line.split()[-1].split(":")
            with socket.create_connection((host, int(port))) as control:
                control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                yield Watched(station, control)
        finally:
            process.terminate()


@contextmanager
def driver(bench: Watched, state: Path, steps: int) -> Iterator[subprocess.Popen[str]]:
    """A program that fires shots of so many kicks until it is stopped, and again after each line that it is sent."""
    process = subprocess.Popen(
        [sys.executable, "-c", _DRIVER, str(bench.station), str(steps)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"LABRHEL_STATE": str(state)},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.communicate()  # closes its standard input, which ends it


def stops(count: int, seed: int = 0) -> list[float]:
    """Seconds to safe outputs of so many emergency stops during running shots."""
    random.seed(seed)
    found = []
    with (
        tempfile.TemporaryDirectory() as name,
        watched_bench(Path(name)) as bench,
        driver(bench, Path(name) / "state", 40_000) as process,
        ThreadPoolExecutor(1) as finger,
    ):
        assert process.stdin is not None and process.stdout is not None
        for _ in range(count):
            if process.stdout.readline() != "running\n":
                raise RuntimeError("the driver does not run")
            bench.wait_until_moving(process)
            time.sleep(random.uniform(0, 1.0))
            pressed = time.monotonic()
            press = finger.submit(estop.press, Path(name) / "state")
            found.append(bench.last_movement(pressed))
            answers = press.result().answers
            if [answer.problem for answer in answers] != [""]:
                raise RuntimeError(f"the stop was not obeyed: {answers}")
            if not process.stdout.readline().startswith("stopped:"):
                raise RuntimeError("the shots went on")
            estop.reset(Path(name) / "state")
            if len(found) < count:
                process.stdin.write("go\n")
                process.stdin.flush()
    return found


def kills(count: int) -> list[float]:
    """Seconds to safe outputs after kill -9 of the owner, during a shot that would play on for seconds."""
    found = []
    with tempfile.TemporaryDirectory() as name, watched_bench(Path(name)) as bench:
        for _ in range(count):
            with driver(bench, Path(name) / "state", 80_000) as process:
                bench.wait_until_moving(process)
                time.sleep(1.5)  # the guardian imports what it may need
                process.send_signal(signal.SIGKILL)
                found.append(bench.last_movement(time.monotonic()))
            time.sleep(1.0)  # the guardian gives the instruments back
    return found


def targets(stop_count: int = 50, kill_count: int = 10) -> Iterator[Figure]:
    """Both, with their targets."""
    for words, target, seconds in (
        ("emergency stop during a running shot of a bench: outputs safe within 50 ms", 0.05, stops(stop_count)),
        ("kill -9 of the owner during a shot of a bench: outputs safe within 1 s", 1.0, kills(kill_count)),
    ):
        value = f"{1e3 * median(seconds):.0f} ms, at most {1e3 * max(seconds):.0f} ms, {len(seconds)} times"
        yield Figure(words, value, max(seconds) <= target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How long outputs stay on after a stop and after kill -9.")
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args(arguments)
    return 0 if print_table(targets(options.stops, options.kills)) else 1


if __name__ == "__main__":
    sys.exit(main())
