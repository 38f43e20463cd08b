"""Run folders: what they are called, what order they are listed in, and which of them a few letters mean."""

import os
import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from labrhel.errors import ConfigurationError, RecordError
from labrhel.store import Policy
from labrhel.store.folder import find_run, make_run_folder, random_token, require_plain, run_folders


def made(root: Path, name: str = "run", *, microsecond: int = 0, second: int = 0, token: str = "aaa111") -> Path:
    def now() -> datetime:
        return datetime(2030, 1, 1, 0, 0, second, microsecond, tzinfo=UTC)

    return make_run_folder(root, name, {}, "a: 1\n", Policy(), now=now, token=partial(str, token))


def test_a_run_that_is_not_given_a_time_and_a_token_has_those_of_now(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    names = [make_run_folder(tmp_path, "one", {}, "", Policy()).name for _ in range(2)]
    assert len(set(names)) == 2
    for name in names:
        parts = re.fullmatch(r"(\d{8}T\d{6})Z-one-[0-9a-f]{6}", name)
        assert parts is not None
        assert before <= datetime.strptime(parts[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) <= datetime.now(UTC)
    assert len(random_token()) == 6


@pytest.mark.parametrize(
    ("name", "short"), [("a  b/c", "a_b_c"), ("_.a.b._", "a.b"), ("é", "run"), ("", "run"), ("A-1", "A_1")]
)
def test_a_name_is_made_one_that_a_folder_can_have(tmp_path: Path, name: str, short: str) -> None:
    assert made(tmp_path, name).name == f"20300101T000000Z-{short}-aaa111"


def test_a_folder_of_runs_is_made_with_those_above_it_and_a_name_that_is_taken_is_not_overwritten(
    tmp_path: Path,
) -> None:
    first = made(tmp_path / "deep" / "runs")
    (first / "note.txt").write_text("mine")
    with pytest.raises(RecordError, match="nothing has run"):
        made(tmp_path / "deep" / "runs")
    assert sorted(path.name for path in first.parent.iterdir()) == [first.name]
    assert (first / "note.txt").read_text() == "mine"


def test_a_place_that_may_not_be_written_is_said_to_be_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(RecordError, match="is not writable; nothing has run"):
        made(tmp_path)


def test_runs_of_one_second_are_listed_by_when_they_were_made_and_a_damaged_one_comes_last(tmp_path: Path) -> None:
    early = made(tmp_path, "z", microsecond=1)
    late = made(tmp_path, "a", microsecond=2)
    twins = [made(tmp_path, "same", second=1, token=token) for token in ("b", "c")]
    damaged = made(tmp_path, "m", second=9)
    (damaged / "manifest.json").write_text("{")
    assert run_folders(tmp_path) == [*twins[::-1], late, early, damaged]


def test_the_whole_id_of_a_run_means_it_also_if_another_begins_so(tmp_path: Path) -> None:
    one = made(tmp_path, token="ab")
    other = made(tmp_path, token="abc")
    assert find_run(one.name, tmp_path) == one
    assert find_run(other.name, tmp_path) == other
    with pytest.raises(ConfigurationError, match=r"'ab' fits 2 runs: .*; give more of the id"):
        find_run("ab", tmp_path)
    with pytest.raises(ConfigurationError, match="no run 'run'"):
        find_run("run", tmp_path)  # a name alone is no beginning


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(ConfigurationError, match=r"notes is not a run folder: it has no manifest\.json"):
        find_run(str(tmp_path / "notes"), tmp_path)


@pytest.mark.parametrize(("count", "words"), [(5, r"-t1, \S*-t0$"), (6, r"-t1, \.\.\.$")])
def test_of_many_runs_the_five_newest_are_named(tmp_path: Path, count: int, words: str) -> None:
    for second in range(count):
        made(tmp_path, second=second, token=f"t{second}")
    with pytest.raises(ConfigurationError, match=words):
        find_run("nothing", tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_run_folder_that_holds_a_link_or_a_pipe_is_refused_by_the_name_of_it(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / "more").mkdir()
    require_plain(folder)
    require_plain(tmp_path / "nowhere")
    require_plain(folder / "manifest.json")
    os.mkfifo(folder / "pipe")
    with pytest.raises(RecordError, match=r"pipe is a link or no file"):
        require_plain(folder)
    (folder / "pipe").unlink()
    for target in ("manifest.json", "more"):
        (folder / "link").symlink_to(folder / target)
        with pytest.raises(RecordError, match=r"link is a link or no file"):
            require_plain(folder)
        (folder / "link").unlink()
