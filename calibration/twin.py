"""A twin of a run's rig: the model fitted to what was recorded, as a rig that runs everywhere a rig does.

The forward passes of one step, all but every third sequence, are fitted as a calibration fits its shots
(`calibration.identify`); the sequences that were left out say how good the twin is.  Where it leaves more than noise,
the fit is made again with each term that the model might lack; what makes the residual fall is named, and so is a mode
at which it rings and the model does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from calibration.identify import Identified, identify
from calibration.path_model import BenchModel, Record
from calibration.repeats import averaged
from calibration.subject import Bench
from calibration.unknowns import Reference, Unknown, parameter_unknowns, path_unknowns
from labrhel.arrays import Array
from labrhel.errors import RecordError
from labrhel.experiment import Experiment
from labrhel.learning.task import STATE
from labrhel.records.comparison import RecordedShot
from labrhel.rig.capabilities import Kind
from labrhel.shots.program import Rest, ShotProgram
from labrhel.store.outputs import written_aside

LEFT_OUT = 3
_LACKS = 1.3  # residual over noise from which it is asked what is missing
_HELPS = 0.8  # share of the residual that is left with a term that is called missing
_RINGS, _QUIET = 0.3, 0.05  # share of the residual near its peak; of the motion there
_POWERS = {"quadratic": 2, "cubic": 3, "quartic": 4}
_WIDE, _UNKNOWN_NOISE = 5.0, 0.01  # of a recording of something whose model is a guess


@dataclass(frozen=True, slots=True)
class Twin:
    """`values` and `errors` by name, as a calibration names them; `inside` and `outside`: rms residual over the noise.

    `relative`: rms of what the twin misses outside over the motion.  `lacks`: what the residual looks like, in words.
    """

    values: dict[str, float]
    errors: dict[str, float]
    inside: float
    outside: float
    relative: float
    lacks: tuple[str, ...]

    def write(self, experiment: Experiment, file: Path) -> Path:
        """As the configuration of a simulated rig: `sim:FILE`."""
        data: dict[str, Any] = experiment.document.config.model_dump(mode="json", exclude_unset=True)
        self._start(experiment, data["model"])
        unit = experiment.rig.capabilities.time_unit
        model = experiment.problem.task.model
        exact = {
            name: value * unit if name.endswith(".delay") else value
            for name, value in self.values.items()
            if "[" not in name
        }
        factors = {
            name: np.ones(spec.shape)
            for name, spec in model.parameters.items()
            if spec.kind in ("kinetic", "potential")
        }
        added = {name: np.zeros(spec.shape) for name, spec in model.parameters.items() if spec.kind == "potential"}
        friction = np.zeros((model.size, model.size))
        for name, value in self.values.items():
            parameter, bracket, rest = name.partition("[")
            index = tuple(int(part) for part in rest.partition("]")[0].split(",") if part) if bracket else ()
            if name.endswith("].factor"):
                factors[parameter][index] = value
            elif parameter in added:
                added[parameter][index] = value
            elif parameter == "friction":
                friction[index] = friction[index[::-1]] = value
        rates, axes = np.linalg.eigh(friction)
        friction = axes @ np.diag(np.clip(rates, 0.0, None)) @ axes.T  # what noise makes of it may not feed energy in
        data["imperfections"] = {
            "exact": exact,
            "parts": {name: array.tolist() for name, array in factors.items() if np.any(array != 1)},
            "added": {name: array.tolist() for name, array in added.items() if np.any(array)},
            "friction_matrix": friction.tolist(),
        }
        with written_aside(file) as aside:
            aside.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return file

    def _start(self, experiment: Experiment, section: dict[str, Any]) -> None:
        """Put the initial state that was found into the section of the model."""
        problem = experiment.problem
        theta = problem.theta(problem.parameters.flat())
        for name in STATE:
            added = {key: value for key, value in self.values.items() if key.startswith(f"{name}[")}
            if not added:
                continue
            known = np.broadcast_to(
                theta.get(name, problem.task.model.parameters[name].nominal), problem.task.model.size
            )
            start = known + [added.get(f"{name}[{index}].added", 0.0) for index in range(len(known))]
            section.setdefault("parameters", {})[name] = start.tolist()


def twin(experiment: Experiment, shots: Sequence[RecordedShot], asked: dict[str, Array]) -> Twin:
    """Fit the model of `experiment` to forward shots at the parameters `asked`.

    Raises RecordError if there are none from rest, or the fit has nothing to go by.
    """
    problem = experiment.problem
    theta = {**problem.theta(problem.parameters.flat()), **asked}
    bench = Bench.of(problem.task, theta, problem.train, problem.rule, problem.wanted)
    channels = tuple(name for name in bench.rig.channels_of(Kind.POSITION) if name in shots[0].capture.last.traces)
    equal: dict[ShotProgram, list[RecordedShot]] = {}
    for shot in shots:
        from_rest = not shot.is_echo and isinstance(shot.program.prepare, Rest)
        if from_rest and set(channels) <= set(shot.capture.last.traces):
            equal.setdefault(shot.program, []).append(shot)
    records = [_record(group, channels, bench) for group in equal.values()]
    if not records:
        raise RecordError("no forward pass from rest was kept with all its positions; record with record: all")
    return _fitted(bench, records, channels, bench.typical, wide=1.0)


def twin_of_recording(experiment: Experiment) -> Twin:
    """Fit the model to the training sequences of a recording, whose targets are what the read-out channels showed.

    Raises RecordError if the read-out mixes channels in a way that cannot be undone.
    """
    problem = experiment.problem
    task, theta = problem.task, problem.theta(problem.parameters.flat())
    bench = Bench.of(task, theta, problem.train, problem.rule, problem.wanted)
    readout = task.readout(theta)
    if np.linalg.matrix_rank(readout.gain) < len(task.channels):
        raise RecordError("the read-out mixes its channels: a twin needs a recording of each channel")
    if any(sequence.start is not None for sequence in problem.train):
        raise RecordError("a twin begins all its segments alike: leave data.start out, or fit shots of the rig instead")
    records = []
    for sequence in problem.train:
        shown = np.linalg.pinv(readout.gain) @ (sequence.target - readout.offset[:, None])
        played = {name: wave.on_grid(task.step, task.steps(sequence)) for name, wave in sequence.inputs.items()}
        counted = int(np.argmax(sequence.weight > 0))
        records.append(
            Record(played, dict(zip(task.channels, shown, strict=True)), every=task.every, skip=max(1, counted))
        )
    size = float(np.sqrt(np.mean([np.mean(np.square(list(record.shown.values()))) for record in records])))
    if any(wave.any() for record in records for wave in record.played.values()):
        return _fitted(bench, records, task.channels, size, wide=_WIDE)
    # What nothing drives moves by the state that it was left in, so that is asked for, too.
    bench = replace(bench, theta={**bench.theta, **{name: theta[name] for name in STATE if name in theta}})
    still = [replace(record, played={}) for record in records]
    return _fitted(bench, still, task.channels, size, wide=_WIDE, more=_initial_state(bench, still, task.channels))


def _initial_state(bench: Bench, records: Sequence[Record], channels: Sequence[str]) -> list[Unknown]:
    """Where every oscillator was left, and how fast, from where the first samples of the records see it."""
    rig, model = bench.rig, bench.task.model
    names = rig.channels_of(Kind.POSITION)
    seen = np.linalg.pinv(rig.position_matrix.values[[names.index(name) for name in channels]])
    shown = [np.stack([record.shown[name] for name in channels]) for record in records]
    swing = [seen @ (item - np.mean(item, axis=1, keepdims=True)) for item in shown]
    size = np.sqrt(np.mean([np.mean(item**2) for item in swing])) or 1.0
    first = np.mean([item[:, 0] for item in swing], axis=0)
    speeds = [np.gradient(item, bench.step * record.every, axis=1) for item, record in zip(swing, records, strict=True)]
    mass = model.mass(bench.theta)
    fast = mass * (np.sqrt(np.mean([np.mean(item**2) for item in speeds])) or 1.0)
    begun = mass * np.mean([item[:, 0] for item in speeds], axis=0)
    found = []
    for name, starts, spreads in zip(STATE, (first, begun), (np.full(model.size, size), fast), strict=True):
        spec = model.parameters[name]
        known = np.broadcast_to(bench.theta.get(name, spec.nominal), model.size)
        found += [
            Unknown(f"{name}[{i}].added", float(start - known[i]), float(spread), spec.unit)
            for i, (start, spread) in enumerate(zip(starts, spreads, strict=True))
        ]
    return found


def twin_of(experiment: Experiment, *recorded: Any) -> Twin:
    """Of recorded shots and the parameters they were taken at, or, with nothing more, of the experiment's recording."""
    return twin(experiment, *recorded) if recorded else twin_of_recording(experiment)


def _fitted(
    bench: Bench,
    records: Sequence[Record],
    channels: Sequence[str],
    size: float,
    *,
    wide: float,
    more: Sequence[Unknown] = (),
) -> Twin:
    """`wide`: how much less is taken for known than on a bench that was built to its model; `more` unknowns."""
    outside = records[::LEFT_OUT] if len(records) > 2 else records
    inside = [record for index, record in enumerate(records) if index % LEFT_OUT] if len(records) > 2 else records
    model = bench.task.model
    noise = {
        name: max(bench.noise[name], 1e-6 * size, 0.0 if wide == 1 else _UNKNOWN_NOISE * size) for name in channels
    }
    ports = tuple(name for name in model.inputs if any(name in record.played for record in records))
    sizes = {
        name: max(float(np.std(record.played[name])) for record in records if name in record.played) for name in ports
    }
    sizes |= dict.fromkeys(channels, size)
    duration = bench.steps * bench.step
    unknowns = path_unknowns(bench.rig, ports, channels, bench.step, Reference.MASSES, sizes)
    unknowns += parameter_unknowns(model, bench.theta, duration, Reference.MASSES, size)
    if wide == 1:  # what the model does not have at all is seldom told by a training sequence
        unknowns = [item for item in unknowns if not item.name.startswith("quadratic") or item.quantity != "added"]
    else:  # a recording has no clock of its own to count delays from
        unknowns = [replace(item, spread=wide * item.spread) for item in unknowns if item.quantity != "delay"]
    if more:  # a ring-down tells no more than it needs; what it lacks is asked for one by one
        unknowns = [item for item in unknowns if item.quantity != "added" or item.subject.startswith("friction")]
    unknowns += more
    behind = BenchModel(model, bench.theta, bench.rig, bench.step)
    found = identify(behind, inside, channels, noise, unknowns)
    values, errors = _told(found)
    missed, motion = _left(behind, outside, channels, found)
    sigma = np.array([noise[name] for name in channels])[:, None]
    over = float(
        np.sqrt(
            np.mean([shot.repeats * np.mean((item / sigma) ** 2) for shot, item in zip(outside, missed, strict=True)])
        )
    )
    # Where the twin stands still what was shown is the measure, and not the unit that it is shown in.
    seen = [
        float(np.mean((a + b - np.mean(a + b, axis=1, keepdims=True)) ** 2))
        for a, b in zip(missed, motion, strict=True)
    ]
    moved = float(np.sqrt(max(np.mean([np.mean(item**2) for item in motion]), np.mean(seen)))) or 1.0
    relative = float(np.sqrt(np.mean([np.mean(item**2) for item in missed]))) / moved
    if len(records) > 2:  # what is kept knows all of them; what it is good for was found without some
        found = identify(behind, records, channels, noise, unknowns)
        values, errors = _told(found)
    lacks: tuple[str, ...] = ()
    if over > _LACKS:
        candidates = _candidates(bench, size, [item.name for item in unknowns])
        better = {
            name: identify(behind, inside, channels, noise, [*unknowns, *more]) for name, more in candidates.items()
        }
        lacks = _named(found, better) or _ringing(missed, motion, bench.step * records[0].every)
    return Twin(values, errors, found.misfit, over, relative, lacks)


def _told(found: Identified) -> tuple[dict[str, float], dict[str, float]]:
    """Values and standard errors by name; of two that only show together neither can be left out."""
    names = [item.name for item in found.unknowns]
    return found.by_name, {name: float(error) for name, error in zip(names, found.errors, strict=True)}


def _record(equal: Sequence[RecordedShot], channels: Sequence[str], bench: Bench) -> Record:
    """The mean of shots of one program: each for itself would say no more, and a run may repeat one a dozen times."""
    first = equal[0].program.passes[0]
    steps = first.steps
    played: dict[str, Array] = {}
    for drive in first.drives:
        wave = drive.waveform.on_grid(bench.step, steps)
        played[drive.port] = played[drive.port] + wave if drive.port in played else np.asarray(wave)
    traces = [shot.capture.passes[0].traces for shot in equal]
    return averaged([Record(played, {name: each[name].values[0] for name in channels}) for each in traces])


def _left(
    model: BenchModel, records: Sequence[Record], channels: Sequence[str], found: Identified
) -> tuple[list[Array], list[Array]]:
    missed, motion = [], []
    for record in records:
        shown = np.stack([record.shown[name] for name in channels])
        steps = 1 + (shown.shape[1] - 1) * record.every
        predicted = model.shows(record, found.by_name, channels, steps)[0][:, :: record.every]
        missed.append((shown - predicted)[:, record.skip :])
        motion.append(predicted[:, record.skip :])
    return missed, motion


def _candidates(bench: Bench, size: float, known: Sequence[str]) -> dict[str, list[Unknown]]:
    """By kind, terms of the potential that the fit did not have."""
    model = bench.task.model
    linear = float(np.mean(np.abs(np.diag(bench.model_stiffness))))
    found: dict[str, list[Unknown]] = {}
    for name, power in _POWERS.items():
        if name not in model.parameters:
            continue
        shape, unit = model.parameters[name].shape, model.parameters[name].unit
        items = [
            Unknown(f"{name}[{index}].added", 0.0, linear * size ** (1 - power), unit) for index in range(int(shape[0]))
        ]
        items = [item for item in items if item.name not in known and f"{item.subject}.factor" not in known]
        if items:
            found[name] = items
    return found


def _named(found: Identified, better: dict[str, Identified]) -> tuple[str, ...]:
    """The terms with which the residual falls most, by what they come to."""
    words = []
    for name, fit in sorted(better.items(), key=lambda pair: pair[1].misfit):
        if not fit.misfit <= _HELPS * found.misfit or np.isinf(fit.misfit):
            continue
        values = {key: value for key, value in fit.by_name.items() if key.startswith(name)}
        largest = max(values, key=lambda key: abs(values[key]))
        words.append(
            f"a {name} term: with it the residual falls from {found.misfit:.2g} to {fit.misfit:.2g} times the noise "
            f"({largest.removesuffix('.added')} = {values[largest]:.3g})"
        )
    return tuple(words)


def _ringing(missed: Sequence[Array], motion: Sequence[Array], step: float) -> tuple[str, ...]:
    """A mode that nobody sees, if the residual rings where the model does not."""
    length = min(item.shape[1] for item in missed)
    power = np.sum([np.abs(np.fft.rfft(item[:, :length] * np.hanning(length), axis=1)) ** 2 for item in missed], (0, 1))
    usual = np.sum([np.abs(np.fft.rfft(item[:, :length] * np.hanning(length), axis=1)) ** 2 for item in motion], (0, 1))
    peak = int(np.argmax(power[1:])) + 1
    near = power[max(1, peak - 2) : peak + 3].sum() / power[1:].sum()
    if near > _RINGS and usual[peak] < _QUIET * usual.max():
        frequency = peak / (length * step)
        return (f"an extra mode: it rings at {frequency:.3g} per unit of time, where the model has none",)
    return ("nothing that stands out: friction, couplings or noise may be of another kind",)
