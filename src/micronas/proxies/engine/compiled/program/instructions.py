"""What a program is: a list of instructions over one arena of tensors, which the compiled kernels run in order.

The arena is one long array in which every tensor has its place (`layout.py` says how it lies there). An instruction
reads and writes tensors by these places; numbers that are no tensors (weights, statistics of batch norms, bits) lie in
arrays of their own. Programs are written by the modules beside this one, of which `goals.py` is the first to read, and
run by `machine.py`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

COLUMNS = ("op", "target", "source", "other", "adds", "geometry", "weight", "statistics", "member")
"""The numbers of an instruction.

What it does; places in the arena of what it writes, reads, and reads besides; whether to add to what is there or to
put in its place; the rows of `geometries` and the places in `weights` and statistics of the layer; for which network.
"""


class Op(IntEnum):
    """What an instruction does.

    Whatever is written is scaled by the coefficient. Backward operations read a gradient at "source" and write one at
    "target".
    """

    COPY = 0
    CONV = 1  # depthwise and linear layers too; of an average pool, the sum over each window
    CONV_NORM = 2  # a convolution and the batch norm that reads it
    NORM = 3
    RELU = 4
    SHARES = 5  # divides each pixel by what the window of an average pool covers there
    MAX_POOL = 6
    GLOBAL_POOL = 7
    PAD = 8
    SLOPES = 9  # kernel of the member += that of a layer's per-sample weight gradients; other: the layer's input
    CONV_BACK = 10
    NORM_BACK = 11
    RELU_BACK = 12  # other: the ReLU's output
    MAX_POOL_BACK = 13  # other: the pool's input
    GLOBAL_POOL_BACK = 14
    PAD_BACK = 15
    FILL = 16  # the coefficient everywhere
    SIGNS = 17  # bits "other", "other" + 1, ... of every sample: where source is positive
    COUNT = 18  # regions of the member: how many samples differ in their first "source" bits
    AGREE = 19  # kernel of the member: in how many of the first "source" bits each two samples agree
    CHANGE = 20  # features at "target" = what lies at source - what they are


class Response(NamedTuple):
    """Where the features of a network lie, from `place` on, and which of the batch norms are its own."""

    place: int
    size: int
    norms: list[int]


class Program(NamedTuple):
    """Instructions, (instructions, columns), with a coefficient each, and all that they refer to.

    One program serves every draw: `weights`, (draws, weights), has a row for each. `norms` are where the statistics
    of each batch norm begin.
    """

    instructions: npt.NDArray[np.int64]
    coefficients: npt.NDArray[np.floating]
    geometries: npt.NDArray[np.int64]
    weights: npt.NDArray[np.floating]
    input_place: int
    arena_size: int
    scratch_size: int
    statistics: int
    bits: int
    features: int
    norms: npt.NDArray[np.int64]
    responses: list[Response]  # of the connected networks
