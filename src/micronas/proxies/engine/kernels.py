"""The instructions of `program.py` compiled by numba: vectors of LANES samples in registers, no Python in between.

Convolutions, pools and their gradients are all one operation, a sum over *taps*, target[o, p] += Σ_t w[o, t] ·
source[p + offset t], and all weight gradients another, G[o, t] = Σ_p gradient[o, p] · source[p + offset t]. Both are
written in LLVM's vector types, for no compiler keeps their accumulators in registers by itself; everything else is
plain loops over rows that it vectorises well. A loop over taps serves any kernel size, stride and padding.

All of this is one file because numba's cache of compiled code follows the file of the function that was called.
"""

# numba knows no `in` for enum members, and its generators take arguments that not all of them use.
# ruff: noqa: ARG001, PLR0912, PLR1714

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, config
from numba.extending import intrinsic as typed_intrinsic

from micronas.cache import cache_dir
from micronas.proxies.engine.program import LANES, Op

# numba's types are half unknown, and what `intrinsic` decorates is called with one argument less.
intrinsic: Any = typed_intrinsic
compile_: Any = njit
settings: Any = config
Value = Any  # of LLVM

_FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums may be reordered; infinities and NaN stay what they are


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled when first called, without the interpreter's lock, and kept in the cache where that can be written."""
    options: Any = {"nogil": True, "fastmath": _FAST, "error_model": "numpy"}
    before, settings.CACHE_DIR = settings.CACHE_DIR, settings.CACHE_DIR or str(cache_dir() / "numba")
    try:
        return compile_(cache=True, **options)(function)
    except RuntimeError:  # no folder to write to
        return compile_(**options)(function)
    finally:
        settings.CACHE_DIR = before


def _part(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that only compiled ones call: part of what `execute` is compiled to.

    Compiling takes seconds, so these avoid what numba is slow at: array expressions, assignments to slices, numpy's
    own functions, and literal arguments, each of which makes a version of its own.
    """
    return compile_(nogil=True, fastmath=_FAST, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(
        function
    )


# --- vectors ----------------------------------------------------------------------------------------

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
def _address(_: Any, array: Any, index: Any) -> Any:
    """A pointer to an element of a contiguous array."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, index), generate


@intrinsic
def _keep_apart(_: Any) -> Any:
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
_slopes_3x3, _slopes_3x1, _slopes_1x3, _slopes_1x1 = _slopes(3, 3), _slopes(3, 1), _slopes(1, 3), _slopes(1, 1)


@_part
def _sweep(y, x, w, offsets, numbers):
    """Taps over all pixels of some outputs of one block of samples.

    `numbers`: where y starts, and its steps by row, pixel and output; x's start, and steps by row and pixel; w's
    start, and steps by tap and output; outputs, rows, columns; whether to add to what is in y.
    """
    _keep_apart()
    y_at, y_row, y_pixel, y_output, x_at, x_row, x_pixel, w_at, w_tap, w_output, outputs, rows, columns, adds = numbers
    count, adding = offsets.size, adds != 0
    for output in range(0, outputs - outputs % 3, 3):
        weights = _address(w, w_at + output * w_output)
        for row in range(rows):
            to, of = y_at + output * y_output + row * y_row, x_at + row * x_row
            for column in range(0, columns - columns % 2, 2):
                _taps_3x2(
                    _address(y, to + column * y_pixel), y_pixel, y_output, adding, _address(x, of + column * x_pixel),
                    x_pixel, weights, w_tap, w_output, _address(offsets, 0), count,
                )  # fmt: skip
            for column in range(columns - columns % 2, columns):
                _taps_3x1(
                    _address(y, to + column * y_pixel), y_pixel, y_output, adding, _address(x, of + column * x_pixel),
                    x_pixel, weights, w_tap, w_output, _address(offsets, 0), count,
                )  # fmt: skip
    for output in range(outputs - outputs % 3, outputs):
        weights = _address(w, w_at + output * w_output)
        for row in range(rows):
            to, of = y_at + output * y_output + row * y_row, x_at + row * x_row
            for column in range(0, columns - columns % 2, 2):
                _taps_1x2(
                    _address(y, to + column * y_pixel), y_pixel, y_output, adding, _address(x, of + column * x_pixel),
                    x_pixel, weights, w_tap, w_output, _address(offsets, 0), count,
                )  # fmt: skip
            for column in range(columns - columns % 2, columns):
                _taps_1x1(
                    _address(y, to + column * y_pixel), y_pixel, y_output, adding, _address(x, of + column * x_pixel),
                    x_pixel, weights, w_tap, w_output, _address(offsets, 0), count,
                )  # fmt: skip


# --- shapes -----------------------------------------------------------------------------------------


@_part
def _strides(height, width, border):
    """(row, plane) of a tensor in the arena, and how far its first pixel lies inside a plane."""
    row = (width + 2 * border) * LANES
    return row, (height + 2 * border) * row, border * row + border * LANES


@_part
def _offsets(channels, kernel, padding, row, plane, inside):
    """Where the taps of a convolution read, (input channel, row, column), relative to the pixel they stand on."""
    _keep_apart()
    offsets = np.empty(channels * kernel * kernel, np.int64)
    tap = 0
    for channel in range(channels):
        for y in range(kernel):
            for x in range(kernel):
                offsets[tap] = channel * plane + inside + (y - padding) * row + (x - padding) * LANES
                tap += 1
    return offsets


@_part
def _fill(x, at, row, plane, images, height, count, value, adds):
    """Set the first `count` numbers of every row of some planes, or add to them."""
    _keep_apart()
    for image in range(images):
        for y in range(height):
            start = at + image * plane + y * row
            line = x[start : start + count]
            if adds:
                for j in range(count):
                    line[j] += value
            else:
                for j in range(count):
                    line[j] = value


# --- forward ----------------------------------------------------------------------------------------


@_part
def _windows(arena, op, target, source, adds, scale, shape, border, blocks, weights, at, deviations, scratch, samples):
    """A convolution, up to three channels at a time; with batch norm, in the scratch until its statistics are known."""
    _keep_apart()
    c_in, h_in, w_in, c_out, h_out, w_out, kernel, stride, padding, depthwise = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    offsets = _offsets(c_in if depthwise == 0 else depthwise, kernel, padding, row_in, plane_in, inside_in)
    count, packed = offsets.size, h_out * w_out * LANES
    weighted = np.empty(3 * count, arena.dtype)
    for first in range(0, c_out, 3):
        some = min(3, c_out - first)
        place = target + first * plane_out + inside_out
        if op == Op.CONV:
            sums, start, row, plane, step, factor, adding = (
                arena,
                place,
                row_out,
                plane_out,
                c_out * plane_out,
                scale,
                adds,
            )
            for block in range(blocks):
                for c in range(some):  # only linear layers have a bias
                    bias = weights[at + c_out * count + first + c] * scale
                    if bias != 0:
                        of = place + block * step + c * plane
                        _fill(arena, of, row, plane, np.int64(1), h_out, w_out * LANES, bias, adds)
                        adding = adds - adds + 1
        else:
            sums, start, row, plane, step, adding = scratch, 0, w_out * LANES, blocks * packed, packed, 0
            factor = arena.dtype.type(1)
        for j in range(some * count):
            weighted[j] = weights[at + first * count + j] * factor
        apart = some if depthwise else min(some, 1)
        for block in range(blocks):
            for c in range(apart):
                of = source + block * c_in * plane_in + (first + c) * plane_in * depthwise
                _sweep(
                    sums, arena, weighted, offsets,
                    (
                        start + block * step + c * plane, row, np.int64(LANES), plane, of, stride * row_in,
                        stride * LANES, c * count, np.int64(1), count, some // apart, h_out, w_out, adding,
                    ),
                )  # fmt: skip
        if op == Op.CONV_NORM:
            for c in range(some):
                deviations[first + c] = _normalise(
                    arena, place + c * plane_out, row_out, c_out * plane_out, scratch, start + c * plane, row, step,
                    h_out, w_out, blocks, samples, scale, adds,
                )  # fmt: skip


@_part
def _norm(arena, target, source, adds, scale, shape, border, blocks, deviations, samples):
    _keep_apart()
    channels, height, width = shape[0], shape[1], shape[2]
    row, plane, inside = _strides(height, width, border)
    for channel in range(channels):
        of, to = source + channel * plane + inside, target + channel * plane + inside
        deviations[channel] = _normalise(
            arena, to, row, channels * plane, arena, of, row, channels * plane,
            height, width, blocks, samples, scale, adds,
        )  # fmt: skip


@_part
def _normalise(y, y_at, y_row, y_block, x, x_at, x_row, x_block, height, width, blocks, samples, scale, adds):
    """Y (+)= scale (x - mean) / deviation for one channel; 1 / deviation, with torch's 1e-5 below the root."""
    _keep_apart()
    mean = x.dtype.type(_moment(x, x_at, x_row, x_block, height, width, blocks, samples, x.dtype.type(0), np.int64(1)))
    variance = _moment(x, x_at, x_row, x_block, height, width, blocks, samples, mean, np.int64(2))
    inverse = x.dtype.type(1 / np.sqrt(variance + 1e-5))
    factor, count = scale * inverse, width * LANES
    for block in range(blocks):
        for row in range(height):
            to, of = y_at + block * y_block + row * y_row, x_at + block * x_block + row * x_row
            target, source = y[to : to + count], x[of : of + count]
            if adds:
                for j in range(count):
                    target[j] += (source[j] - mean) * factor
            else:
                for j in range(count):
                    target[j] = (source[j] - mean) * factor
    return inverse


@_part
def _moment(x, at, row, block_stride, height, width, blocks, samples, mean, power):
    """The average of x, or of (x - mean)², over the real samples of one channel; summed by rows, then in float64."""
    total = 0.0
    for block in range(blocks):
        lanes = min(samples - block * LANES, LANES)
        for y in range(height):
            start = at + block * block_stride + y * row
            line, part = x[start : start + width * LANES], x.dtype.type(0)
            if lanes < LANES:
                for j in range(line.size):
                    if j % LANES < lanes:
                        part += line[j] if power == 1 else (line[j] - mean) * (line[j] - mean)
            elif power == 1:
                for j in range(line.size):
                    part += line[j]
            else:
                for j in range(line.size):
                    part += (line[j] - mean) * (line[j] - mean)
            total += part
    return total / (height * width * samples)


@_part
def _rows(arena, target, source, other, adds, scale, shape, border, blocks, op, deviations):
    """Copy, ReLU and the gradients of ReLU and batch norm: what one number after the other becomes."""
    _keep_apart()
    channels, height, width = shape[3], shape[4], shape[5]
    row, plane, inside = _strides(height, width, border)
    count, zero = width * LANES, arena.dtype.type(0)
    for image in range(blocks * channels):
        factor = scale * deviations[image % channels] if op == Op.NORM_BACK else scale
        for y in range(height):
            at = image * plane + inside + y * row
            to, of = arena[target + at : target + at + count], arena[source + at : source + at + count]
            if op == Op.RELU or op == Op.RELU_BACK:
                on = arena[other + at : other + at + count] if op == Op.RELU_BACK else of
                if adds:
                    for j in range(count):
                        slope = of[j] * factor  # before the question, so that there is no branch
                        to[j] += slope if on[j] > zero else zero
                else:
                    for j in range(count):
                        slope = of[j] * factor
                        to[j] = slope if on[j] > zero else zero
            elif adds:
                for j in range(count):
                    to[j] += of[j] * factor
            else:
                for j in range(count):
                    to[j] = of[j] * factor


@_part
def _shares(arena, target, source, adds, scale, shape, border, blocks):
    """Each pixel divided by how many pixels, not padding, the window of an average pool covers there."""
    _keep_apart()
    channels, h_in, w_in, _, h_out, w_out, kernel, stride, padding, _ = shape
    row, plane, inside = _strides(h_out, w_out, border)
    shares = np.empty(w_out * LANES, arena.dtype)
    for y in range(h_out):
        high = min(y * stride - padding + kernel, h_in) - max(y * stride - padding, 0)
        for j in range(shares.size):
            left = j // LANES * stride - padding
            shares[j] = scale / (high * (min(left + kernel, w_in) - max(left, 0)))
        for image in range(blocks * channels):
            at = image * plane + inside + y * row
            to, of = arena[target + at : target + at + shares.size], arena[source + at : source + at + shares.size]
            if adds:
                for j in range(shares.size):
                    to[j] += of[j] * shares[j]
            else:
                for j in range(shares.size):
                    to[j] = of[j] * shares[j]


@_part
def _max_pool(arena, target, source, other, adds, scale, shape, border, blocks, back):
    """Forward, or its gradient, which goes to the first largest number of every window."""
    _keep_apart()
    channels, h_in, w_in, _, h_out, w_out, kernel, stride, padding, _ = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    if back and not adds:
        images = blocks * channels
        _fill(arena, target + inside_in, row_in, plane_in, images, h_in, w_in * LANES, arena.dtype.type(0), adds)
    read = other if back else source
    for image in range(blocks * channels):
        for y in range(h_out):
            for x in range(w_out):
                for lane in range(LANES):
                    best, place = arena.dtype.type(-np.inf), 0
                    for v in range(max(y * stride - padding, 0), min(y * stride - padding + kernel, h_in)):
                        for u in range(max(x * stride - padding, 0), min(x * stride - padding + kernel, w_in)):
                            at = image * plane_in + inside_in + v * row_in + u * LANES + lane
                            if arena[read + at] > best:
                                best, place = arena[read + at], at
                    at = image * plane_out + inside_out + y * row_out + x * LANES + lane
                    if back:
                        arena[target + place] += arena[source + at] * scale
                    else:
                        arena[target + at] = best * scale + (arena[target + at] if adds else 0)


@_part
def _global_pool(arena, target, source, adds, scale, shape, border, blocks, back):
    """The mean over all pixels, or its gradient, which all pixels share."""
    _keep_apart()
    channels, height, width = shape[0], shape[1], shape[2]
    row, plane, inside = _strides(height, width, border)
    _, plane_one, inside_one = _strides(shape[4], shape[5], border)
    share = arena.dtype.type(scale / (height * width))
    for image in range(blocks * channels):
        start = (source if back else target) + image * plane_one + inside_one
        one = arena[start : start + LANES]
        if not back and not adds:
            for lane in range(LANES):
                one[lane] = 0
        for pixel in range(height * width):
            start = (target if back else source) + image * plane + inside + pixel // width * row + pixel % width * LANES
            many = arena[start : start + LANES]
            if not back:
                for lane in range(LANES):
                    one[lane] += many[lane] * share
            elif adds:
                for lane in range(LANES):
                    many[lane] += one[lane] * share
            else:
                for lane in range(LANES):
                    many[lane] = one[lane] * share


@_part
def _pad(arena, target, source, adds, scale, shape, border, blocks, back):
    """Put an image inside a larger one of zeros, or take it out again."""
    _keep_apart()
    channels, h_in, w_in, _, h_out, w_out, _, _, padding, _ = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    if not back and not adds:
        images = blocks * channels
        _fill(arena, target + inside_out, row_out, plane_out, images, h_out, w_out * LANES, arena.dtype.type(0), adds)
    for image in range(blocks * channels):
        for y in range(h_in):
            inner = image * plane_in + inside_in + y * row_in
            outer = image * plane_out + inside_out + (y + padding) * row_out + padding * LANES
            to, of = (inner, outer) if back else (outer, inner)
            for j in range(w_in * LANES):
                old = arena[target + to + j] if adds else 0
                arena[target + to + j] = arena[source + of + j] * scale + old


# --- backward ---------------------------------------------------------------------------------------


@_part
def _windows_back(arena, target, source, adds, scale, shape, border, blocks, weights, at, deviations):
    """The gradient of a convolution by its operand.

    For each residue of a pixel by the stride, a convolution of the gradient with the taps that reach such pixels.
    """
    _keep_apart()
    c_in, h_in, w_in, c_out, h_out, w_out, kernel, stride, padding, depthwise = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    outputs, taps = c_out if depthwise == 0 else depthwise, kernel * kernel
    offsets, turned = np.empty(outputs * taps, np.int64), np.empty(c_in * outputs * taps, arena.dtype)
    if kernel < stride and adds == 0:  # some pixels are never read
        zero = arena.dtype.type(0)
        _fill(arena, target + inside_in, row_in, plane_in, blocks * c_in, h_in, w_in * LANES, zero, adds)
        adds += 1
    for residue in range(stride * stride):
        a, b = residue // stride, residue % stride
        begin_y, begin_x = (a + padding) % stride, (b + padding) % stride
        count = outputs * len(range(begin_y, kernel, stride)) * len(range(begin_x, kernel, stride))
        tap = 0
        for output in range(outputs):
            for ky in range(begin_y, kernel, stride):
                for kx in range(begin_x, kernel, stride):
                    y_from, x_from = (a + padding - ky) // stride, (b + padding - kx) // stride
                    offsets[tap] = output * plane_out + inside_out + y_from * row_out + x_from * LANES
                    for c in range(c_in):
                        o = c if depthwise else output
                        where = o if depthwise else output * c_in + c
                        factor = scale * deviations[o] if deviations.size else scale
                        turned[c * count + tap] = weights[at + where * taps + ky * kernel + kx] * factor
                    tap += 1
        rows, columns = (h_in - a + stride - 1) // stride, (w_in - b + stride - 1) // stride
        apart = c_in if depthwise else min(c_in, 1)
        for block in range(blocks if count else 0):
            for c in range(apart):
                to = target + (block * c_in + c) * plane_in + inside_in + a * row_in + b * LANES
                of = source + (block * c_out + c) * plane_out
                _sweep(
                    arena, arena, turned, offsets[:count],
                    (
                        to, stride * row_in, stride * LANES, plane_in, of, row_out, np.int64(LANES),
                        c * count, np.int64(1), count, c_in // apart, rows, columns, adds,
                    ),
                )  # fmt: skip


@_part
def _weight_slopes(arena, gradient, read, scale, shape, border, blocks, deviations, slopes):
    """Per-sample gradients of a layer's weights into `slopes`, (weights, blocks x LANES); how many weights."""
    _keep_apart()
    c_in, h_in, w_in, c_out, h_out, w_out, kernel, stride, padding, depthwise = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    offsets = _offsets(c_in if depthwise == 0 else depthwise, kernel, padding, row_in, plane_in, inside_in)
    taps, lanes = offsets.size, blocks * LANES
    scales = np.empty(c_out, arena.dtype)
    for output in range(c_out):
        scales[output] = scale * deviations[output] if deviations.size else scale
    for block in range(blocks):
        x_at, d_at = read + block * c_in * plane_in, gradient + block * c_out * plane_out + inside_out
        output = 0
        while output < c_out:
            outputs = 3 if output + 3 <= c_out and depthwise == 0 else 1
            d = _address(arena, d_at + output * plane_out)
            x = _address(arena, x_at + output * plane_in * depthwise)
            by = _address(scales, output)
            tap = 0
            while tap < taps:
                three = tap + 3 <= taps
                g = _address(slopes, (output * taps + tap) * lanes + block * LANES)
                where = _address(offsets, tap)
                if outputs == 3 and three:
                    _slopes_3x3(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride * row_in, stride * LANES, where, h_out, w_out,
                    )  # fmt: skip
                elif outputs == 3:
                    _slopes_3x1(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride * row_in, stride * LANES, where, h_out, w_out,
                    )  # fmt: skip
                elif three:
                    _slopes_1x3(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride * row_in, stride * LANES, where, h_out, w_out,
                    )  # fmt: skip
                else:
                    _slopes_1x1(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride * row_in, stride * LANES, where, h_out, w_out,
                    )  # fmt: skip
                tap += 3 if three else 1
            output += outputs
    return c_out * taps


@_part
def _accumulate(kernel, slopes, weights, lanes):
    """Kernel += slopesᵀ slopes, summed over the weights of the layer before it is widened to float64.

    A sweep too: each sample is an output, each block of samples a pixel, each weight a tap.
    """
    _keep_apart()
    layer, offsets = np.empty(lanes * lanes, slopes.dtype), np.empty(weights, np.int64)
    for weight in range(weights):
        offsets[weight] = weight * lanes
    zero, one = np.int64(0), np.int64(1)
    numbers = (zero, zero, np.int64(LANES), lanes, zero, zero, np.int64(LANES))
    _sweep(layer, slopes, slopes, offsets, (*numbers, zero, lanes, one, lanes, one, lanes // LANES, zero))
    for a in range(lanes):
        for b in range(lanes):
            kernel[a, b] += layer[a * lanes + b]


# --- patterns ---------------------------------------------------------------------------------------


@_part
def _signs(arena, source, first, shape, border, blocks, bits):
    """Set the bits of all samples from number `first` on, 64 to a word; bits is (words, samples)."""
    _keep_apart()
    channels, height, width = shape[3], shape[4], shape[5]
    row, plane, inside = _strides(height, width, border)
    pixels = height * width
    for neuron in range(channels * pixels):
        pixel = neuron % pixels
        at = source + neuron // pixels * plane + inside + pixel // width * row + pixel % width * LANES
        words, shift = bits[(first + neuron) // 64], np.uint64((first + neuron) % 64)
        for block in range(blocks):
            values, word = arena[at : at + LANES], words[block * LANES : (block + 1) * LANES]
            for lane in range(LANES):
                word[lane] |= np.uint64(values[lane] > 0) << shift
            at += channels * plane


@_part
def _distinct(bits, words, samples):
    """How many samples differ, by a hash table of samples that compares them whole."""
    _keep_apart()
    size = 1
    while size < 2 * samples:
        size *= 2
    table = np.empty(size, np.int64)
    for place in range(size):
        table[place] = -1
    count = 0
    for sample in range(samples):
        code = np.uint64(0)
        for word in range(words):  # splitmix64's finaliser
            code = (code ^ bits[word, sample]) + np.uint64(0x9E3779B97F4A7C15)
            code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            code = code ^ (code >> np.uint64(31))
        place = np.int64(code & np.uint64(size - 1))
        while True:
            held = table[place]
            if held < 0:
                table[place] = sample
                count += 1
                break
            same = True
            for word in range(words):
                same = same and bits[word, held] == bits[word, sample]
            if same:
                break
            place = (place + 1) & (size - 1)
    return count


@_part
def _agree(kernel, bits, count, samples):
    """In how many of their first `count` bits each two samples agree."""
    _keep_apart()
    for a in range(samples):
        for b in range(a, samples):
            different = 0
            for word in range((count + 63) // 64):
                x = bits[word, a] ^ bits[word, b]
                x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
                x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
                x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
                different += np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))
            kernel[a, b] = kernel[b, a] = count - different


# --- the interpreter --------------------------------------------------------------------------------


@_compiled
def execute(
    code, factors, geometries, weights, border, blocks, samples, arena, scratch, statistics, bits, grams, counts
):
    """Run a program.

    `code`, `factors`, `geometries` and `weights` are those of a `Program`; `border`, `blocks` and `samples` of its
    `Store`. `arena`, `scratch` and `statistics` are room for tensors, one operation's intermediates and the 1/σ of
    batch norms; `bits`, (words, blocks x LANES) of zeros, for signs. The results are `grams`, kernels of
    (networks, blocks x LANES, blocks x LANES), to which is added, and `counts`, the regions of the networks.
    """
    for number in range(len(code)):
        op, target, source, other, adds, geometry, weight, at, network = code[number]
        scale = factors[number]
        g = geometries[geometry]
        shape = (g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8], g[9])
        deviations = statistics[at : at + shape[3]] if at >= 0 else statistics[:0]
        if op == Op.COPY or op == Op.RELU or op == Op.RELU_BACK or op == Op.NORM_BACK:
            _rows(arena, target, source, other, adds, scale, shape, border, blocks, op, deviations)
        elif op == Op.CONV or op == Op.CONV_NORM:
            _windows(
                arena, op, target, source, adds, scale, shape, border, blocks,
                weights, weight, deviations, scratch, samples,
            )  # fmt: skip
        elif op == Op.CONV_BACK:
            _windows_back(arena, target, source, adds, scale, shape, border, blocks, weights, weight, deviations)
        elif op == Op.SHARES:
            _shares(arena, target, source, adds, scale, shape, border, blocks)
        elif op == Op.NORM:
            _norm(arena, target, source, adds, scale, shape, border, blocks, deviations, samples)
        elif op == Op.MAX_POOL or op == Op.MAX_POOL_BACK:
            back = op == Op.MAX_POOL_BACK
            _max_pool(arena, target, source, other, adds, scale, shape, border, blocks, back)
        elif op == Op.GLOBAL_POOL or op == Op.GLOBAL_POOL_BACK:
            back = op == Op.GLOBAL_POOL_BACK
            _global_pool(arena, target, source, adds, scale, shape, border, blocks, back)
        elif op == Op.PAD or op == Op.PAD_BACK:
            _pad(arena, target, source, adds, scale, shape, border, blocks, op == Op.PAD_BACK)
        elif op == Op.SLOPES:
            count = _weight_slopes(arena, source, other, scale, shape, border, blocks, deviations, scratch)
            _accumulate(grams[network], scratch, count, blocks * LANES)
        elif op == Op.FILL:
            row, plane, inside = _strides(shape[4], shape[5], border)
            _fill(arena, target + inside, row, plane, blocks * shape[3], shape[4], shape[5] * LANES, scale, adds)
        elif op == Op.SIGNS:
            _signs(arena, source, other, shape, border, blocks, bits)
        elif op == Op.COUNT or op == Op.AGREE:
            if op == Op.COUNT:
                counts[network] = _distinct(bits, (source + 63) // 64, samples)
            else:
                _agree(grams[network], bits, source, samples)
            for word in range(bits.shape[0]):
                for sample in range(bits.shape[1]):
                    bits[word, sample] = 0


@lru_cache
def prepare(precision: str) -> None:
    """Compile `execute`, which takes seconds, or load it from the cache; by running no instructions."""
    numbers, whole = np.empty(0, precision), np.empty((0, 0), np.int64)
    execute(
        whole, numbers, whole, numbers, 0, 0, 0, numbers, numbers, numbers,
        np.empty((0, 0), np.uint64), np.empty((0, 0, 0)), np.empty(0, np.int64),
    )  # fmt: skip
