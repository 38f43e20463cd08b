"""What a rig with given errors would show: the nominal model behind the wires, as they may be.

    forces(t) = sum over ports of B_p [gain_p w_p(t - delay_p) + offset_p]
    shows_c(t) = (there((1 + rate) t - delay_c) - offset_c) / gain_c

between kicks positions move in straight lines, which is what the leapfrog does, and so are waveforms read.  What the
clock of the readings is slow by (`clock.rate`) moves them along a smooth curve, since it comes to many samples.  The
mean of shots whose triggers jitter has no corners at the kicks: it is that of such lines, each late by its own amount.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from calibration.unknowns import force_columns, moved
from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.model.motion import run
from labrhel.rig.capabilities import Capabilities, Kind

_TAIL = 5.0  # rms of a jitter, beyond which nothing is
_REMEMBERED = 64  # motions; those of all shots at one point of a fit, and some


@dataclass(frozen=True, slots=True)
class Record:
    """A shot from rest and what came back: `played` by port (steps,), `shown` by channel (steps,) [model units].

    `flipped`: the shot reverses the momenta at its end and runs on without any drive; `echo` is what it shows then.
    `over_range` counts the samples of each channel that clipped.  What is shown is at every `every`-th kick, and the
    first `skip` samples do not count: a reading before the first kick knows nothing but the noise.  What is the mean of
    `repeats` equal shots has noise that is smaller by the root of their number.  `number`: which shot of a fit it is;
    what is different in each has names of its own, and adds to what is common:

        shot[2].f1.gain            a factor of the gain of a port
        shot[2].outputs.delay      of all ports; shot[2].readings.delay of all channels; shot[2].echo.delay in the echo
        shot[2].motion.delay       of what moves: added to outputs and echo, and taken from readings, it is hardly seen
        shot[2].outputs.blur       ... second differences that the mean of its repeats has more of than by `jitter`

    `jitter`: rms by which each trigger of the repeats is late [kicks].
    """

    played: Mapping[str, Array]
    shown: Mapping[str, Array]
    flipped: bool = False
    echo: Mapping[str, Array] | None = None
    over_range: Mapping[str, int] = field(default_factory=dict)
    every: int = 1
    skip: int = 1
    repeats: int = 1
    number: int = 0
    jitter: float = 0.0


class _Triggers(NamedTuple):
    """Of the readings in one pass: `late` [time] and `blur` are those of the shot, `jitter` of its repeats [kicks]."""

    late: float = 0.0
    blur: float = 0.0
    jitter: float = 0.0

    @classmethod
    def of(cls, record: Record, which: str, values: Mapping[str, float]) -> _Triggers:
        own = f"shot[{record.number}]"
        motion = values.get(f"{own}.motion.delay", 0.0)
        late = values.get(f"{own}.{which}.delay", 0.0) + (motion if which == "echo" else -motion)
        return cls(late, values.get(f"{own}.{which}.blur", 0.0), record.jitter)


class BenchModel:
    """The rig of `model` at the settings `theta`, with `step` [model time] between kicks, from their initial state."""

    def __init__(self, model: Model, theta: Arrays, capabilities: Capabilities, step: float) -> None:
        self.model, self.theta, self.capabilities, self.step = model, theta, capabilities, step
        self._columns = force_columns(model, theta, capabilities)
        rows = capabilities.position_matrix.values
        self._sees = {channel: rows[row] for row, channel in enumerate(capabilities.channels_of(Kind.POSITION))}
        self._felt: dict[tuple[Any, ...], tuple[Record, tuple[str, ...], tuple[str, ...]]] = {}
        self._known: OrderedDict[tuple[Any, ...], tuple[Record, Array, Array | None]] = OrderedDict()
        self._shown: OrderedDict[tuple[Any, ...], tuple[Record, Array, Array | None]] = OrderedDict()

    def shows(
        self, record: Record, values: Mapping[str, float], channels: Sequence[str], steps: int
    ) -> tuple[Array, Array | None]:
        """The first `steps` readings (channels, steps) of a shot, and those of its echo, with these errors.

        Motions and readings are remembered, since half of the unknowns leave a shot as it is: a fit asks once for each
        of them, by how much the shots change with it.
        """
        own = f"shot[{record.number}]"
        late, late_echo = (_Triggers.of(record, what, values) for what in ("readings", "echo"))
        common = _in_shot(values, record, own)
        in_motion, in_readings = self._names_felt(record, tuple(common))
        moved_by = (id(record), steps, in_motion, *map(common.__getitem__, in_motion))

        def moves() -> tuple[Array, Array | None]:
            return _remembered(self._known, moved_by, record, lambda: self._run(record, common, steps))

        def reads() -> tuple[Array, Array | None]:
            forward, back = moves()
            shown = self._read(forward, common, channels, late)
            return shown, None if back is None else self._read(back, common, channels, late_echo)

        shown_by = (*moved_by, tuple(channels), late, late_echo, in_readings, *map(common.__getitem__, in_readings))
        return _remembered(self._shown, shown_by, record, reads)

    def _names_felt(self, record: Record, names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Which of the values a shot's motion depends on, and which its readings alone."""
        asked = (id(record), names)
        if asked not in self._felt:
            in_motion = tuple(name for name in names if self._is_felt(name, record))
            in_readings = tuple(name for name in names if name.rpartition(".")[0] in self._sees)
            self._felt[asked] = (record, in_motion, in_readings)
        return self._felt[asked][1:]

    def _is_felt(self, name: str, record: Record) -> bool:
        """Whether the motion in this shot depends on that value."""
        of, _, what = name.rpartition(".")
        if of in self._columns:
            return of in record.played or what == "offset"
        return record.flipped if of.startswith("flip") else of not in self._sees

    def _run(self, record: Record, values: Mapping[str, float], steps: int) -> tuple[Array, Array | None]:
        theta = moved(self.model, self.theta, values)
        q, p = (np.reshape(theta[name], (1, -1)) for name in ("initial_position", "initial_momentum"))
        forces = self._forces(record.played, values, steps, record.jitter)
        ran = run(self.model, theta, forces, self.step, q, p)
        rate = values.get("clock.rate", 0.0)
        if not record.flipped:
            return _slower(ran.q[0], rate), None
        still = self._forces({}, values, steps)
        gain = values.get("flip.gain", 1.0)
        offset = np.array([values.get(f"flip[{index}].offset", 0.0) for index in range(self.model.size)])
        back = run(self.model, theta, still, self.step, ran.end_position, -gain * ran.end_momentum + offset)
        return _slower(ran.q[0], rate), _slower(back.q[0], rate)

    def answer_to_asymmetry(
        self, record: Record, values: Mapping[str, float], channels: Sequence[str], pair: tuple[int, int]
    ) -> Array:
        """How much more the channels (channels, steps) show per unit of -q_j on i and q_i on j, for the pair (i, j)."""
        theta, steps = moved(self.model, self.theta, values), len(next(iter(record.shown.values())))
        forces, rest = self._forces(record.played, values, steps), np.zeros((1, self.model.size))
        before = run(self.model, theta, forces, self.step, rest, rest).q[0]
        twist, (i, j) = np.zeros_like(before), pair
        twist[i], twist[j] = -before[j], before[i]
        small = 1e-4 * max(float(np.abs(forces).max()), 1e-300) / max(float(np.abs(twist).max()), 1e-300)
        after = run(self.model, theta, forces + small * twist, self.step, rest, rest).q[0]
        silent = {name: 0.0 for name in values if name.endswith(".offset")}
        return self._read((after - before) / small, {**values, **silent}, channels, _Triggers())

    def _forces(
        self, played: Mapping[str, Array], values: Mapping[str, float], steps: int, jitter: float = 0.0
    ) -> Array:
        total = np.zeros((self.model.size, steps))
        for port, column in self._columns.items():
            offset = values.get(f"{port}.offset", 0.0)
            reached = np.full(steps, offset)
            wave = played.get(port)
            if wave is not None:
                delay = values.get(f"{port}.delay", 0.0)
                # Idle one sample before the first and after the last, as a converter is.
                padded = np.concatenate([[0.0], wave, [0.0]])
                arrived = _later(padded, delay / self.step, jitter, steps)
                if blur := values.get(f"{port}.blur", 0.0):
                    arrived[1:-1] += blur * np.diff(arrived, 2)
                reached = reached + values.get(f"{port}.gain", 1.0) * arrived
            total += column[:, None] * reached
        return total

    def _read(self, q: Array, values: Mapping[str, float], channels: Sequence[str], triggers: _Triggers) -> Array:
        found = np.empty((len(channels), q.shape[1]))
        for row, channel in enumerate(channels):
            seen = self._sees[channel] @ q
            if triggers.blur:
                seen[1:-1] += triggers.blur * np.diff(seen, 2)
            delay = values.get(f"{channel}.delay", 0.0) + triggers.late
            if delay or triggers.jitter:
                # Straight on beyond the ends, as the motion goes for another half step.
                line = np.concatenate([[2 * seen[0] - seen[1]], seen, [2 * seen[-1] - seen[-2]]])
                seen = _later(line, delay / self.step, triggers.jitter, len(seen))
            found[row] = (seen - values.get(f"{channel}.offset", 0.0)) / values.get(f"{channel}.gain", 1.0)
        return found


def _remembered(
    memory: OrderedDict[tuple[Any, ...], tuple[Record, Array, Array | None]],
    asked: tuple[Any, ...],
    record: Record,
    compute: Callable[[], tuple[Array, Array | None]],
) -> tuple[Array, Array | None]:
    """What was computed before, or now; the newest are kept, with their record, so that its id stays taken."""
    if asked in memory:
        memory.move_to_end(asked)
    else:
        memory[asked] = (record, *compute())
        if len(memory) > _REMEMBERED:
            memory.popitem(last=False)
    return memory[asked][1:]


def _in_shot(values: Mapping[str, float], record: Record, own: str) -> dict[str, float]:
    """What is common to all shots, with the gains and the triggers of the ports as this one had them."""
    found = {name: values[name] for name in _common(tuple(values))}
    late = values.get(f"{own}.outputs.delay", 0.0) + values.get(f"{own}.motion.delay", 0.0)
    blur = values.get(f"{own}.outputs.blur", 0.0)
    for port in record.played:
        gain = values.get(f"{own}.{port}.gain", 1.0)
        if gain != 1.0:
            found[f"{port}.gain"] = gain * found.get(f"{port}.gain", 1.0)
        if late:
            found[f"{port}.delay"] = late + found.get(f"{port}.delay", 0.0)
        if blur:
            found[f"{port}.blur"] = blur
    return found


@lru_cache(maxsize=64)
def _common(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.startswith("shot["))


def _later(line: Array, late: float, jitter: float, count: int) -> Array:
    """Of a line that begins one kick early, its value at the first kicks (count,), `late` kicks before each.

    Straight between kicks, with the values of its ends beyond them; the mean over times that are normally distributed
    about that, `jitter` kicks wide: what a corner weighs, max(x, 0), becomes x Phi(x/jitter) + jitter phi(x/jitter).
    """
    if not jitter:
        return np.interp(np.arange(1, count + 1) - late, np.arange(len(line)), line)
    before = int(np.floor(-late))
    reach = int(np.ceil(_TAIL * jitter)) + 1
    near = np.arange(-reach, reach + 2)
    x = np.add.outer(np.array([1.0, 0.0, -1.0]), -late - before - near)
    ramps = x * ndtr(x / jitter) + jitter / np.sqrt(2 * np.pi) * np.exp(-((x / jitter) ** 2) / 2)
    weights = ramps[0] - 2 * ramps[1] + ramps[2]
    places = np.clip(1 + np.arange(count) + before + near[:, None], 0, len(line) - 1)
    return weights @ line[places]


def _slower(q: Array, rate: float) -> Array:
    """Positions (n, steps) as a clock sees them that is slow by `rate`: Lagrange's cubic through four kicks.

    Fits call it thousands of times, and a spline through all kicks takes twice as long.  Off by 3e-7 of the amplitude
    at 50 kicks a period and a rate of 1e-5.
    """
    if not rate or q.shape[1] < 4:
        return q
    (place, weight), *others = _between(q.shape[1], rate)
    found = weight * q.take(place, axis=1)
    for place, weight in others:
        found += weight * q.take(place, axis=1)
    return found


@lru_cache(maxsize=16)  # all shots of a fit see one clock, but for the few trials of its rate
def _between(count: int, rate: float) -> tuple[tuple[NDArray[np.intp], Array], ...]:
    """The four kicks about each time that is asked for, and their weights."""
    places = (1 + rate) * np.arange(count)
    first = np.clip(np.floor(places).astype(int), 1, count - 3)
    x = places - first
    return (
        (first - 1, -x * (x - 1) * (x - 2) / 6),
        (first, (x + 1) * (x - 1) * (x - 2) / 2),
        (first + 1, -(x + 1) * x * (x - 2) / 2),
        (first + 2, (x + 1) * x * (x - 1) / 6),
    )
