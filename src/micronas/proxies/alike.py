"""Graphs that the same images fit: those of one input shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from micronas.network.graph import Graph
from micronas.network.signature import Shape


def by_input_shape(graphs: Sequence[Graph]) -> Iterator[tuple[Shape, list[int]]]:
    """Every input shape that occurs, with the positions of the graphs that have it."""
    shapes = [graph.layers[0].signature.out_shape for graph in graphs]
    for shape in dict.fromkeys(shapes):
        yield shape, [at for at, its in enumerate(shapes) if its == shape]
