"""Seals of records: by their definition, with a key that its user alone has."""

import hashlib
import hmac
import os
import platform
from pathlib import Path

import pytest

from labrhel.safety import seal as module
from labrhel.safety.seal import is_ours, seal

on_posix = pytest.mark.skipif(os.name != "posix", reason="this system does not tell who may read a file by nine bits")


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the key of this test will be."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "deep" / "config"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "deep" / "config"))
    return tmp_path / "deep" / "config" / "labrhel" / "seal.key"


def test_a_seal_is_that_of_the_computer_and_the_digest_under_a_key_that_is_made_once(key: Path) -> None:
    assert not is_ours("ab", "") and not key.exists()  # looking makes none
    first = seal("ab")
    content = key.read_bytes()
    assert len(content) == 32 and len(set(content)) > 8
    assert first == hmac.new(content, f"{platform.node()}\nab".encode(), hashlib.sha256).hexdigest()
    assert seal("ab") == first != seal("ac")
    assert key.read_bytes() == content
    assert list(key.parent.iterdir()) == [key]


def test_only_the_seal_itself_is_ours(key: Path) -> None:
    found = seal("ab")
    assert is_ours("ab", found)
    for other in ("", None, 5, found[:-1], found.upper(), seal("ac")):
        assert not is_ours("ab", other)


@on_posix
def test_a_key_is_for_its_user_alone(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    try:
        found = seal("ab")
    finally:
        os.umask(before)
    assert (key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    for mode in (0o604, 0o640, 0o601, 0o620):
        key.chmod(mode)
        assert seal("ab") == "" and not is_ours("ab", found)
    key.chmod(0o600)
    assert is_ours("ab", found)
    user = os.geteuid()
    monkeypatch.setattr(module.os, "geteuid", lambda: user + 1)
    assert seal("ab") == "" and not is_ours("ab", found)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_seals_nothing_and_stays(key: Path, length: int) -> None:
    key.parent.mkdir(parents=True)
    key.write_bytes(b"k" * length)
    key.chmod(0o600)
    assert seal("ab") == ""
    assert list(key.parent.iterdir()) == [key] and len(key.read_bytes()) == length


@on_posix
def test_a_key_that_is_a_link_seals_nothing(key: Path, tmp_path: Path) -> None:
    found = seal("ab")
    key.rename(tmp_path / "elsewhere")
    key.symlink_to(tmp_path / "elsewhere")
    assert seal("ab") == "" and not is_ours("ab", found)


def test_without_a_place_for_the_key_there_is_no_seal(key: Path) -> None:
    key.parent.parent.parent.write_text("a file where a folder should be")
    assert seal("ab") == ""


def test_of_two_programs_that_begin_together_both_have_the_key_that_was_there_first(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def late(source: Path, target: Path) -> None:
        target.write_bytes(b"f" * 32)  # by the other program, between the look and the link
        target.chmod(0o600)
        link(source, target)

    monkeypatch.setattr(module.os, "link", late)
    found = seal("ab")
    assert found == hmac.new(b"f" * 32, f"{platform.node()}\nab".encode(), hashlib.sha256).hexdigest()
    assert list(key.parent.iterdir()) == [key]
