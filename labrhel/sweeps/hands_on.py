"""A sweep in your hands: `labrhel.sweep(...)` returns its Dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrhel.errors import ConfigurationError
from labrhel.sweeps.axes import axes_along
from labrhel.sweeps.carrying import carry_out
from labrhel.sweeps.crews import Crew, OnExecutor, cores, here
from labrhel.sweeps.figures import dataset, figures_of
from labrhel.sweeps.planning import planned

if TYPE_CHECKING:
    import xarray


def sweep(
    configuration: str | Path,
    values: Mapping[str, Iterable[Any]] | None = None,
    *,
    together: Mapping[str, Iterable[Any]] | None = None,
    runs: str | Path = "runs",
    workers: int | None = None,
    executor: Executor | Any = None,
    scheduler: str | None = None,
    calibrations: str | Path | None = None,
) -> xarray.Dataset:
    """Train a configuration with every combination of values, as `labrhel sweep` does; what came of it, by key.

        found = labrhel.sweep("coupled_oscillators", {"protocol.eps": [1e-4, 1e-3], "optimizer.seed": range(5)})
        found.loss.mean("optimizer.seed")

    `values`: for each key, those that go with all of the other keys; `together`: keys whose values go in turn.  What is
    done below `runs` is kept.  `workers` processes of this computer, as many as there are cores if left out; or the
    workers of an `executor` (of the standard library, or a Dask client), or of the Dask cluster at `scheduler`.
    `calibrations`: folder of the records in which those of a rig are looked for; none without it.

    The Dataset has a dimension for each key of `values` with more than one value, and one for all keys of `together`:
    `loss`, `first_loss`, `gradients`, every published figure at its last, and `status`, `run` and `words`.  A point
    that failed is NaN there, and raises nothing.  Raises ConfigurationError for what can be known to be wrong before.
    """
    if sum(given is not None for given in (workers, executor, scheduler)) > 1:
        raise ConfigurationError("give one of workers, executor and scheduler")
    plan = planned(configuration, axes_along(values or {}, together or {}), _folder(calibrations))
    crew, at_once = _crew(workers, executor, scheduler)
    try:
        states = carry_out(plan, Path(runs), crew, at_once)
    finally:
        if executor is None:
            crew.close()
    return dataset(figures_of(plan, Path(runs), states))


def _folder(named: str | Path | None) -> Path | None:
    return None if named is None else Path(named)


def _crew(workers: int | None, executor: Any, scheduler: str | None) -> tuple[Crew, int | None]:
    if executor is not None:
        if hasattr(executor, "get_executor"):
            from labrhel.sweeps.cluster import crew_of

            return crew_of(executor), None
        if type(executor).__module__.startswith("distributed."):
            raise ConfigurationError("give the Dask client itself as executor, so that its encryption can be checked")
        return OnExecutor(executor), None
    if scheduler is not None:
        from labrhel.sweeps.cluster import crew_at

        return crew_at(scheduler), None
    count = cores() if workers is None else workers
    if count < 1:
        raise ConfigurationError(f"workers is 1 or more, not {workers}")
    return here(count), count
