"""Whose code may run: what is read, the user's own list, and what is granted for a while."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from labrhel.errors import ConfigurationError
from labrhel.safety.trust import LARGEST, Code, TrustList, forbidding, granting, require


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this user's own decisions."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    return tmp_path / "own" / "labrhel"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration and code beside it, and code that lies elsewhere."""
    beside = tmp_path / "work"
    beside.mkdir()
    (beside / "my_rule.py").write_text("value = 1\n")
    (tmp_path / "other.py").write_text("value = 2\n")
    return beside


@pytest.mark.parametrize(
    "name",
    [
        "../other.py",
        "./my_rule.py",
        "sub/x.py",
        "/etc/x.py",
        "a.b.py",
        ".py",
        "my rule.py",
        "my_rule.pyc",
        "..py",
        "x.py\n",
    ],
)
def test_what_is_not_a_plain_name_is_refused_before_anything_is_read(folder: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="is not such a name"):
        Code.beside(folder, name)


def test_an_absolute_path_is_refused_even_if_it_lies_beside(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not such a name"):
        Code.beside(folder, str(folder / "my_rule.py"))


def test_a_link_beside_the_configuration_is_refused_whatever_it_leads_to(folder: Path) -> None:
    (folder / "linked.py").symlink_to(folder.parent / "other.py")
    (folder / "alias.py").symlink_to(folder / "my_rule.py")
    for name in ("linked.py", "alias.py"):
        with pytest.raises(ConfigurationError, match="is a link"):
            Code.beside(folder, name)


def test_a_link_that_is_put_there_after_the_look_is_not_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "my_rule.py").unlink()
    (folder / "my_rule.py").symlink_to(folder.parent / "other.py")
    monkeypatch.setattr(Path, "is_symlink", lambda self: False)  # as if it had been a file when it was looked at
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Code.beside(folder, "my_rule.py")


def test_what_is_no_file_is_refused_at_once(folder: Path) -> None:
    os.mkfifo(folder / "pipe.py")  # opening one to read would wait for a writer
    (folder / "folder.py").mkdir()
    for name, words in (("pipe.py", "not a file"), ("folder.py", "Is a directory"), ("absent.py", "No such file")):
        with pytest.raises(ConfigurationError, match=words):
            Code.beside(folder, name)


def test_a_file_that_is_too_long_to_have_been_read_is_refused(folder: Path) -> None:
    (folder / "long.py").write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(ConfigurationError, match="nobody can have read it"):
        Code.beside(folder, "long.py")


def test_nothing_is_trusted_at_first_and_the_sentence_says_what_to_do(folder: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"have not trusted: read it, then add `--trust .*my_rule.py`"
    ) as caught:
        require(Code.beside(folder, "my_rule.py"))
    assert caught.value.exit_status == 2


def test_what_was_trusted_once_is_trusted_until_it_changes(folder: Path, own: Path) -> None:
    code = Code.beside(folder, "my_rule.py")
    TrustList().add(code)
    TrustList().add(code)
    require(Code.beside(folder, "my_rule.py"))
    assert (own / "trusted").read_text() == f"{code.digest}  {code.file}\n"
    assert stat.S_IMODE((own / "trusted").stat().st_mode) == 0o600
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    (folder / "my_rule.py").write_text("value = 3\n")
    with pytest.raises(ConfigurationError, match="has changed since you trusted it"):
        require(Code.beside(folder, "my_rule.py"))


def test_what_is_granted_ends_with_its_block_and_is_written_nowhere(folder: Path, own: Path) -> None:
    code = Code.beside(folder, "my_rule.py")
    with granting([folder / "my_rule.py"]):
        require(code)
        with granting():
            require(code)
    with pytest.raises(ConfigurationError):
        require(code)
    assert not own.exists()


def test_a_file_that_changes_after_it_was_granted_is_not_what_was_granted(folder: Path) -> None:
    with granting([folder / "my_rule.py"]):
        (folder / "my_rule.py").write_text("value = 3\n")
        with pytest.raises(ConfigurationError):
            require(Code.beside(folder, "my_rule.py"))


def test_a_yes_is_kept_and_a_no_is_a_refusal(folder: Path) -> None:
    asked: list[Code] = []

    def yes(code: Code) -> bool:
        asked.append(code)
        return True

    code = Code.beside(folder, "my_rule.py")
    with granting(ask=lambda code: False), pytest.raises(ConfigurationError):
        require(code)
    for _ in range(2):
        with granting(ask=yes):
            require(code)
    assert asked == [code]  # once


@pytest.mark.parametrize(
    "content", ["nonsense\n", "0" * 63 + "  x\n", "0" * 64 + "  x\n" + "f" * 64, "\n", "0" * 64 + " x\n"]
)
def test_a_damaged_list_trusts_nothing_and_names_the_line(folder: Path, own: Path, content: str) -> None:
    TrustList().add(Code.beside(folder, "my_rule.py"))
    with (own / "trusted").open("a") as file:
        file.write(content)
    with pytest.raises(ConfigurationError, match=rf"{own / 'trusted'} is damaged in line [23]: delete that line"):
        require(Code.beside(folder, "my_rule.py"))
    with pytest.raises(ConfigurationError, match="is damaged"):
        TrustList().add(Code.beside(folder.parent, "other.py"))


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
def test_a_list_that_others_may_read_or_write_is_not_believed(folder: Path, own: Path, mode: int) -> None:
    TrustList().add(Code.beside(folder, "my_rule.py"))
    (own / "trusted").chmod(mode)
    with pytest.raises(ConfigurationError, match=r"is not yours alone: .* `chmod 600`"):
        require(Code.beside(folder, "my_rule.py"))


def test_a_list_that_is_a_link_is_not_believed(folder: Path, own: Path) -> None:
    code = Code.beside(folder, "my_rule.py")
    elsewhere = folder / "list"
    TrustList(elsewhere).add(code)
    own.mkdir(parents=True)
    (own / "trusted").symlink_to(elsewhere)
    for attempt in (lambda: require(code), lambda: TrustList().add(Code.beside(folder.parent, "other.py"))):
        with pytest.raises(ConfigurationError, match=r"the list of trusted code .* cannot be read"):
            attempt()


def test_a_list_that_cannot_be_written_is_said_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file where a folder should be")
    with pytest.raises(ConfigurationError, match=r"the list of trusted code .* cannot be"):
        TrustList().add(Code.beside(folder, "my_rule.py"))


def test_what_stands_in_the_list_cannot_break_its_lines(tmp_path: Path) -> None:
    strange = tmp_path / f"a\n{'0' * 64}  b"
    strange.mkdir()
    (strange / "my_rule.py").write_text("value = 1\n")
    code = Code.beside(strange, "my_rule.py")
    TrustList().add(code)
    assert set(TrustList().entries()) == {code.digest}


def test_a_file_of_the_largest_length_is_read_and_one_named_by_hand_may_be_a_link(folder: Path) -> None:
    (folder / "long.py").write_bytes(b"#" * LARGEST)
    assert len(Code.beside(folder, "long.py").content) == LARGEST
    (folder / "linked.py").symlink_to(folder / "my_rule.py")
    code = Code.named(folder / "linked.py")
    assert code.content == (folder / "my_rule.py").read_bytes()
    assert code.digest == hashlib.sha256(code.content).hexdigest()


def test_code_that_was_read_can_be_granted_and_a_block_within_adds_to_what_is_granted(folder: Path) -> None:
    code, other = Code.beside(folder, "my_rule.py"), Code.beside(folder.parent, "other.py")
    asked: list[Code] = []

    def no(code: Code) -> bool:
        asked.append(code)
        return False

    with granting([code], ask=no):
        with granting([str(other.file)]):  # who is to be asked stays
            require(code)
            require(other)
            with pytest.raises(ConfigurationError):
                require(Code(folder / "third.py", b"3"))
        assert len(asked) == 1
        with granting(ask=lambda code: True):
            require(other)
        assert len(asked) == 1
        require(other)  # it was said yes to, and is in the list
        assert len(asked) == 1


def test_where_code_is_forbidden_none_runs_and_nobody_is_asked(folder: Path) -> None:
    code = Code.beside(folder, "my_rule.py")
    TrustList().add(code)
    with granting([code], ask=lambda code: True):
        with forbidding(), pytest.raises(ConfigurationError, match=r"my_rule\.py is code, which is not run here"):
            require(code)
        require(code)
    require(code)


def test_a_list_is_the_users_own_file_or_none(folder: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = Code.beside(folder, "my_rule.py")
    TrustList().add(code)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    for attempt in (TrustList().entries, lambda: TrustList().add(code)):
        with pytest.raises(ConfigurationError, match="is not yours alone"):
            attempt()
    (own / "trusted").unlink()
    os.mkfifo(own / "trusted", 0o600)
    with pytest.raises(ConfigurationError, match="is not a file; move it away"):
        TrustList().entries()


def test_what_is_trusted_is_on_the_disk_when_it_is_acknowledged_with_where_it_lay(
    folder: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    codes = [Code.beside(folder, "my_rule.py"), Code.beside(folder.parent, "other.py")]
    for code in codes:
        TrustList().add(code)
    assert len(waited) == 2
    assert TrustList().entries() == {code.digest: str(code.file) for code in codes}
    (own / "trusted").write_text("nonsense")
    with pytest.raises(ConfigurationError, match="is damaged in line 1"):
        TrustList().entries()
