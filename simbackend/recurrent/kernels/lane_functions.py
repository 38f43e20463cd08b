"""Functions of vectors in compiled kernels: one LLVM instruction or intrinsic each.

least, most, signed (of x and y, or of x and a number);  magnitude, root, total, power_of_two (of x)
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from simbackend.recurrent.kernels.lanes import Lanes, intrinsic, widened


def _call(builder: Any, name: str, lanes: Lanes, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(lanes.vector, [lanes.vector] * len(arguments))
    full_name = f"llvm.{name}.v{lanes.width}f{lanes.dtype.bitwidth}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, full_name), arguments)


def _of_one(name: str, meaning: str) -> Any:
    def apply(typing_context, value):
        return value(value), lambda context, builder, signature, arguments: _call(builder, name, value, [arguments[0]])

    apply.__doc__ = meaning
    return intrinsic(apply)


def _of_two(name: str, meaning: str) -> Any:
    def apply(typing_context, value, other):
        def generate(context, builder, signature, arguments):
            second = widened(context, builder, arguments[1], signature.args[1], value)
            return _call(builder, name, value, [arguments[0], second])

        return value(value, other), generate

    apply.__doc__ = meaning
    return intrinsic(apply)


magnitude = _of_one("fabs", "|x|")
root = _of_one("sqrt", "The square root.")
least = _of_two("minnum", "The smaller of two, lane by lane.")
most = _of_two("maxnum", "The larger of two, lane by lane.")
signed = _of_two("copysign", "|x| with the sign of the second.")


@intrinsic
def total(typing_context, value):
    """The sum over the lanes, as a tree: an order that is the same every time."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(value.scalar, [value.scalar, value.vector])
        name = f"llvm.vector.reduce.fadd.v{value.width}f{value.dtype.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [ir.Constant(value.scalar, -0.0), arguments[0]], fastmath=("reassoc",))

    return value.dtype(value), generate


@intrinsic
def power_of_two(typing_context, value):
    """2**n of x = n + 1.5 * 2**23 (float32) or n + 1.5 * 2**52 (float64): the lowest bits become the exponent."""

    def generate(context, builder, signature, arguments):
        bits = value.dtype.bitwidth
        mantissa, bias = (23, 127) if bits == 32 else (52, 1023)
        words = ir.VectorType(ir.IntType(bits), value.width)
        shift, one = (ir.Constant(words, [number] * value.width) for number in (mantissa, bias << mantissa))
        raised = builder.add(builder.shl(builder.bitcast(arguments[0], words), shift), one)
        return builder.bitcast(raised, value.vector)

    return value(value), generate
