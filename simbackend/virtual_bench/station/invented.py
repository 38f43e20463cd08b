"""A virtual bench for a configuration that has none: the instruments that its model takes, wired and scaled.

Every input and every oscillator gets an output of a two-channel generator, every position a channel of a four-channel
oscilloscope, whose last one sees the sync output, every entry of a trained parameter a level of a 24-channel source.
How many model units a volt stands for follows from the motion under the training inputs, with the parameters that the
training starts from and with those of the teacher:

    forces      the largest of inputs and compensation, or of the drive that prepares the reversed end state
    positions   half the range of an input, which has 8 bits, and all of it while the parameters are on their way
    parameters  the farthest of bounds and teacher's values from the nominal one, at 8 of the 10 V of a level
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ruamel.yaml import YAML

from labrhel.arrays import Array, Arrays
from labrhel.config.reader import Source, parse
from labrhel.errors import ConfigurationError
from labrhel.experiment import Experiment, load_experiment
from labrhel.learning.task import STATE, Task, TrialSequence
from labrhel.model.motion import run
from labrhel.model.preparation import preparation

_LOOKED_AT = 4  # sequences
_FORCE, _PREPARED = 2.0, 2.0  # of what the nominal motion takes; of the forces that a rule lets a preparation take
_SPAN, _SEEN, _LEVEL = 5.0, 1.0, 8.0  # V: of an output, of a position on an input that takes 2 V, of a level
_QUIET = 0.3  # of the largest position, below which no other one is expected to stay
_LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of a preparation, in forward passes
_PHASE = 0.03  # rad by which the motion between kicks may be off at the end of a pass
_MOST_KICKS = 64


class Sizes(NamedTuple):
    """Largest values in model units: of each input, of the force on each oscillator, of each position."""

    inputs: Array
    force: float
    positions: Array


def is_configuration(source: Source) -> bool:
    """Whether a file says a model itself, where the file of a bench names one."""
    return isinstance(source.data.get("model"), dict)


def invented(configuration: Path) -> Source:
    """The file of a bench for a configuration.  Raises ConfigurationError for one that describes no rig."""
    experiment = load_experiment(configuration, rig_url="sim:")
    with closing(experiment.rig):
        data = _bench(experiment, configuration)
    text, writer = StringIO(), YAML(typ="safe", pure=True)
    writer.dump(data, text)
    return Source(configuration, text.getvalue(), *parse(text.getvalue(), configuration))


def next_commands(configuration: str, rig: str) -> list[str]:
    """What a user types next, with the bench up as the rig of that URL.

    A bench moves in continuous time: where the kicks of the configuration are too coarse for that, the commands say
    finer ones.
    """
    experiment = load_experiment(configuration, rig_url="sim:")
    with closing(experiment.rig):
        kicks = _finer_kicks(experiment)
    finer = "" if kicks == experiment.task.every else f" --set data.substeps={kicks}"
    named, url = shlex.quote(configuration), shlex.quote(rig)
    return [
        f"labrhel run {named} --rig {url}{finer}",
        f"labrhel calibrate {url} --config {named} --accept{finer}",
    ]


def _bench(experiment: Experiment, configuration: Path) -> dict[str, Any]:
    sizes = _sizes(experiment)
    model = experiment.task.model
    outputs = [*model.inputs, *(f"f{number + 1}" for number in range(model.size))]
    generators = [f"awg{number + 1}" for number in range(-(-len(outputs) // 2))]
    scopes = [f"scope{number + 1}" for number in range(-(-model.size // 3))]
    turns = list(_turns(experiment))
    sources = [f"bias{number + 1}" for number in range(-(-len(turns) // 24))]
    gains = dict(zip(model.inputs, sizes.inputs / _SPAN, strict=True))
    leads: list[dict[str, Any]] = [
        {"wire": f"{generators[number // 2]}.ch{number % 2 + 1}", "to": port,
         "gain": _round_up(gains.get(port, sizes.force / _SPAN))}
        for number, port in enumerate(outputs)
    ]  # fmt: skip
    leads += [{"wire": "awg1.trigger_out", "to": f"{box}.trigger_in", "delay": "5ns"} for box in generators[1:]]
    for number, size in enumerate(sizes.positions):
        box = scopes[number // 3]
        leads.append(
            {"wire": f"q{number + 1}", "to": f"{box}.ch{number % 3 + 1}", "gain": _round_up(size / _SEEN, digits=2)}
        )
    leads += [{"wire": "awg1.sync", "to": f"{box}.ch4"} for box in scopes]
    leads += [{"wire": f"{sources[n // 24]}.ch{n % 24 + 1}", **turn} for n, turn in enumerate(turns)]
    return {
        "model": str(configuration.resolve()),
        "ring_down": float(f"{2 * _longest(experiment) * model.time_unit:.2g}"),
        "instruments": {
            **{name: {"kind": "keysight_33600"} for name in generators},
            **{name: {"kind": "rigol_ds1000z", "noise": "1mV"} for name in scopes},
            **{name: {"kind": "qdac2"} for name in sources},
        },
        "leads": leads,
    }


def _finer_kicks(experiment: Experiment) -> int:
    """Kicks a sample that a bench wants, which moves in continuous time; the configuration's own if they suffice.

    The leapfrog is off by (omega d)^2/24 of its frequency: by omega T (omega d)^2/24 at the end of a pass of length T.
    """
    task, fastest = experiment.task, 2 / experiment.task.model.largest_step({})
    off = fastest * _longest(experiment) * (fastest * task.step) ** 2 / 24
    return min(_MOST_KICKS, task.every * math.ceil(math.sqrt(off / _PHASE))) if off > _PHASE else task.every


def _round_up(value: float, digits: int = 1) -> float:
    """The next number of so many digits that is not smaller, of one digit 1, 2 or 5; 1 for nothing."""
    if not value > 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    steps = (1, 2, 5, 10) if digits == 1 else range(10 ** (digits - 1), 10**digits + 1)
    return float(f"{next(step for step in steps if step * power >= value * (1 - 1e-9)) * power:.{digits}g}")


def _longest(experiment: Experiment) -> float:
    """Length of the longest pass [model time]."""
    task = experiment.task
    return max(task.steps(sequence) for sequence in experiment.problem.train) * task.step


def _sizes(experiment: Experiment) -> Sizes:
    start = experiment.theta(experiment.problem.parameters.flat())
    data, specs = experiment.document.config.data, experiment.task.model.parameters
    taught = {} if data is None or data.teacher is None else data.teacher.parameters
    end = {name: np.broadcast_to(np.asarray(value, float), specs[name].shape) for name, value in taught.items()}
    found = [
        _sizes_of(experiment.task, theta, sequence)
        for theta in ((start, {**start, **end}) if end else (start,))
        for sequence in experiment.problem.train[:_LOOKED_AT]
    ]
    inputs, force, positions = (np.max([getattr(sizes, name) for sizes in found], axis=0) for name in Sizes._fields)
    return Sizes(inputs, float(force), np.maximum(positions, _QUIET * positions.max()))


def _sizes_of(task: Task, theta: Arrays, sequence: TrialSequence) -> Sizes:
    model, steps, step = task.model, task.steps(sequence), task.step
    u = np.array([
        sequence.inputs[port].on_grid(step, steps) if port in sequence.inputs else np.zeros(steps)
        for port in model.inputs
    ])  # fmt: skip
    pushed = model.input_force(u, theta)
    begun = task.begun(theta, sequence)
    start = [np.asarray(begun.get(name, model.parameters[name].nominal), float)[None] for name in STATE]
    motion = run(model, theta, pushed, step, *start)
    q = motion.q[0]
    velocity = np.gradient(q, step, axis=1)
    echoed = np.abs(pushed).max() + 2 * np.abs(model.friction(theta) @ velocity).max()
    end = motion.end_position[0], -motion.end_momentum[0]
    prepared = [preparation(model, theta, *end, step, max(16, round(part * steps))).peak for part in _LENGTHS]
    found = min((peak for peak in prepared if math.isfinite(peak)), default=0.0)
    force = _FORCE * max(echoed, found, _PREPARED * np.abs(pushed).max())
    if not math.isfinite(force):
        raise ConfigurationError("the nominal model diverges under the training inputs; raise data.substeps")
    return Sizes(np.abs(u).max(axis=1), force, np.abs(q).max(axis=1))


def _turns(experiment: Experiment) -> Iterator[dict[str, Any]]:
    """The lead of each entry of each trained parameter that a rig has: from a source, with its scale."""
    document, model = experiment.document, experiment.task.model
    taught = None if document.config.data is None else document.config.data.teacher
    knobs = {knob.name for knob in experiment.task.capabilities.knobs}
    for name in experiment.problem.wanted:
        if name not in knobs:
            continue
        nominal, section = model.parameters[name].nominal, document.config.model.parameters[name]
        same_sign = bool(np.all(nominal > 0) or np.all(nominal < 0))
        centre = float(f"{np.mean(nominal):.3g}") if same_sign else 0.0
        told = () if taught is None else np.ravel(taught.parameters.get(name, ()))
        values = np.concatenate([np.ravel(nominal), 2 * np.ravel(nominal), section.bounds or (), told])
        per_volt = _round_up(float(np.abs(values[np.isfinite(values)] - centre).max()) / _LEVEL)
        for index in np.ndindex(nominal.shape):
            entry = ",".join(map(str, index))
            yield {"to": f"{name}[{entry}]", "at_zero": centre, "per_volt": per_volt}
