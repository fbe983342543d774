"""What a search space is, and the skeleton its cells are stacked in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from micronas.choices import Choices
from micronas.errors import UserError
from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph, Shape

LARGEST_BYTES = 16 << 20
"""A feature map or a layer's weights in int8 beyond this fit no microcontroller, nor the memory it could address."""

MOST_CELLS = 300
"""Cells of a network; NAS-Bench-201 has 15."""

DrawCell = Callable[[GraphBuilder, str, str], str]
"""Draws one cell: (builder, name prefix, name of the layer it reads) -> name of its output."""


class ArchitectureError(UserError):
    """The text is no architecture of the space; the message says what is wrong and what is allowed."""


@dataclass(frozen=True)
class Skeleton:
    """Everything about a network but its cell (NAS-Bench-201, §2.1).

    A 3x3 stem with batch norm; `stages` stages of `cells` cells, channels doubling and resolution
    halving between them in a residual block; batch norm, ReLU, global average pool, linear layer.
    Without `stem` the first cell reads the input, which must then have `channels` channels.

    Attributes:
        input_shape: (height, width, channels) of the image.
        classes: outputs of the linear layer.
        channels: C, channels of the first stage.
        cells: N, cells per stage.
        stages: how many stages.
        stem: whether the 3x3 stem is there.
    """

    input_shape: Shape = (32, 32, 3)
    classes: int = 10
    channels: int = 16
    cells: int = 5
    stages: int = 3
    stem: bool = True

    def __post_init__(self) -> None:
        numbers = {"classes": self.classes, "channels": self.channels, "cells": self.cells, "stages": self.stages}
        for name, number in numbers.items():
            if number < 1:
                raise UserError(f"a skeleton needs at least 1 of {name}, not {number}")
        height, width, channels = self.input_shape
        halved = 2 ** min(self.stages - 1, 32)
        if min(height, width, channels) < 1 or height % halved or width % halved:
            raise UserError(
                f"an input of {height}x{width}x{channels} cannot be halved between {self.stages} stages; "
                f"choose a height and width that {halved} divides"
            )
        self._check_size()
        if not self.stem and self.input_shape[2] != self.channels:
            raise UserError(f"without a stem the input needs {self.channels} channels, not {self.input_shape[2]}")

    def _check_size(self) -> None:
        """Refuse what no microcontroller could hold, before it fills this machine's memory."""
        height, width, depth = self.input_shape
        widest = self.channels * 2 ** min(self.stages - 1, 32)
        weights = max(9 * self.channels * depth, 9 * widest * widest if self.stages > 1 else 0, widest * self.classes)
        features = height * width * max(depth, self.channels)
        for what, size in (("feature maps", features), ("layers", weights)):
            if size > LARGEST_BYTES:
                raise UserError(f"{self} has {what} of {size / 2**20:,.0f} MiB; no microcontroller holds that")
        if self.stages * self.cells > MOST_CELLS:
            raise UserError(f"{self} has {self.stages * self.cells} cells; at most {MOST_CELLS} are looked at")

    def lower(self, draw_cell: DrawCell) -> Graph:
        """The network with `draw_cell` drawn at every place of a cell."""
        draw = GraphBuilder(self.input_shape)
        at = self._stem(draw) if self.stem else "input"
        for stage in range(1, self.stages + 1):
            if stage > 1:
                at = _reduction(draw, f"reduce{stage - 1}", at)
            for cell in range(1, self.cells + 1):
                at = draw_cell(draw, f"stage{stage}.cell{cell}", at)
        at = draw.relu("head.relu", draw.batch_norm("head.bn", at))
        draw.linear("head.linear", draw.global_pool("head.pool", at), self.classes)
        return draw.graph()

    def _stem(self, draw: GraphBuilder) -> str:
        return draw.batch_norm("stem.bn", draw.conv("stem.conv", "input", self.channels, kernel=3))

    def __str__(self) -> str:
        """`C=16 N=5 32x32x3 -> 10 classes`."""
        height, width, channels = self.input_shape
        shape = f"{height}x{width}x{channels} -> {self.classes} classes"
        stages = "" if self.stages == 3 else f" S={self.stages}"
        return f"C={self.channels} N={self.cells}{stages} {shape}" + ("" if self.stem else ", no stem")


def _reduction(draw: GraphBuilder, name: str, source: str) -> str:
    """The residual block between stages: twice the channels, half the resolution.

    Only even sizes can be halved: of an odd one the convolution leaves half rounded up, the shortcut's pool rounded
    down; `Skeleton` refuses them.
    """
    channels = draw.shape(source)[2]
    main = source
    for half, stride in (("a", 2), ("b", 1)):
        main = draw.relu(f"{name}.{half}.relu", main)
        main = draw.conv(f"{name}.{half}.conv", main, 2 * channels, kernel=3, stride=stride)
        main = draw.batch_norm(f"{name}.{half}.bn", main)
    pooled = draw.avg_pool(f"{name}.shortcut.pool", source, kernel=2, stride=2)
    shortcut = draw.conv(f"{name}.shortcut.conv", pooled, 2 * channels)
    return draw.add(f"{name}.add", (main, shortcut), draw.shape(main))


@dataclass(frozen=True)
class Edge:
    """An operation between two nodes of a cell, for drawing it."""

    source: int
    target: int
    operation: str


class SearchSpace(Protocol):
    """Choices in, a graph out: all that a search, an indicator or a board needs to know of a space.

    Laws (`tests/contracts/test_spaces.py`): `parse` undoes `format`; `canonical` keeps the live
    key and is idempotent; every completion of `everything()` lowers to a valid graph.
    """

    @property
    def name(self) -> str:
        """What a user types."""
        ...

    def everything(self) -> Choices:
        """All options alive at every decision."""
        ...

    def parse(self, text: str) -> Choices:
        """An architecture from its notation; raises `ArchitectureError`."""
        ...

    def format(self, choices: Choices) -> str:
        """The notation of an architecture."""
        ...

    def canonical(self, choices: Choices) -> Choices:
        """The representative of the architecture's class: the cheapest deployed member."""
        ...

    def edges(self, choices: Choices) -> tuple[Edge, ...]:
        """An architecture as a drawing of its cell."""
        ...

    def lower(self, choices: Choices, skeleton: Skeleton) -> Graph:
        """The network: plain (trainable) layers; an open decision becomes parallel layers and a MEAN."""
        ...
