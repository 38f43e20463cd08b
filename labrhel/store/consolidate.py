"""One netCDF file of a run, which `xarray.open_dataset` reads: scalars, parameters, last traces, and what it was.

    step                       scalars NAME(step); `trained`(step, parameter)
    forward, echo              (shot, repeat, channel, time) of the last step whose traces were kept
    NAME_input, NAME_target    (port or output, NAME_time) of the first sequence of the test set NAME,
    NAME_readout_before,       before and after training
    NAME_readout

Shots that are shorter than the longest are filled with NaN.  The same record gives the same data; only attributes
that hold wall-clock times and machine names differ from run to run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labrhel.shots.capture import PassCapture, Trace
from labrhel.store._netcdf import Table, Variable
from labrhel.store.outputs import written_aside
from labrhel.store.reader import RunReader, ShotRecord

if TYPE_CHECKING:
    import xarray

FILE = "run.nc"
_ROOM = 1 << 20  # bytes for attributes and the tables of HDF5, beside the data


def consolidate(folder: Path, to: Path | None = None) -> Path:
    """Write the run in `folder` as one netCDF file (default: run.nc inside it), replacing one that is there.

    Units come from the manifest's `units` (name -> unit) and from the traces.  Raises RecordError if the record
    cannot be read or the file not written.
    """
    path = folder / FILE if to is None else to
    table = _table(RunReader(folder))
    # HDF5 crashes at exit after a disk that filled while it wrote: the room is asked for first.
    with written_aside(path, _ROOM + table.nbytes) as aside:
        table.write(aside)
    return path


def as_dataset(reader: RunReader) -> xarray.Dataset:
    """What `consolidate` writes, as `xarray.open_dataset` reads it."""
    return _table(reader).dataset()


def _table(reader: RunReader) -> Table:
    manifest = reader.manifest
    units: Mapping[str, str] = manifest.get("units", {})
    scalars, trained = reader.scalars(), reader.parameters()
    published, measured = scalars.pop("step"), trained.pop("step")
    steps = np.union1d(published, measured)
    table = np.full((len(steps), len(trained)), np.nan)
    for column, values in enumerate(trained.values()):
        table[np.searchsorted(steps, measured), column] = values
    found = Table(attributes=_attributes(reader))
    for name, values in scalars.items():
        filled = np.full(len(steps), np.nan)
        filled[np.searchsorted(steps, published)] = values
        found.data[name] = (("step",), filled, {"units": units[name]} if name in units else {})
    measured_so = {"long_name": "trained coordinates, as each step measured them"}
    found.data["trained"] = (("step", "parameter"), table, measured_so)
    found.coordinates["step"] = (("step",), steps, {"long_name": "training step"})
    found.coordinates["parameter"] = _words("parameter", trained)
    found.coordinates["parameter_unit"] = _words("parameter", (_unit_of(name, units) for name in trained))
    _add_kept(found, reader, None)
    _add_tested(found, reader)
    return found


def _words(dimension: str, words: Iterable[str]) -> Variable:
    return (dimension,), np.array(list(words), dtype=str), {}


def results_of(reader: RunReader) -> dict[str, dict[str, Any]]:
    """By test set, of its first sequence: `input`, `target`, `output` and what the read-out was `before` training."""
    checkpoint = reader.last_checkpoint()
    found: dict[str, dict[str, Any]] = {} if checkpoint is None else checkpoint.state.get("results", {})
    before = reader.arrays(0) if found else {}
    return {name: ({"before": before[name]} if name in before else {}) | result for name, result in found.items()}


_TESTED = {"input": ("input", "port"), "target": ("target", "output"),
           "before": ("readout_before", "output"), "output": ("readout", "output")}  # fmt: skip


def _add_tested(table: Table, reader: RunReader) -> None:
    drive = reader.manifest.get("configuration", {}).get("model", {}).get("units", {}).get("input", "")
    for name, result in results_of(reader).items():
        if "outputs" not in result:  # of an older record
            continue
        time = f"{name}_time"
        for what, (called, rows) in _TESTED.items():
            if len(result.get(what, ())):  # of data that nothing drives there is no input
                unit = drive if what == "input" else reader.manifest["target_unit"]
                table.data[f"{name}_{called}"] = ((rows, time), np.asarray(result[what]), {"units": unit})
                table.coordinates[rows] = _words(rows, result[f"{rows}s"])
        times = result["spacing"] * np.arange(np.shape(result["target"])[1])
        table.coordinates[time] = ((time,), times, {"units": reader.manifest["time_unit"]})


def traces_of(reader: RunReader, step: int | None = None) -> xarray.Dataset:
    """What the last passes of the shots of a step read, as the rig gave it; the last step that kept echoes if None.

    `forward` and `echo`, each (shot, repeat, channel, time); neither where nothing was kept.
    """
    found = Table()
    _add_kept(found, reader, step)
    return found.dataset()


def _add_kept(table: Table, reader: RunReader, step: int | None) -> None:
    for kind, shots in _kept(reader, step).items():
        _add_traces(table, kind, shots, str(reader.manifest.get("time_unit", "model time")))


def _attributes(reader: RunReader) -> dict[str, Any]:
    manifest = reader.manifest
    last = reader.events()[-1]
    return {
        "title": f"labrhel run {reader.origin}",
        "run": reader.origin,
        "created": manifest["created"],
        "status": f"{last[0]}: {last[2]}" if last[2] else last[0],
        "policy": str(reader.policy),
        "not_kept": reader.policy.what_is_missing(),
        "config": reader.config_text,
        "warnings": json.dumps(reader.words()),
        "manifest": json.dumps(manifest),
        "provenance": json.dumps(manifest.get("provenance", {})),
    }


def _unit_of(name: str, units: Mapping[str, str]) -> str:
    return units.get(name, units.get(name.partition("[")[0], ""))


def _kept(reader: RunReader, step: int | None) -> dict[str, list[PassCapture]]:
    """The last passes of the shots of a step, or the last with kept echoes (else kept shots), by kind of pass."""
    kept = [shot for shot in reader.shots(step) if shot.capture is not None]
    is_echo: dict[str, bool] = {}
    for shot in reversed(kept):
        is_echo.setdefault(shot.program, reader.load_program(shot.program).passes[-1].echo)
        if is_echo[shot.program]:
            break
    newest = next((shot for shot in reversed(kept) if is_echo.get(shot.program)), kept[-1] if kept else None)
    found: dict[str, list[PassCapture]] = {}
    for shot in kept:
        if newest is not None and _same_turn(shot, newest):
            echo = reader.load_program(shot.program).passes[-1].echo
            found.setdefault("echo" if echo else "forward", []).append(reader.load_capture(shot)[-1])
    return found


def _same_turn(shot: ShotRecord, other: ShotRecord) -> bool:
    return (shot.step, shot.attempt) == (other.step, other.attempt)


def _add_traces(table: Table, kind: str, shots: list[PassCapture], time_unit: str) -> None:
    traces: list[Mapping[str, Trace]] = [shot.traces for shot in shots if shot.traces]
    if not traces:
        return
    first: dict[str, Trace] = {}
    for item in traces:
        for name, trace in item.items():
            if name not in first or trace.values.shape[1] > first[name].values.shape[1]:
                first[name] = trace
    channels = list(first)
    repeats = max(trace.values.shape[0] for item in traces for trace in item.values())
    samples = max(trace.values.shape[1] for trace in first.values())
    kinds = [trace.values.dtype for item in traces for trace in item.values()]
    cube = np.full((len(traces), repeats, len(channels), samples), np.nan, np.result_type(np.float32, *kinds))
    for row, item in enumerate(traces):
        for name, trace in item.items():
            count, length = trace.values.shape
            cube[row, :count, channels.index(name), :length] = trace.values
    longest = max(first.values(), key=lambda trace: trace.values.shape[1])
    dims = (f"{kind}_shot", f"{kind}_repeat", f"{kind}_channel", f"{kind}_time")
    attributes = {"units": ", ".join(dict.fromkeys(trace.unit for trace in first.values() if trace.unit)) or "1"}
    if np.iscomplexobj(cube):  # netCDF has no complex numbers
        table.data[f"{kind}_real"] = (dims, np.real(cube), attributes)
        table.data[f"{kind}_imag"] = (dims, np.imag(cube), attributes)
    else:
        table.data[kind] = (dims, cube, attributes)
    table.coordinates[dims[2]] = _words(dims[2], channels)
    table.coordinates[f"{kind}_unit"] = _words(dims[2], (first[name].unit for name in channels))
    times = longest.t0 + longest.dt * np.arange(samples)
    named = {"units": time_unit, "long_name": "time since the first kick of the pass"}
    table.coordinates[dims[3]] = ((dims[3],), times, named)
