"""kill -9 at any instant: every operation whose answer the protocol has received is in the record.

LABRHEL_KILLS sets the number of kills (5; `make targets` takes 200).
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labrhel.store import RunReader, list_runs

KILLS = int(os.environ.get("LABRHEL_KILLS", "5"))

# Trains without end; prints a line for each operation once it is acknowledged.  Passes of 5000 kicks make captures
# of both kinds, in rows and in files.
CHILD = """
import sys
from pathlib import Path
import numpy as np
from labrhel.executor import Compiling, Limiting, Recorder, RigBackend, execute
from labrhel.shots.operations import Checkpoint, Publish, RunShots
from labrhel.store import Policy, RunWriter, create_run, list_runs
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.waveform import Waveform
from protocols.rhel import RHEL
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

class Telling:
    def __init__(self, inner):
        self.inner = inner
    def do(self, operation):
        answer = self.inner.do(operation)
        if isinstance(operation, RunShots):
            for capture in answer:
                print("shot", capture.shot.digest, flush=True)
        elif isinstance(operation, (Publish, Checkpoint)):
            print(type(operation).__name__.lower(), operation.step, flush=True)
        return answer

def training(task, sequences, start):
    step, nudge = start, None
    while True:
        theta = {"coupling": np.array([0.1 + 0.001 * step]), "readout": np.ones((1, 1)), "readout_offset": np.zeros(1)}
        gradient = yield from rule.gradient(GradientRequest(task, sequences, theta, ["coupling"], nudge))
        nudge = gradient.nudge
        yield Publish(step, {"loss": gradient.loss, "eps": gradient.eps})
        step += 1
        yield Checkpoint(step, {"parameters": np.array([gradient.loss])})

root = Path(sys.argv[1])
rig = SimulatedRig(OscillatorNetwork(2, coupling="all"), threads=1)
known = list_runs(root)
writer = RunWriter.open_for_resume(known[0].folder) if known else create_run(root, "kill", {}, "", Policy(1))
rule = RHEL(eps=1e-3)
rng = np.random.default_rng(1)
sequences = [
    TrialSequence(f"s{n}", {"u1": Waveform.of(rng.normal(size=n), 0.1)}, rng.normal(size=(1, n)), np.ones(n))
    for n in (200, 5000)
]
task = Task(rig.model, rig.capabilities, 0.1, 1, ("q2",), 1.0)
handler = Compiling(Limiting(Recorder(RigBackend(rig), writer), rig.capabilities), rig.capabilities)
execute(training(task, sequences, writer.step), Telling(handler))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
@pytest.mark.slow
def test_no_acknowledged_operation_is_lost_to_kill_9(tmp_path: Path) -> None:
    rng = random.Random(20)
    acknowledged: list[tuple[str, str]] = []
    for kill in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # communicate() reads past a buffer: what readline() had taken ahead would be lost, or cut
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        assert child.stdout is not None and child.stderr is not None
        first = child.stdout.readline()  # not before it is at work: start-up would take most of the time
        time.sleep(rng.uniform(0.0, 0.1))
        child.send_signal(signal.SIGKILL)
        rest, said = child.communicate()
        assert child.returncode == -signal.SIGKILL, said
        # The last line may have been cut; only whole lines were received.
        lines = (first + rest).decode().split("\n")[:-1]
        acknowledged += [(word, value) for word, value in (line.split() for line in lines)]
        (reader,) = list_runs(tmp_path)
        assert reader.status == "killed", f"kill {kill}"
        _check(reader, acknowledged)
        reader.close()
    assert sum(word == "shot" for word, _ in acknowledged) > KILLS
    (reader,) = list_runs(tmp_path)
    assert reader.verify() == []
    for shot in reader.shots():
        assert reader.load_capture(shot)[-1].traces["q2"].values.size
        assert reader.load_program(shot.program).digest == shot.program


def _check(reader: RunReader, acknowledged: list[tuple[str, str]]) -> None:
    shots = {shot.compiled for shot in reader.shots() if shot.capture is not None}
    assert {value for word, value in acknowledged if word == "shot"} <= shots
    published = {int(value) for word, value in acknowledged if word == "publish"}
    assert published <= set(reader.scalars()["step"].tolist())
    steps = [int(value) for word, value in acknowledged if word == "checkpoint"]
    checkpoint = reader.last_checkpoint()
    if steps:
        assert checkpoint is not None and checkpoint.step >= steps[-1]
