"""Convolutions, compiled: forward, and the gradient by their operand.

Depthwise and linear layers and average pools are convolutions too. Each computes one plane (a channel of LANES
samples) from others by the taps of its kernel; the border of zeros stands for the padding:

    operand x, in its border        taps            output y

        0   0   0   0   0
        0   a   b   c   0        w0  w1  w2        .   .   .
        0   d   e   f   0        w3  w4  w5        .   y   .        y = w0 a + w1 b + ... + w8 i
        0   g   h   i   0        w6  w7  w8        .   .   .
        0   0   0   0   0

Each letter is a pixel, a vector of LANES samples, and all of them are multiplied by the same weights. Tap w0 reads a
row and a pixel before the one that is computed: that distance in the arena is its offset (`steps.py` draws rows and
planes). With several channels to read, there are such taps on each; to `sweep` all are one list of offsets.
"""

from __future__ import annotations

import numpy as np

from micronas.proxies.engine.compiled.compiling import keep_apart, part
from micronas.proxies.engine.compiled.layout import LANES
from micronas.proxies.engine.compiled.norms import normalise
from micronas.proxies.engine.compiled.planes import fill
from micronas.proxies.engine.compiled.steps import PIXEL, strides
from micronas.proxies.engine.compiled.sweeps import Extent, Walk, sweep

_ADJACENT = np.int64(1)
"""From the weight of a tap to that of the next."""


@part
def conv(arena, target, source, adds, scale, its, border, blocks, weights, at):
    """A convolution by itself."""
    keep_apart()
    x, y = strides(its.h_in, its.w_in, border), strides(its.h_out, its.w_out, border)
    offsets = offsets_of(its, x)
    scaled = np.empty(its.c_out * offsets.size, arena.dtype)
    for j in range(scaled.size):
        scaled[j] = weights[at + j] * scale
    to = Walk(target + y.inside, its.c_out * y.plane, y.plane, y.row, PIXEL)
    adds = _biases(arena, to, adds, scale, its, blocks, weights, at + scaled.size)
    extent = Extent(blocks, its.c_out, its.h_out, its.w_out)
    sweep(arena, to, arena, reads(source, its, x), scaled, offsets.size, _ADJACENT, offsets, extent, adds)


@part
def _biases(arena, to, adds, scale, its, blocks, biases, at):
    """Begin a convolution with its biases, if it has any; whether the taps are then to be added."""
    keep_apart()
    biased = False
    for channel in range(its.c_out):
        biased = biased or biases[at + channel] != 0
    if not biased:
        return adds
    for channel in range(its.c_out):
        first, bias = to.start + channel * to.output, biases[at + channel] * scale
        fill(arena, first, to.row, to.block, blocks, its.h_out, its.w_out * LANES, bias, adds)
    return adds - adds + 1


@part
def conv_norm(
    arena, target, source, adds, scale, its, border, blocks, weights, at, deviations, variances, scratch, samples
):
    """A convolution with the batch norm that reads it, up to three channels at a time.

    Their sums wait in the scratch, packed without border, until their statistics are known.
    """
    keep_apart()
    x, y = strides(its.h_in, its.w_in, border), strides(its.h_out, its.w_out, border)
    offsets = offsets_of(its, x)
    row = its.w_out * LANES
    packed = its.h_out * row
    for first in range(0, its.c_out, 3):
        some = min(3, its.c_out - first)
        to = Walk(np.int64(0), packed, blocks * packed, row, PIXEL)
        of = reads(source + first * x.plane * its.depthwise, its, x)
        extent, own = Extent(blocks, some, its.h_out, its.w_out), weights[at + first * offsets.size :]
        sweep(scratch, to, arena, of, own, offsets.size, _ADJACENT, offsets, extent, np.int64(0))
        for channel in range(first, first + some):
            deviations[channel], variances[channel] = normalise(
                arena, target + channel * y.plane + y.inside, y.row, its.c_out * y.plane,
                scratch, (channel - first) * to.output, to.row, to.block,
                its.h_out, its.w_out, blocks, samples, scale, adds,
            )  # fmt: skip


@part
def offsets_of(its, x):
    """Where the taps of a convolution read, (input channel, row, column), from its first pixel on."""
    keep_apart()
    channels = 1 if its.depthwise else its.c_in
    offsets = np.empty(channels * its.kernel_y * its.kernel_x, np.int64)
    tap = 0
    for channel in range(channels):
        for ky in range(its.kernel_y):
            for kx in range(its.kernel_x):
                offsets[tap] = channel * x.plane + x.inside + (ky - its.above) * x.row + (kx - its.left) * LANES
                tap += 1
    return offsets


@part
def reads(source, its, x):
    """The walk of a convolution through its operand: a stride from pixel to pixel."""
    return Walk(source, its.c_in * x.plane, its.depthwise * x.plane, its.stride_y * x.row, its.stride_x * PIXEL)


@part
def conv_back(arena, target, source, adds, scale, its, border, blocks, weights, at, deviations):
    """The gradient x of a convolution's operand from d, that of its output: the same taps, turned round.

    With a stride, not every tap reaches every pixel. Pixels of one residue by the stride are reached by the same taps,
    so there is a sweep for each residue. In one dimension, with a kernel of 3, stride 2 and padding 1:

        pixel of x            0     1        2     3        4
        reached from d        0     0  1     1     1  2     2         even pixels: one tap
        by tap                1     2  0     1     2  0     1         odd pixels: two taps
    """
    keep_apart()
    x, d = strides(its.h_in, its.w_in, border), strides(its.h_out, its.w_out, border)
    outputs = 1 if its.depthwise else its.c_out
    offsets = np.empty(outputs * its.kernel_y * its.kernel_x, np.int64)
    turned = np.empty(its.c_in * offsets.size, arena.dtype)
    scales = scales_of(scale, deviations, its.c_out)
    if (its.kernel_y < its.stride_y or its.kernel_x < its.stride_x) and adds == 0:  # some pixels are never read
        zero = arena.dtype.type(0)
        fill(arena, target + x.inside, x.row, x.plane, blocks * its.c_in, its.h_in, its.w_in * LANES, zero, adds)
        adds += 1
    of = Walk(source, its.c_out * d.plane, its.depthwise * d.plane, d.row, PIXEL)
    for a in range(its.stride_y):
        for b in range(its.stride_x):
            count = _turn(offsets, turned, weights, at, scales, its, d, a, b)
            to = Walk(
                target + x.inside + a * x.row + b * PIXEL,
                its.c_in * x.plane, x.plane, its.stride_y * x.row, its.stride_x * PIXEL,
            )  # fmt: skip
            rows = (its.h_in - a + its.stride_y - 1) // its.stride_y
            columns = (its.w_in - b + its.stride_x - 1) // its.stride_x
            if count:
                extent = Extent(blocks, its.c_in, rows, columns)
                sweep(arena, to, arena, of, turned, offsets.size, _ADJACENT, offsets[:count], extent, adds)


@part
def _turn(offsets, turned, weights, at, scales, its, d, a, b):
    """The taps that reach pixels of residue (a, b): where they read the gradient, and their weights; how many."""
    keep_apart()
    tap = 0
    for output in range(1 if its.depthwise else its.c_out):
        for ky in range((a + its.above) % its.stride_y, its.kernel_y, its.stride_y):
            for kx in range((b + its.left) % its.stride_x, its.kernel_x, its.stride_x):
                row, column = (a + its.above - ky) // its.stride_y, (b + its.left - kx) // its.stride_x
                offsets[tap] = output * d.plane + d.inside + row * d.row + column * LANES
                for c in range(its.c_in):
                    o = c if its.depthwise else output
                    where = (c if its.depthwise else output * its.c_in + c) * its.kernel_y + ky
                    turned[c * offsets.size + tap] = weights[at + where * its.kernel_x + kx] * scales[o]
                tap += 1
    return tap


@part
def scales_of(scale, deviations, outputs):
    """What the gradient of each output counts for: `scale`, by 1/σ where a batch norm is computed with the layer."""
    keep_apart()
    scales = np.empty(outputs, deviations.dtype)
    for output in range(outputs):
        scales[output] = scale * deviations[output] if deviations.size else scale
    return scales
