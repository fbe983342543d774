"""The tangent kernel of one layer, compiled: per-sample gradients of its weights, and their products.

Slopes are (weights, samples): every weight's gradient by the summed logits of each sample alone, which is what batch
statistics held constant make of one backward of them all.
"""

from __future__ import annotations

import numpy as np

from micronas.proxies.engine.compiled.compiling import keep_apart, part
from micronas.proxies.engine.compiled.convolutions import offsets_of, reads, scales_of
from micronas.proxies.engine.compiled.layout import LANES
from micronas.proxies.engine.compiled.steps import PIXEL, strides
from micronas.proxies.engine.compiled.sweeps import Extent, Walk, sweep, sweep_slopes


@part
def weight_slopes(arena, gradient, operand, scale, its, border, blocks, deviations, slopes):
    """The slopes of a layer from the gradient of its output and its operand; how many weights it has."""
    keep_apart()
    x, d = strides(its.h_in, its.w_in, border), strides(its.h_out, its.w_out, border)
    offsets, scales = offsets_of(its, x), scales_of(scale, deviations, its.c_out)
    along = Walk(gradient + d.inside, its.c_out * d.plane, d.plane, d.row, PIXEL)
    extent = Extent(blocks, its.c_out, its.h_out, its.w_out)
    sweep_slopes(slopes, scales, arena, along, arena, reads(operand, its, x), offsets, extent)
    return its.c_out * offsets.size


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
    to, of = Walk(zero, zero, lanes, zero, PIXEL), Walk(zero, zero, zero, zero, PIXEL)
    sweep(layer, to, slopes, of, slopes, one, lanes, offsets, Extent(one, lanes, one, lanes // LANES), zero)
    for a in range(lanes):
        for b in range(lanes):
            kernel[a, b] += layer[a * lanes + b]
