"""`import labrhel`: what a user needs every day, as right and as safe as the command line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

import labrhel
from labrhel import session
from labrhel.executor import execute
from labrhel.experiment import load_experiment
from labrhel.learning.rules import GradientRequest
from labrhel.safety import estop, processes
from labrhel.shots.operations import Publish, Read, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role
from labrhel.testing.configurations import SMALL, small

FIXTURES = Path(__file__).parents[1] / "fixtures" / "recorded_before_volts" / "simulated"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


def watched(experiment: labrhel.Experiment) -> list[str]:
    """Notes what is asked of the rig, in order."""
    rig, calls = experiment.rig, []
    run, make_safe = rig.run, rig.make_safe
    rig.run = lambda shots: (calls.append("run"), run(shots))[1]  # type: ignore[method-assign]
    rig.make_safe = lambda: (calls.append("safe"), make_safe())[1]  # type: ignore[method-assign]
    return calls


# -- loading


def test_importing_labrhel_loads_nothing_and_its_names_are_listed() -> None:
    code = (
        "import sys, labrhel\n"
        "assert {'load_experiment', 'open_run', 'Gradient', 'LimitError'} <= set(dir(labrhel))\n"
        "heavy = [name for name in ('numpy', 'pydantic', 'xarray', 'labrhel.errors') if name in sys.modules]\n"
        "assert not heavy, heavy\n"
        "labrhel.LimitError\n"
        "assert 'numpy' not in sys.modules\n"
        "labrhel.Waveform\n"
        "assert 'numpy' in sys.modules and 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", labrhel.__all__)
def test_every_name_of_the_front_door_is_there(name: str) -> None:
    assert getattr(labrhel, name).__name__ == name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_experimant'"):
        _ = labrhel.load_experimant  # type: ignore[attr-defined]


# -- gradients


def test_a_gradient_equals_the_one_that_is_spelled_out_to_the_bit(config: Path) -> None:
    deep = load_experiment(config)
    problem = deep.problem
    x = problem.parameters.flat()
    asked = GradientRequest(problem.task, problem.train, problem.theta(x), problem.wanted)
    expected = execute(problem.rule.gradient(asked), deep.executor())
    found = labrhel.load_experiment(config).gradient()
    assert found.loss == expected.loss
    assert found.shots == expected.shots == 12  # four sequences: forward, + and - each
    for name, value in expected.values.items():
        np.testing.assert_array_equal(found.values[name], value)


def test_a_gradient_is_of_the_sequences_and_at_the_point_that_were_asked_for(config: Path) -> None:
    experiment = labrhel.load_experiment(config)
    first, chosen, again = (experiment.gradient(sequences=which) for which in (2, [0, 1], [3, 1]))
    assert first.shots == chosen.shots == 6
    assert first.loss == chosen.loss != again.loss
    moved = experiment.x + np.array([0.1, 0.0, 0.0])
    assert experiment.gradient(moved, sequences=2).loss != first.loss


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"x": [0.1]}, r"x has shape \(1,\); there are coordinates \(3,\): coupling\[0\], input\[0,0\]"),
        ({"sequences": 5}, "sequences 5 are not there: the training set has 4"),
        ({"sequences": [-1]}, r"sequences \[-1\] are not there"),
        ({"sequences": 0}, "sequences 0 are not there"),
    ],
)
def test_a_gradient_that_cannot_be_is_refused(config: Path, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(labrhel.ConfigurationError, match=words):
        labrhel.load_experiment(config).gradient(**asked)


# -- steps and runs


def test_steps_are_those_of_a_run_to_the_bit(config: Path, tmp_path: Path) -> None:
    whole = labrhel.load_experiment(config).run(tmp_path / "runs")
    with labrhel.load_experiment(config) as experiment:
        steps = list(experiment)
        assert experiment.finished
        best = experiment.problem.parameters.entries(experiment.x)
    assert [step.number for step in steps] == list(range(12))
    np.testing.assert_array_equal([step.loss for step in steps], whole.loss)
    checkpoint = whole.reader.last_checkpoint()
    assert checkpoint is not None
    np.testing.assert_array_equal(best, checkpoint.state["parameters"])
    for name in ("gradient_norm", "response_ratio", "retrace_error", "eps"):
        np.testing.assert_array_equal([step.scalars[name] for step in steps], whole.scalars[name].dropna("step"))
    tests = whole.scalars["test_test"].dropna("step")
    assert [steps[0].scalars["test_test"], steps[-1].scalars["test_test"]] == list(tests)
    assert not any("test_test" in step.scalars for step in steps[1:-1])


@pytest.mark.parametrize("device", ["noise=1mV&seed=4", "seed=2&drift=0.0001"])
def test_steps_of_a_rig_with_a_history_are_those_of_a_run_too(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    url = f"sim:{config}?{device}"
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "one"))
    whole = labrhel.load_experiment(config, rig_url=url, steps=3).run(tmp_path / "runs")
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "another"))  # a device goes on drifting from run to run
    steps = list(labrhel.load_experiment(config, rig_url=url, steps=3))
    np.testing.assert_array_equal([step.loss for step in steps], whole.loss)


def test_a_gradient_between_two_steps_is_taken_where_they_have_come_to(tmp_path: Path) -> None:
    file = tmp_path / "whole.yaml"
    file.write_text(small(**{"  batch: 2\n": ""}))
    experiment = labrhel.load_experiment(file)
    first = experiment.step()
    between = experiment.gradient()
    second = experiment.step()
    assert first.loss != second.loss
    assert between.loss == pytest.approx(second.loss, rel=1e-12)
    np.testing.assert_array_equal(
        first.parameters["coupling"], experiment.problem.parameters.values(_at(first))["coupling"]
    )


def _at(step: labrhel.Step) -> np.ndarray:
    parts = (
        step.parameters["coupling"].ravel(),
        step.parameters["input"][:1].ravel(),
        step.parameters["readout_offset"],
    )
    return np.concatenate(parts)


def test_no_step_follows_the_last(config: Path) -> None:
    experiment = labrhel.load_experiment(config, steps=2)
    assert len(list(experiment)) == 2
    assert list(experiment) == []
    with pytest.raises(labrhel.ConfigurationError, match="all 2 steps have been taken"):
        experiment.step()


def test_a_step_that_failed_is_taken_again(config: Path) -> None:
    experiment = labrhel.load_experiment(config, steps=4)
    expected = [step.loss for step in labrhel.load_experiment(config, steps=4)]
    found = [experiment.step().loss]
    rig, run = experiment.rig, experiment.rig.run

    def fail(shots: Any) -> Any:
        raise labrhel.InstrumentError("the amplifier is off")

    rig.run = fail  # type: ignore[method-assign]
    with pytest.raises(labrhel.InstrumentError, match="amplifier"):
        experiment.step()
    rig.run = run  # type: ignore[method-assign]
    found += [step.loss for step in experiment]
    assert found == expected


def test_a_run_is_recorded_watched_and_gives_the_rig_back(config: Path, tmp_path: Path) -> None:
    heard: list[Publish] = []
    experiment = labrhel.load_experiment(config, steps=3)
    with experiment:
        run = experiment.run(tmp_path / "runs", watch=heard.append)
    assert (run.status, run.folder.parent) == ("done", tmp_path / "runs")
    assert sum("loss" in item.scalars for item in heard) == 3
    with pytest.raises(labrhel.ConfigurationError, match="given back; load the experiment again"):
        experiment.step()


# -- any protocol


def test_a_protocol_of_ones_own_runs_through_the_whole_executor(config: Path) -> None:
    wave = labrhel.Waveform.of(np.linspace(0.0, 0.4, 30), 0.3)
    program = labrhel.ShotProgram(
        0.3, Rest(), (Pass(30, (Drive("u1", wave, Role.INPUT),), Acquire(("q1", "q2"))),), repeats=2
    )

    def protocol() -> Any:
        knobs = yield Read(("coupling",))
        (capture,) = yield RunShots((program,))
        return knobs["coupling"], capture.last.stack(("q1", "q2"), 1)

    coupling, traces = labrhel.load_experiment(config).execute(protocol())
    assert coupling == [0.1]
    assert traces.shape == (2, 30)
    assert np.abs(traces[0]).max() > np.abs(traces[1]).max() > 0


# -- safety


def test_every_call_leaves_the_rig_safe_and_is_within_reach_of_the_emergency_stop(config: Path) -> None:
    experiment = labrhel.load_experiment(config)
    calls, seen = watched(experiment), []
    inner = experiment.rig.run
    experiment.rig.run = lambda shots: (seen.append([item.rig for item in processes.programs()]), inner(shots))[1]  # type: ignore[method-assign]
    experiment.gradient(sequences=1)
    assert calls[0] == "run" and calls[-1] == "safe"
    assert seen and all(programs == ["sim:"] for programs in seen)
    assert processes.programs() == []


def test_a_with_block_keeps_the_levels_between_calls_and_makes_safe_at_its_end(config: Path) -> None:
    experiment = labrhel.load_experiment(config)
    calls = watched(experiment)
    with experiment:
        experiment.step()
        assert "safe" not in calls
        assert [item.rig for item in processes.programs()] == ["sim:"]
    assert calls[-1] == "safe"
    assert processes.programs() == []


@pytest.mark.parametrize("error", [labrhel.InstrumentError("the amplifier caught fire"), KeyboardInterrupt()])
def test_an_error_inside_a_step_leaves_the_rig_safe_at_once(config: Path, error: BaseException) -> None:
    with labrhel.load_experiment(config) as experiment:
        calls, rig = watched(experiment), experiment.rig
        run = rig.run

        def break_down(shots: Any) -> Any:
            if calls.count("run") == 3:
                raise error
            return run(shots)

        rig.run = break_down  # type: ignore[method-assign]
        with pytest.raises(type(error)):
            list(experiment)
        assert calls == ["run", "run", "run", "safe"]


def test_an_error_of_the_users_own_inside_the_block_leaves_the_rig_safe(config: Path) -> None:
    experiment = labrhel.load_experiment(config)
    calls = watched(experiment)
    with pytest.raises(ZeroDivisionError), experiment:
        for step in experiment:
            _ = 1 / step.number
    assert calls[-1] == "safe"
    with pytest.raises(labrhel.ConfigurationError, match="given back"):
        experiment.gradient()


def test_nothing_moves_while_the_emergency_stop_is_latched(config: Path) -> None:
    experiment = labrhel.load_experiment(config)
    calls = watched(experiment)
    estop.press()
    try:
        with pytest.raises(labrhel.InterlockError, match="labrhel reset"):
            experiment.step()
    finally:
        estop.reset()
    assert "run" not in calls and calls[-1] == "safe"


def test_a_guard_of_the_file_stops_steps_as_it_stops_runs(tmp_path: Path) -> None:
    file = tmp_path / "guarded.yaml"
    file.write_text(SMALL.replace("rate: 0.05", "rate: 3.0") + "interlocks: {divergence: 1.5}\n")
    with pytest.raises(labrhel.InterlockError) as of_run:
        session.start(load_experiment(file), tmp_path / "runs", lambda published: None)
    with pytest.raises(labrhel.InterlockError) as of_steps:
        list(labrhel.load_experiment(file))
    assert str(of_steps.value) == str(of_run.value)


# -- what values say


def test_values_say_what_they_are_in_a_line(config: Path, tmp_path: Path) -> None:
    experiment = labrhel.load_experiment("coupled_oscillators")
    gradient = experiment.gradient(sequences=1)
    program = experiment.task.forward(experiment.problem.train[0], experiment.theta(experiment.x), ("q4",))
    run = labrhel.load_experiment(config, steps=2).run(tmp_path / "runs")
    step = labrhel.load_experiment(config).step()
    for value in (experiment, gradient, program, run, step):
        assert len(repr(value)) < 400
        assert "\n" not in repr(value)
    assert "coupled_oscillators" in repr(experiment) and "15 values of coupling" in repr(experiment)
    assert f"loss {gradient.loss:.6g}" in repr(gradient) and "|dL/dcoupling|" in repr(gradient)
    assert "150 kicks" in repr(program) and "input on u1" in repr(program)
    assert "in 2 gradients" in repr(run) and run.id in repr(run)


def test_a_line_stays_short_whatever_the_names_are(tmp_path: Path) -> None:
    file = tmp_path / f"{'long' * 40}.yaml"
    file.write_text(SMALL)
    assert len(repr(labrhel.load_experiment(file, rig_url=f"sim:{file}?seed=1"))) < 400


def test_values_are_small_tables_in_a_notebook_with_every_name_escaped(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "a<b>&c.yaml"
    file.write_text(SMALL)
    experiment = labrhel.load_experiment(file, steps=1)
    gradient = experiment.gradient(sequences=1)
    program = experiment.task.forward(experiment.problem.train[0], experiment.theta(experiment.x), ("q2",))
    for value in (experiment, gradient, program, experiment.step(), experiment.run(tmp_path / "a<b>&c")):
        html = value._repr_html_()
        assert html.startswith("<table>") and html.count("<tr>") == html.count("</tr>") > 1
        assert "a<b>" not in html
    assert "a&lt;b&gt;&amp;c" in experiment._repr_html_()
    assert "coupling" in gradient._repr_html_()


# -- opened runs


def test_an_opened_run_gives_xarray_objects_with_units_and_named_dimensions(config: Path, tmp_path: Path) -> None:
    done = labrhel.load_experiment(config).run(tmp_path / "runs")
    run = labrhel.open_run(done.id[-6:], tmp_path / "runs")
    assert run.loss.dims == ("step",) and run.loss.sizes["step"] == 12 and run.loss.attrs["units"] == "1"
    assert float(run.loss[-1]) < float(run.loss[0])
    assert set(run.parameters) == {"coupling[0]", "input[0,0]", "readout_offset[0]"}
    assert run.parameters["readout_offset[0]"].attrs["units"] == "V"
    assert float(run.parameters["coupling[0]"][0]) == 0.1
    assert run.input["test"].dims == ("port", "test_time") and run.input["test"].attrs["units"] == "V"
    assert run.target["test"].dims == run.readout["test"].dims == ("output", "test_time")
    assert run.target["test_time"].attrs["units"] == "ms"
    np.testing.assert_allclose(run.target["test_time"], 0.3 * np.arange(60))
    counted = slice(5, None)  # the samples that count
    error = (run.readout["test"] - run.target["test"])[0, counted]
    assert float(np.sqrt((error**2).mean())) == pytest.approx(float(run.scalars["test_test"].dropna("step")[-1]))


def test_the_input_of_an_opened_run_is_what_drove_its_test(config: Path, tmp_path: Path) -> None:
    experiment = labrhel.load_experiment(config, steps=1)
    (sequence,) = experiment.tests["test"]
    run = experiment.run(tmp_path / "runs")
    np.testing.assert_array_equal(run.input["test"].sel(port="u1"), sequence.inputs["u1"].samples.values)
    np.testing.assert_array_equal(run.target["test"], sequence.target)


def test_traces_of_a_step_are_what_its_shots_read(config: Path, tmp_path: Path) -> None:
    run = labrhel.load_experiment(config).run(tmp_path / "runs")
    third, last = run.traces(3), run.traces()
    assert third["echo"].dims == ("echo_shot", "echo_repeat", "echo_channel", "echo_time")
    units = dict(zip(third["echo_channel"].values, third["echo_unit"].values, strict=True))
    assert units == {"q1": "V", "q2": "V", "v1": "V/time", "v2": "V/time"} and third["echo_time"].attrs["units"] == "ms"
    fired = int(run.scalars["shots"].sel(step=3))
    assert third["forward"].sizes["forward_shot"] == 2 and third["echo"].sizes["echo_shot"] == fired - 2
    assert not np.array_equal(third["echo"], last["echo"])
    with xarray.open_dataset(run.folder / "run.nc") as dataset:
        np.testing.assert_array_equal(dataset["echo"], last["echo"])


def test_what_a_record_does_not_hold_is_said_by_name(config: Path, tmp_path: Path) -> None:
    run = labrhel.load_experiment(config, steps=4).run(tmp_path / "runs")
    with pytest.raises(labrhel.RecordError, match=r"traces of step 2 not \(record: every 3\); steps that did: 0, 3"):
        run.traces(2)
    bare = tmp_path / "bare.yaml"
    bare.write_text(small(**{"record: every 3": "record: none", "  test_sequences: 1\n": "  test_sequences: 0\n"}))
    untested = labrhel.load_experiment(bare, steps=1).run(tmp_path / "bare")
    with pytest.raises(labrhel.RecordError, match=r"traces of no step \(record: none\); record with"):
        untested.traces()
    with pytest.raises(labrhel.RecordError, match="had no test set"):
        _ = untested.readout


def test_a_run_that_was_stopped_has_a_loss_and_says_where_its_read_out_is(config: Path, tmp_path: Path) -> None:
    def stop(published: Publish) -> None:
        if published.step == 2 and "loss" in published.scalars:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        labrhel.load_experiment(config).run(tmp_path / "runs", watch=stop)
    (folder,) = (tmp_path / "runs").glob("2*")
    run = labrhel.open_run(folder)
    assert run.status == "interrupted" and run.loss.size == 3
    with pytest.raises(labrhel.RecordError, match="its tests are recorded at the end; `labrhel resume"):
        _ = run.readout


def test_runs_of_older_versions_open_and_say_what_they_lack() -> None:
    folders = [path.parent for path in FIXTURES.rglob("manifest.json")]
    assert folders
    for folder in folders:
        run = labrhel.open_run(folder)
        assert run.loss.size and np.isfinite(run.loss).all()
        assert run.readout and all(item.dims[0] == "output" for item in run.readout.values())
        with pytest.raises(labrhel.RecordError, match=r"holds no input .* older version"):
            _ = run.input
