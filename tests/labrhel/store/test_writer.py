"""What a writer counts, keeps and gives back, on an operation or two at a time."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.errors import InstrumentError, NotSafeError, RecordError
from labrhel.executor import Compiling
from labrhel.frozen import FrozenArray
from labrhel.shots.capture import Capture, PassCapture, Trace
from labrhel.shots.operations import Checkpoint, Configure, Publish, Read, RunShots
from labrhel.shots.program import Acquire, Drive, GivenState, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from labrhel.store import Policy, RunReader, RunWriter, create_run
from labrhel.store._journal import FILE, frames
from labrhel.store._values import INLINE_BELOW
from labrhel.testing.leaks import no_leaks
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

RIG = SimulatedRig(OscillatorNetwork(2, coupling="all")).capabilities


def started(root: Path, policy: str = "all") -> RunWriter:
    return create_run(root, "run", {}, "a: 1\n", Policy.parse(policy))


def begun(root: Path) -> Path:
    """A run that was left at once."""
    writer = started(root)
    writer.close()
    return writer.folder


def heads(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(head) for head, _ in frames(folder)]


def operations(folder: Path) -> list[dict[str, Any]]:
    return [head for head in heads(folder) if "operation" in head]


def program(samples: int = 5, size: float = 1.0, *, given: bool = False) -> ShotProgram:
    drive = Drive("u1", Waveform.of(size * np.arange(samples), 0.1), Role.INPUT)
    start = GivenState(FrozenArray([0.1, size]), FrozenArray([0.2, -size])) if given else Rest()
    return ShotProgram(0.1, start, (Pass(samples, (drive,), Acquire(("q1",))),))


def recorded(writer: RunWriter, programs: Sequence[ShotProgram], passes: tuple[PassCapture, ...] = ()) -> None:
    """Shots that came back with these passes, 1/4 s after they were planned for 7/3 s."""

    class Answering:
        def do(self, operation: Any) -> list[Capture]:
            captures = [Capture(shot, passes, len(passes), 7 / 3, 7 / 3 + 0.25) for shot in operation.compiled]
            writer.shots(operation, captures)
            return captures

    Compiling(Answering(), RIG).do(RunShots(tuple(programs)))


def test_every_operation_has_a_number_a_step_an_attempt_and_its_times(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    times = iter(np.arange(100) + 0.125)
    writer = RunWriter(folder, monotonic=lambda: next(times), wall=lambda: 1e9 + 0.5)
    writer.published(Publish(0, {"loss": 1.0}))
    writer.configured(Configure({"a": np.array([1.0])}), {"a": np.array([2.0])})
    writer.checkpoint(Checkpoint(3, {}))
    writer.read(Read(("a",)), {"a": np.array([3.0])})
    writer.close()
    again = RunWriter(folder, monotonic=lambda: 9.0, wall=lambda: 2e9)
    assert again.step == 3
    again.read(Read(("a",)), {"a": np.array([4.0])})
    again.end("failed", "words")
    found = operations(folder)
    assert [(head["operation"], head["kind"], head["step"], head["attempt"]) for head in found] == [
        (1, "publish", 0, 2), (2, "configure", 0, 2), (3, "checkpoint", 3, 2), (4, "read", 3, 2), (5, "read", 3, 3),
    ]  # fmt: skip
    assert [head["monotonic"] for head in found] == [0.125, 1.125, 2.125, 3.125, 9.0]
    assert [head["wall"] for head in found] == [1e9 + 0.5] * 4 + [2e9]
    events = [head for head in heads(folder) if "event" in head]
    assert [(head["event"], head["words"]) for head in events] == [
        ("created", ""), ("running", ""), ("resumed", ""), ("resumed", ""), ("failed", "words"),
    ]  # fmt: skip
    assert events[-1]["wall"] == 2e9


def test_words_on_a_resume_are_in_the_record(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    RunWriter.open_for_resume(folder, "another rig").end("done")
    assert [(event[0], event[2]) for event in RunReader(folder).events()][2:] == [
        ("resumed", "another rig"),
        ("done", ""),
    ]


def test_a_shot_is_recorded_with_its_times_its_passes_and_all_that_was_out_of_range(tmp_path: Path) -> None:
    writer = started(tmp_path)
    one = {name: Trace(np.ones((1, 2)), "V", 0.0, 0.1, over) for name, over in (("q1", 2), ("v2", 3))}
    recorded(writer, [program()] * 2, (PassCapture(one), PassCapture({"q1": Trace(np.ones((1, 2)), "V", 0, 0.1, 5)})))
    reader = RunReader(writer.folder)
    shots = reader.shots()
    assert [(shot.operation, shot.number, shot.step, shot.attempt) for shot in shots] == [(1, 0, 0, 1), (1, 1, 0, 1)]
    for shot in shots:
        assert (shot.planned_start, shot.actual_start) == (7 / 3, 7 / 3 + 0.25)
        assert (shot.passes_run, shot.over_range) == (2, 10)
        assert [list(item.traces) for item in reader.load_capture(shot)] == [["q1", "v2"], ["q1"]]
    writer.close()


def test_programs_and_their_arrays_are_recorded_once_also_over_a_resume(tmp_path: Path) -> None:
    writer = started(tmp_path)
    recorded(writer, [program(given=True), program(given=True), program(), program(size=2.0)])
    kinds = [next(iter(head)) for head in heads(writer.folder)]
    # Two states, three waveforms of which two are equal, three programs.
    assert (kinds.count("array"), kinds.count("program")) == (4, 3)
    recorded(writer, [program()])
    writer.close()
    again = RunWriter.open_for_resume(writer.folder)
    recorded(again, [program(given=True)])
    assert [*kinds, "operation", "event", "operation"] == [next(iter(head)) for head in heads(writer.folder)]
    reader = RunReader(writer.folder)
    for expected in (program(given=True), program(), program(size=2.0)):
        assert reader.load_program(expected.digest) == expected
    assert reader.verify() == []
    again.close()


@pytest.mark.parametrize(("short", "files"), [(1, 0), (0, 1)])
def test_a_waveform_that_reaches_the_size_of_a_file_becomes_one(tmp_path: Path, short: int, files: int) -> None:
    writer = started(tmp_path)
    asked = program(INLINE_BELOW // 8 - short)
    recorded(writer, [asked])
    assert len(list((writer.folder / "arrays").glob("*/*"))) == files
    assert RunReader(writer.folder).load_program(asked.digest) == asked
    writer.close()


def test_a_policy_counts_the_steps_that_checkpoints_begin(tmp_path: Path) -> None:
    writer = started(tmp_path, "every 2")
    for step in range(3):
        recorded(writer, [program()], (PassCapture({"q1": Trace(np.ones((1, 2)), "V", 0.0, 0.1)}),))
        writer.checkpoint(Checkpoint(step + 1, {}))
    writer.close()
    with RunWriter.open_for_resume(writer.folder) as again:  # step 3
        recorded(again, [program()])
    assert [shot.capture is not None for shot in RunReader(writer.folder).shots()] == [True, False, True, False]


def test_settings_are_recorded_as_asked_as_sent_and_as_achieved(tmp_path: Path) -> None:
    writer = started(tmp_path)
    operation = Configure({"a": np.array([1.0])}, {"dac": np.array([2.0, 3.0])})
    writer.configured(operation, {"a": np.array([0.5])})
    writer.read(Read(("a",)), {"a": np.array([0.25])})
    set_to, read = RunReader(writer.folder).operations()
    assert {name: value.tolist() for name, value in set_to.values.items()} == {
        "asked/a": [1.0], "knobs/dac": [2.0, 3.0], "achieved/a": [0.5],
    }  # fmt: skip
    assert (set_to.seq, set_to.kind, set_to.step, set_to.attempt) == (1, "configure", 0, 1)
    assert {name: value.tolist() for name, value in read.values.items()} == {"a": [0.25]}
    writer.close()


def test_names_of_parameters_are_written_when_they_change_and_stay_over_a_resume(tmp_path: Path) -> None:
    writer = started(tmp_path)
    point = {"parameters": np.array([1.0]), "parameter_names": ["a"]}
    writer.checkpoint(Checkpoint(1, point))
    writer.checkpoint(Checkpoint(2, {"other": 1}))
    writer.checkpoint(Checkpoint(3, point))
    writer.close()
    with RunWriter.open_for_resume(writer.folder) as again:
        again.checkpoint(Checkpoint(4, point))
        again.checkpoint(Checkpoint(5, {"parameters": np.array([2.0]), "parameter_names": ["b"]}))
        again.checkpoint(Checkpoint(6, {"parameters": np.array([3.0])}))
    found = operations(writer.folder)
    assert [head.get("names") for head in found] == [["a"], None, None, None, ["b"], None]
    assert [head.get("measured") for head in found] == [0, None, 2, 3, 4, 5]
    parameters = RunReader(writer.folder).parameters()
    assert {name: column.tolist() for name, column in parameters.items()} == {
        "step": [0, 2, 3, 4, 5],
        "b": [1.0, 1.0, 1.0, 2.0, 3.0],
    }


@pytest.mark.parametrize("kind", ["f4", ">f8", "i8", "u1"])
def test_parameters_of_whatever_kind_of_number_are_recorded_as_doubles(tmp_path: Path, kind: str) -> None:
    with started(tmp_path) as writer:
        writer.checkpoint(Checkpoint(1, {"parameters": np.array([3, 5], kind), "parameter_names": ["a", "b"]}))
    found = RunReader(writer.folder).parameters()
    assert {name: column.tolist() for name, column in found.items()} == {"step": [0], "a": [3.0], "b": [5.0]}


def test_the_checkpoint_that_the_record_names_last_is_not_written_over_after_a_resume(tmp_path: Path) -> None:
    writer = started(tmp_path)
    for step in (1, 2):
        writer.checkpoint(Checkpoint(step, {"n": step}))
    writer.close()
    with RunWriter.open_for_resume(writer.folder) as again:
        again.checkpoint(Checkpoint(3, {"n": 3}))
    assert [head["slot"] for head in operations(writer.folder)] == [0, 1, 0]
    found = RunReader(writer.folder).last_checkpoint()
    assert found is not None and (found.step, found.state) == (3, {"n": 3})


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt: "),
        (ValueError("odd"), "failed", "ValueError: odd"),
        (NotSafeError({"out2": None}, "no answer"), "unsafe", str(NotSafeError({"out2": None}, "no answer"))),
    ],
)
def test_a_run_says_how_it_ended_and_is_free(tmp_path: Path, error: BaseException, status: str, words: str) -> None:
    with pytest.raises(type(error)), started(tmp_path) as writer:
        raise error
    reader = RunReader(writer.folder)
    assert (reader.status, reader.events()[-1][2]) == (status, words)
    RunWriter.open_for_resume(writer.folder).close()


def test_what_went_wrong_first_is_raised_also_if_the_record_cannot_be_ended(tmp_path: Path) -> None:
    with pytest.raises(InstrumentError, match="cable") as caught, started(tmp_path) as writer:
        writer.close()
        raise InstrumentError("the cable is out")
    assert any("could not be written" in note for note in caught.value.__notes__)


def test_a_writer_leaves_no_file_open_whether_it_began_or_not(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    with no_leaks():
        with RunWriter(folder) as writer:
            writer.checkpoint(Checkpoint(1, {}))
            writer.checkpoint(Checkpoint(2, {}))
        content = (folder / FILE).read_bytes()
        (folder / FILE).write_bytes(content.replace(b'"slot":1', b'"slot":2'))
        for _ in range(2):  # the second is told the same: the first holds the folder no more
            with pytest.raises(RecordError, match="is damaged at byte"):
                RunWriter(folder)


def test_a_run_is_called_by_the_time_and_the_token_that_it_is_given(tmp_path: Path) -> None:
    def now() -> datetime:
        return datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

    with create_run(tmp_path, "run", {}, "", Policy(), now=now, token=lambda: "abc") as writer:
        assert writer.folder == tmp_path / "20300102T030405Z-run-abc"
