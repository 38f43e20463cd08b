"""Replays: the same to the bit, a changed protocol caught with its difference, and other hosts on the same shots."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labrhel import session
from labrhel.errors import ConfigurationError, RecordError
from labrhel.experiment import load_experiment
from labrhel.records.replay import replay
from labrhel.records.replay_rig import MODES, capabilities_of, difference
from labrhel.shots.operations import Publish
from labrhel.shots.program import Acquire, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from labrhel.store import RunReader, list_runs
from labrhel.testing.configurations import SMALL

FULL = SMALL.replace("every 3", "all")


def ignore(published: Publish) -> None:
    """Watch nothing."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a noisy rig, all of it kept."""
    folder = tmp_path_factory.mktemp("recorded")
    file = folder / "small.yaml"
    file.write_text(FULL)
    url = f"sim:{file}?noise=1mV&drift=1e-5&seed=3"
    return session.start(load_experiment(file, rig_url=url), folder / "runs", ignore).folder


def other(folder: Path, tmp_path: Path, old: str, new: str) -> Path:
    assert old in FULL
    file = tmp_path / "other.yaml"
    file.write_text(FULL.replace(old, new))
    return file


def test_a_strict_replay_is_the_same_to_the_bit(recorded: Path) -> None:
    done = replay(recorded)
    assert done.same and done.largest == 0.0
    losses = RunReader(recorded).scalars()["loss"]
    np.testing.assert_array_equal(done.losses, losses[np.isfinite(losses)])
    assert done.missing == 0 and done.answered == len(RunReader(recorded).shots())


def test_the_record_says_what_the_rig_declared(recorded: Path) -> None:
    reader = RunReader(recorded)
    assert capabilities_of(reader).digest == reader.manifest["rig_capabilities"]


def test_a_folder_copied_elsewhere_is_replayed_as_well(recorded: Path, tmp_path: Path) -> None:
    import shutil

    assert replay(Path(shutil.copytree(recorded, tmp_path / "elsewhere"))).same


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rate: 0.05", "rate: 0.06", r"knob coupling was set to \[0.15\], not to \[0.16\]"),
        ("record: all", "record: all, eps: 0.3", r"the nudge on port f2 differs by up to .*% of what it was"),
        ("samples: 60", "samples: 50", r"had 60 kicks, and has 50|differs"),
    ],
)
def test_a_changed_protocol_is_caught_with_its_difference(
    old: str, new: str, words: str, recorded: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match=words):
        replay(recorded, config=other(recorded, tmp_path, old, new))


def test_more_steps_than_were_recorded_are_refused(recorded: Path) -> None:
    with pytest.raises(RecordError, match=r"the record ends here|knobs|differs"):
        replay(recorded, steps=20)


def test_another_host_gets_the_same_shots_and_what_is_missing_from_another_rig(recorded: Path, tmp_path: Path) -> None:
    changed = other(recorded, tmp_path, "rate: 0.05", "rate: 0.06")
    with pytest.raises(RecordError, match=r"was never fired: .*mode hybrid takes it from another rig"):
        replay(recorded, "results", config=changed)
    done = replay(recorded, "hybrid", config=changed, rig=f"sim:{changed}")
    assert 0 < done.missing < done.answered
    assert not done.same
    same = replay(recorded, "results")
    assert same.same and same.missing == 0


def test_options_that_do_not_go_together_are_refused(recorded: Path) -> None:
    with pytest.raises(ConfigurationError, match="add --rig"):
        replay(recorded, "hybrid")
    with pytest.raises(ConfigurationError, match="mode hybrid only"):
        replay(recorded, "strict", rig="sim:")
    with pytest.raises(ConfigurationError, match="replay:RUN takes"):
        replay(recorded, "loose")
    assert MODES == ("strict", "results", "hybrid")


def test_a_run_that_was_stopped_and_resumed_replays_as_one(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(FULL)

    def stop(published: Publish) -> None:
        if published.step == 5 and "loss" in published.scalars:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.start(load_experiment(file, rig_url=f"sim:{file}?noise=1mV"), tmp_path / "runs", stop)
    (reader,) = list_runs(tmp_path / "runs")
    session.resume(reader.folder, ignore)
    assert replay(reader.folder).same


def test_a_run_that_kept_too_little_says_so(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    folder = session.start(load_experiment(file), tmp_path / "runs", ignore).folder
    with pytest.raises(RecordError, match="not in the record"):
        replay(folder)


def program(samples: int = 4, **changes: object) -> ShotProgram:
    from labrhel.shots.program import Drive

    drive = Drive("u1", Waveform.of(np.arange(samples, dtype=float), 0.1), Role.INPUT)
    return replace(ShotProgram(0.1, Rest(), (Pass(samples, (drive,), Acquire(("q1",))),)), **changes)


def test_programs_differ_in_words() -> None:
    one = program()
    louder = replace(
        one, passes=(replace(one.passes[0], drives=(replace(
            one.passes[0].drives[0], waveform=Waveform.of(1.1 * np.arange(4.0), 0.1)),)),)
    )  # fmt: skip
    assert difference(one, louder) == "pass 1: the input on port u1 differs by up to 0.3, 10 % of what it was"
    assert "step between kicks was 0.1, and is 0.2" in difference(one, program(dt=0.2))
    assert "had 4 kicks, and has 5" in difference(one, program(5))
    silent = replace(one, passes=(replace(one.passes[0], drives=()),))
    assert difference(one, silent) == "pass 1: port u1 no longer plays its input"
    assert "wiring, calibration or rig" in difference(one, program())
