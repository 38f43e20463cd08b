"""docs/tutorial.md: what a newcomer types prints what stands there."""

import re
import shlex
from pathlib import Path

import pytest

from labrhel.testing.command_line import called

PAGE = (Path(__file__).parent.parent / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^    \$ labrhel (.*)\n((?:    (?!\$).*\n)*)", PAGE, re.MULTILINE)
OF_A_RUN = ("run ", "plot ", "data ")  # they name it


def test_the_commands_of_the_page_print_what_stands_there(tmp_path: Path) -> None:
    simulated = [(words, expected) for words, expected in BLOCKS if not words.startswith("bench up")]
    assert len(simulated) == len(BLOCKS) - 1 == 3
    for words, expected in simulated:
        done = called(tmp_path, *shlex.split(words))
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        for line in (line[4:] for line in expected.splitlines()):
            if "..." not in line and not line.startswith(OF_A_RUN):
                assert line in done.stdout, f"labrhel {words} prints no\n{line}\nbut\n{done.stdout}"


def test_the_python_of_the_page_prints_what_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    ((source, printed),) = re.findall(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", PAGE, re.DOTALL)
    exec(compile(source, "tutorial.md", "exec"), {})
    assert capsys.readouterr().out == "".join(line[4:] + "\n" for line in printed.splitlines())
