"""The one file of a run, on records written by hand: which shots are in it, on which axes, in which units."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.errors import RecordError
from labrhel.executor import Compiling
from labrhel.shots.capture import Capture, PassCapture, Trace
from labrhel.shots.operations import Checkpoint, Publish, RunShots
from labrhel.shots.program import Acquire, Pass, Rest, ShotProgram
from labrhel.store import Policy, RunReader, RunWriter, consolidate, create_run
from labrhel.store.consolidate import as_dataset
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

consolidate_module = sys.modules["labrhel.store.consolidate"]
RIG = SimulatedRig(OscillatorNetwork(1)).capabilities
FORWARD = ShotProgram(0.1, Rest(), (Pass(4, (), Acquire(("q1",))),))
ECHO = ShotProgram(0.1, Rest(), (Pass(4, keep=True), Pass(4, (), Acquire(("q1",)), echo=True)))


def traces(**rows: Any) -> dict[str, Trace]:
    """By name (values, unit, t0, dt)."""
    return {name: Trace(np.array(values), unit, t0, dt) for name, (values, unit, t0, dt) in rows.items()}


class Answering:
    """Records shots that come back with these last passes."""

    def __init__(self, writer: RunWriter, answers: Sequence[dict[str, Trace]]) -> None:
        self._writer, self._answers = writer, list(answers)

    def do(self, operation: Any) -> list[Capture]:
        captures = [
            Capture(shot, (*[PassCapture()] * (len(shot.passes) - 1), PassCapture(self._answers.pop(0))), 1)
            for shot in operation.compiled
        ]
        self._writer.shots(operation, captures)
        return captures


def record(writer: RunWriter, program: ShotProgram, *answers: dict[str, Trace]) -> None:
    Compiling(Answering(writer, answers), RIG).do(RunShots((program,) * len(answers)))


def started(root: Path, policy: str = "all", **manifest: Any) -> RunWriter:
    return create_run(root, "run", manifest, "a: 1\n", Policy.parse(policy))


def short(value: float) -> dict[str, Trace]:
    return traces(q1=([[value, 2.0]], "mm", 0.25, 0.5))


def test_shots_of_other_lengths_repeats_and_channels_share_axes_and_are_filled_up(tmp_path: Path) -> None:
    with started(tmp_path, time_unit="ms") as writer:
        record(
            writer, FORWARD,
            traces(q1=([[1.0, 2.0]], "mm", 0.0, 0.5), v1=([[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]], "mm/s", 0.25, 0.5)),
            traces(w1=([[9.0]], "", 0.5, 0.125)),
        )  # fmt: skip
    data = as_dataset(RunReader(writer.folder))
    cube = data.forward
    assert cube.dims == ("forward_shot", "forward_repeat", "forward_channel", "forward_time")
    assert cube.shape == (2, 2, 3, 3)
    assert data.forward_channel.values.tolist() == ["q1", "v1", "w1"]
    assert data.forward_unit.values.tolist() == ["mm", "mm/s", ""]
    assert cube.attrs["units"] == "mm, mm/s"
    nan = np.nan
    expected = np.full((2, 2, 3, 3), nan)
    expected[0, 0, 0, :2] = [1, 2]
    expected[0, :, 1] = [[3, 4, 5], [6, 7, 8]]
    expected[1, 0, 2, 0] = 9
    assert np.array_equal(cube.values, expected, equal_nan=True)
    assert data.forward_time.values.tolist() == [0.25, 0.75, 1.25]  # of the longest
    assert data.forward_time.attrs["units"] == "ms"


def test_of_two_traces_of_one_channel_the_longer_says_unit_and_time(tmp_path: Path) -> None:
    one, two = traces(q1=([[1.0, 2.0]], "mm", 0.0, 0.5)), traces(q1=([[1.0, 2.0, 3.0]], "um", 1.0, 0.25))
    for order in ((one, two), (two, one)):
        with started(tmp_path) as writer:
            record(writer, FORWARD, *order)
        data = as_dataset(RunReader(writer.folder))
        assert data.forward_unit.values.tolist() == ["um"]
        assert data.forward_time.values.tolist() == [1.0, 1.25, 1.5]
        assert data.forward_time.attrs["units"] == "model time"


def test_without_units_a_trace_is_a_pure_number(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        record(writer, FORWARD, traces(q1=([[1.0]], "", 0.0, 0.5)))
    assert as_dataset(RunReader(writer.folder)).forward.attrs["units"] == "1"


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [(np.float32(1), np.float32(2), "f4"), (np.float32(1), np.float64(2), "f8"), (np.int16(1), np.int16(2), "f4")],
)
def test_the_type_is_the_smallest_that_holds_all_and_not_a_number(
    tmp_path: Path, first: Any, second: Any, kind: str
) -> None:
    rows = [{"q1": Trace(np.array([[value]]), "V", 0.0, 0.1)} for value in (first, second)]
    with started(tmp_path) as writer:
        record(writer, FORWARD, *rows)
    assert as_dataset(RunReader(writer.folder)).forward.dtype == np.dtype(kind)


def test_complex_traces_are_two_real_ones(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        record(writer, FORWARD, traces(q1=([[1.0 + 2j, 3.0 - 4j]], "V", 0.0, 0.1)))
    data = as_dataset(RunReader(writer.folder))
    assert data.forward_real.values.ravel().tolist() == [1.0, 3.0]
    assert data.forward_imag.values.ravel().tolist() == [2.0, -4.0]
    assert "forward" not in data


# -- which shots -------------------------------------------------------------------------------------------------------


def values(data: Any, kind: str) -> list[float]:
    return data[kind].values[:, 0, 0, 0].tolist() if kind in data else []


def step(writer: RunWriter, number: int) -> None:
    writer.checkpoint(Checkpoint(number, {}))


def test_the_last_step_with_kept_echoes_is_shown_whole(tmp_path: Path) -> None:
    with started(tmp_path, "every 2") as writer:
        for number in range(4):
            record(writer, FORWARD, short(10.0 * number), short(10.0 * number + 1))
            record(writer, ECHO, short(100.0 * number), short(100.0 * number + 1))
            step(writer, number + 1)
        record(writer, FORWARD, short(-1.0))  # a test after the last step: kept, and without echoes
    data = as_dataset(RunReader(writer.folder))
    assert values(data, "forward") == [20.0, 21.0]
    assert values(data, "echo") == [200.0, 201.0]


def test_without_any_echo_the_last_step_that_was_kept_is_shown(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        for number in range(3):
            record(writer, FORWARD, short(10.0 * number), short(10.0 * number + 1), short(10.0 * number + 2))
            step(writer, number + 1)
    data = as_dataset(RunReader(writer.folder))
    assert values(data, "forward") == [20.0, 21.0, 22.0]
    assert "echo" not in data


def test_shots_of_an_attempt_that_was_interrupted_are_not_mixed_in(tmp_path: Path) -> None:
    writer = started(tmp_path)
    record(writer, ECHO, short(1.0))
    writer.close()
    with RunWriter.open_for_resume(writer.folder) as again:
        record(again, ECHO, short(2.0))
    assert values(as_dataset(RunReader(writer.folder)), "echo") == [2.0]


def test_a_run_of_which_nothing_was_kept_has_no_traces(tmp_path: Path) -> None:
    with started(tmp_path, "none") as writer:
        record(writer, ECHO, short(1.0))
    data = as_dataset(RunReader(writer.folder))
    assert "echo" not in data and "forward" not in data


# -- scalars, parameters, attributes, file -----------------------------------------------------------------------------


def test_scalars_and_parameters_are_on_one_axis_of_steps_with_gaps(tmp_path: Path) -> None:
    units = {"loss": "1", "k": "1/ms^2", "k[1]": "odd"}
    with started(tmp_path, units=units) as writer:
        for number, scalars in ((0, {"loss": 4.0}), (2, {"loss": 2.0, "eps": 0.5})):
            writer.published(Publish(number, scalars))
        names = ["k[0]", "k[1]", "g[0]"]
        for number, row in ((1, [1.0, 2.0, 3.0]), (2, [4.0, 5.0, 6.0])):
            writer.checkpoint(Checkpoint(number, {"parameters": np.array(row), "parameter_names": names}))
        writer.published(Publish(1, {}))
    data = as_dataset(RunReader(writer.folder))
    nan = np.nan
    assert data.step.values.tolist() == [0, 1, 2]
    assert np.array_equal(data.loss.values, [4.0, nan, 2.0], equal_nan=True)
    assert np.array_equal(data.eps.values, [nan, nan, 0.5], equal_nan=True)
    assert (data.loss.attrs, data.eps.attrs) == ({"units": "1"}, {})
    assert data.parameter.values.tolist() == names
    assert data.parameter_unit.values.tolist() == ["1/ms^2", "odd", ""]
    assert np.array_equal(data.trained.values, [[1, 2, 3], [4, 5, 6], [nan, nan, nan]], equal_nan=True)


def test_the_attributes_say_what_the_run_was_and_how_it_ended(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="odd"), started(tmp_path, "every 3", provenance={"host": "x"}) as writer:
        writer.published(Publish(0, {}, ("beware",)))
        raise ValueError("odd")
    reader = RunReader(next(tmp_path.glob("*-run-*")))
    found = as_dataset(reader).attrs
    assert found["run"] == reader.id and found["title"] == f"labrhel run {reader.id}"
    assert (found["status"], found["policy"]) == ("failed: ValueError: odd", "every 3")
    assert found["not_kept"] == reader.policy.what_is_missing()
    assert (found["config"], found["created"]) == ("a: 1\n", reader.manifest["created"])
    assert json.loads(found["warnings"]) == [[0, "beware"]]
    assert json.loads(found["manifest"]) == reader.manifest
    assert json.loads(found["provenance"]) == {"host": "x"}
    with started(tmp_path) as writer:
        pass
    assert as_dataset(RunReader(writer.folder)).attrs["status"] == "done"


def test_traces_are_compressed_in_the_file_and_nothing_else_is(tmp_path: Path) -> None:
    import xarray

    with started(tmp_path) as writer:
        record(writer, FORWARD, short(1.0))
        writer.published(Publish(0, {"loss": 1.0}))
    path = consolidate(writer.folder)
    assert path == writer.folder / "run.nc"
    with xarray.open_dataset(path) as data:
        assert data.forward.encoding["zlib"] and data.forward.encoding["complevel"] == 1
        assert not data.loss.encoding.get("zlib") and not data.trained.encoding.get("zlib")
    assert not list(writer.folder.glob(".*.making"))


def test_the_disk_is_asked_for_room_for_the_data_and_a_mebibyte_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    aside = consolidate_module.written_aside
    monkeypatch.setattr(consolidate_module, "written_aside", lambda *what: (asked.append(what[1]), aside(*what))[1])
    with started(tmp_path) as writer:
        record(writer, FORWARD, short(1.0))
    consolidate(writer.folder)
    assert asked == [as_dataset(RunReader(writer.folder)).nbytes + 2**20]


def test_a_record_of_nothing_has_empty_tables_of_the_same_kinds(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        pass
    data = as_dataset(RunReader(writer.folder))
    assert data.trained.shape == (0, 0)
    assert {data[name].dtype.kind for name in ("parameter", "parameter_unit")} == {"U"}


def test_a_file_that_cannot_be_written_leaves_nothing_and_the_record_as_it_was(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        record(writer, FORWARD, short(1.0))
    (tmp_path / "taken.nc").mkdir()
    with pytest.raises(RecordError, match=r"could not be written: .*; nothing else changed"):
        consolidate(writer.folder, tmp_path / "taken.nc")
    assert not list(tmp_path.glob(".*.making"))
    assert RunReader(writer.folder).verify() == []


def test_the_file_is_read_as_the_dataset_that_xarray_would_have_written(tmp_path: Path) -> None:
    import xarray

    with started(tmp_path, units={"loss": "V^2", "k": "1/s"}) as writer:
        writer.published(Publish(0, {"loss": 1.0, "eps": 1e-3}))
        record(writer, FORWARD, short(1.0))
        record(
            writer, ECHO, short(3.0), traces(q1=([[1.0, 2.0, np.nan]], "mm", 0.0, 0.5), µ=([[7.0]], "V/µs", 0.0, 1.0))
        )
    for run in (writer.folder, started(tmp_path / "nothing").folder):
        expected, written = as_dataset(RunReader(run)), tmp_path / "by_xarray.nc"
        expected.to_netcdf(written, engine="h5netcdf")
        with xarray.open_dataset(consolidate(run, tmp_path / "out.nc")) as found, xarray.open_dataset(written) as other:
            xarray.testing.assert_identical(found.load(), other.load())
            assert found.sizes == expected.sizes and set(found.coords) == set(expected.coords)
            assert {name: found[name].dtype for name in found.variables} == {n: other[n].dtype for n in found.variables}


def test_a_run_ends_without_importing_xarray(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        record(writer, FORWARD, short(1.0))
    ends = (
        f"import sys, pathlib; from labrhel.store import consolidate; consolidate(pathlib.Path({str(writer.folder)!r}))"
    )
    asked = f"{ends}; print(sorted({{'xarray', 'pandas', 'h5py'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["['h5py']"]


def test_what_a_read_out_was_before_and_after_training_is_shown_on_the_grid_of_its_test(tmp_path: Path) -> None:
    result = {
        "spacing": 0.25, "inputs": ["u1"], "ports": ["u1"], "outputs": ["x", "y"],
        "input": np.array([[1.0, 2.0, 3.0]]), "target": np.arange(6.0).reshape(2, 3), "output": np.ones((2, 3)),
    }  # fmt: skip
    silent = {**result, "input": np.zeros((0, 3))}
    units = {"configuration": {"model": {"units": {"input": "N"}}}, "target_unit": "mm", "time_unit": "ms"}
    with started(tmp_path, **units) as writer:
        writer.checkpoint(Checkpoint(1, {"results": {"test": result, "still": silent, "old": {"target": [[1.0]]}}}))
    data = as_dataset(RunReader(writer.folder))
    assert data.test_time.values.tolist() == [0.0, 0.25, 0.5]
    assert data.test_time.attrs["units"] == "ms"
    assert data.test_input.dims == ("port", "test_time") and data.test_input.attrs["units"] == "N"
    assert data.test_input.values.tolist() == [[1.0, 2.0, 3.0]]
    assert data.test_target.dims == ("output", "test_time") and data.test_target.attrs["units"] == "mm"
    assert data.test_target.values.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert data.test_readout.values.tolist() == [[1.0] * 3] * 2
    assert data.port.values.tolist() == ["u1"] and data.output.values.tolist() == ["x", "y"]
    assert "still_target" in data and "still_input" not in data
    assert "test_readout_before" not in data and "old_target" not in data
