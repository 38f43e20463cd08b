"""What else `labrhel run` takes besides rigs: kinds of model that have a runner of their own, such as stacks.

A runner is found under the kind that the model section names (`labrhel.plugins.runner`), and called as
`runner(file, *, home, steps, seed, changes)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from labrhel import plugins
from labrhel.config import find
from labrhel.config.changes import read_changed
from labrhel.config.stack import kind_of
from labrhel.errors import ConfigurationError
from labrhel.shots.operations import Publish
from labrhel.store.manifest import read_manifest

Watch = Callable[[Publish], None]


class Runnable(Protocol):
    """A loaded and checked configuration, ready to run; `steps` is what the progress bar counts to."""

    @property
    def steps(self) -> int:
        """Steps in all."""
        ...

    def rehearse(self) -> list[str]:
        """What a run would do, a line each; nothing is written."""
        ...

    def start(self, root: Path, watch: Watch, identity: str | None = None) -> list[str]:
        """Run into a new folder under `root`, named `identity`; what there is to say at the end, a line each."""
        ...

    def resume(self, folder: Path, watch: Watch) -> list[str]:
        """Go on with the run in `folder` from its last checkpoint; the same lines as `start`."""
        ...


def own_runner(
    configuration: str | Path,
    *,
    rig: str | None,
    steps: int | None,
    seed: int | None,
    home: Path | None = None,
    changes: Sequence[str] = (),
) -> Runnable | None:
    """What the runner makes of a configuration; None if its kind has no runner, so that it describes a rig.

    `home` is the folder that relative paths start from, that of the file if left out.  `changes`: KEY=VALUE in
    place of what the file says.  Raises ConfigurationError.
    """
    file = find(configuration)
    kind = kind_of(read_changed(file, changes))
    runner = plugins.runner(kind) if isinstance(kind, str) else None
    if runner is None:
        return None
    if rig is not None:
        raise ConfigurationError(f"a model of kind {kind} runs on its own engine, not on a rig; leave out --rig")
    return runner(file, home=file.parent if home is None else home, steps=steps, seed=seed, changes=changes)


def own_runner_of_run(folder: Path, steps: int | None) -> Runnable | None:
    """The same for a run that was stopped, as its record says it was started."""
    manifest, config = read_manifest(folder), folder / "config.yaml"
    if "asked_steps" not in manifest:
        return None
    if steps is not None:
        raise ConfigurationError("this run goes on to the steps it was started with; leave out --steps")
    asked, seed = manifest["asked_steps"], manifest["asked_seed"]
    return own_runner(config, rig=None, steps=asked, seed=seed, home=Path(manifest["home"]))
