"""Provenance says where a run came from, and never stands in its way."""

import subprocess
from pathlib import Path

import pytest

from labrhel.store.provenance import git_state, provenance

needs_git = pytest.mark.needs("git")


def _repository(folder: Path) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    (folder / "config.yaml").write_text("steps: 1\n")
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


@needs_git
def test_a_changed_file_is_in_the_diff_and_a_new_one_is_named(tmp_path: Path) -> None:
    _repository(tmp_path)
    clean = git_state(tmp_path)
    (tmp_path / "config.yaml").write_text("steps: 2\n")
    (tmp_path / "new.txt").write_text("")
    changed = git_state(tmp_path)
    assert len(clean["commit"]) == 40 and clean["dirty"] == [] and clean["diff"] == ""
    assert changed["commit"] == clean["commit"]
    assert "+steps: 2" in changed["diff"]
    assert "?? new.txt" in changed["dirty"]


@needs_git
def test_changes_outside_the_folder_are_left_out(tmp_path: Path) -> None:
    _repository(tmp_path)
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "config.yaml").write_text("steps: 2\n")
    assert git_state(inside)["diff"] == ""


@needs_git
def test_a_repository_without_a_commit_is_no_obstacle(tmp_path: Path) -> None:
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    assert git_state(tmp_path)["absent"]


@needs_git
def test_a_folder_outside_any_repository_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert git_state(tmp_path)["absent"].startswith("fatal: not a git repository")
    assert git_state(tmp_path / "gone")["absent"]


def test_without_git_the_rest_is_still_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = provenance(tmp_path, {"training": 7})
    assert facts["configuration"] == {"absent": "git is not installed, or the folder is gone"}
    assert facts["seeds"] == {"training": 7}
    assert facts["packages"]["numpy"]
    assert facts["packages"]["labrhel"]
