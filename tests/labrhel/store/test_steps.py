"""One row a step: what is read of a run without its journal is what the journal says, whatever was cut or damaged."""

from pathlib import Path

import numpy as np
import pytest

from labrhel.errors import RecordError
from labrhel.shots.capture import Capture, PassCapture, Trace
from labrhel.shots.compile import compile
from labrhel.shots.operations import Checkpoint, Publish, RunShots
from labrhel.shots.program import Acquire, Pass, Rest, ShotProgram
from labrhel.store import Policy, RunWriter, _steps, create_run
from labrhel.store._steps import FILE, JournalRows, Rows, Said, StepRows
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig


def started(root: Path) -> RunWriter:
    return create_run(root, "run", {}, "a: 1\n", Policy.parse("none"))


def take(writer: RunWriter, step: int, loss: float, *words: str) -> None:
    """A step as training takes it: published, then checkpointed with the point it measured."""
    writer.published(Publish(step, {"loss": loss, "eps": 1e-5}, words))
    state = {"parameters": np.array([loss, -loss]), "parameter_names": ["k", "c"]}
    writer.checkpoint(Checkpoint(step + 1, state))


def read(rows: StepRows | JournalRows) -> list[object]:
    """Plain content, rows one by one."""
    found: list[object] = []
    for item in rows.read():
        if isinstance(item, Rows):
            found += [(item.columns, row) for row in item.table.tolist()]
        else:
            found.append(item)
    return found


def by_journal(folder: Path) -> list[object]:
    rows = JournalRows(folder)
    found = read(rows)
    return found + [(item.columns, row) for item in rows.gathering.rest() for row in item.table.tolist()]


def test_the_rows_are_those_of_the_journal_with_columns_that_change(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        writer.published(Publish(0, {"test_a": 2.0}, ("alone in the model",)))
        take(writer, 0, 1.0)
        take(writer, 1, 0.5, "the echo misses by 0.03", "another")
        writer.published(Publish(1, {"recalibrations": 1.0}))
        take(writer, 2, float("inf"), "the echo misses by 0.04")
        writer.published(Publish(3, {"test_a": 1.0}))
    found = read(StepRows(writer.folder))
    assert found == by_journal(writer.folder)
    assert [row[0] for row in found if isinstance(row, tuple)] == [
        (("test_a", "loss", "eps"), ("k", "c")),
        (("loss", "eps"), ("k", "c")),
        (("recalibrations",), ()),
        (("loss", "eps"), ("k", "c")),
        (("test_a",), ()),
    ]
    said = [item for item in found if isinstance(item, Said)]
    assert [item.words for item in said] == [("alone in the model",), ("the echo misses by 0.03", "another")]


def test_a_reader_goes_on_from_where_it_stopped_while_the_run_goes_on(tmp_path: Path) -> None:
    writer = started(tmp_path)
    rows, seen = StepRows(writer.folder), []
    for step in range(7):
        take(writer, step, 1.0 / (1 + step))
        seen += read(rows)
        assert len(seen) == step + 1
        assert read(rows) == []
    writer.close()
    assert seen == by_journal(writer.folder)


def test_a_kill_at_any_byte_leaves_rows_that_the_next_writer_brings_up_to_date(tmp_path: Path) -> None:
    writer = started(tmp_path)
    for step in range(3):
        take(writer, step, 1.0 / (1 + step), f"warning {'abc'[step]}")
    writer.close()
    file = writer.folder / FILE
    content, truth = file.read_bytes(), by_journal(writer.folder)
    for length in range(0, len(content) + 1, 17):
        file.write_bytes(content[:length])
        assert [item for item in read(StepRows(writer.folder)) if item not in truth] == []
        RunWriter.open_for_resume(writer.folder).close()
        assert [item for item in read(StepRows(writer.folder)) if isinstance(item, tuple)] == [
            item for item in truth if isinstance(item, tuple)
        ]


def test_rows_of_what_the_journal_has_lost_are_cut_off(tmp_path: Path) -> None:
    writer = started(tmp_path)
    take(writer, 0, 1.0)
    journal = writer.folder / "journal.log"
    size = journal.stat().st_size
    take(writer, 1, 0.5)
    writer.close()
    journal.write_bytes(journal.read_bytes()[:size])
    with RunWriter.open_for_resume(writer.folder) as again:
        take(again, 1, 0.25)
    losses = [row[5] for _, row in read(StepRows(writer.folder))]  # type: ignore[misc]
    assert losses == [1.0, 0.25]


def test_a_record_without_rows_gets_them_when_it_is_taken_up(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        take(writer, 0, 1.0)
    (writer.folder / FILE).unlink()
    RunWriter.open_for_resume(writer.folder).close()
    assert read(StepRows(writer.folder)) == by_journal(writer.folder) != []


def test_no_flipped_bit_is_read_as_a_row(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        for step in range(4):
            take(writer, step, 1.0 / (1 + step), "a word")
    file = writer.folder / FILE
    content, truth = file.read_bytes(), by_journal(writer.folder)
    for bit in range(0, 8 * len(content), 31):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        assert [item for item in read(StepRows(writer.folder)) if item not in truth] == []


def test_damage_in_the_middle_is_said_and_mended_by_the_next_writer(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        for step in range(4):
            take(writer, step, 1.0 / (1 + step))
    file = writer.folder / FILE
    content = bytearray(file.read_bytes())
    content[-150] ^= 1
    file.write_bytes(content)
    rows = StepRows(writer.folder)
    assert len(read(rows)) < 4
    assert "damaged at byte" in rows.fault
    RunWriter.open_for_resume(writer.folder).close()
    assert read(StepRows(writer.folder)) == by_journal(writer.folder)


def test_a_link_under_its_name_is_not_written_through(tmp_path: Path) -> None:
    started(tmp_path / "runs").close()
    (folder,) = (tmp_path / "runs").iterdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (folder / FILE).unlink()
    (folder / FILE).symlink_to(victim)
    with pytest.raises(RecordError):
        RunWriter.open_for_resume(folder)
    assert victim.read_text() == "mine"


@pytest.mark.parametrize(
    ("policy", "kept"), [("all", [2.0, 1.0, 2.0]), ("every 2", [2.0, 0.0, 2.0]), ("none", [0.0] * 3)]
)
def test_a_row_counts_the_shots_of_its_step_that_were_kept(tmp_path: Path, policy: str, kept: list[float]) -> None:
    program = ShotProgram(0.1, Rest(), (Pass(4, (), Acquire(("q1",))),))
    shot = compile(program, SimulatedRig(OscillatorNetwork(1)).capabilities)
    capture = Capture(shot, (PassCapture({"q1": Trace(np.ones((1, 4)), "", 0.0, 0.1)}),), 1)
    with create_run(tmp_path, "run", {}, "a: 1\n", Policy.parse(policy)) as writer:
        for step in range(3):
            count = 1 + (step + 1) % 2
            writer.shots(RunShots((program,) * count, compiled=(shot,) * count), [capture] * count)
            take(writer, step, 1.0, *("a warning", "another one")[: 1 + step % 2])
    found = read(StepRows(writer.folder))
    assert found == by_journal(writer.folder)
    rows = [item[1] for item in found if isinstance(item, tuple)]
    assert [row[3] for row in rows] == kept
    assert [row[4] for row in rows] == [1.0, 2.0, 1.0]  # words that are repeated are warnings all the same


@pytest.mark.parametrize(("longest", "whole"), [(10_000, True), (500, False)])
def test_words_that_are_longer_than_a_block_are_read_unless_no_words_are_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: int, *, whole: bool
) -> None:
    with started(tmp_path) as writer:
        take(writer, 0, 1.0)
        take(writer, 1, 0.5, "long " * 200)
        take(writer, 2, 0.25)
    monkeypatch.setattr(_steps, "_BLOCK", 200)
    monkeypatch.setattr(_steps, "_LONGEST", longest)
    truth = by_journal(writer.folder)
    assert len(truth) == 4
    assert read(StepRows(writer.folder)) == (truth if whole else truth[:1])


def test_words_are_said_again_after_a_hundred_steps_and_when_a_run_goes_back(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        for step in (5, 104, 105, 106, 204, 3, 4):
            take(writer, step, 1.0, f"the echo misses by {step}")
    assert [item.step for item in read(StepRows(writer.folder)) if isinstance(item, Said)] == [5, 105, 3]


def test_zeros_that_a_power_cut_left_are_no_damage_of_the_rows(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        take(writer, 0, 1.0)
    rows = StepRows(writer.folder)
    truth = read(rows)
    with (writer.folder / FILE).open("ab") as file:
        file.write(bytes(1000))
    assert read(rows) == [] and not rows.fault
    with (writer.folder / FILE).open("ab") as file:
        file.write(b"\1")
    again = StepRows(writer.folder)
    assert read(again) == truth and again.fault == f"{writer.folder / FILE} is damaged at byte {again.end}"


def test_a_reader_knows_that_what_it_read_was_cut_off(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        take(writer, 0, 1.0)
    rows = StepRows(writer.folder)
    read(rows)
    assert not rows.was_cut
    file = writer.folder / FILE
    file.write_bytes(file.read_bytes()[:-1])
    assert rows.was_cut
    file.unlink()
    assert rows.was_cut
    read(rows)
    assert rows.fault == f"{file} cannot be read (No such file or directory)"
