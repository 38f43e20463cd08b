"""Vectors of oscillators for the compiled kernels: one variable holds 8 or more of them and stays in registers.

LLVM vectorises a plain loop over units only if it can show that the arrays do not overlap; the echo of a unit touches
twenty of them, and that loop stayed scalar: 100 us a step (128 units, batch 32, float32, one core) against 5.4 us
written with `Lanes`.  The state stays in registers over a stretch of steps, and a vector of four registers is four
independent chains of arithmetic, which hide each other's latency.  Vectors are counted in registers of the processor at
hand, so the same source serves machines with registers of 64 and 32 bytes; LLVM splits vectors for narrower ones.

    x = load(table, row, i, registers)   table[row, i : i + width], width = registers * REGISTER_BYTES / itemsize
    store(table, row, i, x)              table[row, i : i + width] = x
    entry(table, row, i)                 table[row, i], one number, without numba's test for negative indices
    x + y, x - y, x * y, x / y, -x       with vectors or numbers; a product and a sum may fuse (FMA)

More functions of vectors: `simbackend.recurrent.kernels.lane_functions`.
Tables are two-dimensional and C-contiguous; nothing checks their ends, so rows are rounded up to whole vectors.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.extending import intrinsic as _intrinsic
from numba.extending import lower_builtin, type_callable

REGISTER_BYTES, REGISTERS = (64, 32) if get_host_cpu_features().get("avx512f", False) else (32, 16)
"""Of this processor; one with narrower registers has twice as many, or takes two for one.

Half of what a kernel needs at 64 bytes does not fit into 16 registers of 32, and goes to memory and back at every step.
"""
intrinsic: Any = _intrinsic
"""numba's decorator, which hides the typing context and lets the function be called without it: untyped, therefore."""
_FUSE = ("contract",)


class Lanes(types.Type):
    """numba's type of a vector of `width` numbers of type `dtype`."""

    def __init__(self, dtype: Any, width: int) -> None:
        self.dtype, self.width = dtype, width
        super().__init__(name=f"Lanes({dtype}, {width})")

    @property
    def scalar(self) -> ir.Type:
        """LLVM's type of one number."""
        return ir.FloatType() if self.dtype == types.float32 else ir.DoubleType()

    @property
    def vector(self) -> ir.VectorType:
        """LLVM's type of the whole."""
        return ir.VectorType(self.scalar, self.width)


@register_default(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Lanes) -> None:
        super().__init__(dmm, fe_type, fe_type.vector)


def widened(context: Any, builder: Any, value: Any, given: Any, lanes: Lanes) -> Any:
    """A vector as it is; a number in every lane."""
    if isinstance(given, Lanes):
        return value
    number = context.cast(builder, value, given, lanes.dtype)
    first = builder.insert_element(ir.Constant(lanes.vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes.width), [0] * lanes.width)
    return builder.shuffle_vector(first, ir.Constant(lanes.vector, ir.Undefined), everywhere)


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    table = context.make_array(signature.args[0])(context, builder, arguments[0])
    row, column = (context.cast(builder, arguments[i], signature.args[i], types.intp) for i in (1, 2))
    _, columns = cgutils.unpack_tuple(builder, table.shape)
    return builder.gep(table.data, [builder.add(builder.mul(row, columns), column)])


@intrinsic
def entry(typing_context, table, row, column):
    """The number table[row, column]."""

    def generate(context, builder, signature, arguments):
        return builder.load(_address(context, builder, signature, arguments))

    return table.dtype(table, row, column), generate


@intrinsic(prefer_literal=True)
def load(typing_context, table, row, column, registers):
    """The vector that begins at table[row, column]."""
    lanes = Lanes(table.dtype, registers.literal_value * REGISTER_BYTES * 8 // table.dtype.bitwidth)

    def generate(context, builder, signature, arguments):
        address = builder.bitcast(_address(context, builder, signature, arguments), lanes.vector.as_pointer())
        return builder.load(address, align=table.dtype.bitwidth // 8)

    return lanes(table, types.unliteral(row), types.unliteral(column), registers), generate


@intrinsic
def store(typing_context, table, row, column, value):
    """Put a vector at table[row, column]."""

    def generate(context, builder, signature, arguments):
        address = builder.bitcast(_address(context, builder, signature, arguments), value.vector.as_pointer())
        builder.store(arguments[3], address, align=value.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(table, row, column, value), generate


def _operator(operation: Any, instruction: str) -> None:
    # Lowered where it stands: of an overload numba makes a function for each pair of types, which is linked and inlined
    # anew in every kernel.

    @type_callable(operation)
    def kind_of(context):
        def typed(left, right):
            of = left if isinstance(left, Lanes) else right
            return (
                of
                if isinstance(of, Lanes)
                and isinstance(left, (Lanes, types.Number))
                and isinstance(right, (Lanes, types.Number))
                else None
            )

        return typed

    def combine(context, builder, signature, arguments):
        both = zip(arguments, signature.args, strict=True)
        wide = [widened(context, builder, value, given, signature.return_type) for value, given in both]
        return getattr(builder, instruction)(*wide, flags=_FUSE)

    for kinds in ((Lanes, Lanes), (Lanes, types.Number), (types.Number, Lanes)):
        lower_builtin(operation, *kinds)(combine)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")


@type_callable(operator.neg)
def _kind_of_negative(context):
    return lambda value: value if isinstance(value, Lanes) else None


@lower_builtin(operator.neg, Lanes)
def _negative(context, builder, signature, arguments):
    return builder.fneg(arguments[0])
