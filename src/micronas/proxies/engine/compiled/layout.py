"""Where programs find things: tensors in the arena, the weights of every draw, and geometries.

A tensor lies in the arena as (blocks, channels, border + height + border, border + width + border, LANES) numbers:
samples innermost, LANES at a time, so that every loop over samples is one vector wide whatever the image size; and
with a border of zeros that stands for every padding. Tensors are written in their interior only, and a place in the
arena is used again only by tensors of the same shape, so borders stay zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from micronas.network.graph import Layer
from micronas.network.signature import LEARNED, Kind, Shape, Signature
from micronas.weights import Draw, draw_bias, draw_weight

LANES = 16
"""Samples side by side: one AVX-512 vector of float32, two of AVX2, four of NEON."""


class Geometry(NamedTuple):
    """What compiled code must know of a layer: a row of `Program.geometries`.

    Height and width of `kernel`, `stride` and padding before (`above`, `left`) are 1, 1 and 0 where a layer has none.
    `depthwise` is 1 where each channel is computed from its own alone, else 0.
    """

    c_in: int
    h_in: int
    w_in: int
    c_out: int
    h_out: int
    w_out: int
    kernel_y: int
    kernel_x: int
    stride_y: int
    stride_x: int
    above: int
    left: int
    depthwise: int


@dataclass
class Store:
    """What programs of one pass have in common: geometries, weights, and what lies where in the arena.

    Only weights differ from draw to draw: a seed each. A store only grows, so that a program stays valid while later
    ones are written.
    """

    samples: int
    seeds: Sequence[int]
    dtype: npt.DTypeLike
    border: int
    draw: Draw = draw_weight
    arena_size: int = 0
    scratch_size: int = 0
    _geometries: dict[Signature, int] = field(default_factory=dict)
    _geometry_rows: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.empty((0, len(Geometry._fields)), np.int64)
    )
    _weights: dict[tuple[str, Signature], int] = field(default_factory=dict)
    _weight_values: npt.NDArray[np.floating] = field(default_factory=lambda: np.empty((0, 0)))
    _drawn: list[npt.NDArray[np.float64]] = field(default_factory=list)
    _drawn_size: int = 0
    _free: dict[Shape, list[int]] = field(default_factory=lambda: defaultdict(list))

    @property
    def blocks(self) -> int:
        """How many times LANES samples there are, the last perhaps not full."""
        return -(-self.samples // LANES)

    def size(self, shape: Shape) -> int:
        """Elements of a tensor in the arena."""
        height, width, channels = shape
        return self.blocks * channels * (height + 2 * self.border) * (width + 2 * self.border) * LANES

    def geometry(self, signature: Signature) -> int:
        """The number of a signature's row in `geometries`."""
        found = self._geometries.setdefault(signature, len(self._geometries))
        if found == len(self._geometries) - 1:
            planes = max(self.size((*shape[:2], 3)) for shape in (signature.in_shape, signature.out_shape))
            learned = signature.kind in LEARNED
            slopes = int(np.prod(signature.weight_shape)) * self.blocks * LANES if learned else 0
            self.scratch_size = max(self.scratch_size, planes, slopes)
        return found

    def geometries(self) -> npt.NDArray[np.int64]:
        """A `Geometry` in each row."""
        if len(self._geometry_rows) < len(self._geometries):
            rows = [
                [*np.roll(its.in_shape, 1), *np.roll(its.out_shape, 1), *its.kernel, *its.stride, above, left]
                for its in self._geometries
                for (above, _), (left, _) in [its.padding]
            ]
            apart = [[its.kind in (Kind.DEPTHWISE, Kind.AVG_POOL)] for its in self._geometries]
            self._geometry_rows = np.hstack([rows, apart]).astype(np.int64)
        return self._geometry_rows

    def weight(self, layer: Layer) -> int:
        """Where a layer's weights begin in `weights`; its biases, or zeros, follow them."""
        key = (layer.name if layer.signature.kind in LEARNED else "", layer.signature)
        if key not in self._weights:
            self._weights[key] = self._drawn_size
            self._drawn.append(np.stack([self._of_layer(seed, layer) for seed in self.seeds]))
            self._drawn_size += self._drawn[-1].shape[1]
        return self._weights[key]

    def _of_layer(self, seed: int, layer: Layer) -> npt.NDArray[np.float64]:
        """A layer's weights, one after the other, and its biases or zeros."""
        if layer.signature.kind in LEARNED:
            weight, bias = self.draw(seed, layer), draw_bias(seed, layer)
        else:  # an average pool begins as a depthwise convolution with ones
            weight, bias = np.ones((layer.signature.in_shape[2], int(np.prod(layer.signature.kernel)))), None
        return np.concatenate([weight.ravel(), np.zeros(len(weight)) if bias is None else bias])

    def weights(self) -> npt.NDArray[np.floating]:
        """All weights so far, (draws, weights), one layer after the other."""
        shape = (len(self.seeds), self._drawn_size)
        if self._weight_values.shape != shape:
            self._weight_values = np.hstack([np.empty((shape[0], 0)), *self._drawn]).astype(self.dtype, order="C")
        return self._weight_values

    def take(self, shape: Shape) -> int:
        """A place for a tensor; what lay there before had the same shape, so that the border is zero."""
        free = self._free[shape]
        if free:
            return free.pop()
        place, self.arena_size = self.arena_size, self.arena_size + self.size(shape)
        return place

    def give_back(self, shape: Shape, place: int) -> None:
        """Let a place be taken again."""
        self._free[shape].append(place)


def border(signature: Signature) -> int:
    """How far beyond the edge of its operand, or of its gradient on the way back, a layer reads, in pixels."""
    if signature.kind not in (Kind.CONV, Kind.DEPTHWISE, Kind.AVG_POOL):
        return 0
    reach = [0]
    for size, out, kernel, stride, before, _ in signature.axes:
        reach += [before, -(-(kernel - 1 - before) // stride)]
        reach += [(out - 1) * stride + kernel - before - size, (size - 1 + before) // stride - (out - 1)]
    return max(reach)
