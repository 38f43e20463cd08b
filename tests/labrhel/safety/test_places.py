"""Where what outlives a program is kept: for its user alone, whole, and somewhere else where the first place fails."""

import os
from pathlib import Path

import pytest

from labrhel.safety import places
from labrhel.safety.places import folders, found, is_ours, is_there, kept, listed, own_folder, rewrite, state_folder

HOME = Path.home()
on_posix = pytest.mark.skipif(os.name != "posix", reason="folders for temporary files are a user's own here")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files of this test; nothing that is made is hidden from others by the umask."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(places, "temporary_folder", lambda: folder)
    return folder


@pytest.fixture
def generous() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


# -- which folders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"LABRHEL_STATE": "/lab", "XDG_STATE_HOME": "/xdg", "LOCALAPPDATA": "/local"}, Path("/lab")),
        ({"XDG_STATE_HOME": "/xdg", "LOCALAPPDATA": "/local"}, Path("/xdg/labrhel")),
        ({"LOCALAPPDATA": "/local"}, Path("/local/labrhel")),
        ({"LABRHEL_STATE": ""}, HOME / ".local" / "state" / "labrhel"),
    ],
)
def test_the_state_of_a_user_is_where_it_was_put_or_where_the_system_keeps_such_things(
    environment: dict[str, str], folder: Path
) -> None:
    assert state_folder(environment) == folder


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_CONFIG_HOME": "/xdg", "APPDATA": "/roaming", "LABRHEL_STATE": "/lab"}, Path("/xdg/labrhel")),
        ({"APPDATA": "/roaming"}, Path("/roaming/labrhel")),
        ({"LABRHEL_STATE": "/lab"}, HOME / ".config" / "labrhel"),
    ],
)
def test_what_a_user_has_decided_is_kept_with_other_configurations(environment: dict[str, str], folder: Path) -> None:
    assert own_folder(environment) == folder


def test_a_user_without_a_home_has_a_state_and_has_decided_nothing(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(places.Path, "home", homeless)
    assert state_folder({}) == temporary / "labrhel"
    assert not own_folder({}).exists()


@on_posix
def test_the_second_folder_is_one_for_each_user_and_each_first_folder(temporary: Path, tmp_path: Path) -> None:
    first, second = folders(tmp_path / "a")
    assert first == tmp_path / "a" and second.parent == temporary
    prefix, user, digest = second.name.split("-")
    assert (prefix, user, len(digest)) == ("labrhel", str(os.getuid()), 12)
    assert folders(tmp_path / "a")[1] == second != folders(tmp_path / "b")[1]
    assert places.folders()[0] == state_folder()


@on_posix
def test_temporary_files_lie_where_every_program_looks_whatever_its_environment_says() -> None:
    assert places.temporary_folder({"TEMP": "elsewhere", "TMPDIR": "elsewhere"}) == Path("/tmp")


# -- keeping and finding -----------------------------------------------------------------------------------------------


@on_posix
def test_what_is_kept_is_for_this_user_alone_with_the_folders_that_are_made_for_it(
    temporary: Path, tmp_path: Path, generous: None
) -> None:
    place = tmp_path / "deep" / "state"
    file = kept("rigs/one.json", "text", place)
    assert file == place / "rigs" / "one.json" and file.read_text() == "text"
    assert (mode(file), mode(file.parent), mode(place)) == (0o600, 0o700, 0o700)
    assert list(temporary.iterdir()) == []


@on_posix
def test_a_folder_within_that_others_may_enter_is_closed_to_them_and_the_shared_one_is_not(
    temporary: Path, tmp_path: Path
) -> None:
    place = tmp_path / "state"
    for bits in (0o755, 0o750, 0o701):
        (place / "rigs").mkdir(parents=True, exist_ok=True)
        place.chmod(0o755)
        (place / "rigs").chmod(bits)
        kept("rigs/one.json", "", place)
        kept("latch.json", "", place)
        assert (mode(place / "rigs"), mode(place)) == (0o700, 0o755)
    (place / "rigs").chmod(0o500)  # which is nobody else's business
    kept("rigs/one.json", "", place)
    assert mode(place / "rigs") == 0o500 or os.getuid() != 0


def test_where_the_first_folder_takes_nothing_the_second_does_and_both_are_looked_through(
    temporary: Path, tmp_path: Path
) -> None:
    place = tmp_path / "state"
    place.write_text("no folder")
    file = kept("rigs/one.json", "text", place)
    assert file == folders(place)[1] / "rigs" / "one.json"
    assert found("rigs/one.json", place) == [file]
    assert listed("rigs", ".json", place) == ([file], [])
    place.unlink()
    other = kept("rigs/two.json", "text", place)
    (other.parent / ".three.json").write_text("")
    (other.parent / "four.txt").write_text("")
    (other.parent / "five.json").write_text("")
    assert listed("rigs", ".json", place) == ([other.parent / "five.json", other, file], [])
    assert found("rigs/two.json", place) == [other]
    assert listed("none", ".json", place) == ([], [])


def test_where_no_folder_takes_it_the_error_is_that_of_the_first(temporary: Path, tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.write_text("no folder")
    folders(place)[1].write_text("no folder")
    with pytest.raises(OSError, match="state") as caught:
        kept("rigs/one.json", "text", place)
    assert str(temporary) not in str(caught.value)


def test_a_file_that_cannot_be_written_is_what_it_was_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "one"
    rewrite(file, "é")
    assert file.read_text(encoding="utf-8") == "é"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        rewrite(tmp_path / "folder", "text")
    with pytest.raises(OSError, match="nowhere"):
        rewrite(tmp_path / "nowhere" / "one", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "one"]


@on_posix
def test_a_folder_that_cannot_be_listed_is_named(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "rigs").symlink_to("rigs")  # to itself, where even the superuser comes to no end
    assert listed("rigs", ".json", tmp_path) == ([], [tmp_path / "rigs"])


def test_what_may_not_be_looked_at_is_not_there(tmp_path: Path) -> None:
    assert is_there(tmp_path)
    assert not is_there(tmp_path / "none")
    assert not is_there(tmp_path / ("long" * 1000))


# -- whom to believe ---------------------------------------------------------------------------------------------------


@on_posix
def test_a_folder_for_temporary_files_is_believed_if_it_is_a_folder_of_this_user(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = temporary / "labrhel-one"
    assert not is_ours(ours)  # it is not there
    ours.mkdir()
    assert is_ours(ours)
    (temporary / "labrhel-link").symlink_to(ours)
    (temporary / "labrhel-file").write_text("")
    assert not is_ours(temporary / "labrhel-link") and not is_ours(temporary / "labrhel-file")
    user = os.getuid()
    monkeypatch.setattr(places.os, "getuid", lambda: user + 1)
    assert not is_ours(ours)
    assert is_ours(temporary / "another")  # chosen by name: not one that stands in
    assert is_ours(tmp_path / "labrhel-one")


@on_posix
def test_nothing_is_kept_in_a_second_folder_of_somebody_else(temporary: Path, tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.write_text("no folder")
    (tmp_path / "theirs").mkdir()
    folders(place)[1].symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="state"):
        kept("one.json", "text", place)
    assert found("one.json", place) == [] and listed(".", ".json", place) == ([], [])
    assert list((tmp_path / "theirs").iterdir()) == []
