"""One training on several rigs: the same experiment on each, with its own wiring, calibration and interlocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labrhel.config import Document
from labrhel.config.rigs import said
from labrhel.experiment._experiment import Experiment
from labrhel.store.manifest import FLEET, SHARE


@dataclass(frozen=True, slots=True)
class Fleet:
    """Two or more members, in the order of the file; the first is the lead while it lives, and runs the tests."""

    members: tuple[Experiment, ...]

    @property
    def lead(self) -> Experiment:
        """The first."""
        return self.members[0]

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.lead.name

    @property
    def steps(self) -> int:
        """Gradients to take."""
        return self.lead.steps

    @property
    def document(self) -> Document:
        """The configuration, which is the same for all."""
        return self.lead.document

    @property
    def home(self) -> Path:
        """The folder that relative paths start from."""
        return self.lead.home

    @property
    def urls(self) -> list[str]:
        """Of the rigs."""
        return [member.rig_url for member in self.members]

    @property
    def on_paper(self) -> list[Experiment]:
        """The members with a batch as large as the largest share, for what a gradient of each will cost."""
        problem = self.lead.problem
        share = -(-problem.batch // len(self.members))
        return [replace(member, problem=replace(member.problem, batch=share)) for member in self.members]

    def doubts(self) -> Iterator[str]:
        """What the file allows and its author may not have meant."""
        idle = len(self.members) - self.lead.problem.batch
        if idle > 0:
            batch = self.lead.problem.batch
            yield f"of {len(self.members)} rigs {idle} are idle in each step, since a batch has {batch}"

    def manifest(self) -> dict[str, Any]:
        """What the record of the run says, as `Experiment.manifest` does for one rig."""
        return self.lead.manifest() | {"rig": said(self.urls), FLEET: self.urls}

    def manifest_of(self, number: int, run: str) -> dict[str, Any]:
        """What the record of member `number`, from 0, says, which is a part of `run`."""
        return self.members[number].facts() | {SHARE: run}

    def close(self) -> None:
        """Give all rigs back."""
        with ExitStack() as closing:
            for member in self.members:
                closing.callback(member.rig.close)
