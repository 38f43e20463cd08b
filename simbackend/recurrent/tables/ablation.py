"""What depth, width and damping are worth: the stack of a set with one of them changed, by echoes and by BPTT.

Beside the units: what the same stacks learn by SPSA, which needs no echo, and damped ones by echoes that pump the lost
energy back, which need no record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from labrhel.errors import ConfigurationError
from labrhel.records.tables import Asked
from simbackend.recurrent.tables.sources import Source, sources
from simbackend.recurrent.tables.training import CLASSES, Line, TrainingTable, planned

OWN = ("EigenWorms",)
_LOSSLESS, _DAMPED = ("linear", "nonlinear"), ("damped", "damped_nonlinear")


def ablation(asked: Asked) -> TrainingTable:
    """Half, once and twice the blocks and the oscillators of a linear stack; lossless and damped units.

    Raises ConfigurationError, also for units: all of them are compared.
    """
    if asked.units:
        raise ConfigurationError("the ablation compares all units; leave out --units")
    found = sources(asked, OWN, CLASSES)
    lines = [line for source in found for line in _lines(source)]
    return planned(asked, found, ("set", "varied", "value"), lines)


def _lines(source: Source) -> Iterator[Line]:
    for field, words, what in (("blocks", "depth", "blocks"), ("state", "width", "oscillators")):
        usual: int = getattr(source.row, field)
        for value in sorted({max(usual // 2, 1), usual, 2 * usual}):
            changed = replace(source, row=replace(source.row, **{field: value}))
            yield Line((source.name, words, f"{value} {what}"), changed, "linear")
    for unit in (*_LOSSLESS, *_DAMPED):
        others = ("pumped", "spsa") if unit in _DAMPED else ("spsa",)
        yield Line((source.name, "damping", unit), source, unit, beside=others)
