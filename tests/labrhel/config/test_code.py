"""Classes and functions that a configuration names as `my_file.py:Name`."""

import sys
from dataclasses import fields
from pathlib import Path

import pytest

from labrhel.config.code import CodeBeside, Reference
from labrhel.errors import ConfigurationError
from labrhel.safety import trust

RULE = """\
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True, slots=True)
class MyRule:
    known: ClassVar[int] = 1
    size: float = 2.0
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of this user's own decisions."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))


def written(folder: Path, text: str, name: str = "my_rule.py") -> CodeBeside:
    (folder / name).write_text(text)
    return CodeBeside(folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my_rule.py:MyRule", Reference("my_rule.py", "MyRule")),
        ("my_rig.py:open_rig:/dev/tty?a=1", Reference("my_rig.py", "open_rig", "/dev/tty?a=1")),
        ("my_rig.py:open_rig?a=1:2", Reference("my_rig.py", "open_rig", "?a=1:2")),
        ("../x.py:X", Reference("../x.py", "X")),
        ("rhel", None),
        ("sim:", None),
        ("sim:chain.py.yaml", None),
        ("bench:x.py:y", None),
    ],
)
def test_code_is_told_from_names_and_urls(text: str, expected: Reference | None) -> None:
    assert Reference.of(text) == expected


def test_a_class_with_its_annotations_is_what_an_import_would_have_given(tmp_path: Path) -> None:
    code = written(tmp_path, RULE)
    with trust.granting([tmp_path / "my_rule.py"]):
        rule = code.named(Reference("my_rule.py", "MyRule"))
        assert code.named(Reference("my_rule.py", "MyRule")) is rule
    assert [field.name for field in fields(rule)] == ["size"]
    assert code.digests == {"my_rule.py": trust.Code.beside(tmp_path, "my_rule.py").digest}


def test_the_bytes_that_were_trusted_are_those_that_run(tmp_path: Path) -> None:
    """Whoever swaps the file while the question is open has changed nothing."""
    code = written(tmp_path, "def made():\n    return 'as shown'\n")

    def swapped(shown: trust.Code) -> bool:
        assert b"as shown" in shown.content
        (tmp_path / "my_rule.py").write_text("def made():\n    return 'swapped'\n")
        return True

    with trust.granting(ask=swapped):
        assert code.named(Reference("my_rule.py", "made"))() == "as shown"
    with pytest.raises(ConfigurationError, match="has changed since you trusted it"):
        code.named(Reference("my_rule.py", "made"))


def test_code_that_is_not_trusted_leaves_no_trace(tmp_path: Path) -> None:
    code = written(tmp_path, f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    with pytest.raises(ConfigurationError, match="have not trusted"):
        code.named(Reference("my_rule.py", "MyRule"))
    assert not (tmp_path / "ran").exists() and code.digests == {}


def test_a_record_pins_the_digest_and_does_not_make_it_trusted(tmp_path: Path) -> None:
    written(tmp_path, RULE)
    digest = trust.Code.beside(tmp_path, "my_rule.py").digest
    reference = Reference("my_rule.py", "MyRule")
    with pytest.raises(ConfigurationError, match="have not trusted"):
        CodeBeside(tmp_path, {"my_rule.py": digest}).named(reference)
    with trust.granting([tmp_path / "my_rule.py"]):
        assert CodeBeside(tmp_path, {"my_rule.py": digest}).named(reference)
        with pytest.raises(ConfigurationError, match="is not what the run began with; restore it"):
            CodeBeside(tmp_path, {"my_rule.py": "0" * 64}).named(reference)
        with pytest.raises(ConfigurationError, match="is not of this run"):
            CodeBeside(tmp_path, {}).named(reference)


@pytest.mark.parametrize("below", ["", "inside"])
def test_nothing_in_the_folder_of_a_run_runs_even_if_it_is_trusted(tmp_path: Path, below: str) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "config.yaml").write_text("model: {}")
    (tmp_path / below).mkdir(exist_ok=True)
    code = written(tmp_path / below, RULE)
    with trust.granting([tmp_path / below / "my_rule.py"]), pytest.raises(ConfigurationError, match="folder of a run"):
        code.named(Reference("my_rule.py", "MyRule"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def broken(:\n", r"my_rule.py:1: this is not valid Python: "),
        ("a = 1\n\x00", "this is not valid Python: "),
        ("import nowhere_to_be_found\n", "cannot be run: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("raise ValueError('first\\nsecond')\n", "cannot be run: ValueError: first$"),
        ("raise SystemExit(0)\n", "cannot be run: SystemExit: 0"),
        ("class MyRul:\n    pass\n", "has no class or function 'MyRule'; did you mean 'MyRul'"),
        ("MyRule = 3\n", "has no class or function 'MyRule'"),
    ],
)
def test_a_mistake_in_the_code_is_one_sentence_and_leaves_no_half_made_module(
    tmp_path: Path, text: str, words: str
) -> None:
    code = written(tmp_path, text)
    before = set(sys.modules)
    with trust.granting([tmp_path / "my_rule.py"]), pytest.raises(ConfigurationError, match=words) as caught:
        code.named(Reference("my_rule.py", "MyRule"))
    assert "\n" not in str(caught.value)
    left = {name for name in set(sys.modules) - before if name.startswith("my_rule@")}
    assert len(left) == ("MyRul" in text)  # what ran to its end stays
