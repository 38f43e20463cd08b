"""A run folder that was copied or renamed goes by the name of its folder, says what it is a copy of, and is its own."""

import json
import shutil
from pathlib import Path

import pytest

from labrhel import open_run
from labrhel.store import RunReader
from labrhel.store.index import INDEX, rows
from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import SMALL
from labrhel.view.overview import Overview


@pytest.fixture
def copied(shell: Shell) -> tuple[Shell, str]:
    """A run with a copy beside it, called `before`, and a second copy in another folder."""
    shell.write(SMALL)
    assert shell("run", "small.yaml", "--steps", "2", "--no-plot")[0] == 0
    (run,) = (path for path in Path("runs").iterdir() if path.is_dir())
    shutil.copytree(run, "runs/before")
    shutil.copytree(run, f"backup/{run.name}")
    return shell, run.name


def test_a_copy_is_listed_by_its_folder_and_says_of_what_it_is_one(copied: tuple[Shell, str]) -> None:
    shell, name = copied
    status, listed, _ = shell("runs")
    assert status == 0
    lines = [line for line in listed.splitlines() if "done" in line]
    assert len(lines) == 2
    (copy,) = (line for line in lines if line.split("│")[1].strip() == "before")
    assert f"copy of {name}" in copy
    assert "copy of" not in next(line for line in lines if line is not copy)
    told = {row["id"]: row["copy_of"] for row in json.loads(shell("runs", "--json")[1])["runs"]}
    assert told == {name: "", "before": name}
    Path(f"runs/{INDEX}").unlink()
    assert {row.id: row.copy_of for row in rows(Path("runs"))} == told
    watched = Overview(Path("runs"))
    watched.look()
    assert {line.id for line in watched.lines} == {name, "before"}
    assert (progress := watched.progress("before")) is not None
    assert progress.folder.name == "before"


def test_commands_take_the_folder_that_is_named_and_leave_the_other_alone(copied: tuple[Shell, str]) -> None:
    shell, name = copied
    original = {path: path.read_bytes() for path in Path("runs", name).rglob("*") if path.is_file()}
    status, shown, _ = shell("show", "before")
    assert status == 0
    assert shown.startswith(f"before   done\na copy of {name}\n")
    with Path("runs/before/config.yaml").open("a") as file:
        file.write("# touched\n")
    assert shell("verify", "before")[0] == 1
    assert shell("verify", name)[0] == 0
    shutil.rmtree("runs/before")
    shutil.copytree(f"backup/{name}", "runs/before")
    assert shell("resume", "before", "--steps", "3", "--no-plot")[0] == 0
    longer, before = (RunReader(Path("runs", each)).scalars()["step"].size for each in ("before", name))
    assert longer > before
    assert {path: path.read_bytes() for path in Path("runs", name).rglob("*") if path.is_file()} == original
    assert shell("show", Path("backup") / name)[1].startswith(f"{name}   done\nrig")


def test_a_copy_that_a_page_speaks_of_is_called_by_its_folder(copied: tuple[Shell, str]) -> None:
    _, name = copied
    run = open_run("runs/before")
    assert (run.id, run.reader.origin) == ("before", name)
