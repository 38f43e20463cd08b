"""Made series in place of a data set that is not at hand: the same shapes, something to learn, and nothing known.

    classes       each class has two tones of its own in every channel, at random phases, under noise of their size
    heart rate    a rate that wanders, a pulse wave that follows it, and channels that say more or less of it

What is made stands for the real set in a rehearsal: how long a training takes, how much memory it needs, whether
echoes follow BPTT.  No figure of it says anything about the real one.
"""

from __future__ import annotations

import numpy as np

from labrhel.arrays import Array
from labrhel.data.memory import require_room
from labrhel.data.ppg_dalia import READING
from labrhel.data.samples import Samples
from labrhel.data.tasks import REMEDY
from labrhel.errors import ConfigurationError

_TONES = 2
_SLOWEST, _FASTEST = 2.0, 20.0  # periods in a sequence
_RATES = (50.0, 120.0)  # beats per minute
_SAMPLES_A_SECOND = 64
_CHANNELS = 6


def classes(count: int, steps: int, channels: int, kinds: int, generator: np.random.Generator) -> Samples:
    """Series (steps, channels) of `kinds` classes in turn, float32, and the number of the class.

    Raises ConfigurationError for fewer series than classes, and for series too short to hold a tone.
    """
    if count < kinds or steps < 2 * _SLOWEST:
        raise ConfigurationError(
            f"{count} series of {steps} steps cannot show {kinds} classes; make one series of each class or more, and "
            f"{2 * _SLOWEST:.0f} steps or more"
        )
    require_room(4.0 * count * steps * channels, f"a set of {count} series of {steps} steps", REMEDY)
    tones = generator.uniform(_SLOWEST, min(_FASTEST, steps / 2), (kinds, _TONES, channels))
    time = np.arange(steps)[:, None] / steps
    inputs, targets = [], []
    for index in range(count):
        kind = index % kinds
        values = generator.standard_normal((steps, channels), np.float32)
        for tone in tones[kind]:
            values += np.sin(2 * np.pi * (time * tone + generator.uniform(size=channels))).astype(np.float32)
        inputs.append(values)
        targets.append(np.array(kind))
    return Samples(tuple(inputs), tuple(targets))


def heart_rate(subjects: int, readings: int, generator: np.random.Generator) -> Samples:
    """Records shaped like those of `labrhel.data.ppg_dalia`: (readings * READING, 6) and (readings, 1), in [-1, 1]."""
    if subjects < 1 or readings < 2:
        raise ConfigurationError("a heart rate to learn needs one subject or more, and two readings or more of each")
    require_room(4.0 * subjects * readings * READING * _CHANNELS, f"{subjects} subjects of {readings} readings", REMEDY)
    records = [_subject(readings, generator) for _ in range(subjects)]
    return Samples(tuple(inputs for inputs, _ in records), tuple(target for _, target in records))


def _subject(readings: int, generator: np.random.Generator) -> tuple[Array, Array]:
    wandering = np.cumsum(generator.standard_normal(readings))
    span = np.ptp(wandering)
    target = 2 * (wandering - wandering.min()) / span - 1
    rate = np.repeat(target, READING)
    beats = np.cumsum(np.mean(_RATES) + np.ptp(_RATES) / 2 * rate) / 60 / _SAMPLES_A_SECOND
    inputs = generator.uniform(-1, 1, (len(rate), _CHANNELS)).astype(np.float32)
    inputs[:, 3] = np.sin(2 * np.pi * beats)  # the pulse wave; skin conductance follows the rate, as far as noise lets
    inputs[:, 4] = (rate + inputs[:, 4]) / 2
    return inputs, target[:, None].astype(np.float32)
