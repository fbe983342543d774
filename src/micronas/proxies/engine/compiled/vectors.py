"""Vectors of LANES samples in LLVM's own code, for the two inner loops (`tiles.py`) that decide the engine's speed.

What is written here is not run but writes what will run: each method appends LLVM instructions to the function that is
being compiled, and a `Value` stands for the number, vector or pointer that one of them will yield.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from micronas.proxies.engine.compiled.compiling import intrinsic
from micronas.proxies.engine.compiled.layout import LANES

Value = Any  # of LLVM

_INT = ir.IntType(64)
_INT32 = ir.IntType(32)


def constant(value: int) -> ir.Constant:
    """A whole number."""
    return ir.Constant(_INT, value)


class Vectors:
    """Writes code on vectors of LANES numbers at pointers into arrays of one type."""

    def __init__(self, builder: ir.IRBuilder, pointer: Value) -> None:
        self.builder = builder
        self.type = ir.VectorType(pointer.type.pointee, LANES)
        name = "f32" if isinstance(pointer.type.pointee, ir.FloatType) else "f64"
        signature = ir.FunctionType(self.type, [self.type] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, signature, f"llvm.fmuladd.v{LANES}{name}")

    def load(self, pointer: Value, index: Value) -> Value:
        """The vector that begins at an index."""
        return self.builder.load(self._at(pointer, index), align=4)

    def store(self, value: Value, pointer: Value, index: Value) -> None:
        """Put a vector there."""
        self.builder.store(value, self._at(pointer, index), align=4)

    def _at(self, pointer: Value, index: Value) -> Value:
        return self.builder.bitcast(self.shifted(pointer, index), self.type.as_pointer())

    def splat(self, pointer: Value, index: Value) -> Value:
        """The number at an index, in all lanes."""
        undefined = ir.Constant(self.type, ir.Undefined)
        vector = self.builder.insert_element(undefined, self.number(pointer, index), ir.Constant(_INT32, 0))
        return self.builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES))

    def zero(self) -> Value:
        """Zero in all lanes."""
        return ir.Constant(self.type, None)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """A b + c."""
        return self.builder.call(self._fma, [a, b, c])

    def number(self, pointer: Value, index: Value) -> Value:
        """The one number at an index."""
        return self.builder.load(self.shifted(pointer, index))

    def shifted(self, pointer: Value, index: Value) -> Value:
        """A pointer to an index."""
        return self.builder.gep(pointer, [index])

    def multiples(self, step: Value, count: int) -> list[Value]:
        """0, step, 2 step, ..."""
        return [self.builder.mul(step, constant(number)) for number in range(count)]

    def loop(self, count: Value, carried: list[Value], body: Callable[..., list[Value]]) -> list[Value]:
        """Carried = body(number, *carried), `count` >= 1 times, all in registers."""
        builder, entry = self.builder, self.builder.block
        block, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
        builder.branch(block)
        builder.position_at_end(block)
        number, *phis = (builder.phi(value.type) for value in (constant(0), *carried))
        for phi, value in zip((number, *phis), (constant(0), *carried), strict=True):
            phi.add_incoming(value, entry)
        results = body(number, *phis)
        following = builder.add(number, constant(1))
        for phi, value in zip((number, *phis), (following, *results), strict=True):
            phi.add_incoming(value, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, count), block, done)
        builder.position_at_end(done)
        return results


@intrinsic
def address(_: Any, begin: Any, index: Any) -> Any:
    """A pointer to an element of a contiguous array, or to one that lies so far behind what a pointer points to."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Value:
        data, index = arguments
        if isinstance(begin, types.Array):
            data = context.make_array(begin)(context, builder, data).data
        return builder.gep(data, [index])

    return types.CPointer(begin.dtype)(begin, index), generate
