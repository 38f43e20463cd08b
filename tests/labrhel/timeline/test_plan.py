"""The time line of a gradient: what will be played, at the size that it will have."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labrhel.errors import LimitError
from labrhel.executor import execute
from labrhel.experiment import Experiment, load_experiment
from labrhel.records.timeline_picture import save
from labrhel.rig.capabilities import Limits, Reversal
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.operations import Operation
from labrhel.testing.configurations import SMALL
from labrhel.timeline.plan import timeline_of
from simbackend.rigs.simulated import SimulatedRig


def small(folder: Path, *changes: tuple[str, str]) -> Experiment:
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "small.yaml").write_text(text)
    return load_experiment(folder / "small.yaml")


class Listening:
    """Keeps the shots that went to the rig."""

    def __init__(self, rig: SimulatedRig) -> None:
        self.rig, self.shots = rig, list[CompiledShot]()
        self.capabilities = rig.capabilities

    def run(self, shots: list[CompiledShot]) -> object:
        self.shots += shots
        return self.rig.run(shots)

    def __getattr__(self, name: str) -> object:
        return getattr(self.rig, name)


def test_what_is_planned_is_what_is_fired(tmp_path: Path) -> None:
    experiment = small(tmp_path)
    planned = timeline_of(experiment)
    assert isinstance(experiment.rig, SimulatedRig)
    heard = Listening(experiment.rig)
    problem = experiment.problem
    execute(
        problem.gradient(problem.parameters.flat(), problem.train[:1]),
        replace(experiment, rig=heard).executor(),  # type: ignore[arg-type]
    )
    assert planned.shots == len(heard.shots)
    for item, shot in zip(planned.passes, heard.shots, strict=True):
        really = shot.passes[-1].played
        assert set(item.played) == set(really)
        for name, (_, values, _) in item.played.items():
            assert np.allclose(values, really[name].samples.values, rtol=1e-6, atol=1e-12 * np.abs(values).max())


def test_passes_follow_each_other_and_say_what_they_are_for(tmp_path: Path) -> None:
    planned = timeline_of(small(tmp_path))
    assert [item.label for item in planned.passes] == ["forward", "nudged echo", "nudged echo"]
    for before, after in zip(planned.passes, planned.passes[1:], strict=False):
        assert after.start == pytest.approx(before.start + before.seconds)
    assert planned.seconds == pytest.approx(planned.passes[-1].start + planned.passes[-1].seconds)
    echo = planned.passes[-1]
    assert {roles for _, _, roles in echo.played.values()} >= {"input"}
    assert any("nudge" in roles for _, _, roles in echo.played.values())


def test_a_rig_without_flip_is_prepared_by_drive(tmp_path: Path) -> None:
    experiment = small(tmp_path)
    assert isinstance(experiment.rig, SimulatedRig)
    rig = SimulatedRig(experiment.rig.model, offers=frozenset({Reversal.BY_DRIVE}))
    task = replace(experiment.task, capabilities=rig.capabilities)
    by_drive = replace(experiment, rig=rig, problem=replace(experiment.problem, task=task))
    labels = [item.label for item in timeline_of(by_drive).passes]
    assert labels[:3] == ["forward", "preparation", "nudged echo"]


def test_a_compensation_beyond_the_limits_is_refused_on_paper(tmp_path: Path) -> None:
    experiment = small(tmp_path)
    tight = tuple(
        replace(port, limits=Limits(-1e-9, 1e-9)) if port.name.startswith("f") else port
        for port in experiment.rig.capabilities.ports
    )
    capabilities = replace(experiment.rig.capabilities, ports=tight)
    experiment.rig.capabilities = capabilities
    with pytest.raises(LimitError, match="nothing was sent"):
        timeline_of(experiment)


def test_nothing_moves_and_a_picture_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = small(tmp_path)

    def never(self: object, *words: Operation) -> None:
        raise AssertionError("the rig was touched")

    monkeypatch.setattr(SimulatedRig, "run", never)
    monkeypatch.setattr(SimulatedRig, "configure", never)
    planned = timeline_of(experiment)
    save(planned, experiment.rig.capabilities, tmp_path / "plan.png")
    assert (tmp_path / "plan.png").stat().st_size > 10_000
