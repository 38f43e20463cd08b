import threading
from pathlib import Path

import pytest

from labrhel.testing import leaks
from labrhel.testing.leaks import no_leaks
from labrhel.testing.programs import missing, program
from labrhel.testing.waiting import wait_for


def test_what_is_true_at_the_third_question_is_waited_for_and_handed_on() -> None:
    answers = iter(["", "", "ready"])
    assert wait_for(lambda: next(answers), "an answer") == "ready"


def test_what_never_comes_is_named() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.01 s for the postman"):
        wait_for(lambda: False, "the postman", patience=0.01)


def test_a_thread_and_a_file_that_stay_are_a_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "_PATIENCE", 0.05)
    going = threading.Event()
    with pytest.raises(AssertionError, match="no more than"), no_leaks():
        threading.Thread(target=going.wait, daemon=True).start()
    going.set()
    file = None
    try:
        with pytest.raises(AssertionError, match="open files"), no_leaks():
            file = (tmp_path / "left").open("w")
    finally:
        assert file is not None
        file.close()


def test_what_ends_a_moment_later_is_none() -> None:
    going = threading.Event()
    with no_leaks():
        threading.Thread(target=going.wait, daemon=True).start()
        threading.Timer(0.05, going.set).start()
    assert going.is_set()


def test_a_program_may_be_done_without_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program("sh") is not None
    assert missing("sh", "no-such-program") == ["no-such-program"]
    monkeypatch.setenv("LABRHEL_TEST_WITHOUT", "mosquitto,sh")
    assert missing("sh") == ["sh"]
