"""docs/adding-a-rule.md: its rule, beside its configuration, on the command line."""

import ast
import re
from pathlib import Path

import pytest

from labrhel.testing.command_line import called

GUIDE = Path(__file__).parent.parent / "docs" / "adding-a-rule.md"
MOST_LINES = 30


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the guide's rule and configuration, of a user who has trusted nothing yet."""
    (tmp_path / "my_rule.py").write_text(blocks("python")[0])
    (tmp_path / "differences.yaml").write_text(blocks("yaml")[0])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    return tmp_path


def test_a_rule_is_one_file_of_at_most_thirty_lines() -> None:
    (code,) = blocks("python")
    (rule,) = [node for node in ast.parse(code).body if isinstance(node, ast.ClassDef)]
    lines = code.splitlines()[rule.lineno - 2 : rule.end_lineno]  # from its decorator on
    docstring = rule.body[0]
    spoken = (docstring.end_lineno or 0) - docstring.lineno + 1
    assert 15 <= sum(1 for line in lines if line.strip()) - spoken <= MOST_LINES


def test_it_is_right_by_the_exact_gradient_and_by_finite_differences(home: Path) -> None:
    refused = called(home, "check", "differences.yaml")
    assert refused.returncode == 2
    assert "differences.yaml:12: protocol: " in refused.stderr
    assert "is code that you have not trusted: read it, then add `--trust " in refused.stderr
    answer = called(home, "check", "differences.yaml", "--trust", "my_rule.py", "--tolerance", "1e-6")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (shown,) = [line for line in GUIDE.read_text(encoding="utf-8").splitlines() if "fourth_order: loss" in line]
    assert answer.stdout.splitlines()[0] == shown.strip()
    assert answer.stdout.rstrip().endswith("cosines >= 0.999999 and errors <= 1e-06: yes")


def test_it_trains_and_the_option_of_its_own_counts(home: Path) -> None:
    trained = called(home, "run", "differences.yaml", "--trust", "my_rule.py")
    assert trained.returncode == 0, trained.stderr
    first, last = (float(value) for value in re.findall(r"loss ([\d.e-]+) -> ([\d.e-]+)", trained.stdout)[0])
    assert last < 0.5 * first
    text = (home / "differences.yaml").read_text()
    (home / "mistaken.yaml").write_text(text.replace("own: {step: 0.001}", "own: {stride: 0.001}"))
    mistaken = called(home, "run", "mistaken.yaml")
    assert mistaken.returncode == 2
    assert "the rule my_rule.py:FourthOrder has no option 'stride'; did you mean 'step'?" in mistaken.stderr
