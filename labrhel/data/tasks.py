"""Made problems that ask how long a recurrent unit remembers, and whether it can forget.

    decay          y_k = pole y_(k-1) + u_k of white noise u, scaled to variance 1          forget steadily
    adding         two of many numbers are marked; their sum is asked for at the end        pick and hold
    copy memory    symbols, a long wait, then a mark: say them again in order               hold many things

Every target is a sequence (steps, outputs).  Where nothing is asked for it is NaN, and a loss leaves those entries out.
Sources: adding and copying as Hochreiter & Schmidhuber (1997) and Arjovsky, Shah & Bengio (2016); the leaky integrator
as in D-LinOSS (arXiv 2505.12171).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from labrhel.arrays import Array
from labrhel.data.memory import require_room
from labrhel.data.samples import Samples
from labrhel.errors import ConfigurationError

POLE = 0.8
"""Of the leaky integrator: it forgets in about 5 steps."""
REMEDY = "take fewer or shorter sequences"
"""For what does not fit into the memory."""
SYMBOLS, WORD = 8, 10
"""Different symbols to copy, and how many of them."""


def decay(count: int, steps: int, generator: np.random.Generator) -> Samples:
    """White noise (steps, 1), and its leaky integral (steps, 1)."""
    _check(count, steps, 1, numbers=2)
    noise = generator.standard_normal((count, steps))
    leaky, value = np.empty_like(noise), np.zeros(count)
    for k in range(steps):
        value = POLE * value + noise[:, k]
        leaky[:, k] = value
    scale = np.sqrt(1 - POLE**2)  # the variance of an integral that has gone on for long is 1/(1 - pole^2)
    return _samples(noise[..., None], scale * leaky[..., None])


def adding(count: int, steps: int, generator: np.random.Generator) -> Samples:
    """Numbers from 0 to 1 and marks (steps, 2), one mark in either half; at the last step the sum of the two marked."""
    _check(count, steps, 2, numbers=3)
    numbers, marks = generator.uniform(size=(count, steps)), np.zeros((count, steps))
    target = np.full((count, steps, 1), np.nan)
    for low, high in ((0, steps // 2), (steps // 2, steps)):
        marks[np.arange(count), generator.integers(low, high, count)] = 1
    target[:, -1, 0] = np.sum(numbers * marks, axis=1)
    return _samples(np.stack([numbers, marks], axis=2), target)


def copy_memory(count: int, steps: int, generator: np.random.Generator) -> Samples:
    """Ten symbols one-hot, a wait, a mark (steps, 9); the symbols one-hot (steps, 8) over the last ten steps."""
    _check(count, steps, 2 * WORD + 1, numbers=2 * SYMBOLS + 1)
    word = generator.integers(0, SYMBOLS, (count, WORD))
    one_hot = np.eye(SYMBOLS)[word]
    inputs, target = np.zeros((count, steps, SYMBOLS + 1)), np.full((count, steps, SYMBOLS), np.nan)
    inputs[:, :WORD, :SYMBOLS] = one_hot
    inputs[:, steps - WORD - 1, SYMBOLS] = 1
    target[:, steps - WORD :] = one_hot
    return _samples(inputs, target)


TASKS: Mapping[str, Callable[[int, int, np.random.Generator], Samples]] = MappingProxyType(
    {"decay": decay, "adding": adding, "copy_memory": copy_memory}
)
"""By name: (number of sequences, steps of each, random numbers) -> samples in float64."""


def _check(count: int, steps: int, least: int, *, numbers: int) -> None:
    """`numbers`: of inputs and targets at each step, float64."""
    if count < 1 or steps < least:
        raise ConfigurationError(
            f"{steps} steps in {count} sequences are too few; give at least {least} steps, and 1 sequence or more"
        )
    require_room(8.0 * count * steps * numbers, f"a task of {count} sequences of {steps} steps", REMEDY)


def _samples(inputs: Array, targets: Array) -> Samples:
    return Samples(tuple(inputs), tuple(targets))
