"""The record of a run: one self-contained folder, append-only and crash-safe while it is written.

`create_run` and `RunWriter.open_for_resume` give the writer that a `labrhel.executor.Recorder` writes to; `RunReader`
reads, also while the run goes on; `consolidate` makes the netCDF file.
"""

from labrhel.store.consolidate import consolidate
from labrhel.store.folder import find_run, run_folders
from labrhel.store.manifest import require_replayable
from labrhel.store.policy import Policy
from labrhel.store.reader import OperationRecord, RunReader, ShotRecord, list_runs
from labrhel.store.writer import RunWriter, create_run

__all__ = [
    "OperationRecord",
    "Policy",
    "RunReader",
    "RunWriter",
    "ShotRecord",
    "consolidate",
    "create_run",
    "find_run",
    "list_runs",
    "require_replayable",
    "run_folders",
]
