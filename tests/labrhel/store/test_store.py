"""The record of a run: what is written can be read, also after a kill, a resume, and by somebody else."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labrhel.errors import ConfigurationError, RecordError
from labrhel.executor import Compiling, Handler, Limiting, Recorder, RigBackend
from labrhel.frozen import FrozenArray
from labrhel.shots.capture import Capture, PassCapture, State, Trace
from labrhel.shots.compile import compile as compile_shot
from labrhel.shots.operations import Checkpoint, Configure, Publish, Read, RunShots
from labrhel.shots.program import Acquire, Drive, GivenState, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from labrhel.store import Policy, RunReader, RunWriter, consolidate, create_run, find_run, list_runs
from labrhel.store._arrays import ArrayStore
from labrhel.store._captures import pack_capture, unpack_capture
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

LARGE = 18_000  # samples of float64 that do not fit into a row any more


def new_run(root: Path, policy: str = "all", name: str = "test", **manifest: object) -> RunWriter:
    return create_run(root, name, manifest, "model: {}\n", Policy.parse(policy))


def stack(writer: RunWriter) -> Handler:
    rig = SimulatedRig(OscillatorNetwork(2, coupling="all"))
    return Compiling(Limiting(Recorder(RigBackend(rig), writer), rig.capabilities), rig.capabilities)


def program(steps: int = 40, phase: float = 0.0, *, echo: Acquire | None = None) -> ShotProgram:
    drive = Drive("u1", Waveform.of(np.sin(0.1 * np.arange(steps) + phase), 0.1), Role.INPUT)
    passes = [Pass(steps, (drive,), Acquire(("q1", "v2"), 1, ("stiffness",), True), keep=echo is not None)]
    if echo is not None:
        passes.append(Pass(steps, (drive,), echo, echo=True))
    return ShotProgram(0.1, Rest(), tuple(passes))


def one_step(handler: Handler, step: int, loss: float = 1.0, words: tuple[str, ...] = ()) -> list[Capture]:
    captures = handler.do(RunShots((program(phase=step), program(LARGE, phase=step))))
    handler.do(Publish(step, {"loss": loss}, words))
    state = {"parameters": np.array([0.1 * step, 2.0]), "parameter_names": ["a[0]", "b[]"], "buffer": np.eye(2)}
    handler.do(Checkpoint(step + 1, state))
    return captures


def same(first: PassCapture, second: PassCapture) -> bool:
    return (
        list(first.traces) == list(second.traces)
        and all(same_trace(trace, second.traces[name]) for name, trace in first.traces.items())
        and list(first.observables) == list(second.observables)
        and all(np.array_equal(value, second.observables[name]) for name, value in first.observables.items())
        and (first.end_state is None) == (second.end_state is None)
        and (
            first.end_state is None
            or second.end_state is None
            or (
                np.array_equal(first.end_state.position, second.end_state.position)
                and np.array_equal(first.end_state.momentum, second.end_state.momentum)
            )
        )
    )


def same_trace(first: Trace, second: Trace) -> bool:
    facts = ("unit", "t0", "dt", "over_range", "scale", "offset")
    return (
        first.values.dtype == second.values.dtype
        and np.array_equal(first.values, second.values)
        and all(getattr(first, fact) == getattr(second, fact) for fact in facts)
        and (first.codes is None) == (second.codes is None)
        and (first.codes is None or second.codes is None or np.array_equal(first.codes, second.codes))
    )


# -- what is written is read -------------------------------------------------------------------------------------------


def test_a_recorded_shot_loads_to_the_bit_with_its_program(tmp_path: Path) -> None:
    with new_run(tmp_path) as writer:
        captures = one_step(stack(writer), 0)
    reader = RunReader(writer.folder)
    shots = reader.shots()
    assert [shot.compiled for shot in shots] == [capture.shot.digest for capture in captures]
    for shot, capture in zip(shots, captures, strict=True):
        assert reader.load_program(shot.program) == capture.shot.program
        assert all(map(same, reader.load_capture(shot), capture.passes))
    assert reader.verify() == []
    assert reader.status == "done"


def test_large_traces_are_mapped_and_not_read(tmp_path: Path) -> None:
    with new_run(tmp_path) as writer:
        one_step(stack(writer), 0)
    reader = RunReader(writer.folder)
    small, large = (reader.load_capture(shot)[0].traces["q1"].values for shot in reader.shots())
    assert isinstance(large, np.memmap)
    assert not isinstance(small, np.memmap)


def test_the_same_waveform_is_stored_once(tmp_path: Path) -> None:
    with new_run(tmp_path) as writer:
        handler = stack(writer)
        handler.do(RunShots((program(LARGE),)))
        files = sorted(writer.folder.glob("arrays/*/*"))
        handler.do(RunShots((program(LARGE), program(LARGE))))
        assert sorted(writer.folder.glob("arrays/*/*")) == files


def test_settings_readings_scalars_words_and_parameters_are_read_back(tmp_path: Path) -> None:
    with new_run(tmp_path) as writer:
        handler = stack(writer)
        handler.do(Configure({"stiffness": np.array([1.5, 2.5])}))
        handler.do(Read(("stiffness",)))
        one_step(handler, 0, loss=0.1 + 0.2, words=("beware", "again"))
        handler.do(Publish(1, {"loss": float("nan"), "other": float("inf")}))
    reader = RunReader(writer.folder)
    configure, read = reader.operations()[:2]
    kinds = " ".join(operation.kind for operation in reader.operations())
    assert kinds == "configure read shots publish checkpoint publish"
    for name in ("asked/stiffness", "knobs/stiffness", "achieved/stiffness"):
        assert configure.values[name].tolist() == [1.5, 2.5]
    assert read.values["stiffness"].tolist() == [1.5, 2.5]
    scalars = reader.scalars()
    assert scalars["step"].tolist() == [0, 1]
    assert scalars["loss"][0] == 0.1 + 0.2 and np.isnan(scalars["loss"][1])
    assert np.isnan(scalars["other"][0]) and scalars["other"][1] == np.inf
    assert reader.words() == [(0, "beware"), (0, "again")]
    assert {name: value.tolist() for name, value in reader.parameters().items()} == {
        "step": [0], "a[0]": [0.0], "b[]": [2.0],
    }  # fmt: skip


def test_a_checkpoint_comes_back_to_the_bit_and_only_two_are_kept(tmp_path: Path) -> None:
    state = {
        "optimizer": {"told": 3, "m": np.array([0.1, -0.0, 1e-310]), "history": np.empty((0, 4)), "none": None},
        "names": ["a", "b"], "eps": 0.1 + 0.2, "worst": float("inf"), "flag": True,
    }  # fmt: skip
    with new_run(tmp_path) as writer:
        for step in range(1, 5):
            writer.checkpoint(Checkpoint(step, {**state, "step": step}))
    checkpoint = RunReader(writer.folder).last_checkpoint()
    assert checkpoint is not None and checkpoint.step == 4
    assert checkpoint.state["optimizer"]["m"].tobytes() == state["optimizer"]["m"].tobytes()
    assert checkpoint.state["optimizer"]["history"].shape == (0, 4)
    assert {name: checkpoint.state[name] for name in ("names", "eps", "worst", "flag")} == {
        "names": ["a", "b"], "eps": 0.1 + 0.2, "worst": float("inf"), "flag": True,
    }  # fmt: skip
    assert sorted(path.name for path in writer.folder.glob("checkpoint*")) == ["checkpoint.0", "checkpoint.1"]


def test_the_last_word_on_the_parameters_stands_after_the_last_step(tmp_path: Path) -> None:
    with new_run(tmp_path) as writer:
        for step in range(2):
            writer.checkpoint(Checkpoint(step + 1, {"parameters": np.array([float(step)]), "parameter_names": ["a[]"]}))
        writer.checkpoint(Checkpoint(2, {"parameters": np.array([9.0]), "parameter_names": ["a[]"]}))
    parameters = RunReader(writer.folder).parameters()
    assert parameters["step"].tolist() == [0, 1, 2]
    assert parameters["a[]"].tolist() == [0.0, 1.0, 9.0]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_capture_is_packed_and_unpacked_to_the_bit(data: st.DataObject) -> None:
    passes = []
    for _ in range(data.draw(st.integers(0, 2))):
        repeats = data.draw(st.integers(1, 2))
        traces = {}
        for name in data.draw(st.lists(st.sampled_from("abcd"), unique=True)):
            shape = (repeats, data.draw(st.sampled_from([0, 3, LARGE])))
            dtype = data.draw(st.sampled_from(["f8", "f4", "c16"]))
            values = np.full(shape, data.draw(st.floats(-9, 9)), dtype)
            codes = np.arange(values.size, dtype=np.int32).reshape(shape) if data.draw(st.booleans()) else None
            traces[name] = Trace(values, "V", data.draw(st.floats(-1, 1)), 0.1, data.draw(st.integers(0, 3)), codes)
        sums = {
            "k": np.broadcast_to(
                data.draw(arrays.arrays("f8", (1, 3), elements=st.floats(allow_nan=False))), (repeats, 3)
            )
        }
        rest = np.zeros((repeats, 2))
        passes.append(PassCapture(traces, sums, State(rest, rest + 1) if data.draw(st.booleans()) else None))
    shot = compile_shot(program(), SimulatedRig(OscillatorNetwork(2)).capabilities)
    packed = pack_capture(Capture(shot, tuple(passes), 1))
    store = {array.digest: array.values for array in packed.large.values()}
    files = {name: array.digest for name, array in packed.large.items()}
    again = unpack_capture(packed.blob, files, store.__getitem__)
    assert len(again) == len(passes)
    for first, second in zip(passes, again, strict=True):
        nans = np.isnan(first.observables["k"])
        assert np.array_equal(nans, np.isnan(second.observables["k"]))
        clean = PassCapture(first.traces, {"k": np.where(nans, 0, first.observables["k"])}, first.end_state)
        assert same(
            clean, PassCapture(second.traces, {"k": np.where(nans, 0, second.observables["k"])}, second.end_state)
        )


def test_a_run_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    writer = new_run(tmp_path)
    one_step(stack(writer), 0)
    reader = RunReader(writer.folder)
    assert reader.status == "running"
    assert reader.scalars()["loss"].tolist() == [1.0]
    one_step(stack(writer), 1)
    assert len(reader.shots()) == 4
    assert reader.verify() == []
    writer.end("failed", "the rig caught fire")
    assert reader.status == "failed"
    assert reader.events()[-1][2] == "the rig caught fire"


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")])
def test_an_error_that_ends_a_run_is_in_the_record(tmp_path: Path, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), new_run(tmp_path) as writer:
        raise error("because")
    reader = RunReader(writer.folder)
    assert reader.status == status
    assert "because" in reader.events()[-1][2]


def test_the_config_file_is_kept_verbatim_and_the_manifest_complete(tmp_path: Path) -> None:
    text = "a: 1\r\n# é\n"
    token = partial(str, "abc123")
    writer = create_run(tmp_path, "my rig: é/1", {"seed": 3}, text, Policy(20), now=_at(2031, 9), token=token)
    reader = RunReader(writer.folder)
    assert (writer.folder / "config.yaml").read_bytes() == text.encode()
    assert reader.config_text == text
    assert reader.id == writer.folder.name == "20310101T000009Z-my_rig_1-abc123"
    assert reader.manifest["seed"] == 3
    assert reader.manifest["created"] == "2031-01-01T00:00:09+00:00"
    assert reader.manifest["policy"] == "every 20"


@pytest.mark.parametrize("dtype", ["f8", ">f4", "c16", "i4"])
def test_a_large_array_of_any_kind_is_a_npy_file_named_by_its_content(tmp_path: Path, dtype: str) -> None:
    array = FrozenArray(np.arange(6, dtype=float).reshape(2, 3).astype(dtype))
    store = ArrayStore(tmp_path)
    digest = store.put(array)
    (file,) = tmp_path.glob("*/*")
    assert file == tmp_path / digest[:2] / f"{digest}.npy"
    assert np.load(file).dtype == array.values.dtype
    assert FrozenArray(store.get(digest)) == array
    assert list(store.damaged()) == []


# -- policy ------------------------------------------------------------------------------------------------------------


def test_traces_are_kept_in_every_nth_step_and_digests_always(tmp_path: Path) -> None:
    with new_run(tmp_path, "every 2") as writer:
        handler = stack(writer)
        for step in range(4):
            one_step(handler, step)
    reader = RunReader(writer.folder)
    assert [(shot.step, shot.capture is not None) for shot in reader.shots()[::2]] == [
        (0, True), (1, False), (2, True), (3, False),
    ]  # fmt: skip
    dropped = reader.shots(step=3)[0]
    assert len(dropped.program) == len(dropped.compiled) == 32
    with pytest.raises(RecordError, match="one step in 2"):
        reader.load_capture(dropped)
    with pytest.raises(RecordError, match="not in the record"):
        reader.load_program(dropped.program)
    assert reader.verify() == []


def test_with_no_traces_kept_there_is_no_array_and_the_loss_is_said(tmp_path: Path) -> None:
    with new_run(tmp_path, "none") as writer:
        one_step(stack(writer), 0)
    assert list((writer.folder / "arrays").iterdir()) == []
    assert "cannot be replayed" in RunReader(writer.folder).policy.what_is_missing()


@pytest.mark.parametrize(("text", "again"), [("all", "all"), ("none", "none"), ("every 1", "all"), ("every 20",) * 2])
def test_a_policy_is_the_text_it_was_read_from(text: str, again: str) -> None:
    assert str(Policy.parse(text)) == again


@pytest.mark.parametrize("text", ["", "every", "every 0", "every -1", "every 2.5", "some", "all 3"])
def test_another_policy_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(ConfigurationError, match="all, every N"):
        Policy.parse(text)


# -- resume ------------------------------------------------------------------------------------------------------------


def test_a_step_done_again_after_a_resume_is_there_once_and_its_shots_of_both_attempts(tmp_path: Path) -> None:
    writer = new_run(tmp_path)
    one_step(stack(writer), 0)
    stack(writer).do(RunShots((program(phase=9),)))
    writer.published(Publish(1, {"loss": 99.0, "odd": 1.0}, ("first", "second")))
    writer.close()  # as after a kill: no word on how it ended
    assert RunReader(writer.folder).status == "killed"
    with RunWriter.open_for_resume(writer.folder) as again:
        assert again.step == 1
        one_step(stack(again), 1, loss=5.0, words=("third",))
        again.published(Publish(1, {"late": 7.0}, ("fourth",)))
    reader = RunReader(writer.folder)
    scalars = reader.scalars()
    assert scalars["step"].tolist() == [0, 1]
    assert scalars["loss"].tolist() == [1.0, 5.0]
    assert scalars["late"][1] == 7.0
    assert "odd" not in scalars
    assert reader.words() == [(1, "third"), (1, "fourth")]
    assert reader.parameters()["step"].tolist() == [0, 1]
    assert [shot.attempt for shot in reader.shots(step=1)] == [1, 2, 2]
    assert [event[0] for event in reader.events()] == ["created", "running", "resumed", "done"]
    assert reader.verify() == []


def test_a_second_writer_is_told_who_is_writing(tmp_path: Path) -> None:
    writer = new_run(tmp_path)
    code = f"from pathlib import Path; from labrhel.store import RunWriter; RunWriter(Path({str(writer.folder)!r}))"
    second = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=_here())
    assert f"process {os.getpid()} (" in second.stderr and f" is writing {writer.folder}; wait" in second.stderr
    with pytest.raises(RecordError, match=f"process {os.getpid()}, this very program, .* is writing"):
        RunWriter.open_for_resume(writer.folder)
    writer.close()
    RunWriter.open_for_resume(writer.folder).close()


# -- damage and refusals -----------------------------------------------------------------------------------------------


def test_a_flipped_bit_in_a_file_is_found_by_name(tmp_path: Path) -> None:
    with new_run(tmp_path) as writer:
        one_step(stack(writer), 0)
    victim = sorted(writer.folder.glob("arrays/*/*.npy"))[0]
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    faults = RunReader(writer.folder).verify()
    assert any(victim.name in fault for fault in faults)


def test_a_missing_file_is_found_by_name(tmp_path: Path) -> None:
    with new_run(tmp_path) as writer:
        one_step(stack(writer), 0)
    for path in writer.folder.glob("arrays/*/*.npy"):
        path.unlink()
    faults = "\n".join(RunReader(writer.folder).verify())
    assert "0/values/0 of shot 2 of operation 1 is missing" in faults
    assert "program" in faults


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("journal.log", b'{"note":', b'{"mote":', "the capture of shot 1 of operation 1"),
        ("journal.log", b'"steps":40', b'"steps":41', "program"),
        ("journal.log", b'"kind":"publish"', b'"kind":"publisH"', "journal.log is damaged at byte"),
        ("journal.log", np.sin(0.1 * np.arange(40)).tobytes(), bytes(320), "array"),
        ("checkpoint.0", b"parameters", b"parametric", "the checkpoint of step 1"),
    ],
)
def test_a_change_in_the_journal_is_found(tmp_path: Path, name: str, before: bytes, after: bytes, said: str) -> None:
    with new_run(tmp_path) as writer:
        one_step(stack(writer), 0)
    file = writer.folder / name
    content = file.read_bytes()
    assert before in content
    file.write_bytes(content.replace(before, after, 1))
    reader = RunReader(writer.folder)
    assert any(said in fault for fault in reader.verify())


def test_a_journal_cut_anywhere_is_read_up_to_there_and_goes_on_after_a_resume(tmp_path: Path) -> None:
    writer = new_run(tmp_path, "none")
    for step in range(3):
        writer.published(Publish(step, {"loss": float(step)}))
    writer.close()
    file = writer.folder / "journal.log"
    writer = RunWriter.open_for_resume(writer.folder)
    complete = len(file.read_bytes())
    writer.published(Publish(3, {"loss": 3.0}, ("a warning with an é and a \ud800",)))
    writer.close()
    content = file.read_bytes()
    for length in range(complete, len(content), 7):
        file.write_bytes(content[:length])
        reader = RunReader(writer.folder)
        assert reader.verify() == []
        assert reader.scalars()["loss"].tolist() == [0.0, 1.0, 2.0]
        with RunWriter.open_for_resume(writer.folder) as again:
            again.published(Publish(3, {"loss": 4.0}))
        assert reader.scalars()["loss"].tolist() == [0.0, 1.0, 2.0, 4.0]
        assert reader.verify() == []


def test_zeros_that_a_power_cut_leaves_at_the_end_are_cut_off(tmp_path: Path) -> None:
    writer = new_run(tmp_path, "none")
    writer.published(Publish(0, {"loss": 1.0}))
    writer.close()
    file = writer.folder / "journal.log"
    file.write_bytes(file.read_bytes() + bytes(5000))
    assert RunReader(writer.folder).verify() == []
    with RunWriter.open_for_resume(writer.folder) as again:
        again.published(Publish(1, {"loss": 2.0}))
    assert RunReader(writer.folder).scalars()["loss"].tolist() == [1.0, 2.0]


def test_a_journal_damaged_in_the_middle_is_not_written_to(tmp_path: Path) -> None:
    with new_run(tmp_path, "none") as writer:
        for step in range(3):
            writer.published(Publish(step, {"loss": float(step)}))
    file = writer.folder / "journal.log"
    content = file.read_bytes()
    damaged = content.replace(b'"loss":1', b'"lose":1')
    file.write_bytes(damaged)
    with pytest.raises(RecordError, match=r"journal.log is damaged at byte \d+ of"):
        RunWriter.open_for_resume(writer.folder)
    assert file.read_bytes() == damaged


def test_a_checkpoint_half_overwritten_leaves_the_one_before(tmp_path: Path) -> None:
    writer = new_run(tmp_path, "none")
    for step in (1, 2):
        writer.checkpoint(Checkpoint(step, {"buffer": np.full(50, float(step))}))
    writer.close()
    older = writer.folder / "checkpoint.0"  # the next state would be written there
    older.write_bytes(bytes(100) + older.read_bytes()[100:])
    reader = RunReader(writer.folder)
    checkpoint = reader.last_checkpoint()
    assert checkpoint is not None and checkpoint.step == 2
    assert reader.verify() == []
    with RunWriter.open_for_resume(writer.folder) as again:
        again.checkpoint(Checkpoint(3, {"buffer": np.full(9, 3.0)}))
    checkpoint = reader.last_checkpoint()
    assert checkpoint is not None and checkpoint.state["buffer"].tolist() == [3.0] * 9


def test_a_program_that_starts_from_a_given_state_is_kept_whole(tmp_path: Path) -> None:
    given = GivenState(FrozenArray([0.1, 0.2]), FrozenArray([0.0, -0.3]))
    asked = ShotProgram(0.1, given, (Pass(5, (), Acquire(("q1",))),))
    with new_run(tmp_path) as writer:
        stack(writer).do(RunShots((asked,)))
    reader = RunReader(writer.folder)
    assert reader.load_program(asked.digest) == asked
    assert reader.verify() == []


def test_what_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a run folder"):
        RunReader(tmp_path)
    with pytest.raises(RecordError, match="not a run folder"):
        RunWriter.open_for_resume(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with new_run(tmp_path) as writer:
        pass
    manifest = json.loads((writer.folder / "manifest.json").read_text())
    (writer.folder / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(RecordError, match=r"record format 99.*update labrhel"):
        RunReader(writer.folder)


def test_a_root_that_is_a_file_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RecordError, match="could not be written"):
        new_run(tmp_path / "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RecordError, match="not writable"):
            new_run(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_manifest_that_json_cannot_hold_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        new_run(tmp_path, live=object())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_a_write_that_fails_is_not_acknowledged_and_leaves_the_record_sound(tmp_path: Path) -> None:
    code = """
        import resource, runpy, sys
        from pathlib import Path
        globals().update(runpy.run_path(sys.argv[2]))
        writer = new_run(Path(sys.argv[1]))
        handler = stack(writer)
        one_step(handler, 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        try:
            handler.do(RunShots((program(LARGE + 7),)))
        except RecordError as error:
            print(error)
        """
    arguments = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), __file__]
    answer = subprocess.run(arguments, check=False, capture_output=True, text=True, env=_here())
    assert "could not be written" in answer.stdout and "the shot was not acknowledged" in answer.stdout, answer.stderr
    (reader,) = list_runs(tmp_path)
    assert len(reader.shots()) == 2
    assert reader.verify() == []
    assert not list(reader.folder.glob("arrays/*/*.tmp"))


# -- finding -----------------------------------------------------------------------------------------------------------


def _at(year: int, second: int) -> Callable[[], datetime]:
    return lambda: datetime(year, 1, 1, 0, 0, second, tzinfo=UTC)


def _three_runs(root: Path) -> list[str]:
    folders = []
    for second, token in enumerate(("aa1111", "aa2222", "bb3333")):
        writer = create_run(root, "rig", {}, "", Policy(), now=_at(2030, second), token=partial(str, token))
        with writer:
            folders.append(writer.folder.name)
    return folders


def test_runs_are_listed_newest_first_and_other_folders_are_not(tmp_path: Path) -> None:
    names = _three_runs(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / ".20300101T000000Z-rig-cccccc.making").mkdir()
    assert [reader.id for reader in list_runs(tmp_path)] == names[::-1]
    assert list_runs(tmp_path / "nowhere") == []


def test_a_run_is_found_by_folder_id_or_the_beginning_of_one(tmp_path: Path) -> None:
    names = _three_runs(tmp_path)
    assert find_run(str(tmp_path / names[0]), Path("elsewhere")) == tmp_path / names[0]
    assert find_run(names[1], tmp_path).name == names[1]
    assert find_run("bb", tmp_path).name == names[2]
    assert find_run("20300101T000001", tmp_path).name == names[1]


@pytest.mark.parametrize(
    ("text", "said"), [("aa", "fits 2 runs: .*aa2222, .*aa1111"), ("zz", "no run 'zz'.*bb3333"), ("", "no run ''")]
)
def test_a_run_that_is_not_there_or_not_alone_is_answered_with_those_that_are(
    tmp_path: Path, text: str, said: str
) -> None:
    _three_runs(tmp_path)
    with pytest.raises(ConfigurationError, match=said):
        find_run(text, tmp_path)


def test_where_there_are_no_runs_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no runs"):
        find_run("x", tmp_path)


# -- one file ----------------------------------------------------------------------------------------------------------


def _echo_run(root: Path, name: str) -> Path:
    units = {"loss": "1", "a": "1/ms^2"}
    with new_run(root, "every 2", name, units=units, time_unit="ms", provenance={"host": "x"}) as writer:
        handler = stack(writer)
        echo = program(50, echo=Acquire(("q1", "q2")))
        for step in range(3):
            handler.do(RunShots((program(30), program(50))))
            handler.do(RunShots((echo, echo)))
            handler.do(Publish(step, {"loss": 1 / (step + 1)}, ("beware",)))
            handler.do(Checkpoint(step + 1, {"parameters": np.array([step, 2.0]), "parameter_names": ["a[0]", "b[]"]}))
    return writer.folder


def test_the_netcdf_file_holds_scalars_parameters_and_the_last_kept_traces(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    folder = _echo_run(tmp_path, "one")
    with xarray.open_dataset(consolidate(folder)) as data:
        reader = RunReader(folder)
        assert data.loss.values.tolist() == reader.scalars()["loss"].tolist()
        assert data.loss.attrs["units"] == "1"
        assert data.trained.sel(parameter="a[0]").values.tolist() == [0.0, 1.0, 2.0]
        assert data.parameter_unit.values.tolist() == ["1/ms^2", ""]
        forwards = [reader.load_capture(shot)[-1] for shot in reader.shots(step=2)[:2]]
        assert data.forward.dims == ("forward_shot", "forward_repeat", "forward_channel", "forward_time")
        first = data.forward.sel(forward_channel="q1").isel(forward_shot=0, forward_repeat=0).values
        assert np.array_equal(first[:30], forwards[0].traces["q1"].values[0])
        assert np.isnan(first[30:]).all()
        assert data.echo.sizes["echo_shot"] == 2
        assert data.echo_channel.values.tolist() == ["q1", "q2"]
        assert data.echo_time.attrs["units"] == "ms"
        assert data.attrs["config"] == "model: {}\n"
        assert json.loads(data.attrs["provenance"]) == {"host": "x"}
        assert "cannot be replayed" in data.attrs["not_kept"]
        assert json.loads(data.attrs["warnings"]) == [[0, "beware"], [1, "beware"], [2, "beware"]]


def test_two_equal_runs_give_the_same_data(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    first, second = (xarray.load_dataset(consolidate(_echo_run(tmp_path, "one"))) for _ in range(2))
    assert first.drop_attrs().identical(second.drop_attrs())


def test_a_run_without_steps_gives_a_file_all_the_same(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    with new_run(tmp_path, "none") as writer:
        pass
    target = tmp_path / "out.nc"
    assert consolidate(writer.folder, target) == target
    assert xarray.load_dataset(target).sizes["step"] == 0


def _here() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
