"""`labrhel paper` where its extra is missing; what it makes is tested beside the tables."""

import sys
from pathlib import Path

import pytest

from labrhel.testing.command_line import called


def test_without_pytorch_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("simbackend.recurrent.tables")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    done = called(tmp_path, "paper", "classification")
    assert done.returncode == 2
    assert "pip install 'labrhel[torch]' brings what tables need" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_table_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    done = called(tmp_path, "paper", "figure4")
    assert done.returncode == 2
    assert "known are: ablation, classification, cost, eps, gradients, regression, sensitivity" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seeds", ","), "--seeds is a range such as 0..4"),
        (("--seeds", ""), "--seeds is a range such as 0..4"),
        (("--sets", ""), "--sets names none; leave it out for all of them"),
        (("--engines", " , "), "--engines names none"),
        (("--units", ","), "--units names none"),
    ],
)
def test_a_list_that_names_nothing_is_not_taken_for_all(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = called(tmp_path, "paper", "classification", *words)
    assert done.returncode == 2
    assert said in done.stderr
