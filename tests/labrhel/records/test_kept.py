"""A run that kept the traces of some steps is replayed at these, and says which they are."""

from pathlib import Path

import pytest

from labrhel.errors import RecordError
from labrhel.records.kept import replay_kept, spelled
from labrhel.store import RunReader
from labrhel.testing.command_line import Shell, only_run
from labrhel.testing.configurations import small

LOGARITHMIC = small(**{"coupling: {value: 0.1, train: true,": "coupling: {value: 0.1, train: true, transform: log,",
                       "bounds: [0, 2]": "bounds: [0.01, 2]"})  # fmt: skip


def recorded(folder: Path, text: str, *words: str) -> RunReader:
    shell = Shell(folder)
    status, _, errors = shell("run", shell.write(text), "--steps", "8", *words)
    assert status == 0, errors
    return only_run(folder / "runs")


@pytest.mark.parametrize("rig", ["sim:", "sim:small.yaml?noise=1mV&drift=1e-5&seed=3"])
def test_the_steps_that_were_kept_are_the_same_to_the_bit_and_are_named(rig: str, tmp_path: Path) -> None:
    reader = recorded(tmp_path, LOGARITHMIC, "--rig", rig)
    done = replay_kept(reader.folder)
    assert done.refused == done.different == {}
    assert done.same
    assert list(done.losses) == [0, 3, 6]
    losses = reader.scalars()
    assert [done.losses[step] for step in (0, 3, 6)] == [
        losses["loss"][losses["step"] == step][0] for step in (0, 3, 6)
    ]
    status, out, _ = Shell(tmp_path)("replay")
    assert status == 0
    assert "3 of 8 gradients replayed" in out
    assert "steps 0, 3, 6" in out
    assert "traces were kept for one step in 3" in out


def test_a_step_that_does_not_come_out_as_it_did_is_named_and_fails(tmp_path: Path) -> None:
    reader = recorded(
        tmp_path, small(**{"record: every 3": "record: every 3, lock: 6"}), "--rig", "sim:?noise=1mV&friction=20/s"
    )
    done = replay_kept(reader.folder)
    assert 0 in done.losses, "the first step begins with no lock"
    assert list(done.refused) == [3, 6], "what the lock had learned is not published"
    assert not done.same
    status, out, _ = Shell(tmp_path)("replay")
    assert status == 1
    assert "step 3: step 3, recorded shot " in out


def test_a_run_that_kept_no_traces_says_so(tmp_path: Path) -> None:
    reader = recorded(tmp_path, small(**{"record: every 3": "record: none"}))
    with pytest.raises(RecordError, match="nothing to replay: no traces were kept"):
        replay_kept(reader.folder)


def test_many_steps_are_said_by_the_first_and_the_last() -> None:
    assert spelled([0, 3]) == "0, 3"
    assert spelled(range(0, 100, 5)) == "0, 5, 10, 15, ... 95"
