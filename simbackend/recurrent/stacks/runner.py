"""What `labrhel run` is given for a stack: its experiment, and the recording that runs it."""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labrhel.experiment.runners import Watch
from simbackend.recurrent.stacks import experiment, recording


@dataclass(frozen=True, slots=True)
class StackRun:
    """A stack's experiment as a `labrhel.experiment.runners.Runnable`."""

    experiment: experiment.StackExperiment

    @property
    def steps(self) -> int:
        """Epochs of all seeds."""
        return self.experiment.steps

    def rehearse(self) -> list[str]:
        """Build a stack and say what a run would do."""
        return self.experiment.rehearse()

    def start(self, root: Path, watch: Watch) -> list[str]:
        """Train all seeds into a new run folder under `root`."""
        return recording.start(self.experiment, root, watch)

    def resume(self, folder: Path, watch: Watch) -> list[str]:
        """Go on from the last checkpoint of the run in `folder`."""
        return recording.resume(self.experiment, folder, watch)


def load(file: Path, *, home: Path, steps: int | None, seed: int | None, changes: Sequence[str] = ()) -> StackRun:
    """The run of a file; the runner that `labrhel.experiment.runners` calls.  Raises ConfigurationError."""
    return StackRun(experiment.load(file, home=home, steps=steps, seed=seed, changes=changes))
