"""Training on the gateware of the FPGA board, beside the same training on the simulated rig.

    python -m benchmarks.fpga_training [--steps N]

The board is its own Verilog under Verilator, behind a TCP socket.  Its words are fixed-point, so its parameters and
its motion are not quite those of the simulated rig; an echo without a nudge retraces every bit all the same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import labrhel
from benchmarks.figure import Figure, print_table
from labrhel import Experiment
from labrhel.shots.capture import Capture
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.gateware.verilated import VerilatedBoard

LARGEST_RATIO = 1.05  # of the final losses


def lost_bits(experiment: Experiment, steps: int = 400) -> int:
    """Readings of an echo without a nudge that are not those of the forward pass, bit for bit."""
    dt = experiment.task.step
    wave = Waveform.of(0.4 * np.random.default_rng(0).normal(size=steps), dt)
    channels = tuple(channel.name for channel in experiment.rig.capabilities.channels if channel.name[0] == "q")
    acquire = Acquire(channels)
    drives = (Drive("u1", wave, Role.INPUT),), (Drive("u1", wave.reversed((steps - 1) * dt), Role.INPUT),)
    passes = Pass(steps, drives[0], acquire), Pass(steps, drives[1], acquire, echo=True)
    compiled = compile(ShotProgram(dt, Rest(), passes), experiment.rig.capabilities)
    capture: Capture = experiment.rig.run([compiled])[0]
    forward, echo = (
        np.stack([item.traces[name].codes[0] for name in channels])  # pyright: ignore[reportOptionalSubscript]
        for item in capture.passes
    )
    return int(np.count_nonzero(forward != echo[:, ::-1]))


def targets(steps: int | None = None) -> Iterator[Figure]:
    """Bits that an echo loses, and the losses of both trainings."""
    with tempfile.TemporaryDirectory() as folder, VerilatedBoard() as board:
        root, url = Path(folder), f"fpga:{board.url}"
        with labrhel.load_experiment("coupled_oscillators", rig_url=url) as experiment:
            lost = lost_bits(experiment)
        yield Figure("Verilated board: bits that an un-nudged echo of 400 steps loses = 0", str(lost), lost == 0)
        simulated = labrhel.load_experiment("coupled_oscillators", steps=steps).run(root).loss.values
        begin = time.perf_counter()
        found = labrhel.load_experiment("coupled_oscillators", rig_url=url, steps=steps).run(root).loss.values
        seconds = time.perf_counter() - begin
        ratio = float(found[-1] / simulated[-1])
        yield Figure(
            f"training on it over TCP: final loss <= {LARGEST_RATIO:g} times that of sim:",
            f"{found[-1]:.4g}, sim: {simulated[-1]:.4g} (begun at {found[0]:.4g})",
            ratio <= LARGEST_RATIO,
        )
        yield Figure("  gradients and seconds it took", f"{len(found)} in {seconds:.0f} s", None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Training on the gateware of the FPGA board.")
    parser.add_argument("--steps", type=int, help="gradients; left out, those of the example")
    return 0 if print_table(targets(parser.parse_args(arguments).steps)) else 1


if __name__ == "__main__":
    sys.exit(main())
