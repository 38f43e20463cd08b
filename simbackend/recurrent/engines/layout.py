"""How a batch of sequences lies in the rows that the kernels work on, and what they need of the parameters.

A row holds `items` sequences side by side, each in `size` units: n rounded up to whole vectors, so that no kernel has
a remainder to deal with.  Units that were added have step and read-out 0 and stay at rest.  Each row is summed by
itself, and rows are added in their order: the same bits come out whatever the number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from labrhel.arrays import Array, Arrays
from simbackend.recurrent.kernels import chunks, dense, hru
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES
from simbackend.recurrent.kernels.workspace import zeros
from simbackend.recurrent.models.recurrent_unit import RecurrentUnit

_TILE = 4  # sequences in a tile of `kernels.dense.couple`
_ACROSS_FROM = 32  # columns from which the transposed product is the faster one, see `chunks.gather`


@dataclass(frozen=True, slots=True)
class Layout:
    """`batch` sequences of n units of one floating type in rows of `items` times `size`.

    `coupled` units share each load of their coupling matrix with the other sequences of the row.
    """

    batch: int
    n: int
    dtype: np.dtype
    coupled: bool = field(default=False, kw_only=True)

    size: int = field(init=False)
    """Units rounded up to whole vectors of the matrix products."""
    items: int = field(init=False)
    """Sequences in a row: as few as fill whole vectors of the recurrence, or one tile of coupled ones."""

    def __post_init__(self) -> None:
        numbers = REGISTER_BYTES // self.dtype.itemsize
        size = _up(self.n, numbers * (hru.WIDE if self.coupled else chunks.NARROW))
        if self.coupled:
            items = max(1, min(_TILE, 2 ** (self.batch.bit_length() - 1)))
        else:
            items = hru.WIDE * numbers // math.gcd(size, hru.WIDE * numbers)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "items", items)

    @property
    def rows(self) -> int:
        """Rows that hold the batch."""
        return -(-self.batch // self.items)

    @property
    def row(self) -> int:
        """Numbers in a row."""
        return self.items * self.size

    def fold(self, values: Array) -> Array:
        """(batch, n) -> (rows, row)."""
        folded = zeros((self.rows * self.items, self.size), self.dtype)
        folded[: self.batch, : self.n] = values
        return folded.reshape(self.rows, self.row)

    def unfold(self, folded: Array) -> Array:
        """(rows, row) -> (batch, n); inverse of `fold`."""
        values = folded.reshape(self.rows * self.items, self.size)
        return np.ascontiguousarray(values[: self.batch, : self.n])

    def pad(self, values: Array) -> Array:
        """(..., n) -> (..., size)."""
        padded = zeros((*values.shape[:-1], self.size), self.dtype)
        padded[..., : self.n] = values
        return padded

    def repeat(self, values: Array) -> Array:
        """Constants of the units (..., n) -> (..., row)."""
        return np.tile(self.pad(values), self.items)

    def total(self, folded: Array) -> Array:
        """Sums (rows, ..., row) over the batch -> (..., n)."""
        once = folded.sum(axis=0)
        return once.reshape(*once.shape[:-1], self.items, self.size).sum(axis=-2)[..., : self.n]


@dataclass(frozen=True, slots=True)
class Tables:
    """Parameters as the kernels take them; the shapes stand at the kernels."""

    into: Array
    bias: Array
    gain: Array | None
    coupling: Array | None
    units: Array
    readout: Array
    readout_across: Array
    nudging: Array
    back: Array
    back_across: Array

    @classmethod
    def of(cls, model: RecurrentUnit, theta: Arrays, layout: Layout) -> Tables:
        """Padded, repeated and in the type of the inputs."""
        form = model.kernel_form({name: np.asarray(value, float) for name, value in theta.items()})
        weights, readout = np.asarray(theta["B"]).T, np.asarray(theta["C"])
        units = zeros((hru.UNIT_ROWS, layout.row), layout.dtype)
        friction = np.zeros_like(form.step) if form.friction is None else form.friction
        shared = 1 + form.step * friction / 2  # what a kick is divided by
        units[hru.STEP_ROW] = layout.repeat(form.step)
        units[hru.STIFFNESS_ROW] = layout.repeat(form.stiffness)
        units[hru.WEIGHT_ROW] = layout.repeat(form.weight)
        units[hru.FREQUENCY_ROW] = layout.repeat(form.frequency)
        if form.cubic is not None:
            units[hru.CUBIC_ROW] = layout.repeat(form.cubic)
        units[hru.FRICTION_ROW] = layout.repeat(friction)
        units[hru.KICK_ROW] = layout.repeat(form.step / shared)
        back = layout.pad(-(form.step * form.weight) * weights)
        return cls(
            into=layout.pad(weights),
            bias=layout.pad(form.bias[None]),
            gain=None if form.gain is None else layout.repeat(form.gain[None]),
            coupling=None if form.coupling is None else _panels(layout.pad(form.coupling)),
            units=units,
            readout=layout.pad(readout),
            readout_across=_across(layout.pad(readout)),
            nudging=layout.pad(readout if form.friction is None else readout / shared),
            back=back,
            back_across=_across(back),
        )

    def scaled(self, scale: float) -> Tables:
        """The same with the input gradient multiplied by `scale`."""
        return self if scale == 1 else replace(self, back=self.back * scale, back_across=self.back_across * scale)


def _panels(matrix: Array) -> Array:
    """(n, size) -> (size / width, n, width), as `dense.couple` reads it."""
    n, size = matrix.shape
    width = dense.TILE * REGISTER_BYTES // matrix.itemsize
    panels = zeros((size // width, n, width), matrix.dtype)
    panels[:] = matrix.reshape(n, size // width, width).swapaxes(0, 1)
    return panels


def _across(table: Array) -> Array:
    columns, rows = table.shape
    if columns < _ACROSS_FROM:
        return np.zeros((rows, 0), table.dtype)
    turned = zeros((rows, _up(columns, chunks.NARROW * REGISTER_BYTES // table.itemsize)), table.dtype)
    turned[:, :columns] = table.T
    return turned


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
