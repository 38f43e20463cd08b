"""Made safe while it is in use: nothing goes on, whichever thread or process asked for it, and whenever."""

import random
import threading
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import stop_latency
from drivers.transport import Direction, read_traffic
from labrhel.errors import LabrhelError, TransportError
from labrhel.shots.compile import compile
from labrhel.testing.waiting import PATIENCE, wait_for
from simbackend.testing.benches import drive, opened, volts

_FIRED = b64encode(b"*TRG")[:5]  # as the file of the traffic spells the beginning of that message


def test_shots_that_were_still_to_come_are_not_fired(tmp_path: Path) -> None:
    file, random_ = tmp_path / "wires.jsonl", random.Random(1)
    with opened(tmp_path, settings=f"?traffic={file}") as (bench, experiment):
        rig = experiment.rig
        shot = compile(drive(experiment, 0.5, steps=60), rig.capabilities)
        periods = []
        for _ in range(12):
            failures: list[LabrhelError] = []

            def run(failures: list[LabrhelError] = failures) -> None:
                try:
                    rig.run([shot] * 1000)
                except LabrhelError as error:
                    failures.append(error)

            rig.configure({"coupling": np.full(15, 0.2)})
            before = file.stat().st_size
            thread = threading.Thread(target=run)
            thread.start()
            # A stop ends what is going on, and what begins later begins: so a shot must have been fired.
            wait_for(lambda before=before: _FIRED in file.read_bytes()[before:], "the first shot of the run")
            time.sleep(random_.uniform(0.0, 0.2))
            rig.make_safe()
            safe = time.monotonic()
            thread.join(PATIENCE)
            assert not thread.is_alive()
            assert len(failures) == 1
            periods.append((safe, time.monotonic()))
            with bench.clock.lock:
                assert [bench.world.volts(f"bias.ch{number}") for number in range(1, 16)] == [0.0] * 15
            assert volts(bench) == [0.0] * 8
        assert isinstance(rig.run([shot])[0].last.traces["q1"].values, np.ndarray)  # and works again
    fired = [
        piece.monotonic
        for piece in read_traffic(file)
        if piece.direction is Direction.SENT and piece.data.startswith(b"*TRG")
    ]
    assert len(fired) >= 12
    assert not [moment for moment in fired for begin, end in periods if begin < moment < end]


def test_what_was_made_safe_once_may_run_again(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, experiment):
        rig = experiment.rig
        shot = compile(drive(experiment, 0.5, steps=60), rig.capabilities)
        rig.make_safe()
        rig.make_safe()
        assert len(rig.run([shot, shot])) == 2


@pytest.mark.slow
def test_an_emergency_stop_ends_a_running_shot_in_real_time() -> None:
    seconds = stop_latency.stops(4)
    print("emergency stops [s]:", seconds)
    assert max(seconds) < 1.0  # 50 ms on quiet cores: `make targets` judges that; the shots would play on for 2 s


def test_a_digitizer_that_is_dead_is_not_tried_again_at_once_and_outputs_are(tmp_path: Path) -> None:
    tried: list[str] = []

    def dead() -> None:
        tried.append("scope1")
        raise TransportError("no answer")

    with opened(tmp_path) as (bench, experiment):
        rig: Any = experiment.rig
        scope, source = rig._instruments["scope1"], rig._instruments["bias"]
        switch_off = source.switch_off
        scope.switch_off = dead
        source.switch_off = lambda: (tried.append("bias"), switch_off())
        with pytest.raises(TransportError, match="no answer"):
            rig.make_safe()
        for _ in range(2):
            rig.configure({"coupling": np.full(15, 0.2)})
            rig.make_safe()
        assert tried.count("scope1") == 1 and tried.count("bias") == 3
        with bench.clock.lock:
            assert bench.world.volts("bias.ch1") == 0.0
