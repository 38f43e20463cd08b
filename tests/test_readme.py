"""What the README tells a user to type is true."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

import labrhel

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_python_in_the_readme_runs_and_prints_what_stands_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # runs are recorded in the folder one is in
    first, *others = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    known: dict[str, object] = {}
    exec(compile(first, "README.md", "exec"), known)
    (printed,) = re.findall(r"^    (<Gradient by .*)$", README, re.MULTILINE)
    assert capsys.readouterr().out.strip() == printed
    for block in others:
        exec(compile(block, "README.md", "exec"), known)
    assert "xarray.DataArray 'loss' (step: 20)" in capsys.readouterr().out


def test_the_citation_names_the_version_that_is_installed() -> None:
    cited = (Path(__file__).parent.parent / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", cited, re.MULTILINE) == [labrhel.__version__] == [version("labrhel")]


def test_a_gradient_takes_at_most_four_lines() -> None:
    block = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    assert ".gradient(" in block
    assert len(block.strip().splitlines()) <= 4


def test_every_file_the_readme_names_exists() -> None:
    root = Path(__file__).parent.parent
    named = re.findall(r"\]\(([^)#]+)\)", README)
    assert named
    assert [name for name in named if not (root / name).exists()] == []
