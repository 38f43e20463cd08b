"""What the README tells a user to type is true."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_python_in_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    rule, *_ = capsys.readouterr().out.split()
    assert rule == "rhel/symmetric/plain"


def test_every_file_the_readme_names_exists() -> None:
    root = Path(__file__).parent.parent
    named = re.findall(r"\]\(([^)#]+)\)", README)
    assert named
    assert [name for name in named if not (root / name).exists()] == []
