"""What the compiled kernels are made of: LLVM code on vectors of LANES samples, and how it is compiled.

Convolutions, pools and their gradients are all one operation, a sum over *taps*, y[o, p] += Σ_t w[o, t] x[p + offset
t], and all weight gradients another, g[o, t] = Σ_p d[o, p] x[p + offset t]. No compiler keeps their accumulators in
registers by itself, so both are written in vector types here. A loop over taps serves any kernel size, stride and
padding.
"""

# numba's generators take arguments that not all of them use.
# ruff: noqa: ARG001

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, config
from numba.extending import intrinsic as typed_intrinsic

from micronas.cache import cache_dir
from micronas.proxies.engine.layout import LANES

# numba's types are half unknown, and what `intrinsic` decorates is called with one argument less.
intrinsic: Any = typed_intrinsic
compile_: Any = njit
settings: Any = config
Value = Any  # of LLVM

_FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums may be reordered; infinities and NaN stay what they are


def compiled(function: Callable[..., Any]) -> Any:
    """Compiled when first called, without the interpreter's lock, and kept in the cache where that can be written."""
    options: Any = {"nogil": True, "fastmath": _FAST, "error_model": "numpy"}
    before, settings.CACHE_DIR = settings.CACHE_DIR, settings.CACHE_DIR or str(_folder())
    try:
        return compile_(cache=True, **options)(function)
    except RuntimeError:  # no folder to write to
        return compile_(**options)(function)
    finally:
        settings.CACHE_DIR = before


def _folder() -> Path:
    """Where compiled code is kept: a folder of its own for each state of this package's sources.

    numba's cache alone follows only the file of the function that is called, not those that are compiled into it.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    state = hashlib.blake2b(b"".join(source.read_bytes() for source in sources), digest_size=8)
    return cache_dir() / "numba" / state.hexdigest()


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that only compiled ones call: part of what `execute` is compiled to.

    Compiling takes seconds, so these avoid what numba is slow at: array expressions, assignments to slices, numpy's
    own functions, and literal arguments, each of which makes a version of its own.
    """
    return compile_(nogil=True, fastmath=_FAST, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(
        function
    )


_INT = ir.IntType(64)


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_INT, value)


class _Vectors:
    """Writes LLVM code on vectors of LANES numbers at pointers into arrays of one type."""

    def __init__(self, builder: ir.IRBuilder, pointer: Value) -> None:
        self.builder = builder
        self.type = ir.VectorType(pointer.type.pointee, LANES)
        name = "f32" if isinstance(pointer.type.pointee, ir.FloatType) else "f64"
        signature = ir.FunctionType(self.type, [self.type] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, signature, f"llvm.fmuladd.v{LANES}{name}")

    def _at(self, pointer: Value, index: Value) -> Value:
        return self.builder.bitcast(self.builder.gep(pointer, [index]), self.type.as_pointer())

    def load(self, pointer: Value, index: Value) -> Value:
        return self.builder.load(self._at(pointer, index), align=4)

    def store(self, value: Value, pointer: Value, index: Value) -> None:
        self.builder.store(value, self._at(pointer, index), align=4)

    def splat(self, pointer: Value, index: Value) -> Value:
        """The number at an index, in all lanes."""
        undefined, lane = ir.Constant(self.type, ir.Undefined), ir.IntType(32)
        number = self.builder.load(self.builder.gep(pointer, [index]))
        vector = self.builder.insert_element(undefined, number, ir.Constant(lane, 0))
        return self.builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(lane, LANES), [0] * LANES))

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        return self.builder.call(self._fma, [a, b, c])

    def zero(self) -> Value:
        return ir.Constant(self.type, None)

    def loop(self, count: Value, carried: list[Value], body: Callable[..., list[Value]]) -> list[Value]:
        """Carried = body(number, *carried), `count` >= 1 times, all in registers."""
        builder, entry = self.builder, self.builder.block
        block, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
        builder.branch(block)
        builder.position_at_end(block)
        number = builder.phi(_INT)
        number.add_incoming(_constant(0), entry)
        phis = [builder.phi(value.type) for value in carried]
        for phi, value in zip(phis, carried, strict=True):
            phi.add_incoming(value, entry)
        results = body(number, *phis)
        following = builder.add(number, _constant(1))
        number.add_incoming(following, builder.block)
        for phi, value in zip(phis, results, strict=True):
            phi.add_incoming(value, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, count), block, done)
        builder.position_at_end(done)
        return results


@intrinsic
def address(_: Any, array: Any, index: Any) -> Any:
    """A pointer to an element of a contiguous array."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, index), generate


@intrinsic
def keep_apart(_: Any) -> Any:
    """Keeps LLVM from copying the function this stands in into its callers: half the time of compiling."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


def _taps(outputs: int, pixels: int) -> Any:
    """y[o, p] (+)= Σ_t w[o, t] x[p + offset t] for some outputs o and pixels p at once; taps >= 1."""

    @intrinsic
    def taps(
        _: Any, y: Any, y_pixel: Any, y_output: Any, adds: Any, x: Any, x_pixel: Any,
        w: Any, w_tap: Any, w_output: Any, offsets: Any, count: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
            y, y_pixel, y_output, adds, x, x_pixel, w, w_tap, w_output, offsets, count = arguments
            vectors = _Vectors(builder, y)
            tiles = [(o, p) for o in range(outputs) for p in range(pixels)]
            places = [
                builder.add(builder.mul(y_output, _constant(o)), builder.mul(y_pixel, _constant(p))) for o, p in tiles
            ]
            old = [builder.select(adds, vectors.load(y, place), vectors.zero()) for place in places]

            def body(tap: Value, *totals: Value) -> list[Value]:
                shifted = builder.gep(x, [builder.load(builder.gep(offsets, [tap]))])
                values = [vectors.load(shifted, builder.mul(x_pixel, _constant(p))) for p in range(pixels)]
                first = builder.mul(w_tap, tap)
                steps = [builder.mul(w_output, _constant(o)) for o in range(outputs)]
                weights = [vectors.splat(w, builder.add(first, step)) for step in steps]
                return [vectors.fma(values[p], weights[o], total) for (o, p), total in zip(tiles, totals, strict=True)]

            for place, total in zip(places, vectors.loop(count, old, body), strict=True):
                vectors.store(total, y, place)
            return context.get_dummy_value()

        arguments = (y, y_pixel, y_output, adds, x, x_pixel, w, w_tap, w_output, offsets, count)
        return types.void(*arguments), generate

    return taps


def _slopes(outputs: int, taps: int) -> Any:
    """g[o, t] = scale[o] Σ_p d[o, p] x[p + offset t] for some outputs o and taps t at once, over rows and columns."""

    @intrinsic
    def slopes(
        _: Any, g: Any, g_output: Any, g_tap: Any, scale: Any, d: Any, d_output: Any, d_row: Any,
        x: Any, x_row: Any, x_pixel: Any, offsets: Any, rows: Any, columns: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
            g, g_output, g_tap, scale, d, d_output, d_row, x, x_row, x_pixel, offsets, rows, columns = arguments
            vectors = _Vectors(builder, g)
            tiles = [(o, t) for o in range(outputs) for t in range(taps)]
            shifts = [builder.load(builder.gep(offsets, [_constant(t)])) for t in range(taps)]

            def row(number: Value, *totals: Value) -> list[Value]:
                d_here = builder.gep(d, [builder.mul(number, d_row)])
                x_here = builder.gep(x, [builder.mul(number, x_row)])

                def pixel(column: Value, *totals: Value) -> list[Value]:
                    d_at = builder.mul(column, _constant(LANES))
                    x_at = builder.mul(column, x_pixel)
                    steps = [builder.mul(d_output, _constant(o)) for o in range(outputs)]
                    slopes = [vectors.load(d_here, builder.add(d_at, step)) for step in steps]
                    values = [vectors.load(x_here, builder.add(x_at, shift)) for shift in shifts]
                    pairs = zip(tiles, totals, strict=True)
                    return [vectors.fma(slopes[o], values[t], total) for (o, t), total in pairs]

                return vectors.loop(columns, list(totals), pixel)

            totals = vectors.loop(rows, [vectors.zero()] * len(tiles), row)
            for (o, t), total in zip(tiles, totals, strict=True):
                place = builder.add(builder.mul(g_output, _constant(o)), builder.mul(g_tap, _constant(t)))
                vectors.store(builder.fmul(total, vectors.splat(scale, _constant(o))), g, place)
            return context.get_dummy_value()

        arguments = (g, g_output, g_tap, scale, d, d_output, d_row, x, x_row, x_pixel, offsets, rows, columns)
        return types.void(*arguments), generate

    return slopes


# Three outputs at once, for the reduced networks have 3, 6 and 12 channels; as many accumulators as registers allow.
_taps_3x2, _taps_3x1, _taps_1x2, _taps_1x1 = _taps(3, 2), _taps(3, 1), _taps(1, 2), _taps(1, 1)
slopes_3x3, slopes_3x1, slopes_1x3, slopes_1x1 = _slopes(3, 3), _slopes(3, 1), _slopes(1, 3), _slopes(1, 1)


@part
def sweep(y, x, w, offsets, numbers):
    """Taps over all pixels of some outputs of one block of samples.

    `numbers`: where y starts, and its steps by row, pixel and output; x's start, and steps by row and pixel; w's
    start, and steps by tap and output; outputs, rows, columns; whether to add to what is in y.
    """
    keep_apart()
    y_at, y_row, y_pixel, y_output, x_at, x_row, x_pixel, w_at, w_tap, w_output, outputs, rows, columns, adds = numbers
    count, adding = offsets.size, adds != 0
    for output in range(0, outputs - outputs % 3, 3):
        weights = address(w, w_at + output * w_output)
        for row in range(rows):
            to, of = y_at + output * y_output + row * y_row, x_at + row * x_row
            for column in range(0, columns - columns % 2, 2):
                _taps_3x2(
                    address(y, to + column * y_pixel), y_pixel, y_output, adding, address(x, of + column * x_pixel),
                    x_pixel, weights, w_tap, w_output, address(offsets, 0), count,
                )  # fmt: skip
            for column in range(columns - columns % 2, columns):
                _taps_3x1(
                    address(y, to + column * y_pixel), y_pixel, y_output, adding, address(x, of + column * x_pixel),
                    x_pixel, weights, w_tap, w_output, address(offsets, 0), count,
                )  # fmt: skip
    for output in range(outputs - outputs % 3, outputs):
        weights = address(w, w_at + output * w_output)
        for row in range(rows):
            to, of = y_at + output * y_output + row * y_row, x_at + row * x_row
            for column in range(0, columns - columns % 2, 2):
                _taps_1x2(
                    address(y, to + column * y_pixel), y_pixel, y_output, adding, address(x, of + column * x_pixel),
                    x_pixel, weights, w_tap, w_output, address(offsets, 0), count,
                )  # fmt: skip
            for column in range(columns - columns % 2, columns):
                _taps_1x1(
                    address(y, to + column * y_pixel), y_pixel, y_output, adding, address(x, of + column * x_pixel),
                    x_pixel, weights, w_tap, w_output, address(offsets, 0), count,
                )  # fmt: skip


@part
def strides(height, width, border):
    """(row, plane) of a tensor in the arena, and how far its first pixel lies inside a plane."""
    row = (width + 2 * border) * LANES
    return row, (height + 2 * border) * row, border * row + border * LANES
