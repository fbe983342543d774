"""The two inner loops of the engine: all convolutions, pools and their gradients come down to them.

A *tap* is one weight of a window. It reads the operand x at a fixed distance, its offset, from where the window
stands. So a convolution is a sum over taps, and the gradients of its weights, with d that of its output, sums over
pixels:

    y[o, p] = Σ_t w[o, t] x[p + offset t]            g[o, t] = Σ_p d[o, p] x[p + offset t]

Pixels p and x are vectors, one sample a lane; so is each g, for gradients are by sample; w is one number for all
samples. A list of offsets serves any kernel size, stride and padding.

Each loop computes a tile of results at once, so that what is loaded is used several times. Below the tile of three
outputs and two pixels: for each tap it loads five times and multiplies six times. No compiler keeps these sums in
registers by itself, so both loops are written in vector types.

                x[p + offset t]   x[p + 1 + offset t]
    w[0, t]        y[0, p]           y[0, p + 1]
    w[1, t]        y[1, p]           y[1, p + 1]
    w[2, t]        y[2, p]           y[2, p + 1]
"""

from __future__ import annotations

from itertools import product
from typing import Any

from llvmlite import ir
from numba import types

from micronas.proxies.engine.compiled.compiling import intrinsic
from micronas.proxies.engine.compiled.layout import LANES
from micronas.proxies.engine.compiled.vectors import Value, Vectors, constant


def taps(outputs: int, pixels: int) -> Any:
    """y[o, p] (+)= Σ_t w[o, t] x[p + offset t] for a tile of outputs o and pixels p; one tap or more."""

    @intrinsic
    def tile(
        _: Any, y: Any, y_pixel: Any, y_output: Any, adds: Any, x: Any, x_pixel: Any,
        w: Any, w_tap: Any, w_output: Any, offsets: Any, count: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Value:
            y, y_pixel, y_output, adds, x, x_pixel, w, w_tap, w_output, offsets, count = arguments
            vectors = Vectors(builder, y)
            steps = product(vectors.multiples(y_output, outputs), vectors.multiples(y_pixel, pixels))
            places = [builder.add(*step) for step in steps]
            old = [builder.select(adds, vectors.load(y, place), vectors.zero()) for place in places]

            def add_tap(tap: Value, *totals: Value) -> list[Value]:
                moved, first = vectors.shifted(x, vectors.number(offsets, tap)), builder.mul(w_tap, tap)
                values = [vectors.load(moved, step) for step in vectors.multiples(x_pixel, pixels)]
                weights = [vectors.splat(w, builder.add(first, step)) for step in vectors.multiples(w_output, outputs)]
                pairs = zip(product(weights, values), totals, strict=True)
                return [vectors.fma(value, weight, total) for (weight, value), total in pairs]

            for place, total in zip(places, vectors.loop(count, old, add_tap), strict=True):
                vectors.store(total, y, place)
            return context.get_dummy_value()

        arguments = (y, y_pixel, y_output, adds, x, x_pixel, w, w_tap, w_output, offsets, count)
        return types.void(*arguments), generate

    return tile


def slopes(outputs: int, taps: int) -> Any:
    """g[o, t] = scale[o] Σ_p d[o, p] x[p + offset t] for a tile of outputs o and taps t, over rows and columns."""

    @intrinsic
    def tile(
        _: Any, g: Any, g_output: Any, g_tap: Any, scale: Any, d: Any, d_output: Any, d_row: Any,
        x: Any, x_row: Any, x_pixel: Any, offsets: Any, rows: Any, columns: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Value:
            g, g_output, g_tap, scale, d, d_output, d_row, x, x_row, x_pixel, offsets, rows, columns = arguments
            vectors = Vectors(builder, g)
            shifts = [vectors.number(offsets, constant(tap)) for tap in range(taps)]

            def add_row(row: Value, *totals: Value) -> list[Value]:
                d_here = vectors.shifted(d, builder.mul(row, d_row))
                x_here = vectors.shifted(x, builder.mul(row, x_row))

                def add_pixel(column: Value, *totals: Value) -> list[Value]:
                    d_at, x_at = builder.mul(column, constant(LANES)), builder.mul(column, x_pixel)
                    steps = vectors.multiples(d_output, outputs)
                    gradients = [vectors.load(d_here, builder.add(d_at, step)) for step in steps]
                    values = [vectors.load(x_here, builder.add(x_at, shift)) for shift in shifts]
                    pairs = zip(product(gradients, values), totals, strict=True)
                    return [vectors.fma(gradient, value, total) for (gradient, value), total in pairs]

                return vectors.loop(columns, list(totals), add_pixel)

            totals = vectors.loop(rows, [vectors.zero()] * (outputs * taps), add_row)
            scales = [vectors.splat(scale, constant(output)) for output in range(outputs)]
            steps = product(vectors.multiples(g_output, outputs), vectors.multiples(g_tap, taps))
            for number, (step, total) in enumerate(zip(steps, totals, strict=True)):
                vectors.store(builder.fmul(total, scales[number // taps]), g, builder.add(*step))
            return context.get_dummy_value()

        arguments = (g, g_output, g_tap, scale, d, d_output, d_row, x, x_row, x_pixel, offsets, rows, columns)
        return types.void(*arguments), generate

    return tile
