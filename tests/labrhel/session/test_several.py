"""Trainings on several rigs: the same as on one where rigs are alike, and whole where one of them fails."""

import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel import plugins, session
from labrhel.errors import ConfigurationError, InterlockError, NotSafeError, RecordError, TransportError
from labrhel.experiment import Experiment, Fleet, load_experiment, load_rigs
from labrhel.records.replay import replay
from labrhel.safety import estop
from labrhel.shots.capture import Capture
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.operations import Publish
from labrhel.store import RunReader, consolidate, list_runs
from labrhel.testing.configurations import small
from labrhel.testing.waiting import PATIENCE


def ignore(published: Publish) -> None:
    """Watch nothing."""


STEPS = 6


def written(folder: Path, rigs: str, **replacements: str) -> Path:
    file = folder / "several.yaml"
    text = small(**{"  batch: 2": "  batch: 4", "every 3": "all", "steps: 12": f"steps: {STEPS}"})
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(f"rig: {rigs}\n{text}")
    return file


@pytest.fixture(autouse=True)
def bare_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longer than these runs, and is tested where it belongs: their netCDF file, and asking git."""
    monkeypatch.setattr("labrhel.experiment._experiment.provenance", lambda home, seeds: {})
    for module in ("several", "driving"):
        monkeypatch.setattr(f"labrhel.session.{module}.consolidate", lambda folder: folder)


def fleet(file: Path, **asked: Any) -> Fleet:
    return Fleet(tuple(filter(None, load_rigs(file, **asked))))


class Failing:
    """A rig that fails at its n-th batch of shots, and may not be made safe then; the rest is that of `inner`."""

    def __init__(self, inner: Any, after: int, error: Exception, *, safe: bool = True) -> None:
        self.inner, self.after, self.error, self.safe = inner, after, error, safe
        self.runs = self.made_safe = self.closed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        self.runs += 1
        if self.runs > self.after:
            raise self.error
        return self.inner.run(shots)

    def make_safe(self) -> None:
        self.made_safe += 1
        if not self.safe and self.runs > self.after:
            raise NotSafeError({"awg.ch1": 0.5}, "the cable is out")
        self.inner.make_safe()

    def close(self) -> None:
        self.closed += 1
        self.make_safe()


def with_failing(asked: Fleet, number: int, rig: Failing) -> Fleet:
    members = list(asked.members)
    members[number] = replace(members[number], rig=rig)
    return Fleet(tuple(members))


def failing(asked: Fleet, number: int, after: int, error: Exception | None = None, *, safe: bool = True) -> Failing:
    inner = asked.members[number].rig
    return Failing(inner, after, TransportError("the bench does not answer") if error is None else error, safe=safe)


def bits(folder: Path) -> dict[str, np.ndarray]:
    reader = RunReader(folder)
    assert reader.status == "done" and reader.verify() == []
    return {**reader.scalars(), **{f"trained {name}": values for name, values in reader.parameters().items()}}


def served(folder: Path, step: int) -> list[list[int]]:
    return [RunReader(place).arrays(step)["sequences"].tolist() for place in RunReader(folder).parts]


def test_three_ideal_rigs_train_as_one_does(tmp_path: Path) -> None:
    done = session.start(fleet(written(tmp_path, "['sim:', 'sim:', 'sim:']"), steps=3), tmp_path / "runs", ignore)
    alone = session.start(load_experiment(written(tmp_path, "'sim:'"), steps=3), tmp_path / "alone", ignore)
    np.testing.assert_allclose(done.losses, alone.losses, rtol=1e-4)
    assert done.metrics[0].after == pytest.approx(alone.metrics[0].after, rel=1e-3)


def test_a_list_of_one_rig_is_that_rig_to_the_bit(tmp_path: Path) -> None:
    (only,) = load_rigs(written(tmp_path, "['sim:']"))
    assert isinstance(only, Experiment)
    done = session.start(only, tmp_path / "runs", ignore)
    alone = session.start(load_experiment(written(tmp_path, "'sim:'")), tmp_path / "alone", ignore)
    found = bits(done.folder)
    for name, values in bits(alone.folder).items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)


DEVICES = "['sim:?seed=1&mismatch=1%', 'sim:?seed=2&mismatch=1%', 'sim:?seed=3&mismatch=1%']"


def test_the_same_seed_deals_and_trains_to_the_same_bits(tmp_path: Path) -> None:
    file = written(tmp_path, DEVICES)
    first, second = (session.start(fleet(file, steps=3), tmp_path / "runs", ignore) for _ in range(2))
    found = bits(second.folder)
    for name, values in bits(first.folder).items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)
    assert [served(first.folder, step) for step in range(3)] == [served(second.folder, step) for step in range(3)]


def test_a_run_that_is_stopped_and_resumed_ends_in_the_same_bits(tmp_path: Path) -> None:
    file = written(tmp_path, DEVICES, **{"{record:": "{lock: 3, record:"})
    whole = session.start(fleet(file, steps=4), tmp_path / "runs", ignore)

    def stop(published: Publish) -> None:
        if published.step == 1 and "loss" in published.scalars:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.start(fleet(file, steps=4), tmp_path / "stopped", stop)
    (reader,) = list_runs(tmp_path / "stopped")
    assert [RunReader(place).status for place in reader.parts] == ["interrupted"] * 3
    resumed = session.resume(reader.folder, ignore)
    found = bits(resumed.folder)
    for name, values in bits(whole.folder).items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)
    for mine, theirs in zip(RunReader(whole.folder).parts, RunReader(resumed.folder).parts, strict=True):
        np.testing.assert_array_equal(RunReader(mine).scalars()["loss"], RunReader(theirs).scalars()["loss"])


def test_each_rig_has_a_record_of_its_own_and_columns_in_that_of_the_run(tmp_path: Path) -> None:
    done = session.start(fleet(written(tmp_path, DEVICES)), tmp_path / "runs", ignore)
    reader = RunReader(done.folder)
    scalars = reader.scalars()
    for number, place in enumerate(reader.parts, 1):
        part = RunReader(place)
        assert part.status == "done" and part.manifest["rig"] == f"sim:?seed={number}&mismatch=1%"
        own = {
            int(step): value
            for step, value in zip(part.scalars()["step"], part.scalars()["retrace_error"], strict=True)
        }
        columns = dict(zip(scalars["step"].tolist(), scalars[f"rig{number}_retrace_error"], strict=True))
        assert all(columns[step] == value for step, value in own.items()) and len(own) == STEPS
        assert any(shot.capture for shot in part.shots())
    assert all(
        sorted(place for share in served(done.folder, step) for place in share) == [0, 1, 2, 3] for step in range(STEPS)
    )
    worst = np.max([scalars[f"rig{number}_response_ratio"][:STEPS] for number in (1, 2, 3)], axis=0)
    np.testing.assert_array_equal(worst, scalars["response_ratio"][:STEPS])


def test_a_rig_that_fails_hands_its_share_on_is_given_back_and_the_run_goes_on(tmp_path: Path) -> None:
    asked = fleet(written(tmp_path, "['sim:', 'sim:?seed=2', 'sim:']"))
    bad = failing(asked, 1, 9)
    done = session.start(with_failing(asked, 1, bad), tmp_path / "runs", ignore)
    alone = session.start(load_experiment(written(tmp_path, "'sim:'")), tmp_path / "alone", ignore)
    np.testing.assert_allclose(done.losses, alone.losses, rtol=1e-4)
    assert "rig 2 (sim:?seed=2) was lost: the bench does not answer" in done.ended
    assert any("rig 2 (sim:?seed=2) was lost, and its share goes to the others" in words for words in done.warnings)
    reader = RunReader(done.folder)
    assert [kind for kind, *_ in reader.events()].count("lost") == 1
    assert [RunReader(place).status for place in reader.parts] == ["done", "failed", "done"]
    assert bad.closed == 1 and bad.made_safe >= 1
    used = bad.runs
    assert used == 9 + 3  # it was tried three times, as that of one rig, and then never again


def test_the_lead_may_fail_too_in_a_gradient_and_in_a_test(tmp_path: Path) -> None:
    for after in (0, 13):
        asked = fleet(written(tmp_path, "['sim:', 'sim:?seed=2']"))
        bad = failing(asked, 0, after)
        done = session.start(with_failing(asked, 0, bad), tmp_path / f"runs{after}", ignore)
        assert done.status == "done" and "rig 1 (sim:) was lost" in done.ended
        assert len(done.losses) == STEPS and np.isfinite(done.metrics[0].after)


def test_outputs_of_a_lost_rig_that_may_be_on_are_named_and_the_run_ends_unsafe_after_all_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labrhel.session.several.consolidate", consolidate)
    asked = fleet(written(tmp_path, "['sim:', 'sim:?seed=2']"))
    bad = failing(asked, 1, 9, safe=False)
    with pytest.raises(
        NotSafeError,
        match=r"OUTPUTS MAY STILL BE ON: rig 2 awg.ch1 at 0.5 V: rig 2 .*: the bench does not answer.*whole: all 6",
    ):
        session.start(with_failing(asked, 1, bad), tmp_path / "runs", ignore)
    (reader,) = list_runs(tmp_path / "runs")
    assert reader.status == "unsafe" and "awg.ch1" in reader.events()[-1][2]
    assert np.isfinite(reader.scalars()["loss"]).sum() == STEPS
    assert [RunReader(place).status for place in reader.parts] == ["done", "unsafe"]
    assert (reader.folder / "run.nc").is_file()


def test_when_the_last_rig_fails_the_run_fails_with_what_it_said(tmp_path: Path) -> None:
    asked = fleet(written(tmp_path, "['sim:', 'sim:?seed=2']"))
    both = with_failing(with_failing(asked, 0, failing(asked, 0, 12)), 1, failing(asked, 1, 9))
    with pytest.raises(TransportError, match="the bench does not answer"):
        session.start(both, tmp_path / "runs", ignore)
    (reader,) = list_runs(tmp_path / "runs")
    assert reader.status == "failed"
    resumed = session.resume(reader.folder, ignore)  # on rigs that are well again
    assert resumed.status == "done" and len(resumed.losses) == STEPS and "lost" not in resumed.ended


def test_a_rig_that_cannot_be_reached_at_a_resume_is_left_out_and_takes_part_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "['sim:', 'sim:?seed=2']")
    begun = session.start(fleet(file, steps=2), tmp_path / "runs", ignore)
    opened = plugins.open_rig

    def unreachable(url: str, *others: Any) -> Any:
        if url == "sim:?seed=2":
            raise TransportError("nobody listens there")
        return opened(url, *others)

    with monkeypatch.context() as patch:
        patch.setattr(plugins, "open_rig", unreachable)
        with pytest.raises(TransportError, match="nobody listens there"):
            fleet(file)  # to begin with, all are wanted
        session.resume(begun.folder, ignore, steps=4)
    done = session.resume(begun.folder, ignore, steps=6)
    said = [words for kind, _, words in RunReader(done.folder).events() if kind == "lost"]
    assert said == ["rig 2 could not be reached, and its share goes to the others: nobody listens there"]
    columns = RunReader(done.folder).scalars()
    served = np.nan_to_num(columns["rig2_sequences"][:6]).tolist()
    assert served == [2, 2, 0, 0, 2, 2] and len(done.losses) == 6


def test_an_interlock_of_one_rig_takes_that_rig_out_and_one_of_the_loss_ends_the_run(tmp_path: Path) -> None:
    file = written(tmp_path, "['sim:', 'sim:several.yaml?friction=40/s']")
    file.write_text(file.read_text() + "interlocks: {retrace: 0.01}\n")
    done = session.start(fleet(file), tmp_path / "runs", ignore)
    assert "was lost: interlock retrace: retrace_error was" in done.ended and "rig 2" in done.ended
    file.write_text(file.read_text().replace("{retrace: 0.01}", "{divergence: 1.001}").replace("rate: 0.05", "rate: 2"))
    with pytest.raises(InterlockError, match="interlock divergence: the loss was"):
        session.start(fleet(file), tmp_path / "runs", ignore)


def test_the_emergency_stop_is_no_failure_of_one_rig(tmp_path: Path) -> None:
    asked = fleet(written(tmp_path, "['sim:', 'sim:']"))

    def press(published: Publish) -> None:
        if published.step == 2 and "loss" in published.scalars:
            pressed = estop.press()
            assert [answer.rig for answer in pressed.answers] == ["sim:", "sim:"]
            assert all(answer.seconds is not None for answer in pressed.answers)

    try:
        with pytest.raises(InterlockError, match="emergency stop"):
            session.start(asked, tmp_path / "runs", press)
    finally:
        estop.reset()
    (reader,) = list_runs(tmp_path / "runs")
    assert reader.status == "failed" and not [words for kind, _, words in reader.events() if kind == "lost"]


class Warm:
    """A rig whose reading is too high at the times that are named, counted from the first."""

    def __init__(self, inner: Any, *high: int) -> None:
        self.inner, self.high, self.asked = inner, high, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def read(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        self.asked += 1
        return {name: np.array([2.0 if self.asked in self.high else 0.1]) for name in names}


@pytest.mark.parametrize("again", ["", ", resume_when: {high: 0.9, stays: 0, within: 60}"])
def test_a_reading_of_one_rig_pauses_the_run_where_it_may_come_back_and_else_takes_the_rig_out(
    again: str, tmp_path: Path
) -> None:
    file = written(tmp_path, "['sim:', 'sim:']")
    file.write_text(f"{file.read_text()}interlocks: {{readings: {{coupling: {{high: 1, every: 0{again}}}}}}}\n")
    whole = session.start(fleet(file), tmp_path / "whole", ignore)
    asked = fleet(file)
    first, second = asked.members
    warm = Fleet((first, replace(second, rig=Warm(second.rig, 3, 4))))
    done = session.start(warm, tmp_path / "runs", ignore)
    kinds = [kind for kind, *_ in RunReader(done.folder).events()]
    if again:
        assert kinds == ["created", "running", "paused", "resumed", "done"]
        assert done.losses.tolist() == whole.losses.tolist()
        part = RunReader(RunReader(done.folder).parts[0])
        assert [kind for kind, *_ in part.events()] == ["created", "running", "resumed", "done"]
        assert part.scalars()["loss"].tolist() == RunReader(RunReader(whole.folder).parts[0]).scalars()["loss"].tolist()
    else:
        assert kinds == ["created", "running", "lost", "done"]
        assert "rig 2 (sim:) was lost: interlock coupling: coupling reads 2" in done.ended


class Hanging:
    """A rig whose shots last until it is made safe, as those of a bench that is interrupted; `begun` when one has."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.begun, self.safe = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        if len(shots) > 1:  # not the test
            self.begun.set()
            assert self.safe.wait(PATIENCE)
        return self.inner.run(shots)

    def make_safe(self) -> None:
        self.safe.set()


@pytest.mark.skipif(sys.platform == "win32", reason="no signal reaches a thread there")
def test_an_interrupt_makes_all_rigs_safe_in_the_middle_of_their_shots(tmp_path: Path) -> None:
    asked = fleet(written(tmp_path, "['sim:', 'sim:']"))
    rigs = [Hanging(member.rig) for member in asked.members]
    members = (replace(member, rig=rig) for member, rig in zip(asked.members, rigs, strict=True))

    def interrupt() -> None:
        if all(rig.begun.wait(PATIENCE) for rig in rigs):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as raised:
        session.start(Fleet(tuple(members)), tmp_path / "runs", ignore)
    thread.join()
    assert all(rig.safe.is_set() for rig in rigs)
    (reader,) = list_runs(tmp_path / "runs")
    assert [RunReader(place).status for place in (reader.folder, *reader.parts)] == ["interrupted"] * 3
    assert raised.value.__notes__ == [f"run     {reader.folder}"]


def test_what_works_on_one_rig_asks_which_and_replays_name_the_record_of_one(tmp_path: Path) -> None:
    file = written(tmp_path, "['sim:', 'sim:']")
    with pytest.raises(ConfigurationError, match=r"several.yaml:1: rig: this works on one rig at a time.*--rig URL"):
        load_experiment(file)
    done = session.start(fleet(file, steps=2), tmp_path / "runs", ignore)
    with pytest.raises(RecordError, match=r"was recorded on 2 rigs.*name one of these, such as .*rigs.1"):
        replay(done.folder)
    with pytest.raises(RecordError, match="the shares of one rig of"):
        replay(done.folder / "rigs" / "1")
    with pytest.raises(ConfigurationError, match=r"is the record of one rig of .*: resume that"):
        session.resume(done.folder / "rigs" / "2", ignore)
    journal = done.folder / "rigs" / "2" / "journal.log"
    journal.write_bytes(journal.read_bytes().replace(b'"publish"', b'"publich"'))
    assert any(words.startswith("rigs/2: ") for words in RunReader(done.folder).verify())


def test_lbfgs_is_dealt_alike_at_every_step_and_converges_on_rigs_that_differ(tmp_path: Path) -> None:
    file = written(tmp_path, DEVICES, **{"{kind: adam, rate: 0.05, steps: 6,": "{kind: lbfgs, steps: 12,"})
    done = session.start(fleet(file), tmp_path / "runs", ignore)
    taken = len(done.losses)
    assert len({str(served(done.folder, step)) for step in range(taken)}) == 1
    assert done.losses[-1] < 0.1 * done.losses[0]
