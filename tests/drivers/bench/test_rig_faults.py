"""Faults at random instants of a whole rig's shots: a right capture, or a named error with every output safe.

LABRHEL_FAULTS sets how many of each kind (8; make targets runs 1000).
"""

import os
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from labrhel.errors import LabrhelError
from labrhel.experiment import Experiment
from labrhel.testing.waiting import wait_for
from simbackend.testing.benches import drive, opened, shoot, volts
from simbackend.virtual_bench import Bench
from simbackend.virtual_bench.faults import KINDS, Fault

COUNT = int(os.environ.get("LABRHEL_FAULTS", "8"))
NAMES = ("awg1", "awg2", "awg3", "awg4", "scope1", "scope2", "bias")
TIMEOUT = 0.15
NOISE = 0.06  # V; 8 bits over 10 V and 1 mV of noise move a fit by 0.01 V, another shot's record by 0.3 V and more
AT_MOST = {"awg1": 8, "awg2": 8, "awg3": 8, "awg4": 8, "scop": 25, "bias": 3}  # exchanges of a shot, about
AMOUNTS = {
    "late": (0.01, 2 * TIMEOUT),  # on both sides of the time-out
    "lost": (1, 12),
    "garbage": (1, 12),
    "restart": (0.01, 0.1),
    "busy": (0.01, 2 * TIMEOUT),
    "error": (-400, -100),
}


QUICK = ("::SOCKET}", f"::SOCKET, init: {{timeout: {TIMEOUT}}}}}")


def shot(experiment: Experiment, kind: int) -> np.ndarray:
    """Readings of one of three different shots, its knobs set anew: an old record or setting would be seen."""
    experiment.rig.configure(experiment.wiring.to_knobs({"coupling": np.full(15, 0.1 + 0.1 * kind)}))
    traces = shoot(experiment, drive(experiment, 0.5 * (1 - kind), steps=120)).last.traces
    return np.stack([traces[name].values[0] for name in ("q1", "q4")])


def levels(bench: Bench) -> list[float]:
    with bench.clock.lock:
        return [bench.world.volts(f"bias.ch{number}") for number in range(1, 16)]


def wait_until_safe(bench: Bench) -> None:
    """An instrument that restarts, or is stuck, is safe when it is back."""
    wait_for(lambda: not any(volts(bench) + levels(bench)), "safe outputs")
    assert volts(bench) == [0.0] * 8
    assert levels(bench) == [0.0] * 15


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "clip"])
def test_a_fault_gives_the_right_readings_or_an_error_with_outputs_safe(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(KINDS.index(kind))
    with opened(tmp_path, QUICK) as (bench, experiment):
        right = [healthy(experiment, item) for item in range(3)]
        assert min(np.abs(right[a] - right[b]).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 5 * NOISE
        threads = threading.active_count()
        outcomes: Counter[str] = Counter()
        happened, turn = 0, 0
        while happened < COUNT:
            turn += 1
            assert turn < 20 * COUNT
            host = bench.hosts[str(rng.choice(NAMES))]
            before = len(host.station.faults.happened)
            amount = rng.uniform(*AMOUNTS[kind]) if kind in AMOUNTS else None
            host.order(Fault.of(kind, amount), after=int(rng.integers(0, AT_MOST[host.name[:4]])))
            item = int(rng.integers(0, 3))
            try:
                found = shot(experiment, item)
            except LabrhelError as error:
                happened += len(host.station.faults.happened) - before
                host.station.faults.clear()
                assert str(error)
                outcomes[type(error).__name__] += 1
                wait_until_safe(bench)
                again(experiment, right)
            else:
                outcomes["right"] += 1
                happened += len(host.station.faults.happened) - before
                host.station.faults.clear()
                assert np.abs(found - right[item]).max() < NOISE, f"turn {turn}: a wrong value that looks right"
        print(f"{kind}: {happened} faults in {turn} shots, {dict(outcomes)}")
        wait_for(lambda: threading.active_count() <= threads, "the threads of restarts to end")


def again(experiment: Experiment, right: list[np.ndarray]) -> None:
    """The rig works again."""
    assert np.abs(healthy(experiment, 0) - right[0]).max() < NOISE


def healthy(experiment: Experiment, kind: int) -> np.ndarray:
    """A shot without faults, at the latest at the third try: time-outs are shorter than a busy machine may take."""
    for _ in range(2):
        try:
            return shot(experiment, kind)
        except LabrhelError:
            time.sleep(0.1)
    return shot(experiment, kind)


@pytest.mark.slow
def test_clipped_inputs_are_errors_until_they_are_not(tmp_path: Path) -> None:
    with opened(tmp_path) as (bench, experiment):
        right = shot(experiment, 0)
        for turn in range(COUNT):
            box = bench.hosts[f"scope{1 + turn % 2}"]
            box.order(Fault.of("clip"))
            with pytest.raises(LabrhelError, match="left its range"):
                shot(experiment, 0)
            wait_until_safe(bench)
            box.order(Fault.of("clip", 1.0))
            assert np.abs(shot(experiment, 0) - right).max() < NOISE
