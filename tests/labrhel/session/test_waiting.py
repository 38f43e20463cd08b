"""A run that a reading has stopped goes on by itself when the reading is back, to the same bits."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labrhel import session
from labrhel.config.interlocks import ReadingSection
from labrhel.errors import ConditionError, ConfigurationError, InterlockError
from labrhel.experiment import Experiment, load_experiment
from labrhel.safety.control import Control
from labrhel.safety.lifecycle import Event
from labrhel.session.waiting import Back
from labrhel.shots.operations import Publish
from labrhel.shots.rig import Rig
from labrhel.store import RunReader, list_runs
from labrhel.testing.configurations import SMALL

WAITS = "interlocks: {readings: {coupling: {high: 1, every: 0, resume_when: {high: 0.9, stays: 0, within: 60}}}}\n"


class Warm:
    """A rig whose reading is too high at the times that are named, counted from the first."""

    def __init__(self, rig: Rig, high: Callable[[int], bool]) -> None:
        self._rig, self._high, self.asked = rig, high, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._rig, name)

    def read(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        self.asked += 1
        return {name: np.array([2.0 if self._high(self.asked) else 0.1]) for name in names}


def warm(folder: Path, high: Callable[[int], bool], section: str = WAITS) -> Experiment:
    file = folder / "warm.yaml"
    file.write_text(SMALL.replace("record: every 3", "record: all") + section)
    experiment = load_experiment(file)
    return replace(experiment, rig=Warm(experiment.rig, high))  # type: ignore[arg-type]


def ignore(published: Publish) -> None:
    """Nobody watches."""


def test_the_run_pauses_with_its_reason_goes_on_and_is_the_same_to_the_bit(tmp_path: Path) -> None:
    whole = session.start(warm(tmp_path, lambda asked: False), tmp_path / "whole", ignore)
    broken = session.start(warm(tmp_path, lambda asked: asked in (1, 9, 10, 11)), tmp_path / "broken", ignore)
    assert broken.losses.tolist() == whole.losses.tolist()
    assert [str(metric) for metric in broken.metrics] == [str(metric) for metric in whole.metrics]
    reader = RunReader(broken.folder)
    kinds = [kind for kind, _, _ in reader.events()]
    assert kinds == ["created", "running", "paused", "resumed", "paused", "resumed", "done"]
    assert "coupling reads 2, outside" in reader.events()[2][2]
    assert reader.verify() == []


def test_what_does_not_come_back_in_time_ends_the_run_as_it_would_have(tmp_path: Path) -> None:
    section = WAITS.replace("within: 60", "within: 0.02")
    with pytest.raises(InterlockError, match="coupling reads 2, outside"):
        session.start(warm(tmp_path, lambda asked: asked > 5, section), tmp_path / "runs", ignore)
    (reader,) = list_runs(tmp_path / "runs")
    assert reader.status == "failed"


def test_a_reading_must_stay_where_it_is_to_be() -> None:
    now, value = [0.0], [0.5]

    class Rig:
        def read(self, names: Sequence[str]) -> dict[str, np.ndarray]:
            return {name: np.array(value) for name in names}

    section = ReadingSection.model_validate({"high": 1.0, "resume_when": {"high": 0.8, "stays": 10.0, "within": 100.0}})
    back = Back(section, Rig(), ConditionError("too warm", "t"), lambda: now[0])
    answers = []
    for time, reads in ((0, 0.5), (9, 0.5), (9.5, 0.9), (15, 0.5), (24, 0.5), (25, 0.5)):
        now[0], value[0] = time, reads
        answers.append(back())
    assert answers == [False, False, False, False, False, True]
    now[0] = 101
    with pytest.raises(ConditionError, match="too warm"):
        back()


def test_a_person_lets_it_go_on_or_stop_before(tmp_path: Path) -> None:
    for command in ("resume", "stop"):
        control, paused = Control(), threading.Event()
        for event in (Event.ARM, Event.START):
            control.life.on(event)
        asking = threading.Thread(target=lambda: (paused.wait(60), control.ask(command)))  # noqa: B023
        asking.start()
        told: list[str] = []
        try:
            control.hold_until(lambda: False, 0.01, lambda held: (told.append(held), paused.set())[0])  # noqa: B023
        except KeyboardInterrupt:
            told.append("stopped")
        asking.join()
        assert told == ["paused", {"resume": "continued", "stop": "stopped"}[command]]


@pytest.mark.parametrize("again", ["{high: 3}", "{low: 0.9, high: 0.8}"])
def test_a_range_to_go_on_at_that_would_stop_the_run_again_is_refused(again: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="resume_when needs low < high inside the range"):
        warm(
            tmp_path,
            lambda asked: False,
            f"interlocks: {{readings: {{coupling: {{high: 1, resume_when: {again}}}}}}}\n",
        )
