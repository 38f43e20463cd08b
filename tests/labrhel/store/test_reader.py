"""What a reader makes of a record: tables, the state to go on from, and what it says of what is not as it was."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.errors import RecordError
from labrhel.executor import Compiling
from labrhel.frozen import digest_of
from labrhel.shots.capture import Capture, PassCapture, Trace
from labrhel.shots.operations import Checkpoint, Configure, Publish, RunShots
from labrhel.shots.program import Acquire, Pass, Rest, ShotProgram
from labrhel.store import Policy, RunReader, RunWriter, create_run
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

RIG = SimulatedRig(OscillatorNetwork(1)).capabilities
NAN = float("nan")


def started(root: Path, policy: str = "all", **manifest: Any) -> RunWriter:
    return create_run(root, "run", manifest, "a: 1\n", Policy.parse(policy))


def recorded(writer: RunWriter, *levels: float, steps: int = 4) -> ShotProgram:
    """Shots of one program that came back with these levels."""
    program = ShotProgram(0.1, Rest(), (Pass(steps, (), Acquire(("q1",))),))
    values = iter(levels)

    class Answering:
        def do(self, operation: Any) -> list[Capture]:
            captures = [
                Capture(shot, (PassCapture({"q1": Trace(np.full((1, 2), next(values)), "V", 0.0, 0.1)}),), 1)
                for shot in operation.compiled
            ]
            writer.shots(operation, captures)
            return captures

    Compiling(Answering(), RIG).do(RunShots((program,) * len(levels)))
    return program


def level(reader: RunReader, number: int) -> float:
    return float(reader.load_capture(reader.shots()[number])[0].traces["q1"].values[0, 0])


# -- tables ------------------------------------------------------------------------------------------------------------


def test_scalars_are_of_the_steps_that_published_any_in_their_order_with_gaps(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        writer.published(Publish(5, {"b": 5.0}, ("late",)))
        writer.published(Publish(1, {"b": 1.0}, ("early",)))
        writer.published(Publish(1, {"a": 10.0}))
        writer.published(Publish(3, {}, ("words alone",)))
    reader = RunReader(writer.folder)
    scalars = reader.scalars()
    assert list(scalars) == ["step", "a", "b"]
    assert scalars["step"].tolist() == [1, 5] and scalars["step"].dtype == np.int64
    assert np.array_equal(scalars["a"], [10.0, NAN], equal_nan=True)
    assert scalars["b"].tolist() == [1.0, 5.0]
    assert reader.words() == [(1, "early"), (3, "words alone"), (5, "late")]


def test_a_record_of_nothing_has_empty_tables(tmp_path: Path) -> None:
    reader = RunReader(started(tmp_path).folder)
    assert {name: column.tolist() for name, column in reader.scalars().items()} == {"step": []}
    assert {name: column.tolist() for name, column in reader.parameters().items()} == {"step": []}
    assert (reader.words(), reader.shots(), reader.operations(), reader.last_checkpoint()) == ([], [], [], None)
    assert reader.status == "running"


def test_parameters_without_names_are_numbered(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        writer.checkpoint(Checkpoint(1, {"parameters": np.array([1.0, 2.0])}))
        writer.checkpoint(Checkpoint(2, {"parameters": np.array([3.0, 4.0])}))
    found = RunReader(writer.folder).parameters()
    assert {name: column.tolist() for name, column in found.items()} == {
        "step": [0, 1], "parameter[0]": [1.0, 3.0], "parameter[1]": [2.0, 4.0],
    }  # fmt: skip
    found["parameter[0]"][0] = 9.0  # one's own


# -- shots -------------------------------------------------------------------------------------------------------------


def test_every_capture_is_that_of_its_shot_also_behind_other_operations(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        recorded(writer, 1.0, 2.0, 3.0)
        writer.configured(Configure({"a": np.array([1.0])}), {"a": np.array([1.0])})
        writer.checkpoint(Checkpoint(1, {}))
        recorded(writer, 4.0, 5.0)
    reader = RunReader(writer.folder)
    assert [level(reader, number) for number in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [(shot.operation, shot.number) for shot in reader.shots()] == [(1, 0), (1, 1), (1, 2), (4, 0), (4, 1)]
    assert [shot.operation for shot in reader.shots(1)] == [4, 4]
    assert [item.kind for item in reader.operations()] == ["shots", "configure", "checkpoint", "shots"]
    assert [sorted(item.values) for item in reader.operations()] == [[], ["achieved/a", "asked/a"], [], []]


@pytest.mark.parametrize(
    ("policy", "why"),
    [("none", "no traces were kept"), ("every 2", "traces were kept for one step in 2"), ("all", "the folder is not")],
)
def test_what_is_not_in_the_record_is_said_to_be_missing_with_the_reason(tmp_path: Path, policy: str, why: str) -> None:
    with started(tmp_path, policy) as writer:
        writer.checkpoint(Checkpoint(1, {}))
        program = recorded(writer, 1.0, 2.0)
    reader = RunReader(writer.folder)
    with pytest.raises(RecordError, match=f"program {'0' * 32} is not in the record: {why}"):
        reader.load_program("0" * 32)
    if policy == "all":
        assert reader.load_program(program.digest) == program
        return
    with pytest.raises(RecordError, match=f"the capture of shot 2 of operation 2 is not in the record: {why}"):
        reader.load_capture(reader.shots()[1])


def test_a_capture_that_is_not_what_was_written_is_named_by_shot_and_operation(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        recorded(writer, 1.0, 2.0)
    journal = writer.folder / "journal.log"
    journal.write_bytes(journal.read_bytes().replace(np.array([2.0, 2.0]).tobytes(), np.array([2.0, 3.0]).tobytes()))
    reader = RunReader(writer.folder)
    assert level(reader, 0) == 1.0
    with pytest.raises(RecordError, match=r"the capture of shot 2 of operation 1 in .* is not what was written"):
        level(reader, 1)
    (fault,) = reader.verify()
    assert fault.startswith("the capture of shot 2 of operation 1 in")


# -- the state to go on from -------------------------------------------------------------------------------------------


def spoil(folder: Path, slot: int) -> None:
    file = folder / f"checkpoint.{slot}"
    file.write_bytes(b"\xff" + file.read_bytes()[1:])


def test_of_the_last_two_states_the_newer_that_is_whole_is_gone_on_from(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        for step in (1, 2, 3):
            writer.checkpoint(Checkpoint(step, {"n": step}))
    reader = RunReader(writer.folder)

    def found() -> tuple[int, Any] | None:
        checkpoint = reader.last_checkpoint()
        return None if checkpoint is None else (checkpoint.step, checkpoint.state)

    assert found() == (3, {"n": 3})
    assert reader.verify() == []
    spoil(writer.folder, 0)
    assert found() == (2, {"n": 2})
    assert reader.verify() == [
        f"the checkpoint of step 3 in {writer.folder} is not what was written: a resume goes on from step 2"
    ]
    spoil(writer.folder, 1)
    with pytest.raises(RecordError, match=r"the checkpoints in .* are not what was written"):
        found()
    assert reader.verify()[0].endswith("is not what was written: there is none to go on from")


def test_the_only_state_that_is_not_whole_leaves_none(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        writer.checkpoint(Checkpoint(1, {"n": 1}))
    spoil(writer.folder, 0)
    assert RunReader(writer.folder).verify()[0].endswith("there is none to go on from")


def test_the_older_of_two_states_may_be_half_overwritten(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        for step in (1, 2):
            writer.checkpoint(Checkpoint(step, {"n": step}))
    spoil(writer.folder, 0)
    assert RunReader(writer.folder).verify() == []


# -- the file, the ending, damage --------------------------------------------------------------------------------------


def test_the_text_of_the_configuration_is_what_the_run_began_with_or_is_refused(tmp_path: Path) -> None:
    with started(tmp_path, configuration_digest=digest_of("a: 1\n")) as writer:
        pass
    reader = RunReader(writer.folder)
    assert (reader.config_changed, reader.config_text, reader.verify()) == (False, "a: 1\n", [])
    (writer.folder / "config.yaml").write_bytes(b"a: 2\n")
    assert reader.config_changed
    with pytest.raises(RecordError, match=r"config\.yaml is not what the run began with"):
        _ = reader.config_text
    assert len(reader.verify()) == 1
    for content in (b"\xff", None):
        (writer.folder / "config.yaml").write_bytes(content) if content else (writer.folder / "config.yaml").unlink()
        with pytest.raises(RecordError, match=r"config\.yaml cannot be read .*; restore it from a copy"):
            _ = reader.config_text


@pytest.mark.parametrize("how", ["done", "failed", "interrupted", "unsafe"])
def test_a_run_is_what_was_said_last_of_it_and_killed_if_nobody_said_and_nobody_writes(
    tmp_path: Path, how: Any
) -> None:
    writer = started(tmp_path)
    reader = RunReader.find(writer.folder.name, tmp_path)
    assert reader.status == "running"
    writer.end(how, "words")
    assert reader.status == how
    assert [(kind, words) for kind, _, words in reader.events()] == [("created", ""), ("running", ""), (how, "words")]
    RunWriter.open_for_resume(writer.folder).close()
    assert reader.status == "killed"
    reader.close()
    assert reader.status == "killed"


def test_a_journal_that_is_damaged_is_not_read_past_it_and_verified_up_to_there(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        writer.published(Publish(0, {"loss": 1.0}))
        writer.published(Publish(1, {"loss": 2.0}))
    journal = writer.folder / "journal.log"
    journal.write_bytes(journal.read_bytes().replace(b'"loss":2', b'"lose":2'))
    reader = RunReader(writer.folder)
    with pytest.raises(RecordError, match=r"is damaged at byte \d+ of \d+: .*; restore the folder from a copy"):
        reader.scalars()
    assert len(reader.verify()) == 1 and "is damaged at byte" in reader.verify()[0]
    journal.write_bytes(b"")
    with pytest.raises(RecordError, match="cannot be read from its beginning"):
        reader.close()
        reader.events()


def test_values_and_arrays_that_are_not_what_was_written_are_named(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        writer.configured(Configure({"a": np.array([1.25])}), {"a": np.array([1.25])})
    journal = writer.folder / "journal.log"
    journal.write_bytes(journal.read_bytes().replace(np.array([1.25]).tobytes(), np.array([1.5]).tobytes(), 1))
    reader = RunReader(writer.folder)
    assert [fault.partition(" in ")[0] for fault in reader.verify()] == ["the values of operation 1 (configure)"]
    with pytest.raises(RecordError, match="what operation 1 set or read"):
        reader.operations()


def test_what_was_damaged_after_a_look_is_found(tmp_path: Path) -> None:
    writer = started(tmp_path)
    reader = RunReader(writer.folder)
    assert reader.verify() == []
    writer.published(Publish(0, {"loss": 1.0}))
    writer.close()
    journal = writer.folder / "journal.log"
    journal.write_bytes(journal.read_bytes().replace(b'"loss":1', b'"lose":1'))
    assert len(reader.verify()) == 1


@pytest.mark.skipif(os.name != "posix", reason="who may make a link is another matter elsewhere")
def test_a_folder_that_holds_a_link_is_neither_read_nor_written(tmp_path: Path) -> None:
    writer = started(tmp_path)
    writer.close()
    (writer.folder / "more").symlink_to(tmp_path)
    for attempt in (RunReader, RunWriter.open_for_resume):
        with pytest.raises(RecordError, match="more is a link or no file"):
            attempt(writer.folder)
