"""Many trainings, each in the run folder that is named by what decides its result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from labrhel.errors import InterlockError, RecordError
from labrhel.experiment.points import carry_out, identity
from labrhel.shots.operations import Checkpoint, Publish
from labrhel.store import RunReader, RunWriter, create_run
from labrhel.store.policy import Policy


@dataclass(frozen=True)
class Sum:
    """Adds its number to a total, step by step; `at` is called before a step is published."""

    number: int
    at: Callable[[int], None] = lambda step: None
    begun: list[str] = field(default_factory=list)
    name: str = "sum"
    steps: int = 3

    @property
    def resolved(self) -> Mapping[str, Any]:
        return {"number": self.number}

    def start(self, root: Path, watch: Callable[[Publish], None], identity: str | None = None) -> list[str]:
        self.begun.append("started")
        return self._go_on(create_run(root, self.name, {}, "", Policy(None), identity=identity), watch)

    def resume(self, folder: Path, watch: Callable[[Publish], None]) -> list[str]:
        self.begun.append("resumed")
        return self._go_on(RunWriter.open_for_resume(folder), watch)

    def _go_on(self, writer: RunWriter, watch: Callable[[Publish], None]) -> list[str]:
        with writer:
            last = RunReader(writer.folder).last_checkpoint()
            done, total = (0, 0.0) if last is None else (last.step, last.state["total"])
            for step in range(done, self.steps):
                self.at(step)
                total += self.number / 3
                published = Publish(step, {"loss": total})
                writer.published(published)
                writer.checkpoint(Checkpoint(step + 1, {"total": total}))
                watch(published)
        return []


def losses(folder: Path) -> list[float]:
    return RunReader(folder).scalars()["loss"].tolist()


def quiet(published: Publish) -> None:
    """Nobody watches."""


def test_each_point_has_a_folder_of_its_own_and_one_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    points = [Sum(1), Sum(2)]
    first = [done.folder for done in carry_out(points, tmp_path, quiet)]
    before = [folder.joinpath("journal.log").read_bytes() for folder in first]
    again = [done.folder for done in carry_out(points, tmp_path, quiet)]
    assert first == again == [tmp_path / identity(point) for point in points]
    assert [point.begun for point in points] == [["started"], ["started"]]
    assert [folder.joinpath("journal.log").read_bytes() for folder in again] == before


def test_what_decides_the_result_decides_the_folder() -> None:
    assert identity(Sum(1)) == identity(Sum(1))
    assert identity(Sum(1)) != identity(Sum(2))


def test_a_point_that_was_interrupted_goes_on_to_the_same_bits_and_those_after_it_follow(tmp_path: Path) -> None:
    whole = [losses(done.folder) for done in carry_out([Sum(1), Sum(2)], tmp_path / "whole", quiet)]

    def stop(step: int) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(carry_out([Sum(1, stop), Sum(2)], tmp_path / "stopped", quiet))
    points = [Sum(1), Sum(2)]
    found = [losses(done.folder) for done in carry_out(points, tmp_path / "stopped", quiet)]
    assert found == whole
    assert [point.begun for point in points] == [["resumed"], ["started"]]


def test_a_point_that_an_interlock_has_stopped_says_why_and_is_not_tried_again(tmp_path: Path) -> None:
    def ruin(step: int) -> None:
        raise InterlockError("interlock ruined: take friction")

    points = [Sum(1, ruin), Sum(2)]
    for _ in range(2):
        said = [done.stopped for done in carry_out(points, tmp_path, quiet)]
        assert said == ["interlock ruined: take friction", ""]
    assert points[0].begun == ["started"]


def test_a_folder_that_a_kill_left_half_made_is_in_nobodys_way(tmp_path: Path) -> None:
    point = Sum(1)
    (tmp_path / f".{identity(point)}.making" / "arrays").mkdir(parents=True)
    (tmp_path / f".{identity(point)}.abcdef.making" / "arrays").mkdir(parents=True)
    assert len(list(carry_out([point], tmp_path, quiet))) == 1


def under_way(point: Sum, root: Path) -> RunWriter:
    """The writer of a point that somebody else has begun."""
    return create_run(root, point.name, {}, "", Policy(None), identity=identity(point))


def test_a_point_that_another_program_is_writing_is_left_for_the_end(tmp_path: Path) -> None:
    writer = under_way(Sum(1), tmp_path)

    def let_go(step: int) -> None:
        writer.close()

    points = [Sum(1), Sum(2, let_go)]
    found = carry_out(points, tmp_path, quiet)
    assert [done.point for done in found] == points
    assert [point.begun for point in points] == [["resumed"], ["started"]]
    assert losses(found[0].folder) == [1 / 3, 2 / 3, 1.0]


def test_what_is_still_being_written_at_the_end_is_said_and_all_others_are_done(tmp_path: Path) -> None:
    points = [Sum(1), Sum(2)]
    with under_way(Sum(1), tmp_path), pytest.raises(RecordError, match="is writing"):
        carry_out(points, tmp_path, quiet)
    assert points[1].begun == ["started"]


def test_progress_is_counted_over_all_points_those_that_were_done_before_included(tmp_path: Path) -> None:
    for _ in range(2):
        seen: list[Publish] = []
        list(carry_out([Sum(1), Sum(2)], tmp_path, seen.append))
        steps = [published.step for published in seen]
        assert steps[-1] == 5
        assert steps == sorted(steps)
