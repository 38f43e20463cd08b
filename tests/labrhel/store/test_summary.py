"""What a run came to, at a glance: the facts of its record, as long as the record is the one that they are of."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.frozen import digest_of
from labrhel.shots.operations import Publish
from labrhel.store import Policy, RunReader, create_run
from labrhel.store._summary import FILE, facts_of, read_summary, stamp_of, state_of, write_summary


def recorded(root: Path, *scalars: dict[str, float], **manifest: Any) -> Path:
    with create_run(root, "run", manifest, "a: 1\n", Policy.parse("none")) as writer:
        for step, each in enumerate(scalars):
            writer.published(Publish(step, each))
    return writer.folder


def test_the_facts_are_gradients_first_and_last_loss_the_first_test_and_the_last_of_every_score(tmp_path: Path) -> None:
    rule = {"configuration": {"protocol": {"rule": "rhel"}}, "rig": "sim:"}
    folder = recorded(
        tmp_path,
        {"test_a": 9.0, "test_b": 8.0},
        {"loss": 4.0, "eps": 0.1},
        {"loss": np.nan, "test_a": np.inf},
        {"loss": 3.0, "test_a": 0.5},
        {"loss": 2.0, "test_b": 0.25},
        **rule,
    )
    reader = RunReader(folder)
    about = [reader.manifest["id"], "run", reader.manifest["created"], "done", "sim:", "rhel"]
    scores = {"test_a": 0.5, "test_b": 0.25, "eps": 0.1}
    assert facts_of(reader) == [*about, 3, 4.0, 2.0, 0.5, scores, ""]


def test_a_run_without_losses_or_tests_has_none(tmp_path: Path) -> None:
    assert facts_of(RunReader(recorded(tmp_path)))[4:] == ["", "", 0, None, None, None, {}, ""]
    never = recorded(tmp_path, {"test_a": float("inf"), "loss": float("nan")})
    assert facts_of(RunReader(never))[4:] == ["", "", 0, None, None, None, {}, ""]


def test_a_summary_counts_while_manifest_and_journal_are_what_they_were(tmp_path: Path) -> None:
    folder = recorded(tmp_path, {"loss": 4.0})
    facts, stamp = facts_of(RunReader(folder)), stamp_of(folder)
    (folder / FILE).unlink(missing_ok=True)
    assert read_summary(folder, stamp) is None
    write_summary(folder)
    assert read_summary(folder, stamp) == facts
    assert not list(folder.glob(".*.making"))
    for name in ("manifest.json", "journal.log"):
        file = folder / name
        state = file.stat()
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
        assert stamp_of(folder) != stamp and read_summary(folder, stamp_of(folder)) is None
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert stamp_of(folder) == stamp


def test_a_summary_that_is_not_what_was_written_does_not_count(tmp_path: Path) -> None:
    folder = recorded(tmp_path, {"loss": 4.0})
    write_summary(folder)
    stamp, data = stamp_of(folder), json.loads((folder / FILE).read_bytes())
    fewer = {"stamp": stamp, "facts": data["facts"][:-1]}
    made = ({}, [], {**data, "digest": "x"}, {**data, "facts": []}, {**fewer, "digest": digest_of(fewer)})
    for text in ("", *map(json.dumps, made)):
        (folder / FILE).write_text(text)
        assert read_summary(folder, stamp) is None
    (folder / FILE).write_text(json.dumps(data))
    assert read_summary(folder, stamp) is not None and read_summary(folder, "0.0") is None


def test_a_file_that_is_not_there_has_no_state(tmp_path: Path) -> None:
    assert state_of(tmp_path / "none") == "-"
    (tmp_path / "some").write_bytes(b"1234")
    assert state_of(tmp_path / "some").startswith("4.")
