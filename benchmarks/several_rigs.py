"""Four rigs in one training, and one alone: shots a second where a shot takes 0.3 s, and what their gradients say.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.several_rigs [--benches 4] [--steps 3] [--mismatch 0.1%]

First on simulated rigs that take 0.3 s a shot and need no processor for it, as an instrument does.  Then on virtual
benches, each a process with instruments on sockets as slow as real ones, and with a device of its own: a seed for what
is drawn, such as the noise of its oscilloscopes and the mismatch of its springs.  They compute their physics on the
processors of this machine, which can be what limits them: their rate is printed, and not judged.
Both trainings take the same steps; the clock runs from the end of the first gradient to that of the last.  Gradients at
the starting point are compared in units of their error bars, which do not know of the mismatch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Figure, print_table
from labrhel import session
from labrhel.config import examples
from labrhel.experiment import Experiment, Fleet, load_rigs
from labrhel.learning.gradient import Gradient
from labrhel.session import several
from labrhel.shots.capture import Capture
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.operations import Publish
from labrhel.testing.waiting import wait_for

LEAST_GAIN = 3.5
_STATION = Path(__file__).parent.parent / "simbackend" / "virtual_bench" / "stations" / "coupled_oscillators.yaml"
SHOT = 0.3
"""What a shot takes [s]."""
_RING_DOWN = 280  # ms, before a burst of 20 ms


@contextmanager
def benches(folder: Path, count: int, mismatch: str) -> Iterator[list[str]]:
    """URLs of so many benches, up in processes of their own."""
    started: list[subprocess.Popen[bytes]] = []
    stations = [folder / f"station{number}.yaml" for number in range(1, count + 1)]
    try:
        for number, station in enumerate(stations, 1):
            text = _STATION.read_text(encoding="utf-8").replace("ring_down: 60ms", f"ring_down: {_RING_DOWN}ms")
            file = folder / f"bench{number}.yaml"
            file.write_text(f"{text}imperfections: {{seed: {number}, mismatch: {mismatch}}}\n", encoding="utf-8")
            words = ["bench", "up", str(file), "--speed", "1", "--write", str(station)]
            started.append(subprocess.Popen([sys.executable, "-m", "labrhel", *words], stdout=subprocess.DEVNULL))
        wait_for(lambda: all(station.is_file() for station in stations), "the benches")
        yield [f"bench:{station}" for station in stations]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def configuration(folder: Path, urls: list[str], steps: int) -> Path:
    """The example of benches on these rigs: eight sequences, each gradient measured twice, and no shot for eps."""
    text = examples()["bench_oscillators"].read_text(encoding="utf-8")
    for old, new in (
        ('rig: "sim:"', f"rig: {urls}"),
        ("record: all", "record: none, repeats: 2, eps: 0.1"),
        ("steps: 40", f"steps: {steps}"),
        ("sequences: 4", "sequences: 8"),
        ("batch: 4", "batch: 8"),
    ):
        assert old in text
        text = text.replace(old, new)
    file = folder / f"on{len(urls)}.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@dataclass(slots=True)
class Slow:
    """A rig that takes `SHOT` for every repeat of a shot."""

    inner: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """Wait, as for an instrument, then answer."""
        time.sleep(SHOT * sum(shot.repeats for shot in shots))
        return self.inner.run(shots)


def slow(experiment: Experiment | Fleet) -> Experiment | Fleet:
    """The same on slow rigs."""
    if isinstance(experiment, Fleet):
        return Fleet(tuple(replace(member, rig=Slow(member.rig)) for member in experiment.members))
    return replace(experiment, rig=Slow(experiment.rig))


def on(file: Path) -> Fleet | Experiment:
    """What the file says, opened."""
    members = [item for item in load_rigs(file) if item is not None]
    return Fleet(tuple(members)) if len(members) > 1 else members[0]


def shots_a_second(experiment: Experiment | Fleet, root: Path) -> float:
    """Of a whole training, from its first gradient to its last."""
    seen: list[tuple[float, float]] = []

    def watch(published: Publish) -> None:
        if "loss" in published.scalars:
            seen.append((time.perf_counter(), published.scalars["shots"]))

    session.start(experiment, root, watch)
    return sum(shots for _, shots in seen[1:]) / (seen[-1][0] - seen[0][0])


def gradient(file: Path, root: Path) -> Gradient:
    """At the starting point, of all sequences."""
    members = [item for item in load_rigs(file) if item is not None]
    fleet = Fleet(tuple(members))
    problem = fleet.lead.problem
    with ExitStack() as around:
        around.callback(fleet.close)
        crew, run = several.begin(fleet, root, None)
        around.callback(run.close)
        for member in crew.members:
            around.callback(member.writer.close)
        around.enter_context(crew.watched())
        return crew.gradient(problem.parameters.flat(), problem.train)


def figures(count: int, steps: int, mismatch: str) -> Iterator[Figure]:
    """Measure."""
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), Path(name) / "runs"
        os.environ["LABRHEL_STATE"] = str(folder / "state")
        urls = [f"sim:?seed={number}&mismatch={mismatch}&noise=1mV" for number in range(1, count + 1)]
        rates = [shots_a_second(slow(on(configuration(folder, some, steps))), root) for some in (urls, urls[:1])]
        gain = rates[0] / rates[1]
        yield Figure("shots a second of one slow simulated rig", f"{rates[1]:.3g}", None)
        yield Figure(f"those of {count} over that >= {LEAST_GAIN}", f"{gain:.3g}", gain >= LEAST_GAIN)
        with benches(folder, count, mismatch) as urls:
            together, alone = (configuration(folder, some, steps) for some in (urls, urls[:1]))
            rates = [shots_a_second(on(file), root) for file in (together, alone)]
            both = gradient(together, root), gradient(alone, root)
    yield Figure("shots a second of one virtual bench", f"{rates[1]:.3g}", None)
    yield Figure(f"those of {count} over that, on the processors of this machine", f"{rates[0] / rates[1]:.3g}", None)
    values = [found.values["coupling"] for found in both]
    errors = [found.uncertainty["coupling"] for found in both]
    apart = values[0] - values[1]
    score = float(np.sqrt(np.mean((apart / np.hypot(*errors)) ** 2)))
    yield Figure("their gradients differ by, in error bars, rms <= 2", f"{score:.3g}", score <= 2)
    for what, part in (("  and relative to their size", apart), ("  the error bar of one bench is", errors[1])):
        yield Figure(what, f"{np.linalg.norm(part) / np.linalg.norm(values[1]):.2g}", None)


def targets() -> Iterator[Figure]:
    """The figures of `make targets`."""
    return figures(4, 3, "0.1%")


def main() -> int:
    """Print the figures; 1 if one misses its target."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--benches", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--mismatch", default="0.1%")
    asked = parser.parse_args()
    return 0 if print_table(figures(asked.benches, asked.steps, asked.mismatch)) else 1


if __name__ == "__main__":
    sys.exit(main())
