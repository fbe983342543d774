"""Parts of a network between the points where one tensor is live: nothing else crosses them.

input -> conv -> | relu -+-> add -> | pool -> linear
|  conv-+          |
"""

from __future__ import annotations

from micronas.network.graph import Layer, Layers


def segments(network: Layers) -> tuple[tuple[Layer, ...], ...]:
    """Parts between points where one tensor is live; each reads only the last of the one before."""
    last_use = {name: at for at, layer in enumerate(network) for name in layer.inputs}
    last_use[network.output.name] = len(network)
    parts: list[tuple[Layer, ...]] = []
    start, reach = 0, 0
    for at, layer in enumerate(network):
        # tensors made before this layer are dead from here on when none of them is read later
        if at and reach <= at:
            parts.append(network.layers[start : at + 1])
            start = at + 1
        reach = max(reach, last_use[layer.name])
    return tuple(parts)
