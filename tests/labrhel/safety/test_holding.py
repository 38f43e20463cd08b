"""One holder of a file, over processes; `tests/drivers/transport/test_lease.py` kills holders."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labrhel.safety import holding
from labrhel.safety.holding import Held, TakenError, is_held
from labrhel.testing.leaks import no_leaks
from labrhel.testing.waiting import wait_for

HOLD = """
import sys
from pathlib import Path
from labrhel.safety.holding import Held
held = Held(Path(sys.argv[1]))
print("held", flush=True)
input()
"""


def test_who_holds_a_file_is_named_and_the_end_of_that_process_frees_it(tmp_path: Path) -> None:
    file = tmp_path / "one"
    words = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert is_held(file)
        with pytest.raises(TakenError, match=rf"^process {other.pid} \(.*python.*\) since 20"):
            Held(file)
        other.communicate("\n")
    assert not is_held(file)
    Held(file).close()


def test_a_process_is_told_that_it_holds_the_file_itself_and_asking_leaves_the_name_there(tmp_path: Path) -> None:
    first = Held(tmp_path / "one")
    for _ in range(2):
        assert is_held(tmp_path / "one")
        with pytest.raises(TakenError, match="this very program") as caught:
            Held(tmp_path / "one")
        assert caught.value.pid == os.getpid() and str(caught.value) == caught.value.holder
    assert TakenError("somebody").pid == 0
    first.close()
    first.close()
    assert not is_held(tmp_path / "one")


def test_what_an_earlier_holder_left_in_the_file_is_gone_and_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("an earlier holder with a long name" * 100, encoding="utf-8")
    assert not is_held(tmp_path / "one")
    held = Held(tmp_path / "one")
    assert json.loads((tmp_path / "one").read_text(encoding="utf-8"))["pid"] == os.getpid()
    held.close()
    assert (tmp_path / "one").exists()
    Held(tmp_path / "one").close()


def test_a_file_that_was_never_held_is_free_and_is_not_made_by_asking(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_holder_whose_words_are_not_understood_is_another_process(tmp_path: Path) -> None:
    held = Held(tmp_path / "one")
    (tmp_path / "one").write_text("1234\n", encoding="utf-8")
    with pytest.raises(TakenError) as caught:
        Held(tmp_path / "one")
    assert (caught.value.holder, caught.value.pid) == ("another process", 0)
    held.close()


def test_no_file_stays_open_and_closing_twice_closes_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    with no_leaks():
        held = Held(tmp_path / "one")
        with pytest.raises(TakenError):
            Held(tmp_path / "one")
        assert is_held(tmp_path / "one")
        held.close()
    monkeypatch.setattr(holding.os, "close", closed.append)
    held.close()
    assert closed == []


@pytest.mark.skipif(os.name != "posix", reason="this system does not tell who may do what with a file by nine bits")
def test_a_file_that_users_share_may_be_held_by_any_of_them_and_is_no_program(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Held(tmp_path / "one").close()
    finally:
        os.umask(before)
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o666


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_lives_longer_does_not_keep_what_its_parent_held(tmp_path: Path) -> None:
    kept, given_back = Held(tmp_path / "kept"), Held(tmp_path / "given back")
    hears, tells = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(tells)
        os.read(hears, 1)  # until the parent ends it
        os._exit(0)
    try:
        assert is_held(tmp_path / "kept") and is_held(tmp_path / "given back")
        given_back.close()
        wait_for(lambda: not is_held(tmp_path / "given back"), "the end of the hold")
        assert is_held(tmp_path / "kept")
    finally:
        os.close(tells)
        os.close(hears)
        os.waitpid(child, 0)
        kept.close()
