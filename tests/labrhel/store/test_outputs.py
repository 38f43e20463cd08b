"""Files that people asked for are whole under their name, or not there."""

import os
from pathlib import Path

import pytest

from labrhel.errors import ConfigurationError, RecordError
from labrhel.store import outputs
from labrhel.store.outputs import written_aside


def test_a_file_has_its_name_when_the_block_has_ended_well_and_not_before(tmp_path: Path) -> None:
    file = tmp_path / "out.nc"
    file.write_text("before")
    with written_aside(file) as aside:
        assert (aside.parent, aside.suffix) == (tmp_path, ".nc")
        aside.write_text("after")
        assert file.read_text() == "before"
    assert file.read_text() == "after"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            OSError(28, "No space left on device"),
            RecordError,
            "out could not be written: No space left on device; nothing",
        ),
        (OSError("no number"), RecordError, "out could not be written: no number; nothing else changed"),
        (ConfigurationError("odd"), ConfigurationError, "^odd$"),
        (ValueError("odd"), ValueError, "^odd$"),
    ],
)
def test_a_block_that_fails_leaves_what_was_there(
    tmp_path: Path, error: Exception, kind: type[Exception], words: str
) -> None:
    file = tmp_path / "out"
    file.write_text("before")
    with pytest.raises(kind, match=words), written_aside(file) as aside:
        aside.write_text("half")
        raise error
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot be asked for room")
def test_room_is_asked_for_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with written_aside(tmp_path / "out", 1000) as aside:
        assert aside.stat().st_size == 1000
        aside.write_text("short")
    assert (tmp_path / "out").read_text() == "short"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs.os, "posix_fallocate", full)
    with pytest.raises(RecordError, match="No space left"), written_aside(tmp_path / "out", 1000):
        raise AssertionError("the block must not begin")
    with written_aside(tmp_path / "other") as aside:  # nobody knows how long it will be
        aside.touch()


def test_folders_are_made_where_that_is_asked_for_alone(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "out"
    with pytest.raises(RecordError, match="could not be written"), written_aside(file) as aside:
        aside.touch()
    assert list(tmp_path.iterdir()) == []
    with written_aside(file, making_folders=True) as aside:
        aside.touch()
    assert file.exists()


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "out").symlink_to(tmp_path / "theirs")
    with written_aside(tmp_path / "out") as aside:
        aside.write_text("mine")
    assert not (tmp_path / "out").is_symlink()
    assert (tmp_path / "theirs").read_text() == "theirs"
