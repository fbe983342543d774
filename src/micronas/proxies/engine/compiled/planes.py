"""All operations without weights, compiled: sums, ReLU, pools and padding, and every gradient but a convolution's.

Plain loops over rows of pixels, samples innermost, which LLVM vectorises well.
"""

# numba knows no `in` for enum members.
# ruff: noqa: PLR1714

from __future__ import annotations

import numpy as np

from micronas.proxies.engine.compiled.compiling import keep_apart, part
from micronas.proxies.engine.compiled.layout import LANES
from micronas.proxies.engine.compiled.program.instructions import Op
from micronas.proxies.engine.compiled.steps import strides


@part
def fill(x, at, row, plane, images, height, count, value, adds):
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


@part
def rows(arena, target, source, other, adds, scale, its, border, blocks, op, deviations):
    """Copy, ReLU and the gradients of ReLU and batch norm: what one number after the other becomes."""
    keep_apart()
    channels, height, width = its.c_out, its.h_out, its.w_out
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
def change(features, at, arena, source, its, border, blocks):
    """Features become what a tensor has more than they: after two runs that began with zeros, what has changed."""
    keep_apart()
    _, plane, _ = strides(its.h_out, its.w_out, border)
    for j in range(blocks * its.c_out * plane):
        features[at + j] = arena[source + j] - features[at + j]


@part
def shares(arena, target, source, adds, scale, its, border, blocks):
    """Each pixel divided by how many pixels, not padding, the window of an average pool covers there."""
    keep_apart()
    channels, h_in, w_in, _, h_out, w_out, kernel_y, kernel_x, stride_y, stride_x, above, left, _ = its
    row, plane, inside = strides(h_out, w_out, border)
    shares = np.empty(w_out * LANES, arena.dtype)
    for y in range(h_out):
        high = min(y * stride_y - above + kernel_y, h_in) - max(y * stride_y - above, 0)
        for j in range(shares.size):
            x = j // LANES * stride_x - left
            shares[j] = scale / (high * (min(x + kernel_x, w_in) - max(x, 0)))
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
def max_pool(arena, target, source, other, adds, scale, its, border, blocks, back):
    """Forward, or its gradient, which goes to the first largest number of every window."""
    keep_apart()
    channels, h_in, w_in, _, h_out, w_out, kernel_y, kernel_x, stride_y, stride_x, above, left, _ = its
    row_in, plane_in, inside_in = strides(h_in, w_in, border)
    row_out, plane_out, inside_out = strides(h_out, w_out, border)
    if back and not adds:
        images = blocks * channels
        fill(arena, target + inside_in, row_in, plane_in, images, h_in, w_in * LANES, arena.dtype.type(0), adds)
    read = other if back else source
    for image in range(blocks * channels):
        for y in range(h_out):
            for x in range(w_out):
                for lane in range(LANES):
                    best, place = arena.dtype.type(-np.inf), 0
                    for v in range(max(y * stride_y - above, 0), min(y * stride_y - above + kernel_y, h_in)):
                        for u in range(max(x * stride_x - left, 0), min(x * stride_x - left + kernel_x, w_in)):
                            at = image * plane_in + inside_in + v * row_in + u * LANES + lane
                            if arena[read + at] > best:
                                best, place = arena[read + at], at
                    at = image * plane_out + inside_out + y * row_out + x * LANES + lane
                    if back:
                        arena[target + place] += arena[source + at] * scale
                    else:
                        arena[target + at] = best * scale + (arena[target + at] if adds else 0)


@part
def global_pool(arena, target, source, adds, scale, its, border, blocks, back):
    """The mean over all pixels, or its gradient, which all pixels share."""
    keep_apart()
    channels, height, width = its.c_in, its.h_in, its.w_in
    row, plane, inside = strides(height, width, border)
    _, plane_one, inside_one = strides(its.h_out, its.w_out, border)
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
def pad(arena, target, source, adds, scale, its, border, blocks, back):
    """Put an image inside a larger one of zeros, or take it out again."""
    keep_apart()
    channels, h_in, w_in, _, h_out, w_out, _, _, _, _, above, left, _ = its
    row_in, plane_in, inside_in = strides(h_in, w_in, border)
    row_out, plane_out, inside_out = strides(h_out, w_out, border)
    if not back and not adds:
        images = blocks * channels
        fill(arena, target + inside_out, row_out, plane_out, images, h_out, w_out * LANES, arena.dtype.type(0), adds)
    for image in range(blocks * channels):
        for y in range(h_in):
            inner = image * plane_in + inside_in + y * row_in
            outer = image * plane_out + inside_out + (y + above) * row_out + left * LANES
            to, of = (inner, outer) if back else (outer, inner)
            for j in range(w_in * LANES):
                old = arena[target + to + j] if adds else 0
                arena[target + to + j] = arena[source + of + j] * scale + old
