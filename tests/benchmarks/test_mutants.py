"""The drawer of faults: what it changes, what it leaves alone, and that its tables are true of the tree."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.mutants.chosen import EQUIVALENT, chosen_faults, core_files, mirrors_of
from benchmarks.mutants.faults import faults_of

TREE = Path(__file__).parents[2]


def texts(source: str) -> list[str]:
    """The lines that faults make of a line of source."""
    return [fault.lines[1] for fault in faults_of("m.py", source.encode())]


@pytest.mark.parametrize(
    ("line", "faulty"),
    [
        ("f(a < b)", ["pass", "f((a <= b))"]),
        ("x = a - 2 * b", ["x = (a + 2 * b)", "x = a - (2 / b)", "x = a - (3) * b"]),
        ("x = -a", ["x = (a)"]),
        ("x = max(a, 0.5)", ["x = (min(a, 0.5))", "x = max(a, (1.0))"]),
        ("x = np.std(a, ddof=1)", ["x = (np.std(a))", "x = np.std(a, ddof=(2))"]),
        ("x = a if b else c", ["x = a if (not b) else c"]),
        ("x = not a and b", ["x = (not a or b)", "x = (a) and b"]),
        ("x = [a for a in b if a]", ["x = [a for a in b if (not a)]"]),
        ("x = a @ b.T", ["x = a @ (b)"]),
        ("a.b = c", ["pass"]),
        ("a += True", ["pass", "a += (False)"]),
        ("x = 0.0", ["x = (1.0)"]),
    ],
)
def test_a_line_of_a_function_is_spoiled_in_these_ways(line: str, faulty: list[str]) -> None:
    assert sorted(texts(f"def f():\n    {line}\n")) == sorted(faulty)


@pytest.mark.parametrize(
    "source",
    [
        '"""Words with 1 < 2."""\n',
        "LIMIT = 3\n",
        "def f(a: Literal[3]) -> int:\n    raise ValueError(1 + a)\n",
        "@lru_cache(maxsize=8)\ndef f():\n    assert a < b\n",
        'def f():\n    x = f"{a + 1}"\n',
        "def f():\n    x = zip(a, b, strict=True)\n",
        "class P(Protocol):\n    a: int = 3\n",
        'def f():\n    x = "a" + b\n',
    ],
)
def test_what_cannot_change_a_result_is_left_alone(source: str) -> None:
    assert texts(source) == []


@pytest.mark.parametrize(
    ("condition", "here"),
    [
        (f"sys.platform == {sys.platform!r}", True),
        ('sys.platform == "nowhere"', False),
        (f"os.name == {os.name!r}", True),
        ('os.name == "nowhere"', False),
        ('hasattr(os, "open")', True),
        ('hasattr(os, "nothing")', False),
    ],
)
def test_of_what_a_system_decides_only_the_part_that_runs_here_is_spoiled(condition: str, *, here: bool) -> None:
    source = f"def f():\n    if {condition}:\n        x = -a\n    else:\n        x = -b\n"
    assert texts(source) == [f"x = ({'a' if here else 'b'})"]


def test_a_default_for_systems_that_lack_something_is_spoiled_where_it_is_lacking_alone() -> None:
    assert texts('def f():\n    x = getattr(os, "open", 0)\n') == []
    assert texts('def f():\n    x = getattr(os, "nothing", 0)\n') == ['x = getattr(os, "nothing", (1))']


def test_a_fault_is_applied_to_bytes_and_counted_in_lines() -> None:
    source = "# é\ndef f(a):\n    é = 1\n    return (a +\n            2)\n".encode()
    one, two, three = faults_of("m.py", source)
    assert (one.line, two.line, three.line) == (3, 4, 5)
    assert one.applied(source) == source.replace("é = 1".encode(), "é = (2)".encode())
    assert two.lines == ("return (a + 2)", "return ((a - 2))")
    assert three.applied(source).endswith(b"            (3))\n")


def test_every_file_of_the_core_that_a_fault_can_be_put_into_has_tests() -> None:
    for path in core_files(TREE):
        if faults_of(path, (TREE / path).read_bytes()):
            found = mirrors_of(TREE, path)
            assert found, path
            assert all((TREE / name).exists() for name in found), path


def test_the_chosen_faults_and_the_excused_ones_are_those_of_this_tree() -> None:
    assert len(chosen_faults(TREE)) >= 10
    for path, line in EQUIVALENT:
        assert any(fault.lines[1] == line for fault in faults_of(path, (TREE / path).read_bytes())), line
