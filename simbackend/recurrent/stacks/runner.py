"""What `labrhel run` is given for a stack: its experiment, and the recording that runs it."""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from labrhel.experiment.runners import Watch
from simbackend.recurrent.stacks import experiment, recording
from simbackend.recurrent.stacks.problem import Problem


@lru_cache(maxsize=1)
def data_digest(problem: Problem) -> str:
    """That of a problem's data; many trainings of one set ask for it in turn."""
    return problem.digest()


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

    @property
    def name(self) -> str:
        """That of the file."""
        return self.experiment.name

    @property
    def resolved(self) -> dict[str, Any]:
        """All that decides the result: the configuration with what was left out, seeds and epochs, and the data."""
        experiment = self.experiment
        return {
            "configuration": experiment.config.model_dump(mode="json"),
            "seeds": experiment.seeds,
            "epochs": experiment.epochs,
            "data": data_digest(experiment.problem),
        }

    def start(self, root: Path, watch: Watch, identity: str | None = None) -> list[str]:
        """Train all seeds into a new run folder under `root`, named `identity`."""
        return recording.start(self.experiment, root, watch, identity)

    def resume(self, folder: Path, watch: Watch) -> list[str]:
        """Go on from the last checkpoint of the run in `folder`."""
        return recording.resume(self.experiment, folder, watch)


def load(file: Path, *, home: Path, steps: int | None, seed: int | None, changes: Sequence[str] = ()) -> StackRun:
    """The run of a file; the runner that `labrhel.experiment.runners` calls.  Raises ConfigurationError."""
    return StackRun(experiment.load(file, home=home, steps=steps, seed=seed, changes=changes))
