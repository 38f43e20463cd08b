"""What the executor costs in instructions of the processor: the same number whatever else the machine does.

    python -m benchmarks.executor_instructions        # two minutes; needs valgrind

Times of single operations differ by a tenth between two runs of one program; their instructions by 1 in 10,000.  One
program sets up, and forks a child for every kind of operation and each of two counts; valgrind counts what each child
executes, and the difference of the two, over that of the counts, is one operation.  Work of the kernel, such as
writing to the disk, is not in it: `executor_overhead` has the seconds.  `benchmarks.against` compares two checkouts.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks import executor_overhead as overhead
from labrhel.shots.compile import compile as compile_shot
from labrhel.shots.operations import Checkpoint, Configure, Operation, Publish, Read
from labrhel.store import Policy
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

FEW, MANY = 20, 120
Work = Callable[[], object]


def works(root: Path) -> Mapping[str, Work]:
    """One operation of each kind."""
    rig, random = SimulatedRig(OscillatorNetwork(1)), np.random.default_rng(1)
    full, digests = (overhead.stacked(rig, overhead.new_run(root, policy)) for policy in (Policy(1), Policy(None)))
    settings = {"stiffness": np.array([1.0])}
    step = iter(range(10**6))

    def bare() -> object:
        return rig.run([compile_shot(overhead.minimal_shot(random).programs[0], rig.capabilities)])

    def done(make: Callable[[], Operation]) -> Work:
        return lambda: full.do(make())

    return {
        "a minimal shot, traces kept": lambda: full.do(overhead.minimal_shot(random)),
        "a minimal shot, digests only": lambda: digests.do(overhead.minimal_shot(random)),
        "the same, compiled and run without an executor": bare,
        "configure": done(lambda: Configure(settings)),
        "read": done(lambda: Read(("stiffness",))),
        "publish, 7 scalars": done(lambda: Publish(next(step), {f"scalar{index}": 0.1 for index in range(7)})),
        "checkpoint": done(lambda: Checkpoint(next(step), {"parameters": np.zeros(8)})),
    }


def _counted(folder: Path) -> None:
    """Under valgrind: a child for each kind and count; writes which process was which."""
    known = works(folder)
    for work in known.values():
        for _ in range(3):  # what is made once is made
            work()
    gc.collect()
    gc.disable()
    children: dict[str, list[int]] = {}
    for name, work in known.items():
        for count in (FEW, MANY):
            child = os.fork()
            if child == 0:
                for _ in range(count):
                    work()
                os._exit(0)
            if os.waitpid(child, 0)[1]:
                raise SystemExit(f"{name} failed")
            children.setdefault(name, []).append(child)
    (folder / "children.json").write_text(json.dumps(children))


def instructions() -> dict[str, float]:
    """Instructions of one operation, by its kind.  Raises SystemExit without valgrind."""
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed; on Debian and Ubuntu: apt install valgrind")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = ["valgrind", "-q", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/%p"]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
        words += [sys.executable, "-m", "benchmarks.executor_instructions", name]
        done = subprocess.run(words, env=environment, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the operations could not be counted: {done.stderr[-500:]}")
        children = json.loads((folder / "children.json").read_text())
        return {
            kind: (_total(folder / str(many)) - _total(folder / str(few))) / (MANY - FEW)
            for kind, (few, many) in children.items()
        }


def _total(file: Path) -> int:
    found = re.search(r"^summary: (\d+)", file.read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"valgrind left no sum in {file}")
    return int(found[1])


if __name__ == "__main__":
    if sys.argv[1:]:
        _counted(Path(sys.argv[1]))
    else:
        for kind, count in instructions().items():
            print(f"{kind:<50}  {count:.0f}")
