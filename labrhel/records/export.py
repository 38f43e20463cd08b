"""Scalars of a run for other people's tools: a CSV table, and a dataset in a QCoDeS database.

Traces stay where they are: QCoDeS stores them at a fiftieth of the speed, and `run.nc` opens in xarray.
"""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import RecordError
from labrhel.store import RunReader
from labrhel.store.outputs import written_aside


def table_of(reader: RunReader) -> tuple[Array, dict[str, Array]]:
    """Steps (steps,), and every scalar and trained parameter by name (steps,), NaN where a step does not say."""
    scalars, trained = reader.scalars(), reader.parameters()
    published, measured = scalars.pop("step"), trained.pop("step")
    steps = np.union1d(published, measured)
    columns = {}
    for at, names in ((published, scalars), (measured, trained)):
        for name, values in names.items():
            columns[name] = np.full(len(steps), np.nan)
            columns[name][np.searchsorted(steps, at)] = values
    return steps, columns


def to_csv(reader: RunReader, file: Path) -> Path:
    """One row a step; RecordError if the file cannot be written."""
    steps, columns = table_of(reader)
    names = ["step", *columns]
    rows = np.column_stack([steps, *columns.values()])
    with written_aside(file) as aside, aside.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(names)
        writer.writerows([int(row[0]), *(f"{value:.17g}" for value in row[1:])] for row in rows)
    return file


def to_qcodes(reader: RunReader, file: Path) -> Path:
    """A dataset of the run in the QCoDeS database `file`, which is made if it is not there; the manifest goes along."""
    from qcodes.dataset import Measurement, initialise_or_create_database_at, load_or_create_experiment

    steps, columns = table_of(reader)
    units = reader.manifest.get("units", {})
    # Names of QCoDeS are identifiers: coupling[0,1] becomes coupling_0_1.
    names = {name: "".join(sign if sign.isalnum() else "_" for sign in name).strip("_") for name in columns}
    with written_aside(file) as aside:
        if file.exists():
            shutil.copyfile(file, aside)
        initialise_or_create_database_at(str(aside), journal_mode=None)
        experiment = load_or_create_experiment("labrhel", reader.manifest["name"])
        measurement = Measurement(experiment, name=reader.id)
        measurement.register_custom_parameter("step", label="training step", paramtype="array")
        for name, word in names.items():
            unit = units.get(name.partition("[")[0], "")
            measurement.register_custom_parameter(word, label=name, unit=unit, setpoints=["step"], paramtype="array")
        measurement.set_shapes({word: (len(steps),) for word in names.values()})  # undeclared, reading is quadratic
        try:
            with measurement.run() as saver:
                columns_of_words = ((names[name], values) for name, values in columns.items())
                saver.add_result(("step", steps.astype(float)), *columns_of_words)
                saver.dataset.add_metadata("labrhel_manifest", json.dumps(reader.manifest))
                saver.dataset.add_metadata("labrhel_config", reader.config_text)
        except sqlite3.Error as error:
            raise RecordError(f"{file} could not be written: {error}; nothing else changed") from None
        finally:
            experiment.conn.close()
    initialise_or_create_database_at(str(file), journal_mode=None)  # QCoDeS reads from the last one that was named
    return file
