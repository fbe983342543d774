"""The instructions of `program.py` compiled by numba: vectors of LANES samples in registers, no Python in between.

Convolutions, pools and their gradients are all one operation, a sum over *taps*, target[o, p] += Σ_t w[o, t] ·
source[p + offset t], and all weight gradients another, G[o, t] = Σ_p gradient[o, p] · source[p + offset t]. Both are
written in LLVM's vector types, for no compiler keeps their accumulators in registers by itself; everything else is
plain loops over rows that it vectorises well. A loop over taps serves any kernel size, stride and padding.

All of this is one file because numba's cache of compiled code follows the file of the function that was called.
"""

# ruff: noqa: N803, PLR0912, PLR0914, PLR0915

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from micronas.cache import cache_dir
from micronas.proxies.engine.program import LANES, Op

_FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums may be reordered; infinities and NaN stay what they are


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled when first called, without the interpreter's lock, and kept in the cache where that can be written."""
    options = {"nogil": True, "fastmath": _FAST, "error_model": "numpy"}
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, numba.config.CACHE_DIR or str(cache_dir() / "numba")
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to write to
        return numba.njit(**options)(function)
    finally:
        numba.config.CACHE_DIR = before


# --- vectors ----------------------------------------------------------------------------------------

_INT = ir.IntType(64)


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_INT, value)


class _Vectors:
    """Writes LLVM code on vectors of LANES numbers at pointers into arrays of one type."""

    def __init__(self, builder: ir.IRBuilder, pointer: ir.Value) -> None:
        self.builder = builder
        self.type = ir.VectorType(pointer.type.pointee, LANES)
        name = "f32" if isinstance(pointer.type.pointee, ir.FloatType) else "f64"
        signature = ir.FunctionType(self.type, [self.type] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, signature, f"llvm.fmuladd.v{LANES}{name}")

    def _at(self, pointer: ir.Value, index: ir.Value) -> ir.Value:
        return self.builder.bitcast(self.builder.gep(pointer, [index]), self.type.as_pointer())

    def load(self, pointer: ir.Value, index: ir.Value) -> ir.Value:
        return self.builder.load(self._at(pointer, index), align=4)

    def store(self, value: ir.Value, pointer: ir.Value, index: ir.Value) -> None:
        self.builder.store(value, self._at(pointer, index), align=4)

    def splat(self, pointer: ir.Value, index: ir.Value) -> ir.Value:
        """The number at an index, in all lanes."""
        undefined, lane = ir.Constant(self.type, ir.Undefined), ir.IntType(32)
        number = self.builder.load(self.builder.gep(pointer, [index]))
        vector = self.builder.insert_element(undefined, number, ir.Constant(lane, 0))
        return self.builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(lane, LANES), [0] * LANES))

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        return self.builder.call(self._fma, [a, b, c])

    def zero(self) -> ir.Value:
        return ir.Constant(self.type, None)

    def loop(self, count: ir.Value, carried: list[ir.Value], body: Callable[..., list[ir.Value]]) -> list[ir.Value]:
        """carried = body(number, *carried), `count` >= 1 times, all in registers."""
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

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, index), generate


def _taps(outputs: int, pixels: int) -> Any:
    """y[o, p] (+)= Σ_t w[o, t] x[p + offset t] for some outputs o and pixels p at once; taps >= 1."""

    @intrinsic
    def taps(
        _: Any, y: Any, x: Any, w: Any, offsets: Any, count: Any, y_pixel: Any, x_pixel: Any, y_output: Any, adds: Any
    ) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            y, x, w, offsets, count, y_pixel, x_pixel, y_output, adds = arguments
            vectors = _Vectors(builder, y)
            tiles = [(o, p) for o in range(outputs) for p in range(pixels)]
            places = [
                builder.add(builder.mul(y_output, _constant(o)), builder.mul(y_pixel, _constant(p))) for o, p in tiles
            ]
            old = [builder.select(adds, vectors.load(y, place), vectors.zero()) for place in places]

            def body(tap: ir.Value, *totals: ir.Value) -> list[ir.Value]:
                shifted = builder.gep(x, [builder.load(builder.gep(offsets, [tap]))])
                values = [vectors.load(shifted, builder.mul(x_pixel, _constant(p))) for p in range(pixels)]
                rows = [builder.add(tap, builder.mul(count, _constant(o))) for o in range(outputs)]
                weights = [vectors.splat(w, row) for row in rows]
                return [
                    vectors.fma(values[p], weights[o], total) for (o, p), total in zip(tiles, totals, strict=True)
                ]

            for place, total in zip(places, vectors.loop(count, old, body), strict=True):
                vectors.store(total, y, place)
            return context.get_dummy_value()

        return types.void(y, x, w, offsets, count, y_pixel, x_pixel, y_output, adds), generate

    return taps


def _slopes(outputs: int, taps: int) -> Any:
    """g[o, t] = scale[o] Σ_p d[o, p] x[p + offset t] for some outputs o and taps t at once, over rows and columns."""

    @intrinsic
    def slopes(
        _: Any, g: Any, g_output: Any, g_tap: Any, scale: Any, d: Any, d_output: Any, d_row: Any,
        x: Any, x_row: Any, x_pixel: Any, offsets: Any, rows: Any, columns: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            g, g_output, g_tap, scale, d, d_output, d_row, x, x_row, x_pixel, offsets, rows, columns = arguments
            vectors = _Vectors(builder, g)
            tiles = [(o, t) for o in range(outputs) for t in range(taps)]
            shifts = [builder.load(builder.gep(offsets, [_constant(t)])) for t in range(taps)]

            def row(number: ir.Value, *totals: ir.Value) -> list[ir.Value]:
                d_here = builder.gep(d, [builder.mul(number, d_row)])
                x_here = builder.gep(x, [builder.mul(number, x_row)])

                def pixel(column: ir.Value, *totals: ir.Value) -> list[ir.Value]:
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


@_compiled
def _sweep(y, y_at, y_row, y_pixel, y_output, x, x_at, x_row, x_pixel, w, w_at, offsets, outputs, rows, columns, adds):
    """Taps over all pixels of some outputs of one block of samples."""
    count = offsets.size
    for output in range(0, outputs - outputs % 3, 3):
        weights = _address(w, w_at + output * count)
        for row in range(rows):
            to, of = y_at + output * y_output + row * y_row, x_at + row * x_row
            for column in range(0, columns - columns % 2, 2):
                _taps_3x2(
                    _address(y, to + column * y_pixel), _address(x, of + column * x_pixel), weights,
                    _address(offsets, 0), count, y_pixel, x_pixel, y_output, adds,
                )  # fmt: skip
            for column in range(columns - columns % 2, columns):
                _taps_3x1(
                    _address(y, to + column * y_pixel), _address(x, of + column * x_pixel), weights,
                    _address(offsets, 0), count, y_pixel, x_pixel, y_output, adds,
                )  # fmt: skip
    for output in range(outputs - outputs % 3, outputs):
        weights = _address(w, w_at + output * count)
        for row in range(rows):
            to, of = y_at + output * y_output + row * y_row, x_at + row * x_row
            for column in range(0, columns - columns % 2, 2):
                _taps_1x2(
                    _address(y, to + column * y_pixel), _address(x, of + column * x_pixel), weights,
                    _address(offsets, 0), count, y_pixel, x_pixel, y_output, adds,
                )  # fmt: skip
            for column in range(columns - columns % 2, columns):
                _taps_1x1(
                    _address(y, to + column * y_pixel), _address(x, of + column * x_pixel), weights,
                    _address(offsets, 0), count, y_pixel, x_pixel, y_output, adds,
                )  # fmt: skip


# --- shapes -----------------------------------------------------------------------------------------


@_compiled
def _strides(height, width, border):
    """(row, plane) of a tensor in the arena, and how far its first pixel lies inside a plane."""
    row = (width + 2 * border) * LANES
    return row, (height + 2 * border) * row, border * row + border * LANES


@_compiled
def _offsets(channels, kernel, padding, row, plane, inside):
    """Where the taps of a convolution read, (input channel, row, column), relative to the pixel they stand on."""
    offsets = np.empty(channels * kernel * kernel, np.int64)
    tap = 0
    for channel in range(channels):
        for y in range(kernel):
            for x in range(kernel):
                offsets[tap] = channel * plane + inside + (y - padding) * row + (x - padding) * LANES
                tap += 1
    return offsets


@_compiled
def _reads(residue, size, kernel, stride, padding):
    """Of a strided window's transpose: the first tap that a pixel with this residue receives, and their number."""
    first = (residue + padding) % stride
    return first, (kernel - first + stride - 1) // stride if first < kernel else 0


# --- forward ----------------------------------------------------------------------------------------


@_compiled
def _conv(arena, target, source, adds, scale, shape, border, blocks, weights, at):
    c_in, h_in, w_in, c_out, h_out, w_out, kernel, stride, padding, depthwise = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    channels = 1 if depthwise else c_in
    offsets = _offsets(channels, kernel, padding, row_in, plane_in, inside_in)
    scaled = weights[at : at + c_out * offsets.size] * scale
    for block in range(blocks):
        to, of = target + block * c_out * plane_out + inside_out, source + block * c_in * plane_in
        for output in range(c_out):  # biases: only linear layers have any
            bias = weights[at + scaled.size + output] * scale
            if bias != 0 or not adds:
                for row in range(h_out):
                    start = to + output * plane_out + row * row_out
                    line = arena[start : start + w_out * LANES]
                    for j in range(line.size):
                        line[j] = bias + (line[j] if adds else 0)
        if depthwise:
            for c in range(c_out):
                _sweep(
                    arena, to + c * plane_out, row_out, LANES, plane_out, arena, of + c * plane_in, stride * row_in,
                    stride * LANES, scaled, c * offsets.size, offsets, 1, h_out, w_out, True,
                )  # fmt: skip
        else:
            _sweep(
                arena, to, row_out, LANES, plane_out, arena, of, stride * row_in,
                stride * LANES, scaled, 0, offsets, c_out, h_out, w_out, True,
            )  # fmt: skip


@_compiled
def _conv_norm(arena, target, source, adds, scale, shape, border, blocks, weights, at, deviations, scratch, samples):
    """Three channels at a time: convolved into the scratch, where their statistics are taken, then normalised."""
    c_in, h_in, w_in, c_out, h_out, w_out, kernel, stride, padding, depthwise = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    offsets = _offsets(1 if depthwise else c_in, kernel, padding, row_in, plane_in, inside_in)
    line, plane = w_out * LANES, h_out * w_out * LANES
    step = 1 if depthwise else 3
    for first in range(0, c_out, step):
        outputs = min(step, c_out - first)
        for block in range(blocks):
            of = source + block * c_in * plane_in + (first * plane_in if depthwise else 0)
            _sweep(
                scratch, block * plane, line, LANES, blocks * plane, arena, of, stride * row_in,
                stride * LANES, weights, at + first * offsets.size, offsets, outputs, h_out, w_out, False,
            )  # fmt: skip
        for output in range(outputs):
            base = output * blocks * plane
            mean, inverse = _moments(scratch, base, line, plane, plane, h_out, w_out, blocks, samples)
            deviations[first + output] = inverse
            for block in range(blocks):
                to = target + (block * c_out + first + output) * plane_out + inside_out
                of = base + block * plane
                for row in range(h_out):
                    _normalise(arena, to + row * row_out, scratch, of + row * line, line, mean, scale * inverse, adds)


@_compiled
def _norm(arena, target, source, adds, scale, shape, border, blocks, deviations, samples):
    channels, height, width = shape[0], shape[1], shape[2]
    row, plane, inside = _strides(height, width, border)
    for channel in range(channels):
        of, to = source + channel * plane + inside, target + channel * plane + inside
        mean, inverse = _moments(arena, of, row, plane, channels * plane, height, width, blocks, samples)
        deviations[channel] = inverse
        for block in range(blocks):
            for y in range(height):
                at = block * channels * plane + y * row
                _normalise(arena, to + at, arena, of + at, width * LANES, mean, scale * inverse, adds)


@_compiled
def _normalise(y, y_at, x, x_at, count, mean, factor, adds):
    to, of = y[y_at : y_at + count], x[x_at : x_at + count]
    shift = -mean * factor
    if adds:
        for j in range(count):
            to[j] += of[j] * factor + shift
    else:
        for j in range(count):
            to[j] = of[j] * factor + shift


@_compiled
def _moments(x, at, row, plane, block_stride, height, width, blocks, samples):
    """(mean, 1/√(variance + 1e-5)) of one channel, in two passes, over real samples only."""
    total = 0.0
    for block in range(blocks):
        for y in range(height):
            start = at + block * block_stride + y * row
            total += _total(x, start, width, samples - block * LANES, x.dtype.type(0), False)
    count = height * width * samples
    mean = x.dtype.type(total / count)
    total = 0.0
    for block in range(blocks):
        for y in range(height):
            start = at + block * block_stride + y * row
            total += _total(x, start, width, samples - block * LANES, mean, True)
    return mean, x.dtype.type(1 / np.sqrt(total / count + 1e-5))


@_compiled
def _total(x, start, width, lanes, mean, squared):
    """Σ x or Σ (x - mean)² of a row over the real samples of a block."""
    line = x[start : start + width * LANES]
    total = x.dtype.type(0)
    if lanes >= LANES:
        if squared:
            for j in range(line.size):
                total += (line[j] - mean) * (line[j] - mean)
        else:
            for j in range(line.size):
                total += line[j]
    else:
        for column in range(width):
            for lane in range(lanes):
                value = line[column * LANES + lane]
                total += (value - mean) * (value - mean) if squared else value
    return total


@_compiled
def _rows(arena, target, source, other, adds, scale, shape, border, blocks, op):
    """Copy, ReLU and ReLU's gradient: what one number after the other becomes."""
    channels, height, width = shape[3], shape[4], shape[5]
    row, plane, inside = _strides(height, width, border)
    count = width * LANES
    for image in range(blocks * channels):
        for y in range(height):
            at = image * plane + inside + y * row
            to, of = arena[target + at : target + at + count], arena[source + at : source + at + count]
            if op == Op.RELU:
                for j in range(count):
                    to[j] = max(of[j], 0) * scale + (to[j] if adds else 0)
            elif op == Op.RELU_BACK:
                on = arena[other + at : other + at + count]
                if adds:
                    for j in range(count):
                        to[j] += of[j] * scale if on[j] > 0 else 0
                else:
                    for j in range(count):
                        to[j] = of[j] * scale if on[j] > 0 else 0
            elif adds:
                for j in range(count):
                    to[j] += of[j] * scale
            else:
                for j in range(count):
                    to[j] = of[j] * scale


@_compiled
def _fill(arena, target, scale, shape, border, blocks):
    channels, height, width = shape[3], shape[4], shape[5]
    row, plane, inside = _strides(height, width, border)
    for image in range(blocks * channels):
        for y in range(height):
            start = target + image * plane + inside + y * row
            arena[start : start + width * LANES] = scale


@_compiled
def _covered(at, size, kernel, stride, padding):
    """How many taps of a window along one axis stand on the image, not on its padding."""
    start = at * stride - padding
    return min(start + kernel, size) - max(start, 0)


@_compiled
def _avg_pool(arena, target, source, adds, scale, shape, border, blocks, scratch):
    channels, h_in, w_in, _, h_out, w_out, kernel, stride, padding, _ = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    offsets = _offsets(1, kernel, padding, row_in, plane_in, inside_in)
    ones = np.ones(offsets.size, arena.dtype)
    line = w_out * LANES
    for image in range(blocks * channels):
        _sweep(
            scratch, 0, line, LANES, 0, arena, source + image * plane_in, stride * row_in,
            stride * LANES, ones, 0, offsets, 1, h_out, w_out, False,
        )  # fmt: skip
        for y in range(h_out):
            for x in range(w_out):
                share = scale / (_covered(y, h_in, kernel, stride, padding) * _covered(x, w_in, kernel, stride, padding))
                to = target + image * plane_out + inside_out + y * row_out + x * LANES
                of = y * line + x * LANES
                for lane in range(LANES):
                    arena[to + lane] = scratch[of + lane] * share + (arena[to + lane] if adds else 0)


@_compiled
def _max_pool(arena, target, source, other, adds, scale, shape, border, blocks, back):
    """Forward, or its gradient, which goes to the first largest number of every window."""
    channels, h_in, w_in, _, h_out, w_out, kernel, stride, padding, _ = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    if back and not adds:
        for image in range(blocks * channels):
            for y in range(h_in):
                start = target + image * plane_in + inside_in + y * row_in
                arena[start : start + w_in * LANES] = 0
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


@_compiled
def _global_pool(arena, target, source, adds, scale, shape, border, blocks, back):
    channels, height, width = shape[0], shape[1], shape[2]
    row, plane, inside = _strides(height, width, border)
    _, plane_one, inside_one = _strides(1, 1, border)
    share = arena.dtype.type(scale / (height * width))
    total = np.zeros(LANES, arena.dtype)
    for image in range(blocks * channels):
        if back:
            total[:] = arena[source + image * plane_one + inside_one :][:LANES] * share
        else:
            total[:] = 0
        for y in range(height):
            for x in range(width):
                at = image * plane + inside + y * row + x * LANES
                for lane in range(LANES):
                    if back:
                        arena[target + at + lane] = total[lane] + (arena[target + at + lane] if adds else 0)
                    else:
                        total[lane] += arena[source + at + lane]
        if not back:
            to = target + image * plane_one + inside_one
            for lane in range(LANES):
                arena[to + lane] = total[lane] * share + (arena[to + lane] if adds else 0)


@_compiled
def _pad(arena, target, source, adds, scale, shape, border, blocks, back):
    """Put an image inside a larger one of zeros, or take it out again."""
    channels, h_in, w_in, _, h_out, w_out, _, _, padding, _ = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    if not back and not adds:
        _fill(arena, target, 0, shape, border, blocks)
    for image in range(blocks * channels):
        for y in range(h_in):
            inner = image * plane_in + inside_in + y * row_in
            outer = image * plane_out + inside_out + (y + padding) * row_out + padding * LANES
            to, of = (inner, outer) if back else (outer, inner)
            for j in range(w_in * LANES):
                old = arena[target + to + j] if adds else 0
                arena[target + to + j] = arena[source + of + j] * scale + old


# --- backward ---------------------------------------------------------------------------------------


@_compiled
def _conv_back(arena, target, source, adds, scale, shape, border, blocks, weights, at, deviations):
    """The transpose: for each residue of a pixel by the stride, a convolution of the gradient."""
    c_in, h_in, w_in, c_out, h_out, w_out, kernel, stride, padding, depthwise = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    inputs = 1 if depthwise else c_in
    for a in range(stride):
        first_y, count_y = _reads(a, h_in, kernel, stride, padding)
        for b in range(stride):
            first_x, count_x = _reads(b, w_in, kernel, stride, padding)
            outputs = 1 if depthwise else c_out
            offsets = np.empty(outputs * count_y * count_x, np.int64)
            turned = np.empty(c_in * offsets.size, arena.dtype)
            tap = 0
            for output in range(outputs):
                for ky in range(first_y, kernel, stride):
                    for kx in range(first_x, kernel, stride):
                        y, x = (a + padding - ky) // stride, (b + padding - kx) // stride
                        offsets[tap] = output * plane_out + inside_out + y * row_out + x * LANES
                        for i in range(c_in):
                            o, j = (i, 0) if depthwise else (output, i)
                            factor = scale * deviations[o] if deviations.size else scale
                            weight = weights[at + ((o * inputs + j) * kernel + ky) * kernel + kx]
                            turned[i * offsets.size + tap] = weight * factor
                        tap += 1
            rows, columns = (h_in - a + stride - 1) // stride, (w_in - b + stride - 1) // stride
            for block in range(blocks):
                to = target + block * c_in * plane_in + inside_in + a * row_in + b * LANES
                of = source + block * c_out * plane_out
                if tap == 0:
                    if not adds:
                        _clear(arena, to, plane_in, stride * row_in, stride * LANES, c_in, rows, columns)
                elif depthwise:
                    for c in range(c_in):
                        _sweep(
                            arena, to + c * plane_in, stride * row_in, stride * LANES, plane_in, arena,
                            of + c * plane_out, row_out, LANES, turned, c * tap, offsets, 1, rows, columns, adds,
                        )  # fmt: skip
                else:
                    _sweep(
                        arena, to, stride * row_in, stride * LANES, plane_in, arena,
                        of, row_out, LANES, turned, 0, offsets, c_in, rows, columns, adds,
                    )  # fmt: skip


@_compiled
def _clear(arena, at, plane, row, pixel, channels, rows, columns):
    for channel in range(channels):
        for y in range(rows):
            for x in range(columns):
                start = at + channel * plane + y * row + x * pixel
                arena[start : start + LANES] = 0


@_compiled
def _avg_pool_back(arena, target, source, adds, scale, shape, border, blocks, scratch):
    """Each gradient divided by what its window covered, then spread: the transpose of a convolution with ones."""
    channels, h_in, w_in, _, h_out, w_out, kernel, stride, padding, _ = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    ones = np.ones(kernel * kernel, arena.dtype)
    scratch[:plane_out] = 0
    for image in range(blocks * channels):
        for y in range(h_out):
            for x in range(w_out):
                share = scale / (_covered(y, h_in, kernel, stride, padding) * _covered(x, w_in, kernel, stride, padding))
                at = inside_out + y * row_out + x * LANES
                for lane in range(LANES):
                    scratch[at + lane] = arena[source + image * plane_out + at + lane] * share
        for a in range(stride):
            first_y, count_y = _reads(a, h_in, kernel, stride, padding)
            for b in range(stride):
                first_x, count_x = _reads(b, w_in, kernel, stride, padding)
                offsets = np.empty(count_y * count_x, np.int64)
                tap = 0
                for ky in range(first_y, kernel, stride):
                    for kx in range(first_x, kernel, stride):
                        y, x = (a + padding - ky) // stride, (b + padding - kx) // stride
                        offsets[tap] = inside_out + y * row_out + x * LANES
                        tap += 1
                to = target + image * plane_in + inside_in + a * row_in + b * LANES
                rows, columns = (h_in - a + stride - 1) // stride, (w_in - b + stride - 1) // stride
                if tap:
                    _sweep(
                        arena, to, stride * row_in, stride * LANES, 0, scratch, 0, row_out, LANES,
                        ones, 0, offsets, 1, rows, columns, adds,
                    )  # fmt: skip
                elif not adds:
                    _clear(arena, to, 0, stride * row_in, stride * LANES, 1, rows, columns)


@_compiled
def _norm_back(arena, target, source, adds, scale, shape, border, blocks, deviations):
    channels, height, width = shape[0], shape[1], shape[2]
    row, plane, inside = _strides(height, width, border)
    for image in range(blocks * channels):
        factor = scale * deviations[image % channels]
        for y in range(height):
            at = image * plane + inside + y * row
            _normalise(arena, target + at, arena, source + at, width * LANES, 0, factor, adds)


@_compiled
def _weight_slopes(arena, gradient, read, scale, shape, border, blocks, deviations, slopes):
    """Per-sample gradients of a layer's weights into `slopes`, (weights, blocks x LANES)."""
    c_in, h_in, w_in, c_out, h_out, w_out, kernel, stride, padding, depthwise = shape
    row_in, plane_in, inside_in = _strides(h_in, w_in, border)
    row_out, plane_out, inside_out = _strides(h_out, w_out, border)
    offsets = _offsets(1 if depthwise else c_in, kernel, padding, row_in, plane_in, inside_in)
    taps, lanes = offsets.size, blocks * LANES
    scales = np.full(c_out, scale, arena.dtype)
    if deviations.size:
        scales *= deviations
    step = 1 if depthwise else 3
    for block in range(blocks):
        x_at, d_at = read + block * c_in * plane_in, gradient + block * c_out * plane_out + inside_out
        output = 0
        while output < c_out:
            outputs = step if output + step <= c_out else 1
            d = _address(arena, d_at + output * plane_out)
            x = _address(arena, x_at + (output * plane_in if depthwise else 0))
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


@_compiled
def _accumulate(kernel, slopes, weights, lanes):
    """kernel += slopesᵀ slopes, four weights at a time, summed over the weights of the layer before it is widened."""
    layer = np.zeros((lanes, lanes), slopes.dtype)
    even = weights - weights % 4
    for weight in range(0, even, 4):
        at = weight * lanes
        g0, g1 = slopes[at : at + lanes], slopes[at + lanes : at + 2 * lanes]
        g2, g3 = slopes[at + 2 * lanes : at + 3 * lanes], slopes[at + 3 * lanes : at + 4 * lanes]
        for a in range(lanes):
            row = layer[a]
            s0, s1, s2, s3 = g0[a], g1[a], g2[a], g3[a]
            for b in range(lanes):
                row[b] += s0 * g0[b] + s1 * g1[b] + s2 * g2[b] + s3 * g3[b]
    for weight in range(even, weights):
        g = slopes[weight * lanes : (weight + 1) * lanes]
        for a in range(lanes):
            row = layer[a]
            for b in range(lanes):
                row[b] += g[a] * g[b]
    for a in range(lanes):
        for b in range(lanes):
            kernel[a, b] += layer[a, b]


# --- patterns ---------------------------------------------------------------------------------------


@_compiled
def _signs(arena, source, first, shape, border, blocks, bits):
    """Set the bits of all samples from number `first` on, 64 to a word; bits is (words, samples)."""
    channels, height, width = shape[3], shape[4], shape[5]
    row, plane, inside = _strides(height, width, border)
    for block in range(blocks):
        number = first
        for channel in range(channels):
            for y in range(height):
                for x in range(width):
                    at = source + (block * channels + channel) * plane + inside + y * row + x * LANES
                    values = arena[at : at + LANES]
                    word = bits[number // 64, block * LANES : (block + 1) * LANES]
                    bit = np.uint64(1) << np.uint64(number % 64)
                    for lane in range(LANES):
                        word[lane] |= bit if values[lane] > 0 else np.uint64(0)
                    number += 1


@_compiled
def _distinct(bits, words, samples):
    """How many samples differ, by a hash table of samples that compares them whole."""
    size = 1
    while size < 2 * samples:
        size *= 2
    table = np.full(size, -1, np.int64)
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


@_compiled
def _agree(kernel, bits, count, samples):
    """In how many of their first `count` bits each two samples agree."""
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
def execute(code, factors, geometries, weights, border, blocks, samples, arena, scratch, statistics, bits, grams, counts):
    """Run a program.

    Args:
        code, factors, geometries, weights: see `Program`.
        border, blocks, samples: see `Store`.
        arena, scratch, statistics: room for tensors, one operation's intermediates, and the 1/σ of batch norms.
        bits: room for signs, (words, blocks x LANES), all zero.
        grams: kernels to be filled, (networks, blocks x LANES, blocks x LANES).
        counts: regions to be filled, (networks,).
    """
    for number in range(len(code)):
        op, target, source, other, adds_, geometry, weight, at, network = code[number]
        adds, scale = adds_ != 0, factors[number]
        g = geometries[geometry]
        shape = (g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8], g[9])
        deviations = statistics[at : at + shape[3]] if at >= 0 else statistics[:0]
        if op == Op.COPY or op == Op.RELU or op == Op.RELU_BACK:
            _rows(arena, target, source, other, adds, scale, shape, border, blocks, op)
        elif op == Op.CONV:
            _conv(arena, target, source, adds, scale, shape, border, blocks, weights, weight)
        elif op == Op.CONV_NORM:
            _conv_norm(
                arena, target, source, adds, scale, shape, border, blocks, weights, weight,
                deviations, scratch, samples,
            )  # fmt: skip
        elif op == Op.NORM:
            _norm(arena, target, source, adds, scale, shape, border, blocks, deviations, samples)
        elif op == Op.AVG_POOL:
            _avg_pool(arena, target, source, adds, scale, shape, border, blocks, scratch)
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
        elif op == Op.CONV_BACK:
            _conv_back(arena, target, source, adds, scale, shape, border, blocks, weights, weight, deviations)
        elif op == Op.NORM_BACK:
            _norm_back(arena, target, source, adds, scale, shape, border, blocks, deviations)
        elif op == Op.AVG_POOL_BACK:
            _avg_pool_back(arena, target, source, adds, scale, shape, border, blocks, scratch)
        elif op == Op.FILL:
            _fill(arena, target, scale, shape, border, blocks)
        elif op == Op.SIGNS:
            _signs(arena, source, other, shape, border, blocks, bits)
        elif op == Op.COUNT:
            counts[network] = _distinct(bits, (source + 63) // 64, samples)
            bits[:] = 0
        elif op == Op.AGREE:
            _agree(grams[network], bits, source, samples)
            bits[:] = 0
