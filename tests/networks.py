"""Cells of NAS-Bench-201 in skeletons of any size: the networks that tests are about."""

from __future__ import annotations

from micronas.network.graph import Graph
from micronas.network.signature import Shape
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import CELLS, cell_drawer, read_cell
from micronas.spaces.nasbench201.skeleton import Skeleton
from micronas.task import Task


def lowered(
    cell: str | Choices = CELLS,
    channels: int = 16,
    cells: int = 5,
    stages: int = 3,
    input_shape: Shape = (32, 32, 3),
    classes: int = 10,
) -> Graph:
    """A cell, decided or not, in a skeleton; by default the supernet of the benchmark's."""
    choices = read_cell(cell) if isinstance(cell, str) else cell
    return Skeleton(channels, cells, stages).lower(cell_drawer(choices), Task(input_shape, classes))


def tiny(cell: str | Choices = CELLS) -> Graph:
    """One cell of four channels behind a stem, on an image of 8x8."""
    return lowered(cell, channels=4, cells=1, stages=1, input_shape=(8, 8, 3), classes=2)
