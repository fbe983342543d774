"""Many graphs merged into one: every distinct tensor once, whichever networks compute it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from micronas.network.graph import Graph, Layer
from micronas.network.live import Disconnected, live
from micronas.network.signature import LEARNED, Kind, Signature


@dataclass(frozen=True)
class Value:
    """A tensor that one or several of the networks compute; `inputs` are numbers of earlier values."""

    layer: Layer
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Member:
    """One of the merged networks: its values in the order they run, of which the last is its output.

    `features` is the last feature map: what the last global pool reads, else the output.
    """

    values: tuple[int, ...]
    features: int


@dataclass
class Merged:
    """Distinct values of many networks, found by hash-consing.

    Two layers give the same value if they have the same signature, the same inputs and, where they have
    weights, the same name. Dead layers are gone; a sum of one operand is that operand.

    Attributes:
        values: inputs before readers.
        members: the network of each graph, None for a disconnected one.
        signatures: every signature that occurs, numbered.
    """

    values: list[Value] = field(default_factory=list)
    members: list[Member | None] = field(default_factory=list)
    signatures: dict[Signature, int] = field(default_factory=dict)
    _found: dict[tuple[int, str, tuple[int, ...]], int] = field(default_factory=dict)

    @staticmethod
    def of(graphs: Sequence[Graph]) -> Merged:
        """The merged values of `graphs`."""
        merged = Merged()
        for graph in graphs:
            merged.add(graph)
        return merged

    def add(self, graph: Graph) -> None:
        """Take in one more network."""
        try:
            graph = live(graph)
        except Disconnected:
            self.members.append(None)
            return
        number: dict[str, int] = {}
        for layer in graph.layers:
            inputs = tuple([number[name] for name in layer.inputs])
            alone = layer.signature.kind is Kind.ADD and len(inputs) == 1
            number[layer.name] = inputs[0] if alone else self._value(layer, inputs)
        pooled = [layer.inputs[0] for layer in graph.layers if layer.signature.kind is Kind.GLOBAL_POOL]
        features = number[pooled[-1] if pooled else graph.output.name]
        self.members.append(Member(tuple(dict.fromkeys(number.values())), features))

    def _value(self, layer: Layer, inputs: tuple[int, ...]) -> int:
        signature = layer.signature
        kind = self.signatures.setdefault(signature, len(self.signatures))
        key = (kind, layer.name if signature.kind in LEARNED else "", inputs)
        found = self._found.setdefault(key, len(self.values))
        if found == len(self.values):
            self.values.append(Value(layer, inputs))
        return found
