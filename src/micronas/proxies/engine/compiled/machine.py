"""The instructions of programs, compiled by numba: one call runs a program, with no Python in between."""

# numba knows no `in` for enum members.
# ruff: noqa: PLR0912, PLR1714

from __future__ import annotations

from functools import lru_cache

import numpy as np

from micronas.proxies.engine.compiled.compiling import compiled
from micronas.proxies.engine.compiled.convolutions import conv, conv_back, conv_norm
from micronas.proxies.engine.compiled.layout import LANES, Geometry
from micronas.proxies.engine.compiled.norms import norm
from micronas.proxies.engine.compiled.patterns import agree, distinct, signs
from micronas.proxies.engine.compiled.planes import change, fill, global_pool, max_pool, pad, rows, shares
from micronas.proxies.engine.compiled.program.instructions import Op
from micronas.proxies.engine.compiled.slopes import accumulate, weight_slopes
from micronas.proxies.engine.compiled.steps import strides


@compiled
def execute(
    code, factors, geometries, weights, border, blocks, samples,
    arena, scratch, statistics, bits, grams, counts, features,
):  # fmt: skip
    """Run a program.

    `code`, `factors` and `geometries` are those of a `Program`, `weights` one draw's; `border`, `blocks` and `samples`
    of its `Store`. `arena` and `scratch` are room for tensors and one operation's intermediates; `bits`, (words,
    blocks x LANES) of zeros, for signs. The results are `statistics`, (2, channels), the 1/σ and σ² of batch norms;
    `grams`, kernels of (networks, blocks x LANES, blocks x LANES), to which is added; `counts`, the regions of the
    networks; and `features`, from which what is there before is taken.
    """
    for number in range(len(code)):
        op, target, source, other, adds, geometry, weight, at, member = code[number]
        scale = factors[number]
        g = geometries[geometry]
        its = Geometry(g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8], g[9], g[10], g[11], g[12])
        deviations = statistics[0, at : at + its.c_out] if at >= 0 else statistics[0, :0]
        variances = statistics[1, at : at + its.c_out] if at >= 0 else statistics[1, :0]
        if op == Op.COPY or op == Op.RELU or op == Op.RELU_BACK or op == Op.NORM_BACK:
            rows(arena, target, source, other, adds, scale, its, border, blocks, op, deviations)
        elif op == Op.CONV:
            conv(arena, target, source, adds, scale, its, border, blocks, weights, weight)
        elif op == Op.CONV_NORM:
            conv_norm(
                arena, target, source, adds, scale, its, border, blocks,
                weights, weight, deviations, variances, scratch, samples,
            )  # fmt: skip
        elif op == Op.CONV_BACK:
            conv_back(arena, target, source, adds, scale, its, border, blocks, weights, weight, deviations)
        elif op == Op.SHARES:
            shares(arena, target, source, adds, scale, its, border, blocks)
        elif op == Op.NORM:
            norm(arena, target, source, adds, scale, its, border, blocks, deviations, variances, samples)
        elif op == Op.MAX_POOL or op == Op.MAX_POOL_BACK:
            back = op == Op.MAX_POOL_BACK
            max_pool(arena, target, source, other, adds, scale, its, border, blocks, back)
        elif op == Op.GLOBAL_POOL or op == Op.GLOBAL_POOL_BACK:
            back = op == Op.GLOBAL_POOL_BACK
            global_pool(arena, target, source, adds, scale, its, border, blocks, back)
        elif op == Op.PAD or op == Op.PAD_BACK:
            pad(arena, target, source, adds, scale, its, border, blocks, op == Op.PAD_BACK)
        elif op == Op.SLOPES:
            count = weight_slopes(arena, source, other, scale, its, border, blocks, deviations, scratch)
            accumulate(grams[member], scratch, count, blocks * LANES)
        elif op == Op.FILL:
            row, plane, inside = strides(its.h_out, its.w_out, border)
            fill(arena, target + inside, row, plane, blocks * its.c_out, its.h_out, its.w_out * LANES, scale, adds)
        elif op == Op.SIGNS:
            signs(arena, source, other, its, border, blocks, bits)
        elif op == Op.CHANGE:
            change(features, target, arena, source, its, border, blocks)
        elif op == Op.COUNT or op == Op.AGREE:
            if op == Op.COUNT:
                counts[member] = distinct(bits, (source + 63) // 64, samples)
            else:
                agree(grams[member], bits, source, samples)
            for word in range(bits.shape[0]):
                for sample in range(bits.shape[1]):
                    bits[word, sample] = 0


@lru_cache
def prepare(precision: str) -> None:
    """Compile `execute`, which takes seconds, or load it from the cache; a damaged cache is forgotten."""
    try:
        _run_nothing(precision)
    except Exception:  # noqa: BLE001 - what a damaged pickle raises may be anything
        execute._cache.flush()
        _run_nothing(precision)


def _run_nothing(precision: str) -> None:
    numbers, whole = np.empty(0, precision), np.empty((0, 0), np.int64)
    execute(
        whole, numbers, whole, numbers, 0, 0, 0, numbers, numbers, np.empty((2, 0), precision),
        np.empty((0, 0), np.uint64), np.empty((0, 0, 0)), np.empty(0, np.int64), numbers,
    )  # fmt: skip
