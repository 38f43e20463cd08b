"""Code beside a configuration, on the command line: asked once, refused where nobody answers, pinned by the record."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment
from labrhel.store.manifest import manifest_text
from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import small

RULE = """\
from pathlib import Path
from protocols.rhel import RHEL

Path(__file__).with_name("ran").touch()

class MyRule(RHEL):
    pass
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration, and a rule beside it that leaves a file when it runs; nothing is trusted yet."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "my_rule.py").write_text(RULE)
    (folder / "small.yaml").write_text(small(**{"{record: every 3}": "{rule: 'my_rule.py:MyRule', record: all}"}))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))
    return folder


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


def labrhel(home: Path, *words: str) -> Answer:
    """A command that has to load all code anew, and has no terminal."""
    for name in [name for name in sys.modules if name.startswith("my_rule@")]:
        del sys.modules[name]
    return Answer(*Shell(home)(*words))


def ran(home: Path) -> bool:
    """Whether the code has run since this was last asked."""
    there = (home / "ran").exists()
    (home / "ran").unlink(missing_ok=True)
    return there


def trained(home: Path, *more: str) -> str:
    """The name of a run of three steps whose code is trusted."""
    answer = labrhel(home, "run", "small.yaml", "--steps", "3", "--trust", "my_rule.py", *more)
    assert answer.returncode == 0, answer.stderr
    assert ran(home)
    return re.findall(r"run +runs/(\S+)", answer.stdout)[0]


@pytest.mark.parametrize(
    "words",
    [
        ("run", "small.yaml"),
        ("run", "small.yaml", "--dry-run"),
        ("check", "small.yaml"),
        ("audit", "small.yaml"),
        ("timeline", "small.yaml"),
        ("calibrate", "sim:", "--config", "small.yaml"),
        ("card", "sim:", "--config", "small.yaml"),
    ],
)
def test_without_a_terminal_untrusted_code_ends_every_command_with_status_2(home: Path, words: tuple[str, ...]) -> None:
    answer = labrhel(home, *words)
    assert answer.returncode == 2
    assert re.fullmatch(
        r"error: small.yaml:\d+: protocol: .*my_rule.py is code that you have not trusted: read it, then add "
        r"`--trust .*my_rule.py` .*\n",
        answer.stderr,
    )
    assert not ran(home)


def test_what_was_trusted_once_is_not_asked_for_again_until_it_changes(home: Path) -> None:
    assert labrhel(home, "timeline", "small.yaml", "--trust", "my_rule.py").returncode == 0
    assert ran(home)
    assert labrhel(home, "timeline", "small.yaml").returncode == 0
    assert ran(home)
    (home / "my_rule.py").write_text(RULE + "# changed\n")
    changed = labrhel(home, "timeline", "small.yaml")
    assert changed.returncode == 2 and "has changed since you trusted it" in changed.stderr
    assert not ran(home)


def test_a_list_that_cannot_be_written_is_said_and_the_command_goes_on(home: Path) -> None:
    (home.parent / "own").write_text("a file where a folder should be")
    answer = labrhel(home, "timeline", "small.yaml", "--trust", "my_rule.py")
    assert answer.returncode == 0, answer.stderr
    assert "note: the list of trusted code" in answer.stderr and "in this command alone" in answer.stderr
    assert labrhel(home, "timeline", "small.yaml").returncode == 2


def at_a_terminal(home: Path, reply: bytes) -> tuple[int, str]:
    """Status and screen of a command that is asked about the code, and answered."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "labrhel", "timeline", "small.yaml"],
        stdin=follower, stdout=subprocess.DEVNULL, stderr=follower, cwd=home, close_fds=True,
        env=os.environ | {"LABRHEL_STATE": str(home / "state")},
    ) as process:  # fmt: skip
        os.close(follower)
        os.write(leader, reply)
        screen = b""
        try:
            while piece := os.read(leader, 4096):
                screen += piece
        except OSError:  # the other end is closed
            pass
        status = process.wait(60)
    os.close(leader)
    return status, screen.decode("utf-8", "replace").replace("\r\n", "\n")


def test_a_terminal_is_asked_once_with_path_lines_and_digest(home: Path) -> None:
    (home / "my_rule.py").write_text(RULE + "# \x1b[2J wipes the screen\n" + "# more\n" * 20)
    status, screen = at_a_terminal(home, b"n\n")
    assert status == 2 and not ran(home)
    assert f"{home / 'my_rule.py'} is code that wants to run" in screen or "my_rule.py is code that wants" in screen
    assert "  | class MyRule(RHEL):" in screen and "more: read the file before you answer" in screen
    assert re.search(r"SHA-256 [0-9a-f]{64}", screen)
    assert "\x1b[2J" not in screen
    status, screen = at_a_terminal(home, b"y\n")
    assert status == 0 and ran(home)
    status, screen = at_a_terminal(home, b"")
    assert status == 0 and "wants to run" not in screen


def test_a_run_goes_on_and_is_replayed_with_the_code_that_it_began_with(home: Path) -> None:
    run = trained(home)
    for words in (("resume", run, "--steps", "4"), ("replay", run)):
        answer = labrhel(home, *words)
        assert answer.returncode == 0, answer.stderr
        assert ran(home)
    (home / "my_rule.py").write_text(RULE + "# changed, and trusted\n")
    for words in (("resume", run, "--steps", "5"), ("replay", run), ("compare", run)):
        answer = labrhel(home, *words, "--trust", "my_rule.py")
        assert answer.returncode == 2 and "my_rule.py is not what the run began with" in answer.stderr
        assert not ran(home)


def test_looking_at_a_run_never_runs_its_code(home: Path) -> None:
    run = trained(home)
    looks = (
        ("show", run), ("runs",), ("plot", run), ("report", run), ("export", run, "out.nc"), ("schema",), ("rigs",),
        ("verify", run), ("validate", "small.yaml"),
        ("label", run, "seen"), ("archive", run, "run.tar.gz"),
    )  # fmt: skip
    for words in looks:
        answer = labrhel(home, *words)
        assert answer.returncode == 0, answer.stderr
        assert not ran(home), words


def test_a_run_folder_gives_no_code_whoever_trusts_it(home: Path) -> None:
    folder = home / "runs" / trained(home)
    shutil.copy(home / "my_rule.py", folder)
    for words in (("check", str(folder / "config.yaml")), ("run", str(folder / "config.yaml"))):
        answer = labrhel(home, *words, "--trust", str(folder / "my_rule.py"))
        assert answer.returncode == 2 and "the folder of a run, from which no code is taken" in answer.stderr
        assert not (folder / "ran").exists()


def test_an_archive_from_elsewhere_cannot_bring_code_to_run(home: Path, tmp_path: Path) -> None:
    """Its manifest says where home is: in the archive itself, or where the user has other code of that name."""
    run = trained(home)
    assert labrhel(home, "archive", run, "run.tar.gz").returncode == 0
    there = tmp_path / "there"
    there.mkdir()
    with tarfile.open(home / "run.tar.gz") as packed:
        packed.extractall(there, filter="data")
    (unpacked,) = there.iterdir()
    (unpacked / "my_rule.py").write_text(RULE + "# of the archive\n")
    manifest = unpacked / "manifest.json"
    facts = {name: value for name, value in json.loads(manifest.read_text()).items() if name != "digest"}
    for place, words in (
        (unpacked, "the folder of a run"),
        (there, "cannot be read"),
        (home, "not what the run began"),
    ):
        manifest.write_text(manifest_text(facts | {"home": str(place)}))  # with a digest that is right
        if place == home:
            (home / "my_rule.py").write_text(RULE + "# the user's other code\n")
        answer = labrhel(home, "replay", str(unpacked))
        assert answer.returncode == 2 and words in answer.stderr, answer.stderr
        assert not ran(home) and not (unpacked / "ran").exists()


@pytest.mark.parametrize("place", ["../evil.py", "{away}/evil.py", "sub/evil.py", "evil.mod.py", "linked.py"])
def test_code_that_does_not_lie_beside_is_refused_even_if_it_is_trusted(home: Path, tmp_path: Path, place: str) -> None:
    (home / "sub").mkdir()
    for file in (tmp_path / "evil.py", home / "sub" / "evil.py", home / "evil.mod.py"):
        file.write_text(RULE)
    (home / "linked.py").symlink_to(tmp_path / "evil.py")
    named = place.format(away=tmp_path)
    (home / "small.yaml").write_text((home / "small.yaml").read_text().replace("my_rule.py", named))
    answer = labrhel(home, "check", "small.yaml", "--trust", str(tmp_path / "evil.py"))
    assert answer.returncode == 2
    assert "is not such a name" in answer.stderr or "is a link" in answer.stderr
    assert not any((folder / "ran").exists() for folder in (home, home / "sub", tmp_path))


def test_a_library_trusts_for_one_call(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="have not trusted"):
        load_experiment(home / "small.yaml")
    experiment = load_experiment(home / "small.yaml", trust=[home / "my_rule.py"])
    assert type(experiment.problem.rule).__name__ == "MyRule"
    assert list(experiment.manifest()["code"]) == ["my_rule.py"]
    experiment.rig.close()
    with pytest.raises(ConfigurationError, match="have not trusted"):
        load_experiment(home / "small.yaml")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("class MyRule:\n    pass\n", "must be a dataclass, whose fields are its options"),
        ("from dataclasses import dataclass\n@dataclass\nclass MyRule:\n    a: int = 0\n", "must have `needs` and a"),
        (
            "from dataclasses import dataclass\n@dataclass\nclass MyRule:\n    needs = None\n"
            "    def gradient(self, task, sequences, theta, wanted, previous=None): ...\n",
            "must take (self, asked), a labrhel.learning.rules.GradientRequest",
        ),
        ("def broken(:\n", "my_rule.py:1: this is not valid Python"),
    ],
)
def test_a_rule_that_is_none_is_said_in_one_sentence(home: Path, code: str, words: str) -> None:
    (home / "my_rule.py").write_text(code)
    answer = labrhel(home, "check", "small.yaml", "--trust", "my_rule.py")
    assert answer.returncode == 2 and words in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_station_file_or_a_bare_url_names_no_code(home: Path) -> None:
    answer = labrhel(home, "calibrate", "my_rule.py:MyRule")
    assert answer.returncode == 2 and "names no model and no data" in answer.stderr
