"""Batch norm, compiled: each channel less its mean and divided by its deviation, over all samples of the batch."""

from __future__ import annotations

import numpy as np

from micronas.proxies.engine.compiled.compiling import keep_apart, part
from micronas.proxies.engine.compiled.layout import LANES
from micronas.proxies.engine.compiled.steps import strides


@part
def norm(arena, target, source, adds, scale, its, border, blocks, deviations, variances, samples):
    """A batch norm that stands alone; those that read a convolution are computed with it."""
    keep_apart()
    channels, height, width = its.c_in, its.h_in, its.w_in
    row, plane, inside = strides(height, width, border)
    for channel in range(channels):
        of, to = source + channel * plane + inside, target + channel * plane + inside
        deviations[channel], variances[channel] = normalise(
            arena, to, row, channels * plane, arena, of, row, channels * plane,
            height, width, blocks, samples, scale, adds,
        )  # fmt: skip


@part
def normalise(y, y_at, y_row, y_block, x, x_at, x_row, x_block, height, width, blocks, samples, scale, adds):
    """Y (+)= scale (x - mean) / deviation for one channel; 1 / deviation, with torch's 1e-5 in it, and the variance."""
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
    return inverse, variance


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
