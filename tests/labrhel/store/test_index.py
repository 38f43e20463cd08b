"""The index over runs: right when things change, thrown away when it is broken, fast."""

import tarfile
import time
from pathlib import Path

import pytest

from labrhel import session
from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment
from labrhel.shots.operations import Publish
from labrhel.store import RunReader
from labrhel.store.index import INDEX, archive, label, matching, prune, rows
from labrhel.testing.configurations import SMALL

pytestmark = pytest.mark.slow  # whole runs are made for it; test_index_rows has what needs none


def ignore(published: Publish) -> None:
    """Watch nothing."""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two finished runs."""
    for name, steps in (("one", 3), ("two", 6)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(SMALL)
        session.start(load_experiment(file, steps=steps), tmp_path / "runs", ignore)
    return tmp_path / "runs"


def test_runs_are_listed_newest_first_with_what_they_came_to(runs: Path) -> None:
    newest, oldest = rows(runs)
    assert (newest.name, newest.gradients, newest.status) == ("two", 6, "done")
    assert (oldest.name, oldest.gradients) == ("one", 3)
    losses = RunReader(newest.folder).scalars()["loss"]
    assert newest.first_loss == losses[0]
    assert newest.bytes > 1000 and newest.rule == "rhel"


def test_what_changed_is_read_again_and_what_is_gone_is_forgotten(runs: Path) -> None:
    folder = rows(runs)[1].folder
    session.resume(folder, ignore, steps=5)
    assert {row.name: row.gradients for row in rows(runs)} == {"one": 5, "two": 6}
    list(prune(matching(rows(runs), text="one")))
    assert [row.name for row in rows(runs)] == ["two"]


def test_an_index_that_is_broken_or_gone_is_made_anew(runs: Path) -> None:
    before = rows(runs)
    (runs / INDEX).write_bytes(b"no database at all, but long enough to be one" * 100)
    assert rows(runs) == before
    (runs / INDEX).unlink()
    assert rows(runs) == before


def test_tags_and_notes_go_where_the_run_goes(runs: Path, tmp_path: Path) -> None:
    folder = rows(runs)[0].folder
    label(folder, add=["good", "paper"], note="for figure 3")
    label(folder, remove=["paper"])
    (found,) = matching(rows(runs), tag="good")
    assert (found.tags, found.note) == (("good",), "for figure 3")
    assert matching(rows(runs), text="figure") == [found]
    with pytest.raises(ConfigurationError, match="a tag is one word"):
        label(folder, add=["two words"])
    file = archive(folder, tmp_path / "run.tar.gz")
    with tarfile.open(file) as packed:
        packed.extractall(tmp_path / "elsewhere", filter="data")
    (copied,) = rows(tmp_path / "elsewhere")
    assert copied.tags == ("good",) and RunReader(copied.folder).verify() == []
    with pytest.raises(ConfigurationError, match=r"does not end in .tar.gz"):
        archive(folder, tmp_path / "run.zip")


def test_runs_are_found_by_status_and_loss(runs: Path) -> None:
    found = rows(runs)
    assert matching(found, status="failed") == []
    worst = max(row.last_loss for row in found)
    assert len(matching(found, below=worst)) == 1


def test_a_damaged_run_is_listed_as_such_and_hides_no_other(runs: Path) -> None:
    folder = rows(runs)[0].folder
    (folder / "journal.log").write_bytes(b"\0" * 100)
    damaged = [row for row in rows(runs) if row.status == "damaged"]
    assert [row.folder for row in damaged] == [folder] and damaged[0].damage
    assert len(rows(runs)) == 2


def test_a_thousand_runs_are_listed_at_once(runs: Path) -> None:
    import json
    import shutil

    folder = rows(runs)[0].folder
    for number in range(1000):
        copy = runs / f"{folder.name[:-6]}{number:06x}"
        copy.mkdir()
        for name in ("config.yaml", "journal.log"):
            shutil.copy(folder / name, copy / name)
        manifest = json.loads((folder / "manifest.json").read_text()) | {"id": copy.name}
        (copy / "manifest.json").write_text(json.dumps(manifest))
    rows(runs)
    begin = time.perf_counter()
    assert len(rows(runs)) == 1002
    print(f"listed in {time.perf_counter() - begin:.3f} s")
