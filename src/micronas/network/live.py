"""What of a network matters: the layers that lie on a path from the input to the output.

relu a    relu b                       relu a
|         |                            |
conv a    conv b    zero     live      conv a
|         .      /         ->          |
|   (no reader) /                      |
add ------------+                    add of 1
"""

from __future__ import annotations

from dataclasses import replace

from micronas.network.graph import Graph, Layer, check_plain, once, remade
from micronas.network.signature import Kind


class Disconnected(ValueError):
    """No path leads from the input to the output: the network computes a constant."""


@once
def live(graph: Graph) -> Graph:
    """Drop layers that are fed by zero or that feed nothing; sums lose their zero operands.

    To be taken before training: a convolution of zero would learn its bias.

    Raises:
        Disconnected: nothing is left.
        GraphError: it is no plain graph.
    """
    check_plain(graph)
    fed = _fed(graph)
    if graph.output.name not in fed:
        raise Disconnected("no path leads from the input to the output")
    kept: list[Layer] = []
    needed = {graph.output.name}
    for layer in reversed(graph.layers):
        if layer.name in needed:
            kept.append(fed[layer.name])
            needed.update(fed[layer.name].inputs)
    return remade(graph, tuple(reversed(kept)))


def _fed(graph: Graph) -> dict[str, Layer]:
    """The layers whose value is not zero by construction, by name; sums without their zero operands."""
    fed: dict[str, Layer] = {}
    for layer in graph:
        inputs = tuple(name for name in layer.inputs if name in fed)
        if not inputs and layer.signature.kind is not Kind.INPUT:
            continue
        if inputs == layer.inputs:
            fed[layer.name] = layer
        elif layer.signature.kind is Kind.ADD:
            fed[layer.name] = Layer(layer.name, replace(layer.signature, operands=len(inputs)), inputs)
        else:  # a MEAN still divides by all its options
            fed[layer.name] = Layer(layer.name, layer.signature, inputs)
    return fed
