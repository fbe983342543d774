"""The instructions of `program.py`, compiled by numba: one call runs a program, with no Python in between.

Sums over windows and weight gradients are vector code (`vectors.py`); everything else is plain loops over rows of
pixels, samples innermost, which LLVM vectorises well.
"""

# numba knows no `in` for enum members.
# ruff: noqa: PLR0912, PLR1714

from __future__ import annotations

from functools import lru_cache

import numpy as np

from micronas.proxies.engine.layout import LANES
from micronas.proxies.engine.patterns import agree, distinct, signs
from micronas.proxies.engine.program import Op
from micronas.proxies.engine.vectors import (
    address,
    compiled,
    keep_apart,
    part,
    slopes_1x1,
    slopes_1x3,
    slopes_3x1,
    slopes_3x3,
    strides,
    sweep,
)

# --- shapes -----------------------------------------------------------------------------------------


@part
def _offsets(channels, kernel, padding, row, plane, inside):
    """Where the taps of a convolution read, (input channel, row, column), relative to the pixel they stand on."""
    keep_apart()
    offsets = np.empty(channels * kernel * kernel, np.int64)
    tap = 0
    for channel in range(channels):
        for y in range(kernel):
            for x in range(kernel):
                offsets[tap] = channel * plane + inside + (y - padding) * row + (x - padding) * LANES
                tap += 1
    return offsets


@part
def _fill(x, at, row, plane, images, height, count, value, adds):
    """Set the first `count` numbers of every row of some planes, or add to them."""
    keep_apart()
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


@part
def _windows(arena, op, target, source, adds, scale, shape, border, blocks, weights, at, deviations, scratch, samples):
    """A convolution, up to three channels at a time; with batch norm, in the scratch until its statistics are known."""
    keep_apart()
    c_in, h_in, w_in, c_out, h_out, w_out, kernel, stride, padding, depthwise = shape
    row_in, plane_in, inside_in = strides(h_in, w_in, border)
    row_out, plane_out, inside_out = strides(h_out, w_out, border)
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
                sweep(
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


@part
def _norm(arena, target, source, adds, scale, shape, border, blocks, deviations, samples):
    keep_apart()
    channels, height, width = shape[0], shape[1], shape[2]
    row, plane, inside = strides(height, width, border)
    for channel in range(channels):
        of, to = source + channel * plane + inside, target + channel * plane + inside
        deviations[channel] = _normalise(
            arena, to, row, channels * plane, arena, of, row, channels * plane,
            height, width, blocks, samples, scale, adds,
        )  # fmt: skip


@part
def _normalise(y, y_at, y_row, y_block, x, x_at, x_row, x_block, height, width, blocks, samples, scale, adds):
    """Y (+)= scale (x - mean) / deviation for one channel; 1 / deviation, with torch's 1e-5 below the root."""
    keep_apart()
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


@part
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


@part
def _rows(arena, target, source, other, adds, scale, shape, border, blocks, op, deviations):
    """Copy, ReLU and the gradients of ReLU and batch norm: what one number after the other becomes."""
    keep_apart()
    channels, height, width = shape[3], shape[4], shape[5]
    row, plane, inside = strides(height, width, border)
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


@part
def _shares(arena, target, source, adds, scale, shape, border, blocks):
    """Each pixel divided by how many pixels, not padding, the window of an average pool covers there."""
    keep_apart()
    channels, h_in, w_in, _, h_out, w_out, kernel, stride, padding, _ = shape
    row, plane, inside = strides(h_out, w_out, border)
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


@part
def _max_pool(arena, target, source, other, adds, scale, shape, border, blocks, back):
    """Forward, or its gradient, which goes to the first largest number of every window."""
    keep_apart()
    channels, h_in, w_in, _, h_out, w_out, kernel, stride, padding, _ = shape
    row_in, plane_in, inside_in = strides(h_in, w_in, border)
    row_out, plane_out, inside_out = strides(h_out, w_out, border)
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


@part
def _global_pool(arena, target, source, adds, scale, shape, border, blocks, back):
    """The mean over all pixels, or its gradient, which all pixels share."""
    keep_apart()
    channels, height, width = shape[0], shape[1], shape[2]
    row, plane, inside = strides(height, width, border)
    _, plane_one, inside_one = strides(shape[4], shape[5], border)
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


@part
def _pad(arena, target, source, adds, scale, shape, border, blocks, back):
    """Put an image inside a larger one of zeros, or take it out again."""
    keep_apart()
    channels, h_in, w_in, _, h_out, w_out, _, _, padding, _ = shape
    row_in, plane_in, inside_in = strides(h_in, w_in, border)
    row_out, plane_out, inside_out = strides(h_out, w_out, border)
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


@part
def _windows_back(arena, target, source, adds, scale, shape, border, blocks, weights, at, deviations):
    """The gradient of a convolution by its operand.

    For each residue of a pixel by the stride, a convolution of the gradient with the taps that reach such pixels.
    """
    keep_apart()
    c_in, h_in, w_in, c_out, h_out, w_out, kernel, stride, padding, depthwise = shape
    row_in, plane_in, inside_in = strides(h_in, w_in, border)
    row_out, plane_out, inside_out = strides(h_out, w_out, border)
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
                sweep(
                    arena, arena, turned, offsets[:count],
                    (
                        to, stride * row_in, stride * LANES, plane_in, of, row_out, np.int64(LANES),
                        c * count, np.int64(1), count, c_in // apart, rows, columns, adds,
                    ),
                )  # fmt: skip


@part
def _weight_slopes(arena, gradient, read, scale, shape, border, blocks, deviations, slopes):
    """Per-sample gradients of a layer's weights into `slopes`, (weights, blocks x LANES); how many weights."""
    keep_apart()
    c_in, h_in, w_in, c_out, h_out, w_out, kernel, stride, padding, depthwise = shape
    row_in, plane_in, inside_in = strides(h_in, w_in, border)
    row_out, plane_out, inside_out = strides(h_out, w_out, border)
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
            d = address(arena, d_at + output * plane_out)
            x = address(arena, x_at + output * plane_in * depthwise)
            by = address(scales, output)
            tap = 0
            while tap < taps:
                three = tap + 3 <= taps
                g = address(slopes, (output * taps + tap) * lanes + block * LANES)
                where = address(offsets, tap)
                if outputs == 3 and three:
                    slopes_3x3(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride * row_in, stride * LANES, where, h_out, w_out,
                    )  # fmt: skip
                elif outputs == 3:
                    slopes_3x1(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride * row_in, stride * LANES, where, h_out, w_out,
                    )  # fmt: skip
                elif three:
                    slopes_1x3(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride * row_in, stride * LANES, where, h_out, w_out,
                    )  # fmt: skip
                else:
                    slopes_1x1(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride * row_in, stride * LANES, where, h_out, w_out,
                    )  # fmt: skip
                tap += 3 if three else 1
            output += outputs
    return c_out * taps


@part
def _accumulate(kernel, slopes, weights, lanes):
    """Kernel += slopesᵀ slopes, summed over the weights of the layer before it is widened to float64.

    A sweep too: each sample is an output, each block of samples a pixel, each weight a tap.
    """
    keep_apart()
    layer, offsets = np.empty(lanes * lanes, slopes.dtype), np.empty(weights, np.int64)
    for weight in range(weights):
        offsets[weight] = weight * lanes
    zero, one = np.int64(0), np.int64(1)
    numbers = (zero, zero, np.int64(LANES), lanes, zero, zero, np.int64(LANES))
    sweep(layer, slopes, slopes, offsets, (*numbers, zero, lanes, one, lanes, one, lanes // LANES, zero))
    for a in range(lanes):
        for b in range(lanes):
            kernel[a, b] += layer[a * lanes + b]


# --- the interpreter --------------------------------------------------------------------------------


@compiled
def execute(
    code, factors, geometries, weights, border, blocks, samples, arena, scratch, statistics, bits, grams, counts
):
    """Run a program.

    `code`, `factors` and `geometries` are those of a `Program`, `weights` one draw's; `border`, `blocks` and `samples`
    of its `Store`. `arena`, `scratch` and `statistics` are room for tensors, one operation's intermediates and the
    1/σ of batch norms; `bits`, (words, blocks x LANES) of zeros, for signs. The results are `grams`, kernels of
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
            row, plane, inside = strides(shape[4], shape[5], border)
            _fill(arena, target + inside, row, plane, blocks * shape[3], shape[4], shape[5] * LANES, scale, adds)
        elif op == Op.SIGNS:
            signs(arena, source, other, shape, border, blocks, bits)
        elif op == Op.COUNT or op == Op.AGREE:
            if op == Op.COUNT:
                counts[network] = distinct(bits, (source + 63) // 64, samples)
            else:
                agree(grams[network], bits, source, samples)
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
