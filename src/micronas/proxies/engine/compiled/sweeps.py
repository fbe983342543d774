"""The two inner loops of `tiles.py` over whole tensors: every pixel of every output, or every weight of a layer.

A sweep cuts what it computes into the tiles there are. Outputs are taken three at a time, for the reduced networks
have 3, 6 and 12 channels; then two pixels or three taps at a time: as many sums as there are registers. What is left
over goes one by one. Outputs that read an operand each (depthwise layers) have nothing to share, and go one by one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from micronas.proxies.engine.compiled.compiling import keep_apart, part
from micronas.proxies.engine.compiled.layout import LANES
from micronas.proxies.engine.compiled.tiles import slopes, taps
from micronas.proxies.engine.compiled.vectors import address

Whole = int | np.int64


class Walk(NamedTuple):
    """A way through an array: where it begins, and how far it is to the next block, output, row and pixel.

    An operand that all outputs read is 0 from one output to the next.
    """

    start: Whole
    block: Whole
    output: Whole
    row: Whole
    pixel: Whole


class Extent(NamedTuple):
    """How many there are of each."""

    blocks: Whole
    outputs: Whole
    rows: Whole
    columns: Whole


@part
def _in_threes(outputs, of):
    """How many outputs are taken three at a time: none where each reads an operand of its own."""
    return outputs - outputs % 3 if of.output == 0 else 0


def _sweeping(outputs: int) -> Any:
    """`sweep` for one block and so many outputs at once; y, x and w are pointers to the first of each."""
    two_pixels, one_pixel = taps(outputs, 2), taps(outputs, 1)

    @part
    def some_outputs(y, to, x, of, w, w_output, w_tap, offsets, extent, adds):
        pairs, offset = extent.columns - extent.columns % 2, address(offsets, 0)
        for row in range(extent.rows):
            for column in range(0, pairs, 2):
                y_here = address(y, row * to.row + column * to.pixel)
                x_here = address(x, row * of.row + column * of.pixel)
                two_pixels(
                    y_here, to.pixel, to.output, adds != 0, x_here, of.pixel, w, w_tap, w_output, offset, offsets.size
                )
            for column in range(pairs, extent.columns):
                y_here = address(y, row * to.row + column * to.pixel)
                x_here = address(x, row * of.row + column * of.pixel)
                one_pixel(
                    y_here, to.pixel, to.output, adds != 0, x_here, of.pixel, w, w_tap, w_output, offset, offsets.size
                )

    return some_outputs


_three_outputs, _one_output = _sweeping(3), _sweeping(1)


@part
def sweep(y, to, x, of, w, w_output, w_tap, offsets, extent, adds):
    """y[o, p] (+)= Σ_t w[o, t] x[p + offset t] for all pixels p of all outputs o.

    `to` and `of` are the walks through y and x; weights lie `w_output` and `w_tap` apart. `adds`: whether to add to
    what is in y.
    """
    keep_apart()
    threes = _in_threes(extent.outputs, of)
    for block in range(extent.blocks):
        y_at, x_at = to.start + block * to.block, of.start + block * of.block
        for output in range(0, threes, 3):
            y_here, w_here = address(y, y_at + output * to.output), address(w, output * w_output)
            _three_outputs(y_here, to, address(x, x_at), of, w_here, w_output, w_tap, offsets, extent, adds)
        for output in range(threes, extent.outputs):
            y_here, w_here = address(y, y_at + output * to.output), address(w, output * w_output)
            x_here = address(x, x_at + output * of.output)
            _one_output(y_here, to, x_here, of, w_here, w_output, w_tap, offsets, extent, adds)


def _sweeping_slopes(outputs: int) -> Any:
    """`sweep_slopes` for one block and so many outputs at once; g, scale, d and x are pointers to the first of each."""
    three_taps, one_tap = slopes(outputs, 3), slopes(outputs, 1)

    @part
    def some_outputs(g, g_output, g_tap, scale, d, along, x, of, offsets, extent):
        threes = offsets.size - offsets.size % 3
        for tap in range(0, threes, 3):
            three_taps(
                address(g, tap * g_tap), g_output, g_tap, scale, d, along.output, along.row,
                x, of.row, of.pixel, address(offsets, tap), extent.rows, extent.columns,
            )  # fmt: skip
        for tap in range(threes, offsets.size):
            one_tap(
                address(g, tap * g_tap), g_output, g_tap, scale, d, along.output, along.row,
                x, of.row, of.pixel, address(offsets, tap), extent.rows, extent.columns,
            )  # fmt: skip

    return some_outputs


_slopes_of_three, _slopes_of_one = _sweeping_slopes(3), _sweeping_slopes(1)


@part
def sweep_slopes(g, scales, d, along, x, of, offsets, extent):
    """g[o, t] = scale[o] Σ_p d[o, p] x[p + offset t] for all taps t of all outputs o, by sample.

    g is (outputs, taps, samples); `along` and `of` are the walks through d and x.
    """
    keep_apart()
    threes, g_tap = _in_threes(extent.outputs, of), extent.blocks * LANES
    g_output = offsets.size * g_tap
    for block in range(extent.blocks):
        g_at, d_at, x_at = block * LANES, along.start + block * along.block, of.start + block * of.block
        for output in range(0, threes, 3):
            g_here, d_here = address(g, g_at + output * g_output), address(d, d_at + output * along.output)
            scale, x_here = address(scales, output), address(x, x_at)
            _slopes_of_three(g_here, g_output, g_tap, scale, d_here, along, x_here, of, offsets, extent)
        for output in range(threes, extent.outputs):
            g_here, d_here = address(g, g_at + output * g_output), address(d, d_at + output * along.output)
            scale, x_here = address(scales, output), address(x, x_at + output * of.output)
            _slopes_of_one(g_here, g_output, g_tap, scale, d_here, along, x_here, of, offsets, extent)
