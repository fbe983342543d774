"""How compiled code steps through the arena: from pixel to pixel, row to row, plane to plane.

A plane is one channel of LANES samples, in its border of zeros (`layout.py` says why it lies so):

    0    0    0    0    0                    0, a, ...: a vector of LANES samples, one pixel
    0    a    b    c    0                    a to b: LANES numbers, a pixel
    0    d    e    f    0                    a to d: a row
    0    0    0    0    0                    the first 0 to a: how far the image lies inside

Planes of the channels follow one another, then those of the next LANES samples: the next block.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from micronas.proxies.engine.compiled.compiling import part
from micronas.proxies.engine.compiled.layout import LANES

PIXEL = np.int64(LANES)
"""From a pixel to the next in its row."""


class Strides(NamedTuple):
    """From a row to the next, from a plane to the next, and from the start of a plane to its image."""

    row: int
    plane: int
    inside: int


@part
def strides(height, width, border):
    """Those of a tensor in the arena."""
    row = (width + 2 * border) * LANES
    return Strides(row, (height + 2 * border) * row, border * row + border * LANES)
