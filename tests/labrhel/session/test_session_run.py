"""Whole runs: what is recorded, that they learn, and that stopping them anywhere loses and changes nothing."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray

from labrhel import session
from labrhel.errors import ConfigurationError, InstrumentError, InterlockError, RecordError
from labrhel.experiment import Experiment, load_experiment
from labrhel.shots.operations import Publish
from labrhel.store import RunReader, list_runs
from labrhel.testing.configurations import SMALL
from labrhel.timeline.cost import rehearse

KILLS = int(os.environ.get("LABRHEL_KILLS", "5"))


def ignore(published: Publish) -> None:
    """Watch nothing."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


def outcome(folder: Path) -> dict[str, np.ndarray]:
    """All scalars and parameters of a finished run."""
    reader = RunReader(folder)
    assert reader.status == "done"
    assert reader.verify() == []
    return {**reader.scalars(), **{f"trained {name}": values for name, values in reader.parameters().items()}}


def test_a_run_learns_and_its_record_opens_in_xarray(config: Path, tmp_path: Path) -> None:
    done = session.start(load_experiment(config, steps=60), tmp_path / "runs", ignore)
    assert done.losses[-1] < 0.3 * done.losses[0]
    assert done.metrics[0].after < 0.7 * done.metrics[0].before
    with xarray.open_dataset(done.folder / "run.nc") as dataset:
        np.testing.assert_array_equal(dataset["loss"].dropna("step"), done.losses)
        assert set(dataset["parameter"].values) == {"coupling[0]", "input[0,0]", "readout_offset[0]"}
        assert dataset["echo"].sizes["echo_time"] == 60


def test_the_same_seed_gives_the_same_scalars_bit_for_bit_and_another_seed_does_not(
    config: Path, tmp_path: Path
) -> None:
    runs = [session.start(load_experiment(config, seed=seed), tmp_path / "runs", ignore) for seed in (5, 5, 6)]
    first, second, other = (outcome(run.folder) for run in runs)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)
    assert not np.array_equal(first["loss"], other["loss"])


def test_a_run_that_is_stopped_half_way_and_resumed_ends_in_the_same_bits(config: Path, tmp_path: Path) -> None:
    whole = session.start(load_experiment(config), tmp_path / "runs", ignore)

    def stop(published: Publish) -> None:
        if published.step == 5 and "loss" in published.scalars:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.start(load_experiment(config), tmp_path / "stopped", stop)
    (reader,) = list_runs(tmp_path / "stopped")
    assert reader.status == "interrupted"
    (metric,) = session.outcome_of(reader.folder, "V").metrics
    assert "rms before training; the test at the end is still to come" in str(metric)
    assert metric.before == whole.metrics[0].before
    assert not metric.is_worse_than_zero and metric.is_good is None
    resumed = session.resume(reader.folder, ignore)
    expected, found = outcome(whole.folder), outcome(resumed.folder)
    for name, values in expected.items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)


def test_lbfgs_is_resumed_to_the_same_bits_too(tmp_path: Path) -> None:
    file = tmp_path / "lbfgs.yaml"
    file.write_text(
        SMALL.replace("{kind: adam, rate: 0.05, steps: 12,", "{kind: lbfgs, steps: 12,").replace("  batch: 2\n", "")
    )
    whole = session.start(load_experiment(file), tmp_path / "runs", ignore)
    half = session.start(load_experiment(file, steps=5), tmp_path / "half", ignore)
    resumed = session.resume(half.folder, ignore, steps=12)
    np.testing.assert_array_equal(whole.losses, resumed.losses)
    assert whole.losses[-1] < 0.01 * whole.losses[0]


def test_a_locked_rig_is_resumed_with_what_its_lock_had_learned(tmp_path: Path) -> None:
    file = tmp_path / "locked.yaml"
    file.write_text(SMALL.replace("{record: every 3}", "{lock: 6, record: every 3}"))
    rig = f"sim:{file}?friction=40/s"  # which the host does not know of
    whole = session.start(load_experiment(file, rig_url=rig), tmp_path / "runs", ignore)
    half = session.start(load_experiment(file, rig_url=rig, steps=5), tmp_path / "half", ignore)
    np.testing.assert_array_equal(whole.losses, session.resume(half.folder, ignore, steps=12).losses)
    learned = RunReader(half.folder).last_checkpoint().state["deviations"]
    assert np.any(learned["friction"])


@pytest.mark.parametrize(
    ("interlocks", "words"),
    [
        ("{divergence: 1.0000001}", "interlock divergence: the loss was"),
        ("{retrace: 1.0e-30}", "interlock retrace: retrace_error was"),
        ("{readings: {coupling: {high: 0.01}}}", "interlock coupling: coupling reads 0.1, outside"),
    ],
)
def test_an_interlock_of_the_file_ends_the_run_with_the_rig_safe_and_the_record_whole(
    interlocks: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "guarded.yaml"
    file.write_text(SMALL + f"interlocks: {interlocks}\n")
    with pytest.raises(InterlockError, match=words):
        session.start(load_experiment(file), tmp_path / "runs", ignore)
    (reader,) = list_runs(tmp_path / "runs")
    assert reader.status == "failed"


def test_an_interlock_on_a_reading_that_the_rig_does_not_have_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "guarded.yaml"
    file.write_text(SMALL + "interlocks: {readings: {coupling: {high: 1.0}, cupling: {high: 1.0}}}\n")
    with pytest.raises(ConfigurationError, match=r"guarded.yaml:\d+.*no 'cupling'; did you mean 'coupling'"):
        load_experiment(file)


def test_a_run_that_was_asked_for_more_steps_goes_on_to_them_when_it_is_resumed_again(
    config: Path, tmp_path: Path
) -> None:
    begun = session.start(load_experiment(config, steps=4), tmp_path / "runs", ignore)

    def stop(published: Publish) -> None:
        if published.step == 6 and "loss" in published.scalars:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.resume(begun.folder, stop, steps=9)
    assert len(session.resume(begun.folder, ignore).losses) == 9


def test_a_run_cannot_go_on_to_fewer_steps_than_it_has_taken(config: Path, tmp_path: Path) -> None:
    begun = session.start(load_experiment(config, steps=4), tmp_path / "runs", ignore)
    with pytest.raises(ConfigurationError, match="has taken 4 steps; it cannot go on to 3"):
        session.resume(begun.folder, ignore, steps=3)
    assert RunReader(begun.folder).status == "done"


def test_a_run_is_not_resumed_on_another_recording(tmp_path: Path) -> None:
    u = np.sin(np.arange(100.0))
    np.savez(tmp_path / "lab.npz", u=u, y=np.roll(u, 2))
    file = tmp_path / "recorded.yaml"
    data = "data: {file: lab.npz, input: u, target: y, rate: 3e3, train: {start: 0, stop: 60}, skip: 5}\n"
    file.write_text(SMALL[: SMALL.index("data:")] + data)
    begun = session.start(load_experiment(file, steps=2), tmp_path / "runs", ignore)
    assert len(session.resume(begun.folder, ignore, steps=3).losses) == 3
    np.savez(tmp_path / "lab.npz", u=u, y=np.roll(u, 3))
    with pytest.raises(ConfigurationError, match=r"the data are not those that .* began with"):
        session.resume(begun.folder, ignore, steps=4)


def test_a_run_is_not_resumed_with_another_configuration(config: Path, tmp_path: Path) -> None:
    begun = session.start(load_experiment(config, steps=2), tmp_path / "runs", ignore)
    kept = begun.folder / "config.yaml"
    kept.write_text(kept.read_text().replace("rate: 0.05", "rate: 0.5"))
    with pytest.raises(ConfigurationError, match="is not what the run began with"):
        session.resume(begun.folder, ignore, steps=3)
    kept.write_bytes(b"\xff")
    with pytest.raises(RecordError, match="restore it from a copy"):
        session.resume(begun.folder, ignore, steps=3)


def test_warnings_that_differ_in_their_numbers_are_said_once_with_their_count() -> None:
    words = [
        (0, "missed by 0.42 of 7: look"),
        (1, "missed by 1.3e-05 of 8: look"),
        (1, "zero"),
        (4, "missed by 2 of 9: x"),
    ]
    assert session.said_once(words) == (
        "missed by 0.42 of 7: look (at gradient 0, and 1 times more)",
        "zero",
        "missed by 2 of 9: x",
    )


def test_an_error_of_the_rig_leaves_the_rig_safe_and_the_record_closed(config: Path, tmp_path: Path) -> None:
    experiment = load_experiment(config)
    rig, calls = experiment.rig, []
    run, make_safe = rig.run, rig.make_safe

    def break_down(shots: list) -> list:
        if len(calls) == 8:
            raise InstrumentError("the amplifier caught fire; call somebody")
        calls.append("run")
        return run(shots)

    rig.run = break_down
    rig.make_safe = lambda: (calls.append("safe"), make_safe())[1]
    with pytest.raises(InstrumentError, match="caught fire"):
        session.start(experiment, tmp_path / "runs", ignore)
    assert "safe" in calls
    (reader,) = list_runs(tmp_path / "runs")
    assert reader.status == "failed"
    assert "caught fire" in reader.events()[-1][2]


def test_a_rehearsal_moves_and_writes_nothing(config: Path, tmp_path: Path) -> None:
    experiment = load_experiment(config)
    experiment.rig.run = lambda shots: pytest.fail("a rehearsal ran a shot")
    experiment.rig.configure = lambda knobs: pytest.fail("a rehearsal turned a knob")
    before = sorted(tmp_path.rglob("*"))
    cost = rehearse(experiment)
    assert (cost.shots, cost.passes) == (2 + 2 * 2, 2 + 2 * 2)
    assert sorted(tmp_path.rglob("*")) == before


def run_or_resume(experiment: Experiment, root: Path) -> None:
    """What a killed child does: start, or go on with what is there."""
    runs = list_runs(root)
    if runs:
        session.resume(runs[0].folder, ignore)
    else:
        session.start(experiment, root, ignore)


def killed_runs(load: Callable[[], Experiment], folder: Path, duration: float, seed: int) -> Iterator[RunReader]:
    """Runs that were killed at random instants, KILLS kills in all, each resumed until it was done."""
    fork, random = multiprocessing.get_context("fork"), np.random.default_rng(seed)
    kills = 0
    while kills < KILLS:
        root = folder / f"killed{kills}"
        for _ in range(3):  # up to three kills of one run, then let it end
            child = fork.Process(target=run_or_resume, args=(load(), root))
            child.start()
            child.join(float(random.uniform(0.05, 1.0)) * duration)
            if child.is_alive():
                os.kill(child.pid or 0, signal.SIGKILL)
                kills += 1
            child.join()
        if not list_runs(root) or list_runs(root)[0].status != "done":
            run_or_resume(load(), root)
        (reader,) = list_runs(root)
        yield reader


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_killed_at_random_instants_a_run_ends_in_the_same_bits(config: Path, tmp_path: Path) -> None:
    session.start(load_experiment(config), tmp_path / "warm", ignore)  # compile before timing
    begin = time.perf_counter()
    whole = session.start(load_experiment(config), tmp_path / "runs", ignore)
    duration = time.perf_counter() - begin
    expected = outcome(whole.folder)
    for reader in killed_runs(lambda: load_experiment(config), tmp_path, duration, seed=11):
        found = outcome(reader.folder)
        for name, values in expected.items():
            np.testing.assert_array_equal(values, found[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_killed_on_a_rig_that_never_repeats_itself_no_update_is_lost_or_doubled(tmp_path: Path) -> None:
    file = tmp_path / "noisy.yaml"
    file.write_text(SMALL)
    rig = f"sim:{file}?noise=1mV&drift=1e-4&seed=3"
    begin = time.perf_counter()
    session.start(load_experiment(file, rig_url=rig), tmp_path / "warm", ignore)
    duration = time.perf_counter() - begin
    for reader in killed_runs(lambda: load_experiment(file, rig_url=rig), tmp_path, duration, seed=12):
        losses, checkpoint = reader.scalars()["loss"], reader.last_checkpoint()
        assert np.isfinite(losses).sum() == checkpoint.step == 12
        assert checkpoint.state["optimizer"]["told"] == 12  # Adam counts its updates
