"""Convolutions, compiled: forward, the gradient by their operand, and the kernel of their per-sample weight gradients.

Depthwise and linear layers and average pools are convolutions too. All are vector code (`vectors.py`).
"""

from __future__ import annotations

import numpy as np

from micronas.proxies.engine.layout import LANES
from micronas.proxies.engine.norms import normalise
from micronas.proxies.engine.planes import fill
from micronas.proxies.engine.program import Op
from micronas.proxies.engine.vectors import (
    address,
    keep_apart,
    part,
    slopes_1x1,
    slopes_1x3,
    slopes_3x1,
    slopes_3x3,
    strides,
    sweep,
)


@part
def windows(
    arena, op, target, source, adds, scale, shape, border, blocks, weights, at, deviations, variances, scratch, samples
):
    """A convolution, up to three channels at a time; with batch norm, in the scratch until its statistics are known."""
    keep_apart()
    c_in, h_in, w_in, c_out, h_out, w_out, kernel_y, kernel_x, stride_y, stride_x, above, left, depthwise = shape
    row_in, plane_in, inside_in = strides(h_in, w_in, border)
    row_out, plane_out, inside_out = strides(h_out, w_out, border)
    offsets = _offsets(
        c_in if depthwise == 0 else depthwise, kernel_y, kernel_x, above, left, row_in, plane_in, inside_in
    )
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
                        fill(arena, of, row, plane, np.int64(1), h_out, w_out * LANES, bias, adds)
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
                        start + block * step + c * plane, row, np.int64(LANES), plane, of, stride_y * row_in,
                        stride_x * LANES, c * count, np.int64(1), count, some // apart, h_out, w_out, adding,
                    ),
                )  # fmt: skip
        if op == Op.CONV_NORM:
            for c in range(some):
                deviations[first + c], variances[first + c] = normalise(
                    arena, place + c * plane_out, row_out, c_out * plane_out, scratch, start + c * plane, row, step,
                    h_out, w_out, blocks, samples, scale, adds,
                )  # fmt: skip


@part
def windows_back(arena, target, source, adds, scale, shape, border, blocks, weights, at, deviations):
    """The gradient of a convolution by its operand.

    For each residue of a pixel by the stride, a convolution of the gradient with the taps that reach such pixels.
    """
    keep_apart()
    c_in, h_in, w_in, c_out, h_out, w_out, kernel_y, kernel_x, stride_y, stride_x, above, left, depthwise = shape
    row_in, plane_in, inside_in = strides(h_in, w_in, border)
    row_out, plane_out, inside_out = strides(h_out, w_out, border)
    outputs, taps = c_out if depthwise == 0 else depthwise, kernel_y * kernel_x
    offsets, turned = np.empty(outputs * taps, np.int64), np.empty(c_in * outputs * taps, arena.dtype)
    if (kernel_y < stride_y or kernel_x < stride_x) and adds == 0:  # some pixels are never read
        zero = arena.dtype.type(0)
        fill(arena, target + inside_in, row_in, plane_in, blocks * c_in, h_in, w_in * LANES, zero, adds)
        adds += 1
    for residue in range(stride_y * stride_x):
        a, b = residue // stride_x, residue % stride_x
        begin_y, begin_x = (a + above) % stride_y, (b + left) % stride_x
        count = outputs * len(range(begin_y, kernel_y, stride_y)) * len(range(begin_x, kernel_x, stride_x))
        tap = 0
        for output in range(outputs):
            for ky in range(begin_y, kernel_y, stride_y):
                for kx in range(begin_x, kernel_x, stride_x):
                    y_from, x_from = (a + above - ky) // stride_y, (b + left - kx) // stride_x
                    offsets[tap] = output * plane_out + inside_out + y_from * row_out + x_from * LANES
                    for c in range(c_in):
                        o = c if depthwise else output
                        where = o if depthwise else output * c_in + c
                        factor = scale * deviations[o] if deviations.size else scale
                        turned[c * count + tap] = weights[at + where * taps + ky * kernel_x + kx] * factor
                    tap += 1
        rows, columns = (h_in - a + stride_y - 1) // stride_y, (w_in - b + stride_x - 1) // stride_x
        apart = c_in if depthwise else min(c_in, 1)
        for block in range(blocks if count else 0):
            for c in range(apart):
                to = target + (block * c_in + c) * plane_in + inside_in + a * row_in + b * LANES
                of = source + (block * c_out + c) * plane_out
                sweep(
                    arena, arena, turned, offsets[:count],
                    (
                        to, stride_y * row_in, stride_x * LANES, plane_in, of, row_out, np.int64(LANES),
                        c * count, np.int64(1), count, c_in // apart, rows, columns, adds,
                    ),
                )  # fmt: skip


@part
def weight_slopes(arena, gradient, read, scale, shape, border, blocks, deviations, slopes):
    """Per-sample gradients of a layer's weights into `slopes`, (weights, blocks x LANES); how many weights."""
    keep_apart()
    c_in, h_in, w_in, c_out, h_out, w_out, kernel_y, kernel_x, stride_y, stride_x, above, left, depthwise = shape
    row_in, plane_in, inside_in = strides(h_in, w_in, border)
    row_out, plane_out, inside_out = strides(h_out, w_out, border)
    offsets = _offsets(
        c_in if depthwise == 0 else depthwise, kernel_y, kernel_x, above, left, row_in, plane_in, inside_in
    )
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
                        x, stride_y * row_in, stride_x * LANES, where, h_out, w_out,
                    )  # fmt: skip
                elif outputs == 3:
                    slopes_3x1(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride_y * row_in, stride_x * LANES, where, h_out, w_out,
                    )  # fmt: skip
                elif three:
                    slopes_1x3(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride_y * row_in, stride_x * LANES, where, h_out, w_out,
                    )  # fmt: skip
                else:
                    slopes_1x1(
                        g, taps * lanes, lanes, by, d, plane_out, row_out,
                        x, stride_y * row_in, stride_x * LANES, where, h_out, w_out,
                    )  # fmt: skip
                tap += 3 if three else 1
            output += outputs
    return c_out * taps


@part
def accumulate(kernel, slopes, weights, lanes):
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


@part
def _offsets(channels, kernel_y, kernel_x, above, left, row, plane, inside):
    """Where the taps of a convolution read, (input channel, row, column), relative to the pixel they stand on."""
    keep_apart()
    offsets = np.empty(channels * kernel_y * kernel_x, np.int64)
    tap = 0
    for channel in range(channels):
        for y in range(kernel_y):
            for x in range(kernel_x):
                offsets[tap] = channel * plane + inside + (y - above) * row + (x - left) * LANES
                tap += 1
    return offsets
