"""What a training step on a bench costs, beside a bare-socket program that moves the same bytes.

    python -m benchmarks.bench_overhead

Three shots (forward, and two echoes by drive), six channels, 2000 kicks a pass, on a virtual bench that is a process of
its own.  The bytes of one step are recorded and sent again over plain sockets, one exchange after the other, each with
its answer; the bare program sets, fires and reads, and computes nothing.  Ratios are medians over interleaved rounds.
BLAS has one thread, as under `labrhel run`.  `benchmarks.against` runs it in turn with that of another checkout.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure, print_table
from drivers.transport import Direction, read_traffic
from labrhel.executor import execute
from labrhel.experiment import Experiment, load_experiment
from labrhel.learning.gradient import Gradient

ROUNDS, MOST = 15, 1.3
CONFIG = """
model:
  oscillators: 6
  coupling: all
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: [1.0, 1.3, 0.8, 1.1, 1.5, 0.9]
    cubic: 0.2
    coupling: {value: 0.15, train: true}
    input: [[1.0], [0.0], [0.0], [0.0], [0.0], [0.0]]
  readout: {channels: [q1, q2, q3, q4, q5, q6]}
rig: "sim:"
protocol: {rule: rhel, record: none}
optimizer: {kind: adam, steps: 1}
data:
  teacher:
    parameters: {coupling: 0.25}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 8, seed: 3}
    samples: 500
    spacing: 0.2
    sequences: 1
  substeps: 4
  skip: 10
"""
Exchange = tuple[str, bytes, bytes]
"""Address, what is sent, what comes back."""


def targets() -> Iterator[Figure]:
    """Ratio of the two programs, and where the rest goes."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        station = stack.enter_context(_bench(folder))
        (configuration := folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
        exchanges = _recorded(configuration, station, folder / "traffic.jsonl")
        experiment = load_experiment(configuration, rig_url=f"bench:{station}")
        stack.callback(experiment.rig.close)
        wires = {
            address: stack.enter_context(closing(socket.create_connection(("127.0.0.1", int(address.split("::")[2])))))
            for address in {address for address, _, _ in exchanges}
        }
        for wire in wires.values():
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours, bare = [], []
        last = _step(experiment)
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            last = _step(experiment, last)
            between = time.perf_counter()
            _send(exchanges, wires)
            bare.append(time.perf_counter() - between)
            ours.append(between - begin)
    ratio = median(a / b for a, b in zip(ours, bare, strict=True))
    moved = sum(len(sent) + len(got) for _, sent, got in exchanges)
    yield Figure(
        f"a training step on a bench (3 shots, 6 channels): <= {MOST:g} times a bare-socket program",
        f"{ratio:.2f} times",
        ratio <= MOST,
    )
    yield Figure(
        "  milliseconds of each; bytes and exchanges of both",
        f"{1e3 * median(ours):.0f} and {1e3 * median(bare):.0f} ms; {moved / 1e6:.2f} MB, {len(exchanges)}",
        None,
    )


@contextmanager
def _bench(folder: Path) -> Iterator[Path]:
    """The station file of a bench in a process of its own."""
    station = folder / "station.yaml"
    words = [sys.executable, "-m", "labrhel", "bench", "up", "coupled_oscillators", "--write", str(station)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        while not station.is_file() or not station.read_text(encoding="utf-8").rstrip():
            if process.poll() is not None:
                raise RuntimeError("the bench did not start")
            time.sleep(0.05)
        yield station
    finally:
        process.terminate()
        process.wait()


def _recorded(configuration: Path, station: Path, file: Path) -> list[Exchange]:
    """The second step's exchanges: the first one opens and sets up."""
    experiment = load_experiment(configuration, rig_url=f"bench:{station}?traffic={file}")
    try:
        first = _step(experiment)
        begin = time.monotonic()
        if (second := _step(experiment, first)).shots != 3:
            raise RuntimeError(f"the step took {second.shots} shots")
        end = time.monotonic()
    finally:
        experiment.rig.close()
    exchanges: list[Exchange] = []
    last: dict[str, int] = {}
    """Place of the last one of each link: those of several links overlap, those of one do not."""
    for piece in read_traffic(file):
        if begin <= piece.monotonic <= end:
            if piece.direction is Direction.SENT:
                last[piece.link] = len(exchanges)
                exchanges.append((piece.link, piece.data, b""))
            elif piece.direction is Direction.RECEIVED:
                link, sent, got = exchanges[last[piece.link]]
                exchanges[last[piece.link]] = (link, sent, got + piece.data)
    return exchanges


def _step(experiment: Experiment, last: Gradient | None = None) -> Gradient:
    """One gradient, its nudge taken from the last one's."""
    problem = experiment.problem
    nudge = None if last is None else last.nudge
    return execute(problem.gradient(problem.parameters.flat(), problem.train, nudge), experiment.executor())


def _send(exchanges: Sequence[Exchange], wires: dict[str, socket.socket]) -> None:
    """The plainest program: send, and receive a block of known length, or a line."""
    for address, sent, expected in exchanges:
        wire = wires[address]
        wire.sendall(sent)
        if not expected:
            continue
        got = bytearray()
        while len(got) < len(expected) if expected.startswith(b"#") else not got.endswith(b"\n"):
            if not (part := wire.recv(1 << 20)):
                raise ConnectionError(f"{address} has closed the connection")
            got += part


if __name__ == "__main__":
    sys.exit(0 if print_table(targets()) else 1)
