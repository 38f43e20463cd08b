"""The next shot is loaded while the digitizers are read, and not before everything of this one is on record."""

import threading
from pathlib import Path

import numpy as np
import pytest

from drivers.instruments.digitizer import Digitizer
from drivers.instruments.generator import Generator
from labrhel.shots.compile import compile
from labrhel.testing.waiting import PATIENCE
from simbackend.testing.benches import drive, opened


def test_the_next_shot_is_loaded_while_this_one_is_read_and_not_before_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, wait, read = Generator.load, Digitizer.wait, Digitizer.read
    seen: list[str] = []
    loads, all_loaded = 0, threading.Event()

    def loaded(box, bursts):
        nonlocal loads
        seen.append("load")
        found = load(box, bursts)
        loads += 1
        if loads == 2 * 4:  # both shots, of four generators
            all_loaded.set()
        return found

    def waited(box, seconds):
        wait(box, seconds)
        seen.append("complete")

    def read_late(box, terminals):
        assert all_loaded.wait(PATIENCE)  # loaded one after the other they would wait for each other
        return read(box, terminals)

    monkeypatch.setattr(Generator, "load", loaded)
    monkeypatch.setattr(Digitizer, "wait", waited)
    monkeypatch.setattr(Digitizer, "read", read_late)
    with opened(tmp_path) as (_, experiment):
        rig = experiment.rig
        shots = [compile(drive(experiment, volts), rig.capabilities, experiment.wiring) for volts in (0.4, 0.2)]
        first, second = rig.run(shots)
    assert seen == [*["load"] * 4, *["complete"] * 2, *["load"] * 4, *["complete"] * 2]
    traces = [np.ptp(capture.last.traces["q1"].values) for capture in (first, second)]
    assert traces[0] == pytest.approx(2 * traces[1], rel=0.15)
