"""The skeleton that NAS-Bench-201 stacks its cells in (Dong & Yang, 2020, §2.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from micronas.errors import UserError
from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph
from micronas.network.signature import LARGEST_BYTES
from micronas.task import Task
from micronas.texts import shown

MOST_CELLS = 300
"""Cells of a network; NAS-Bench-201 has 15."""

DrawCell = Callable[[GraphBuilder, str, str], str]
"""Draws one cell: (builder, name prefix, name of the layer it reads) -> name of its output."""


@dataclass(frozen=True)
class Skeleton:
    """Everything about a network but its cell and its task.

    A 3x3 stem with batch norm; `stages` stages of `cells` cells, channels doubling and resolution
    halving between them in a residual block; batch norm, ReLU, global average pool, linear layer.
    Without `stem` the first cell reads the input, which must then have `channels` channels.

    Attributes:
        channels: C, channels of the first stage.
        cells: N, cells per stage.
        stages: how many stages.
        stem_stride: of the stem's convolution; 1 in the benchmark.
        stem: whether the 3x3 stem is there.
    """

    channels: int = 16
    cells: int = 5
    stages: int = 3
    stem_stride: int = 1
    stem: bool = True

    def check(self, task: Task) -> None:
        """Refuse a task that this skeleton cannot take, and what no microcontroller could hold.

        Raises:
            UserError: a size that cannot be halved between the stages, or layers beyond any chip's memory; said before
                it fills this machine's.
        """
        numbers = {name: getattr(self, name) for name in ("channels", "cells", "stages", "stem_stride")}
        for name, number in numbers.items():
            if type(number) is not int or number < 1:
                raise UserError(f"{name} of a skeleton must be a whole number of at least 1, not {shown(number)}")
        height, width, channels = task.input_shape
        strides = self.stem_stride * 2 ** min(self.stages - 1, 32)
        if height % strides or width % strides:
            raise UserError(
                f"an input of {height}x{width}x{channels} cannot be halved between {self.stages} stages; "
                f"choose a height and width that {strides} divides"
            )
        if not self.stem and channels != self.channels:
            raise UserError(f"without a stem the input needs {self.channels} channels, not {channels}")
        self._check_size(task)

    def _check_size(self, task: Task) -> None:
        height, width, depth = task.input_shape
        widest = self.channels * 2 ** min(self.stages - 1, 32)
        weights = max(9 * self.channels * depth, 9 * widest * widest if self.stages > 1 else 0, widest * task.classes)
        features = height * width * max(depth, self.channels)
        for what, size in (("feature maps", features), ("layers", weights)):
            if size > LARGEST_BYTES:
                megabytes = size / 2**20
                raise UserError(f"{self} {task} has {what} of {megabytes:,.0f} MiB; no microcontroller holds that")
        if self.stages * self.cells > MOST_CELLS:
            raise UserError(f"{self} has {self.stages * self.cells} cells; at most {MOST_CELLS} are looked at")

    def lower(self, draw_cell: DrawCell, task: Task) -> Graph:
        """The network with `draw_cell` drawn at every place of a cell.

        Raises:
            UserError: as `check`.
        """
        self.check(task)
        draw = GraphBuilder(task.input_shape)
        at = self._stem(draw) if self.stem else "input"
        for stage in range(1, self.stages + 1):
            if stage > 1:
                at = _reduction(draw, f"reduce{stage - 1}", at)
            for cell in range(1, self.cells + 1):
                at = draw_cell(draw, f"stage{stage}.cell{cell}", at)
        at = draw.relu("head.relu", draw.batch_norm("head.bn", at))
        draw.linear("head.linear", draw.global_pool("head.pool", at), task.classes)
        return draw.graph()

    def _stem(self, draw: GraphBuilder) -> str:
        return draw.batch_norm("stem.bn", draw.conv("stem.conv", "input", self.channels, 3, self.stem_stride))

    def __str__(self) -> str:
        """`C=16 N=5`, and whatever else is not as in the benchmark."""
        stages = "" if self.stages == 3 else f" S={self.stages}"
        stem = "" if self.stem_stride == 1 else f" stem/{self.stem_stride}"
        return f"C={self.channels} N={self.cells}{stages}{stem}" + ("" if self.stem else ", no stem")


def _reduction(draw: GraphBuilder, name: str, source: str) -> str:
    """The residual block between stages: twice the channels, half the resolution.

    Only even sizes can be halved: of an odd one the convolution leaves half rounded up, the shortcut's pool rounded
    down; `Skeleton.check` refuses them.
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
