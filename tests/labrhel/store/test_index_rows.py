"""The rows of the index, on runs that are written by hand: what each column says, what is asked, what is cut."""

import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, RecordError
from labrhel.shots.operations import Publish
from labrhel.store import Policy, RunWriter, create_run, index
from labrhel.store.index import INDEX, RunRow, archive, label, matching, prune, rows

NAN = float("nan")


def made(
    root: Path, name: str, losses: Iterable[float], *, second: int = 0, tests: Iterable[float] = (), end: str = "done"
) -> Path:
    """A run with these losses, one a step, and these errors of its test, at the steps 0, 2, 4 ..."""
    manifest = {"rig": f"sim:{name}", "configuration": {"protocol": {"rule": "heb"}}}
    now, token = (lambda: datetime(2030, 1, 1, 0, 0, second, tzinfo=UTC)), partial(str, f"{name}00")
    writer = create_run(root, name, manifest, "a: 1\n", Policy(), now=now, token=token)
    for step, loss in enumerate(losses):
        writer.published(Publish(step, {"loss": loss}))
    for step, error in enumerate(tests):
        writer.published(Publish(2 * step, {"test_held out": error}))
    writer.end(end) if end else writer.close()  # type: ignore[arg-type]
    return writer.folder


def test_a_row_says_what_the_run_came_to(tmp_path: Path) -> None:
    folder = made(tmp_path, "one", [NAN, 5.0, 3.0, NAN, 4.0, np.inf], tests=[0.9, 0.4, NAN])
    label(folder, add=["good"], note="look here")
    (row,) = rows(tmp_path)
    assert row == RunRow(
        folder, folder.name, "one", "2030-01-01T00:00:00+00:00", "done", "sim:one", "heb", 3, 5.0, 4.0, 0.4,
        row.bytes, ("good",), "look here",
    )  # fmt: skip
    assert row.bytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("losses", "tests"), [([], []), ([NAN], [NAN]), ([1.0], [])])
def test_what_was_not_measured_is_not_a_number(tmp_path: Path, losses: list[float], tests: list[float]) -> None:
    made(tmp_path, "one", losses, tests=tests)
    (row,) = rows(tmp_path)
    assert np.isnan(row.error)
    assert np.isnan(row.first_loss) == np.isnan(row.last_loss) == (row.gradients == 0)
    assert row.gradients == sum(np.isfinite(losses))


def test_runs_are_newest_first_and_other_things_in_the_folder_are_none(tmp_path: Path) -> None:
    for name, second in (("b", 1), ("a", 3), ("c", 2)):
        made(tmp_path, name, [1.0], second=second)
    (tmp_path / "notes").mkdir()
    hidden = tmp_path / ".20300101T000009Z-d-d00.making"
    shutil.copytree(next(tmp_path.glob("*-b-*")), hidden)
    (tmp_path / "a file").write_text("")
    assert [row.name for row in rows(tmp_path)] == ["a", "c", "b"]
    assert rows(tmp_path / "nowhere") == []


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the folders that are opened from now on."""
    names: list[str] = []

    def reader(folder: Path) -> Any:
        names.append(folder.name.split("-")[1])
        return index_reader(folder)

    index_reader = index.RunReader
    monkeypatch.setattr(index, "RunReader", reader)
    return names


def test_a_run_is_opened_again_only_if_it_changed_or_is_running(tmp_path: Path, opened: list[str]) -> None:
    one, two = made(tmp_path, "one", [1.0]), made(tmp_path, "two", [2.0], second=1)
    running = made(tmp_path, "run", [3.0], second=2, end="")
    assert [row.status for row in rows(tmp_path)] == ["killed", "done", "done"]
    assert sorted(opened) == ["one", "run", "two"]
    opened.clear()
    assert [row.last_loss for row in rows(tmp_path)] == [3.0, 2.0, 1.0]
    assert opened == []
    writer = RunWriter.open_for_resume(running)
    assert rows(tmp_path)[0].status == "running"
    label(one, add=["x"])
    opened.clear()
    assert [row.tags for row in rows(tmp_path)] == [(), (), ("x",)]
    assert sorted(opened) == ["one", "run"]
    writer.end("failed")
    with RunWriter.open_for_resume(two) as again:
        again.published(Publish(1, {"loss": 0.5}))
    assert [(row.status, row.last_loss) for row in rows(tmp_path)] == [("failed", 3.0), ("done", 0.5), ("done", 1.0)]


def test_a_run_that_is_gone_leaves_the_index_and_the_others_stay(tmp_path: Path, opened: list[str]) -> None:
    folders = [made(tmp_path, name, [1.0], second=second) for second, name in enumerate("abc")]
    rows(tmp_path)
    shutil.rmtree(folders[1])
    assert [row.name for row in rows(tmp_path)] == ["c", "a"]
    with closing(sqlite3.connect(tmp_path / INDEX)) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (2,)
    shutil.copytree(folders[0], folders[1])
    opened.clear()
    assert len(rows(tmp_path)) == 3
    assert len(opened) == 1


def test_a_damaged_run_has_a_row_that_says_why(tmp_path: Path) -> None:
    folder = made(tmp_path, "one", [1.0])
    label(folder, add=["odd"])
    (folder / "journal.log").write_bytes(b"\0" * 100)
    (row,) = rows(tmp_path)
    assert (row.status, row.id, row.name, row.gradients, row.tags) == ("damaged", folder.name, "", 0, ("odd",))
    assert "journal" in row.damage
    assert np.isnan([row.error, row.first_loss, row.last_loss]).all()
    assert rows(tmp_path)[0].damage == row.damage


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 100, None])
def test_a_broken_index_or_one_of_other_columns_is_made_anew(tmp_path: Path, content: bytes | None) -> None:
    made(tmp_path, "one", [1.0], tests=[0.5])
    before = rows(tmp_path)
    if content is None:
        (tmp_path / INDEX).unlink()
        with sqlite3.connect(tmp_path / INDEX) as database:
            database.execute("CREATE TABLE runs (folder PRIMARY KEY, colour)")
    else:
        (tmp_path / INDEX).write_bytes(content)
    assert rows(tmp_path) == before
    assert (tmp_path / INDEX).read_bytes()[:6] == b"SQLite"
    assert rows(tmp_path) == before


def test_where_no_index_can_be_written_the_runs_are_listed_all_the_same(tmp_path: Path) -> None:
    made(tmp_path, "one", [1.0], tests=[0.5])
    (tmp_path / INDEX).mkdir()
    assert [row.name for row in rows(tmp_path)] == ["one"]


# -- asking ------------------------------------------------------------------------------------------------------------


def row(name: str, **changes: Any) -> RunRow:
    facts = {
        "folder": Path(name), "id": f"2030-{name}", "name": name, "created": "", "status": "done", "rig": "sim:x",
        "rule": "rhel", "gradients": 1, "first_loss": 2.0, "last_loss": 1.0, "error": 0.1, "bytes": 9, "tags": (),
        "note": "",
    }  # fmt: skip
    return RunRow(**(facts | changes))


SOME = (
    row("Alpha", status="failed", tags=("good", "paper"), last_loss=0.5),
    row("beta", rig="bench:alpha.yaml", last_loss=2.0),
    row("gamma", note="as ALPHA", rule="heb", tags=("good",), last_loss=NAN),
)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({}, ["Alpha", "beta", "gamma"]),
        ({"text": "aLpha"}, ["Alpha", "beta", "gamma"]),
        ({"text": "2030-b"}, ["beta"]),
        ({"text": "heb"}, ["gamma"]),
        ({"text": "delta"}, []),
        ({"status": "done"}, ["beta", "gamma"]),
        ({"status": "fail"}, []),
        ({"tag": "good"}, ["Alpha", "gamma"]),
        ({"tag": "goo"}, []),
        ({"below": 2.0}, ["Alpha"]),
        ({"below": 2.1}, ["Alpha", "beta"]),
        ({"text": "alpha", "tag": "good", "status": "failed", "below": 1.0}, ["Alpha"]),
        ({"text": "alpha", "tag": "good", "status": "done", "below": 1.0}, []),
    ],
)
def test_runs_match_if_everything_that_is_asked_does(asked: dict[str, Any], names: list[str]) -> None:
    assert [item.name for item in matching(SOME, **asked)] == names


# -- labels ------------------------------------------------------------------------------------------------------------


def labels(folder: Path) -> tuple[list[str], str]:
    data = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    return data["tags"], data["note"]


def test_labels_that_somebody_has_changed_or_spoiled_are_said_to_be_unreadable(tmp_path: Path) -> None:
    folder = made(tmp_path, "one", [1.0])
    label(folder, add=["good"], note="mine")
    whole = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    older = {name: whole[name] for name in ("tags", "note")}  # of a version that wrote no digest
    for data, found in (
        (older, (("good",), "mine")),
        (whole | {"note": "theirs"}, ((), "(its labels cannot be read)")),
        (whole | {"more": 1}, ((), "(its labels cannot be read)")),
        (older | {"digest": "0" * 32}, ((), "(its labels cannot be read)")),
        ({"tags": ["good"]}, ((), "(its labels cannot be read)")),
        ([], ((), "(its labels cannot be read)")),
    ):
        (folder / "labels.json").write_text(json.dumps(data) + " " * len(found[1]))
        (row,) = rows(tmp_path)
        assert (row.tags, row.note) == found


def test_tags_are_kept_once_in_their_order_and_a_note_until_it_is_replaced(tmp_path: Path) -> None:
    label(tmp_path, add=["b", "a", "b"], note="für später")
    label(tmp_path, add=["c", "a"])
    assert labels(tmp_path) == (["b", "a", "c"], "für später")
    label(tmp_path, remove=["a", "z"], note="")
    assert labels(tmp_path) == (["b", "c"], "")
    label(tmp_path, add=["d"], remove=["d"])
    assert labels(tmp_path) == (["b", "c"], "")
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]


@pytest.mark.parametrize("tag", ["two words", "", "a,b", "a\nb", "a\tb"])
def test_a_tag_is_one_word(tmp_path: Path, tag: str) -> None:
    with pytest.raises(ConfigurationError, match="a tag is one word"):
        label(tmp_path, add=["fine", tag])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["{", "[]", '{"tags": 3, "note": ""}', '{"tags": []}'])
def test_labels_that_cannot_be_read_hide_no_run(tmp_path: Path, text: str) -> None:
    folder = made(tmp_path, "one", [1.0])
    (folder / "labels.json").write_text(text)
    (only,) = rows(tmp_path)
    assert (only.tags, only.note) == ((), "(its labels cannot be read)")


def test_labels_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"the labels of .* could not be written"):
        label(tmp_path / "nowhere", add=["a"])


# -- archives and deletion ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run.tar.gz", "deep/er/run.tgz"])
def test_an_archive_unpacks_to_the_folder_that_it_was(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path / "runs", "one", [1.0])
    to = tmp_path / name
    assert archive(folder, to) == to
    assert [path.name for path in to.parent.iterdir() if path.is_file()] == [to.name]
    assert to.read_bytes()[:2] == b"\x1f\x8b"  # gzip
    with tarfile.open(to) as packed:
        packed.extractall(tmp_path / "out", filter="data")
    for file in folder.rglob("*"):
        if file.is_file():
            assert (tmp_path / "out" / folder.name / file.relative_to(folder)).read_bytes() == file.read_bytes()


def test_an_archive_of_another_name_or_at_an_impossible_place_is_refused(tmp_path: Path) -> None:
    folder = made(tmp_path / "runs", "one", [1.0])
    with pytest.raises(ConfigurationError, match=r"does not end in \.tar\.gz"):
        archive(folder, tmp_path / "run.zip")
    with pytest.raises(RecordError, match=r"could not be written: .*; nothing else changed"):
        archive(tmp_path / "nowhere", tmp_path / "run.tar.gz")
    assert sorted(os.listdir(tmp_path)) == ["runs"]  # noqa: PTH208


def test_pruning_deletes_what_it_is_given_but_never_what_is_running(tmp_path: Path) -> None:
    for name in ("one", "two", "six"):
        made(tmp_path, name, [1.0])
    found = {item.name: item for item in rows(tmp_path)}
    writer = RunWriter.open_for_resume(found["two"].folder)
    asked = [item for item in rows(tmp_path) if item.name != "six"]
    assert [item.name for item in prune(asked)] == ["one"]
    writer.close()
    assert sorted(item.name for item in rows(tmp_path)) == ["six", "two"]


def test_many_runs_are_known_by_their_summaries_and_those_that_changed_since_by_their_records(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [made(tmp_path, name, [1.0, 2.0], tests=[0.5], second=second) for second, name in enumerate("abcde")]
    recorded = rows(tmp_path)
    (tmp_path / INDEX).unlink()
    opened.clear()
    monkeypatch.setattr(index, "_MANY", 3)
    writer = RunWriter.open_for_resume(folders[1])
    writer.close()  # killed, as it were: the summary is that of before
    (folders[2] / "summary.json").write_text((folders[2] / "summary.json").read_text().replace("1.0", "9.0"))
    (folders[3] / "summary.json").unlink()
    found = rows(tmp_path)
    assert sorted(opened) == ["b", "c", "d"]
    others = [(one, row) for one, row in zip(recorded, found, strict=True) if row.name != "b"]
    assert all((one.last_loss, one.error, one.scores) == (row.last_loss, row.error, row.scores) for one, row in others)
    assert [row.status for row in found] == ["done", "done", "done", "killed", "done"]
