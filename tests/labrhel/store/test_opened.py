"""A run that is opened, on records written by hand: units, names and dimensions of what is handed out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, RecordError
from labrhel.shots.operations import Checkpoint, Publish
from labrhel.store import Policy, RunWriter, create_run
from labrhel.store.opened import Run, open_run

NAN = float("nan")
MANIFEST: dict[str, Any] = {
    "rig": "sim:one",
    "target_unit": "mm",
    "time_unit": "ms",
    "units": {"k": "1/ms^2"},
    "configuration": {"model": {"units": {"input": "V"}}, "data": {"test": ["a"]}},
}


def started(root: Path, policy: str = "every 2", **facts: Any) -> RunWriter:
    return create_run(root, "run", MANIFEST | facts, "a: 1\n", Policy.parse(policy))


def opened(writer: RunWriter, end: str = "done") -> Run:
    writer.end(end)  # type: ignore[arg-type]
    return open_run(writer.folder)


def test_scalars_have_units_names_and_the_steps_that_published_them(tmp_path: Path) -> None:
    writer = started(tmp_path)
    writer.published(Publish(0, {"loss": 4.0, "test_a": 0.5}, ("beware",)))
    writer.published(Publish(1, {"eps": 0.25}))
    writer.published(Publish(3, {"loss": 2.0}, ("again",)))
    run = opened(writer)
    scalars = run.scalars
    assert scalars.step.values.tolist() == [0, 1, 3]
    assert scalars.step.attrs["long_name"] == "training step"
    assert np.array_equal(scalars.loss.values, [4.0, NAN, 2.0], equal_nan=True)
    assert np.array_equal(scalars.eps.values, [NAN, 0.25, NAN], equal_nan=True)
    assert (scalars.test_a.attrs, scalars.eps.attrs) == ({"units": "mm"}, {"units": "1"})
    assert scalars.loss.attrs == {
        "units": "1",
        "long_name": "mean squared error over the variance of the training targets",
    }
    assert scalars.attrs == {"run": run.id}
    assert run.loss.values.tolist() == [4.0, 2.0] and run.loss.step.values.tolist() == [0, 3]
    assert run.warnings == ["beware", "again"]
    assert (run.status, run.folder, run.id) == ("done", writer.folder, writer.folder.name)


def test_a_run_without_a_gradient_has_no_loss(tmp_path: Path) -> None:
    writer = started(tmp_path)
    writer.published(Publish(0, {"test_a": 0.5}))
    with pytest.raises(RecordError, match="has no loss: it was stopped before its first gradient"):
        _ = opened(writer).loss


def test_parameters_have_the_unit_of_their_array_and_the_steps_that_measured_them(tmp_path: Path) -> None:
    writer = started(tmp_path)
    for step, row in ((1, [1.0, 2.0]), (2, [3.0, 4.0])):
        state = {"parameters": np.array(row), "parameter_names": ["k[0]", "g[1]"]}
        writer.checkpoint(Checkpoint(step, state))
    run = opened(writer)
    found = run.parameters
    assert found.step.values.tolist() == [0, 1] and found.step.attrs["long_name"] == "training step"
    assert (found["k[0]"].values.tolist(), found["g[1]"].values.tolist()) == ([1.0, 3.0], [2.0, 4.0])
    assert (found["k[0]"].attrs, found["g[1]"].attrs) == ({"units": "1/ms^2"}, {"units": ""})
    assert found.attrs == {"run": run.id}


# -- tests on data -----------------------------------------------------------------------------------------------------


def result(samples: int, **more: Any) -> dict[str, Any]:
    one = np.arange(2.0 * samples).reshape(2, samples)
    return {"input": one[:1], "target": one + 10, "output": one + 20, "ports": ["u1"], "spacing": 0.5, **more}


def with_results(root: Path, results: dict[str, Any], **facts: Any) -> Run:
    writer = started(root, **facts)
    writer.checkpoint(Checkpoint(1, {"results": results}))
    return opened(writer)


def test_each_test_set_has_a_time_of_its_own_and_the_units_of_what_it_holds(tmp_path: Path) -> None:
    run = with_results(tmp_path, {"long": result(3), "short": result(2)})
    for what, rows, unit, begin in (
        ("input", "port", "V", 0),
        ("target", "output", "mm", 10),
        ("readout", "output", "mm", 20),
    ):
        found = getattr(run, what)
        assert found.long.dims == (rows, "long_time") and found.short.dims == (rows, "short_time")
        assert found.long.values[0].tolist() == [begin, begin + 1, begin + 2]
        assert found.short.values[0].tolist() == [begin, begin + 1]
        assert found.long.attrs == found.short.attrs == {"units": unit}
        assert found.long_time.values.tolist() == [0.0, 0.5, 1.0]
        assert found.short_time.attrs == {"units": "ms"}
        assert found.attrs == {"run": run.id}
        assert ("port" in found.coords) is (rows == "port")
    assert run.input.port.values.tolist() == ["u1"]


def test_results_of_older_versions_lack_a_time_or_the_drive(tmp_path: Path) -> None:
    run = with_results(tmp_path, {"a": {"target": [[1.0, 2.0]], "output": [[3.0, 4.0]]}})
    assert run.target.a.values.tolist() == [[1.0, 2.0]]
    assert "a_time" not in run.target.coords
    with pytest.raises(RecordError, match="holds no input of its tests: it was recorded by an older version"):
        _ = run.input


@pytest.mark.parametrize(
    ("configuration", "end", "words"),
    [
        ({"model": {"units": {"input": "V"}}}, "done", "has no data section, and so no tests"),
        (MANIFEST["configuration"], "done", "had no test set: name one under data.test"),
        (MANIFEST["configuration"], "failed", "is failed: its tests are recorded at the end; `labrhel resume 2"),
    ],
)
def test_a_run_without_results_says_why(tmp_path: Path, configuration: Any, end: str, words: str) -> None:
    writer = started(tmp_path, configuration=configuration)
    run = opened(writer, end)
    with pytest.raises(RecordError, match=words):
        _ = run.readout
    again = RunWriter.open_for_resume(run.folder)
    again.checkpoint(Checkpoint(1, {"results": {}}))
    again.end(end)  # type: ignore[arg-type]
    with pytest.raises(RecordError, match=words):
        _ = run.target


# -- finding and showing -----------------------------------------------------------------------------------------------


def test_a_run_is_opened_by_its_folder_or_by_the_beginning_of_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(started(tmp_path / "runs"))
    assert open_run(run.id[:8], tmp_path / "runs").id == run.id
    monkeypatch.chdir(tmp_path)
    assert open_run(run.id[:8]).id == run.id
    with pytest.raises(ConfigurationError, match="no run 'zz'"):
        open_run("zz")


def test_a_run_is_shown_with_the_course_of_its_loss(tmp_path: Path) -> None:
    writer = started(tmp_path)
    run = open_run(writer.folder)
    assert "loss none yet" in repr(run) and "status running" in repr(run)
    for step, loss in enumerate((NAN, 4.0, 3.0, 1.5, NAN)):
        writer.published(Publish(step, {"loss": loss}))
    writer.end("done")
    assert repr(run).startswith(
        f"<Run {run.id}: status done, rig sim:one, loss 4 -> 1.5 in 3 gradients, traces every 2"
    )
    for words in (f"run {run.id}", "4 -&gt; 1.5 in 3 gradients", "sim:one", "every 2", run.folder.name):
        assert words in run._repr_html_()


@pytest.mark.parametrize(("step", "which"), [(None, "no step"), (3, "step 3 not")])
def test_traces_of_a_run_that_kept_none_are_refused_with_what_to_record(
    tmp_path: Path, step: int | None, which: str
) -> None:
    run = opened(started(tmp_path, "none"))
    with pytest.raises(RecordError, match=rf"kept traces of {which} \(record: none\); record with `record: all`"):
        run.traces(step)
