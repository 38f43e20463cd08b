"""`--set KEY=VALUE`: what a file says otherwise, what stays as it was written, and who is blamed for a mistake."""

import re
from pathlib import Path

import pytest

from labrhel.config import load
from labrhel.config.changes import read_changed
from labrhel.config.reader import read
from labrhel.errors import ConfigurationError
from labrhel.testing.command_line import Shell, called, only_run
from labrhel.testing.configurations import SMALL

TEXT = """\
# a comment on top
model:
  oscillators: 2      # how many
  parameters:
    stiffness: [1.0, 1.50]
    coupling: {value: 1e-1, train: true}
optimizer:
  kind: adam
  # what follows is tuned by hand

data:
  teacher: {seed: 3}
  words: |
    two
    lines
  nothing:
  empty: {}
last: 1
"""


def changed(folder: Path, *changes: str, text: str = TEXT) -> str:
    file = folder / "o.yaml"
    file.write_text(text)
    return read_changed(file, changes).text


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ("model.oscillators=3", "oscillators: 2 ", "oscillators: 3 "),
        ("model.parameters.stiffness[1]=2", "[1.0, 1.50]", "[1.0, 2]"),
        ("model.parameters.coupling.value=2e-1", "{value: 1e-1,", "{value: 0.2,"),
        ("model.parameters.coupling=0.5", "{value: 1e-1, train: true}", "0.5"),
        ("model.parameters.coupling.bounds=[0, 2]", "{value", '{"bounds": [0, 2], value'),
        ("optimizer={kind: sgd}", "kind: adam\n", '{"kind": "sgd"}\n'),
        ("optimizer.rate=0.1", "  kind: adam", '  "rate": 0.1\n  kind: adam'),
        ("data.words=one", "|\n    two\n    lines\n", '"one"\n'),
        ("data.nothing=5", "nothing:", "nothing: 5"),
        ("data.nothing.rate=5", "nothing:", 'nothing: {"rate": 5}'),
        ("data.empty.rate=5", "empty: {}", 'empty:  {"rate": 5}'),
        ("last='1'", "last: 1", 'last: "1"'),
        ("interlocks.readings.bias={low: 0}", "model:\n", '"interlocks": {"readings": {"bias": {"low": 0}}}\nmodel:\n'),
    ],
)
def test_a_change_replaces_its_value_and_leaves_every_other_byte(
    change: str, before: str, after: str, tmp_path: Path
) -> None:
    assert TEXT.count(before) == 1
    assert changed(tmp_path, change) == TEXT.replace(before, after)


def test_several_changes_hold_and_the_last_one_of_a_key_wins(tmp_path: Path) -> None:
    text = changed(tmp_path, "optimizer.steps=1", "health.every=2", "optimizer.steps=7", "health.limit=3")
    (tmp_path / "new.yaml").write_text(text)
    data = read(tmp_path / "new.yaml").data
    assert data["optimizer"] == {"kind": "adam", "steps": 7}
    assert data["health"] == {"every": 2, "limit": 3}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("optimizer", "--set: 'optimizer' is not KEY=VALUE"),
        ("=3", "is not KEY=VALUE"),
        ("a..b=3", "is not KEY=VALUE"),
        ("model.oscillators.x=3", "--set: model.oscillators.x: model.oscillators has no x"),
        ("model.parameters.stiffness[2]=3", "model.parameters.stiffness has no [2]"),
        ("optimizer.rate=[1, 2", "--set: optimizer.rate: this is not valid YAML"),
        ("optimizer.rate=.inf", "every value must be a finite number"),
    ],
)
def test_a_change_that_means_nothing_is_one_sentence(change: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        changed(tmp_path, change)


def test_a_value_that_stands_in_two_places_by_its_name_is_not_changed_in_both(tmp_path: Path) -> None:
    text = "one: &it {a: 1}\ntwo: *it\n"
    with pytest.raises(ConfigurationError, match="stands in several places"):
        changed(tmp_path, "two.a=2", text=text)
    assert "a: 2" not in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("optimizer.steps=many", "--set: optimizer.steps: expected a whole number, not the word 'many'"),
        ("optimzer.steps=5", "--set: optimzer: "),
        ("protocol.record=seldom", "--set: protocol.record: "),
    ],
)
def test_what_the_file_may_not_say_the_command_line_may_not_either(change: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    answer = called(tmp_path, "run", "small.yaml", "--set", change)
    assert answer.returncode == 2
    assert f"error: {words}" in answer.stderr
    assert not (tmp_path / "runs").exists()


def test_mistakes_of_the_file_are_still_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL.replace("steps: 12", "steps: no"))
    with pytest.raises(ConfigurationError, match=r"small\.yaml:\d+: optimizer\.steps: "):
        load(tmp_path / "small.yaml", changes=["optimizer.seed=3"])


def test_what_ran_is_what_is_recorded_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    shell = Shell(tmp_path)
    status, out, errors = shell("run", "small.yaml", "--set", "optimizer.steps=2", "--set", "protocol.record=all")
    assert status == 0, errors
    assert "in 2 gradients" in out
    reader = only_run(tmp_path / "runs")
    assert reader.manifest["configuration"]["optimizer"]["steps"] == 2
    assert reader.config_text == SMALL.replace("steps: 12", "steps: 2").replace("record: every 3", 'record: "all"')
    assert shell("replay")[0] == 0
    _, out, errors = shell("resume", "--steps", "3")
    assert "in 3 gradients" in out, errors


def test_check_and_timeline_take_changes(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    shell = Shell(tmp_path)
    assert "rhel/one_sided" in shell("check", "small.yaml", "--set", "protocol.estimator=one_sided")[1]
    assert "rhel/one_sided" in shell("timeline", "small.yaml", "--set", "protocol.estimator=one_sided")[1]
