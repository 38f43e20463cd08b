"""What the executor costs: microseconds per operation, and the rate of hashing, limit scan and recording.

    python -m benchmarks.executor_overhead

Prints medians of several rounds, rounds interleaved; asserts nothing.  Every shot is new: no digest, waveform or
capture has been seen before.  `targets()` gives the figures to `make targets`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.figure import Figure, print_table
from labrhel.executor import Handler, Limiting, Recorder, RigBackend, stack
from labrhel.rig.capabilities import Capabilities
from labrhel.shots.capture import Capture, PassCapture, Trace
from labrhel.shots.compile import compile as compile_shot
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.operations import Checkpoint, Configure, Operation, Publish, Read, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Interpolation, Waveform
from labrhel.store import Policy, RunWriter, create_run
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

ROUNDS, COUNT = 9, 300
CHANNELS, SAMPLES = 8, 20_000
WITH_RIG = ", with the rig"
NOT_JUDGED = (WITH_RIG, "made ahead", "digests of a shot")
TARGET_US, TARGET_MB_S = 50.0, 150.0


class _Canned:
    """A backend that has the answers ready: what is left is the cost of everything above it."""

    def __init__(self, captures: list[Capture]) -> None:
        self._captures = captures

    def do(self, operation: Operation) -> Any:
        return [self._captures.pop()]


def _program(samples: np.ndarray, ports: tuple[str, ...], channels: tuple[str, ...]) -> ShotProgram:
    drives = tuple(
        Drive(port, Waveform.of(row, 0.1, interpolation=Interpolation.HOLD), Role.INPUT)
        for port, row in zip(ports, samples, strict=True)
    )
    return ShotProgram(0.1, Rest(), (Pass(samples.shape[1], drives, Acquire(channels)),))


def _seconds(work: Callable[[Any], object], items: list[Any]) -> float:
    begin = time.perf_counter()
    for item in items:
        work(item)
    return (time.perf_counter() - begin) / len(items)


def stacked(rig: SimulatedRig, writer: RunWriter) -> Handler:
    return stack(RigBackend(rig), rig.capabilities, recording=writer)


def new_run(root: Path, policy: Policy) -> RunWriter:
    return create_run(root, "overhead", {}, "", policy)


class _Timed(SimulatedRig):
    """A rig that counts the seconds it takes for its shots: the payload of a shot."""

    seconds = 0.0

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        begin = time.perf_counter()
        captures = super().run(shots)
        self.seconds += time.perf_counter() - begin
        return captures


def minimal_shot(random: np.random.Generator) -> RunShots:
    return RunShots((_program(random.normal(size=(1, 4)), ("u1",), ("q1",)),))


def _one_by_one(handler: Handler, rig: _Timed, random: np.random.Generator) -> tuple[float, float]:
    """Seconds per shot whose program was made just before, as a protocol does; and those of them the rig took."""
    total, rig.seconds = 0.0, 0.0
    for _ in range(COUNT):
        operation = minimal_shot(random)
        begin = time.perf_counter()
        handler.do(operation)
        total += time.perf_counter() - begin
    return total / COUNT, rig.seconds / COUNT


def overheads(root: Path) -> dict[str, float]:
    """Seconds per operation, by kind of operation, without those of the rig unless it says so.

    A shot is measured in two ways.  "minimal shot": programs made one by one, less the time that the rig took for
    these very shots.  "made ahead": programs made 300 at a time, which leaves them in no cache, less the time of a
    rig that runs 300 other shots with nothing between them, which keeps its code in the caches.
    """
    rig = _Timed(OscillatorNetwork(1))
    random = np.random.default_rng(1)
    times: dict[str, list[float]] = {}
    settings = {"stiffness": np.array([1.0])}
    full, step = stacked(rig, new_run(root, Policy(1))), 0
    stacks = {"traces kept": full, "digests only": stacked(rig, new_run(root, Policy(None)))}
    for _ in range(ROUNDS):
        steps = list(range(step, step + COUNT))
        step += COUNT
        round_of: dict[str, float] = {}
        bare = [compile_shot(minimal_shot(random).programs[0], rig.capabilities) for _ in range(COUNT)]
        alone = _seconds(lambda shot: rig.run([shot]), bare)
        for name, stack in stacks.items():  # noqa: F402
            total, payload = _one_by_one(stack, rig, random)
            round_of[f"minimal shot, {name}"] = total - payload
            round_of[f"minimal shot, {name}{WITH_RIG}"] = total
            ahead = _seconds(stack.do, [minimal_shot(random) for _ in range(COUNT)])
            round_of[f"minimal shot, {name}, made ahead"] = ahead - alone
        round_of |= {
            "the two digests of a shot": _seconds(lambda shot: (shot.program.digest, shot.digest), bare),
            "configure": _seconds(full.do, [Configure(settings)] * COUNT) - _seconds(rig.configure, [settings] * COUNT),
            "read": _seconds(full.do, [Read(("stiffness",))] * COUNT) - _seconds(rig.read, [("stiffness",)] * COUNT),
            "publish, 7 scalars": _seconds(
                full.do, [Publish(at, {f"scalar{index}": 0.1 for index in range(7)}) for at in steps]
            ),
            "checkpoint": _seconds(full.do, [Checkpoint(at, {"parameters": np.zeros(8)}) for at in steps]),
        }
        for name, value in round_of.items():
            times.setdefault(name, []).append(value)
    return {name: median(values) for name, values in times.items()}


def rate(root: Path, count: int = 12) -> tuple[float, float]:
    """Captured bytes per second, for hashing, limit scan and recording of 8 x 20,000 float32, played and captured.

    The second number counts the same bytes, written plainly to new files in the same rounds: what the disk allowed.
    """
    rig = SimulatedRig(OscillatorNetwork(CHANNELS, inputs=[f"u{index + 1}" for index in range(CHANNELS)]))
    writer, random = new_run(root, Policy(1)), np.random.default_rng(2)
    capabilities = _with_limits(rig.capabilities)
    ports = tuple(f"u{index + 1}" for index in range(CHANNELS))
    channels = tuple(f"q{index + 1}" for index in range(CHANNELS))
    times, plain = [], []
    for number in range(ROUNDS):
        operations, captures = [], []
        for _ in range(count):
            played = random.random((CHANNELS, SAMPLES), dtype=np.float32)
            shot = compile_shot(_program(played, ports, channels), capabilities)
            values = random.random((CHANNELS, 1, SAMPLES), dtype=np.float32)
            traces = {name: Trace(values[row], "V", 0.0, 0.1) for row, name in enumerate(channels)}
            operations.append(RunShots((shot.program,), compiled=(shot,)))
            captures.append(Capture(shot, (PassCapture(traces),), 1))
        handler = Limiting(Recorder(_Canned(captures[::-1]), writer), capabilities)
        times.append(_seconds(handler.do, operations))
        payload = random.bytes(2 * CHANNELS * SAMPLES * 4)  # what was played is recorded as well
        files = [root / f"plain{number}.{index}" for index in range(count)]
        plain.append(_seconds(lambda file, payload=payload: file.write_bytes(payload), files))
    captured = CHANNELS * SAMPLES * 4
    return captured / median(times), captured / median(plain)


def _with_limits(capabilities: Capabilities) -> Capabilities:
    ports = tuple(replace(port, limits=replace(port.limits, low=-2.0, high=2.0)) for port in capabilities.ports)
    return replace(capabilities, ports=ports)


def targets() -> list[Figure]:
    """All figures; those that hold more than the overhead, or a part of it, are printed and not judged."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = []
        for name, value in overheads(root).items():
            judged = not name.endswith(NOT_JUDGED)
            met = 1e6 * value <= TARGET_US if judged else None
            rows.append(Figure(f"{name}{f' <= {TARGET_US:g} us' if judged else ''}", f"{1e6 * value:.1f} us", met))
        what = f"hash, limit scan, record {CHANNELS} x {SAMPLES} float32 >= {TARGET_MB_S:g} MB/s"
        recorded, plain = rate(root)
        rows.append(Figure(what, f"{recorded / 1e6:.0f} MB/s", recorded / 1e6 >= TARGET_MB_S))
        return [*rows, Figure("the same bytes, only written", f"{plain / 1e6:.0f} MB/s", None)]


if __name__ == "__main__":
    print_table(targets())
