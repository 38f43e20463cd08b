"""A run folder from elsewhere says which rig a resume would drive, and does not drive it unasked."""

import json
from pathlib import Path

import pytest

from labrhel import session
from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment
from labrhel.safety import seal
from labrhel.session.foreign import rig_to_resume
from labrhel.store.manifest import is_made_here, manifest_text, read_manifest
from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import SMALL


def ignore(published: object) -> None:
    """Watch nothing."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    (tmp_path / "small.yaml").write_text(SMALL)
    return session.start(load_experiment(tmp_path / "small.yaml", steps=2), tmp_path / "runs", ignore).folder


def said_to_be_on(run: Path, rig: str) -> None:
    """Change the record as a stranger can: its digest is right, the seal is not theirs to make."""
    manifest = {key: value for key, value in read_manifest(run).items() if key != "format"}
    (run / "manifest.json").write_text(manifest_text(manifest | {"rig": rig}))


def test_a_run_that_was_made_here_is_known_again_and_one_that_was_changed_is_not(run: Path) -> None:
    assert is_made_here(read_manifest(run))
    said_to_be_on(run, "bench:other.yaml")
    assert not is_made_here(read_manifest(run))


def test_another_user_and_another_computer_make_other_seals(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("platform.node", lambda: "elsewhere")
        assert not is_made_here(read_manifest(run))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(run / "nobody"))
    assert not is_made_here(read_manifest(run))
    assert seal.seal("x") != ""


def test_a_key_that_others_can_read_seals_nothing(run: Path, tmp_path: Path) -> None:
    (tmp_path / "own" / "labrhel" / "seal.key").chmod(0o644)
    assert not is_made_here(read_manifest(run))


def test_without_a_place_for_the_key_runs_are_made_and_have_no_seal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    assert seal.seal("x") == ""
    assert not seal.is_ours("x", "")


@pytest.mark.parametrize(
    "rig", ["bench:/lab/station.yaml", "fpga:serial:///dev/ttyUSB0", "rig.py:open", "sim:?traffic=x"]
)
def test_a_foreign_run_says_which_rig_it_would_drive_and_does_not(run: Path, rig: str) -> None:
    said_to_be_on(run, rig)
    with pytest.raises(ConfigurationError) as caught:
        session.resume(run, ignore, steps=3)
    assert f"would drive {rig} as seen from {run.parents[1]}" in caught.value.problem
    assert "--rig URL" in caught.value.problem


def test_the_file_that_would_be_written_is_named(run: Path) -> None:
    said_to_be_on(run, "bench:s.yaml?traffic=/home/me/thesis.tex")
    with pytest.raises(ConfigurationError, match=r"write the traffic of its wires to /home/me/thesis\.tex"):
        session.resume(run, ignore, steps=3)


def test_a_foreign_run_on_a_simulated_rig_goes_on(run: Path) -> None:
    said_to_be_on(run, "sim:?seed=3")
    assert len(session.resume(run, ignore, steps=3).losses) == 3


def test_a_yes_or_the_name_of_a_rig_lets_it_go_on(run: Path) -> None:
    said_to_be_on(run, "bench:s.yaml")
    asked: list[str] = []
    manifest = read_manifest(run)
    assert rig_to_resume(run, manifest, None, lambda words: not asked.append(words)) == "bench:s.yaml"
    assert "would drive bench:s.yaml" in asked[0]
    with pytest.raises(ConfigurationError):
        rig_to_resume(run, manifest, None, lambda words: False)
    assert len(session.resume(run, ignore, steps=3, rig="sim:").losses) == 3
    events = json.dumps(Shell(run)("show", run)[1])
    assert "on sim:" in events


def test_the_command_needs_the_name_of_the_rig_where_nobody_can_be_asked(run: Path, tmp_path: Path) -> None:
    said_to_be_on(run, "bench:s.yaml?traffic=t.jsonl")
    shell = Shell(tmp_path)
    status, _, said = shell("resume", run, "--steps", "3")
    assert (status, said.count("\n")) == (2, 1)
    assert "would drive bench:s.yaml?traffic=t.jsonl" in said
    assert shell("resume", run, "--steps", "3", "--rig", "sim:")[0] == 0
    assert not (tmp_path / "t.jsonl").exists()
