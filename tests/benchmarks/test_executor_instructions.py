"""Operations whose instructions are counted are one operation each, and all go through the executor."""

from pathlib import Path

from benchmarks.executor_instructions import works
from labrhel.store import RunReader


def test_each_is_one_operation_that_is_recorded(tmp_path: Path) -> None:
    known = works(tmp_path)
    for work in known.values():
        work()
        work()
    digests, full = sorted((RunReader(folder) for folder in tmp_path.iterdir()), key=lambda run: len(run.operations()))
    assert len(full.scalars()["scalar6"]) == 2 and len(full.operations()) == 2 * (len(known) - 2)
    assert len(digests.shots()) == len(digests.operations()) == 2
    assert not [*full.verify(), *digests.verify()]
