"""A recorded run, opened: what was learned and what was read, as xarray objects with units and named dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labrhel.errors import RecordError
from labrhel.notebook import line, table
from labrhel.store.consolidate import results_of, traces_of
from labrhel.store.folder import find_run
from labrhel.store.reader import RunReader

if TYPE_CHECKING:
    import xarray

    from labrhel.arrays import Array

_RUNS = Path("runs")
_LONG_NAMES = {"loss": "mean squared error over the variance of the training targets"}


def open_run(run: str | Path, runs: str | Path = _RUNS) -> Run:
    """The run that a folder names, or its id below the folder `runs`, or the beginning of one.

    Raises ConfigurationError unless exactly one run fits, RecordError for a folder that is no run.
    """
    return Run(RunReader(find_run(str(run), Path(runs))))


class Run:
    """A run by its record, which may still be growing; everything is read when it is asked for."""

    def __init__(self, reader: RunReader) -> None:
        self.reader = reader

    @property
    def folder(self) -> Path:
        """Where the record lies."""
        return self.reader.folder

    @property
    def id(self) -> str:
        """The run's id."""
        return self.reader.id

    @property
    def status(self) -> str:
        """done, stalled, failed, interrupted, unsafe, running or killed."""
        return self.reader.status

    @property
    def warnings(self) -> list[str]:
        """What was warned of, in order."""
        return [text for _, text in self.reader.words()]

    @property
    def scalars(self) -> xarray.Dataset:
        """Everything that steps published, (step,) each: loss, eps, response ratio, errors on test sets ..."""
        import xarray

        columns = self.reader.scalars()
        steps = columns.pop("step")
        unit = self.reader.manifest.get("target_unit", "")
        data = {
            name: ("step", values, {"units": unit if name.startswith(("test_", "zero_")) else "1"} | _named(name))
            for name, values in columns.items()
        }
        return xarray.Dataset(data, {"step": ("step", steps, {"long_name": "training step"})}, {"run": self.id})

    @property
    def loss(self) -> xarray.DataArray:
        """The loss of every gradient, (step,).  Raises RecordError before the first."""
        scalars = self.scalars
        if "loss" not in scalars:
            raise RecordError(f"{self.id} has no loss: it was stopped before its first gradient was complete")
        return scalars["loss"].dropna("step")

    @property
    def parameters(self) -> xarray.Dataset:
        """The trained values as each step measured them, (step,) each, by names such as `coupling[3]`."""
        import xarray

        columns, units = self.reader.parameters(), self.reader.manifest.get("units", {})
        steps = columns.pop("step")
        data = {
            name: ("step", values, {"units": units.get(name.partition("[")[0], "")}) for name, values in columns.items()
        }
        return xarray.Dataset(data, {"step": ("step", steps, {"long_name": "training step"})}, {"run": self.id})

    def traces(self, step: int | None = None) -> xarray.Dataset:
        """What the shots of a step read, as the rig gave it: `forward` and `echo`, (shot, repeat, channel, time).

        The last step whose echoes were kept, if `step` is None.  Raises RecordError for a step that kept none.
        """
        found = traces_of(self.reader, step)
        if not found.data_vars:
            kept = sorted({shot.step for shot in self.reader.shots() if shot.capture is not None})
            which = "no step" if step is None else f"step {step} not"
            others = f"steps that did: {', '.join(map(str, kept[:8]))}{' ...' if len(kept) > 8 else ''}"
            raise RecordError(
                f"{self.id} kept traces of {which} (record: {self.reader.policy}); "
                f"{others if kept else 'record with `record: all`, or `every N`'}"
            )
        return found

    @property
    def input(self) -> xarray.Dataset:
        """What drove the first sequence of each test set, (port, time)."""
        unit = self.reader.manifest["configuration"]["model"]["units"]["input"]
        return self._tested("input", "port", unit)

    @property
    def target(self) -> xarray.Dataset:
        """What the read-out should be on the first sequence of each test set, (output, time)."""
        return self._tested("target", "output", self.reader.manifest["target_unit"])

    @property
    def readout(self) -> xarray.Dataset:
        """What the trained rig gave on the first sequence of each test set, (output, time)."""
        return self._tested("output", "output", self.reader.manifest["target_unit"])

    @property
    def readout_before(self) -> xarray.Dataset:
        """What the rig gave before it was trained, on the same sequences."""
        return self._tested("before", "output", self.reader.manifest["target_unit"])

    def _tested(self, what: str, rows: str, unit: str) -> xarray.Dataset:
        """By test set, each with a time of its own, `NAME_time`: test sets may differ in length."""
        import xarray

        data: dict[str, Any] = {}
        coordinates: dict[str, Any] = {}
        for name, result in self._results().items():
            if what not in result:
                raise RecordError(
                    f"{self.id} holds no {what} of its tests: it was recorded by an older version of labrhel; "
                    "run it again, or read the drives of its shots with .reader.load_program"
                )
            time = f"{name}_time"
            values: Array = np.asarray(result[what])
            if not values.size:  # of data that nothing drives
                values = np.empty((0, np.shape(result["target"])[1]))
            data[name] = ((rows, time), values, {"units": unit})
            if "spacing" in result:
                times = result["spacing"] * np.arange(values.shape[1])
                coordinates[time] = (time, times, {"units": self.reader.manifest["time_unit"]})
            if rows == "port":
                coordinates[rows] = (rows, list(result["ports"]))
            elif "outputs" in result:
                coordinates[rows] = (rows, list(result["outputs"]))
        return xarray.Dataset(data, coordinates, {"run": self.id})

    def _results(self) -> dict[str, dict[str, Any]]:
        found = results_of(self.reader)
        if found:
            return found
        if not self.reader.manifest["configuration"].get("data"):
            raise RecordError(f"{self.id} has no data section, and so no tests")
        if self.status in ("done", "stalled"):
            raise RecordError(f"{self.id} had no test set: name one under data.test, or data.teacher.test_sequences")
        raise RecordError(f"{self.id} is {self.status}: its tests are recorded at the end; `labrhel resume {self.id}`")

    def __repr__(self) -> str:
        return line(f"<Run {self.id}: {', '.join(f'{name} {value}' for name, value in self._told())}>")

    def _repr_html_(self) -> str:
        return table(f"run {self.id}", self._told())

    def _told(self) -> list[tuple[str, object]]:
        losses = self.reader.scalars().get("loss", np.array([]))
        losses = losses[np.isfinite(losses)]
        course = f"{losses[0]:.4g} -> {losses[-1]:.4g} in {losses.size} gradients" if losses.size else "none yet"
        rows = [("status", self.status), ("rig", self.reader.manifest.get("rig", "")), ("loss", course)]
        return [*rows, ("traces", str(self.reader.policy)), ("folder", self.folder)]


def _named(name: str) -> dict[str, str]:
    return {"long_name": _LONG_NAMES[name]} if name in _LONG_NAMES else {}
