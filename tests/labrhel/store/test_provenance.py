"""Provenance says where a run came from, and never stands in its way."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from labrhel.store import provenance as where
from labrhel.store.provenance import PACKAGES, git_state, provenance

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
    assert facts["python"] == sys.version and facts["cores"] == os.cpu_count()
    assert facts["platform"] == platform.platform() and facts["processor"] == platform.machine()
    assert facts["host"] == platform.node()
    assert "a package that nobody has" not in facts["packages"] and set(facts["packages"]) == set(PACKAGES)


@needs_git
def test_a_commit_is_told_with_its_branch_and_a_file_in_another_alphabet_is_no_obstacle(tmp_path: Path) -> None:
    _repository(tmp_path)
    assert git_state(tmp_path)["branch"].startswith("HEAD -> ")
    (tmp_path / "config.yaml").write_bytes("steps: 2 # für\n".encode("latin-1"))
    assert "+steps: 2 # f\N{REPLACEMENT CHARACTER}r" in git_state(tmp_path)["diff"]


@needs_git
def test_a_diff_that_is_too_long_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _repository(tmp_path)
    (tmp_path / "config.yaml").write_text("steps: 2\n")
    whole = git_state(tmp_path)["diff"]
    monkeypatch.setattr(where, "_LONGEST_DIFF", len(whole))
    assert git_state(tmp_path)["diff"] == whole
    monkeypatch.setattr(where, "_LONGEST_DIFF", 20)
    assert git_state(tmp_path)["diff"] == f"{whole[:20]}\n... cut: the diff has {len(whole)} characters"


@pytest.mark.skipif(os.name != "posix", reason="a script of the shell stands for git")
def test_a_git_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\nexec sleep 60\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(where, "_GIT_SECONDS", 0.05)
    assert "timed out after 0.05 seconds" in git_state(tmp_path)["absent"]


@pytest.mark.skipif(os.name != "posix", reason="a script of the shell stands for git")
def test_git_is_asked_in_english_and_takes_no_lock_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = tmp_path / "git"
    git.write_text('#!/bin/sh\necho "$GIT_OPTIONAL_LOCKS $LC_ALL $KEPT" >&2\nexit 1\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KEPT", "kept")
    assert git_state(tmp_path) == {"absent": "0 C kept"}
