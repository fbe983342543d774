"""Parts of a network between the points where one tensor is live: nothing else crosses them.

input -> conv -> | relu -+-> add -> | pool -> linear
|  conv-+          |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from micronas.network.graph import Layer, Layers
from micronas.network.signature import Signature

OUTSIDE = 0
"""The tensor that a part reads of the one before, among the tensors of the part; layer i makes tensor i + 1."""


@dataclass(frozen=True)
class Part:
    """Layers without names, in the order they run: equal parts are one value, wherever and however often they stand.

    Attributes:
        steps: of each layer its signature and the tensors it reads, `OUTSIDE` or made by a layer before it. The last
            tensor is what the part hands on.
    """

    steps: tuple[tuple[Signature, tuple[int, ...]], ...]

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """Of each layer."""
        return tuple([signature for signature, _ in self.steps])

    @staticmethod
    def of(layers: Sequence[Layer]) -> Part:
        """Layers without their names; what they read that none of them makes is the tensor from outside."""
        tensor = {layer.name: at for at, layer in enumerate(layers, 1)}
        reads = [tuple([tensor.get(name, OUTSIDE) for name in layer.inputs]) for layer in layers]
        return Part(tuple([(layer.signature, its) for layer, its in zip(layers, reads, strict=True)]))

    def reordered(self, order: Sequence[int]) -> Part:
        """The same layers run in another order, which names each by its place."""
        place = {OUTSIDE: OUTSIDE} | {old + 1: new + 1 for new, old in enumerate(order)}
        steps = (self.steps[old] for old in order)
        return Part(tuple((signature, tuple(place[each] for each in reads)) for signature, reads in steps))


def parts_of(network: Layers) -> Iterator[Part]:
    """The parts of a network, first to last."""
    return map(Part.of, segments(network))


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
