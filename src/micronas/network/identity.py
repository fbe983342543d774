"""Which networks are equal for every weight assignment, and which are equal as functions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

from micronas.network.deployed import drop_single_adds, resolved, without
from micronas.network.graph import Graph, Layer, Layers
from micronas.network.live import Disconnected, live
from micronas.network.segments import segments
from micronas.network.signature import Kind, Signature

DISCONNECTED = "disconnected"
"""The live key of every network in which no path leads from the input to the output."""


def live_key(graph: Graph) -> str:
    """Equal for networks that are equal for every weight assignment; `DISCONNECTED` where nothing is live.

    Dead layers are gone, sums of sums flattened to multisets, equal layers without weights merged,
    and each layer with weights kept distinct: the key is that of the resulting DAG up to
    isomorphism, found by colour refinement with individualisation. Sums are not flattened across
    a point where one tensor is live, so keys are made part by part.
    """
    try:
        network = _merge_twins(drop_single_adds(live(graph)))
    except Disconnected:
        return DISCONNECTED
    keys: list[str] = []
    outside: tuple[str, ...] = ()
    for part in segments(network):
        keys.append(_part_key(_anonymous(part, outside), pools_distribute=False))
        outside = (part[-1].name,)
    return _digest("\n".join(keys))


def function_key(graph: Graph) -> str:
    """Equal for networks that are equal as real functions: as `live_key`, and an average pool distributes over sums.

    pool(a + b) = pool(a) + pool(b): NAS-Bench-201 has 5,260 graphs, but 5,044 functions. The network is looked at as a
    whole, so this is for cells, not for networks of hundreds of layers.
    """
    try:
        network = _merge_twins(drop_single_adds(live(graph)))
    except Disconnected:
        return DISCONNECTED
    return _digest(_part_key(_anonymous(network.layers, ()), pools_distribute=True))


def weights_key(graph: Graph) -> str:
    """Equal for networks whose live layers have the same names, signatures and inputs: they draw the same weights.

    What an indicator of the untrained network depends on, and nothing else of the graph. `DISCONNECTED` where nothing
    is live.
    """
    try:
        network = live(graph)
    except Disconnected:
        return DISCONNECTED
    return _digest("\n".join(f"{layer.name} {_exactly(layer.signature)} {' '.join(layer.inputs)}" for layer in network))


@lru_cache(maxsize=10_000)
def _exactly(signature: Signature) -> str:
    """A signature in words that no other has: what reads aloud leaves out usual paddings."""
    return f"{signature} {signature.padding}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _merge_twins(network: Layers) -> Layers:
    """One layer in place of several without weights that compute the same of the same inputs."""
    first: dict[tuple[Signature, tuple[str, ...]], str] = {}
    gone: dict[str, str] = {}
    for layer in network:
        if not layer.signature.weight_shape:
            reads = tuple(sorted([resolved(gone, name) for name in layer.inputs]))
            found = first.setdefault((layer.signature, reads), layer.name)
            if found != layer.name:
                gone[layer.name] = found
    return without(network, gone)


_Anonymous = tuple[tuple[Signature, tuple[int, ...]], ...]
"""Layers without names: (signature, positions of the inputs), -1 for the tensor the part reads."""


def _anonymous(part: Sequence[Layer], outside: tuple[str, ...]) -> _Anonymous:
    position = dict.fromkeys(outside, -1) | {layer.name: at for at, layer in enumerate(part)}
    return tuple((layer.signature, tuple(position[name] for name in layer.inputs)) for layer in part)


_Node = tuple[str, tuple[tuple[int, int], ...]]
"""A merged layer: (what it computes, its inputs as sorted (node, multiplicity))."""


@lru_cache(maxsize=20_000)
def _part_key(part: _Anonymous, *, pools_distribute: bool) -> str:
    nodes = _merge(part, pools_distribute)
    return repr(_canonical(nodes, tuple(_rank([node[0] for node in nodes]))))


def _merge(part: _Anonymous, pools_distribute: bool) -> tuple[_Node, ...]:
    """Flatten sums, merge equal layers without weights, drop what no longer feeds the last one."""
    nodes: list[_Node] = [("outside", ())]
    found: dict[_Node, int] = {nodes[0]: 0}
    terms: list[Counter[int]] = [Counter((0,))]  # the value of every layer, as a sum of nodes

    def node(text: str, inputs: Counter[int], mergeable: bool) -> int:
        made = (text, tuple(sorted(inputs.items())))
        if mergeable and made in found:
            return found[made]
        nodes.append(made)
        found[made] = len(nodes) - 1
        return len(nodes) - 1

    def atom(value: Counter[int]) -> int:
        """The node of a value: a sum of several terms is a node of its own."""
        return next(iter(value)) if value.total() == 1 else node("sum", value, mergeable=True)

    for signature, inputs in part:
        values = [terms[at + 1] for at in inputs]
        if signature.kind is Kind.ADD:
            terms.append(sum(values, Counter[int]()))
        elif pools_distribute and signature.kind is Kind.AVG_POOL:
            pooled = Counter[int]()
            for term, count in values[0].items():
                pooled[node(_exactly(signature), Counter((term,)), mergeable=True)] += count
            terms.append(pooled)
        else:
            read = Counter(atom(value) for value in values)
            terms.append(Counter((node(_exactly(signature), read, mergeable=not signature.weight_shape),)))
    return _reachable(nodes, atom(terms[-1]))


def _reachable(nodes: list[_Node], last: int) -> tuple[_Node, ...]:
    needed = {last}
    for at in range(last, -1, -1):
        if at in needed:
            needed.update(source for source, _ in nodes[at][1])
    number = {at: new for new, at in enumerate(sorted(needed))}
    return tuple(
        (nodes[at][0], tuple((number[source], count) for source, count in nodes[at][1])) for at in sorted(needed)
    )


_Label = TypeVar("_Label", str, tuple[int, tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]])


def _rank(labels: Sequence[_Label]) -> list[int]:
    order = {label: rank for rank, label in enumerate(sorted(set(labels)))}
    return [order[label] for label in labels]


def _refine(nodes: Sequence[_Node], colours: tuple[int, ...]) -> tuple[int, ...]:
    """Split colours by the colours of inputs and readers until nothing changes."""
    readers: list[list[tuple[int, int]]] = [[] for _ in nodes]
    for at, (_, inputs) in enumerate(nodes):
        for source, count in inputs:
            readers[source].append((at, count))
    while True:
        labels = [
            (
                colours[at],
                tuple(sorted((colours[source], count) for source, count in inputs)),
                tuple(sorted((colours[reader], count) for reader, count in readers[at])),
            )
            for at, (_, inputs) in enumerate(nodes)
        ]
        refined = tuple(_rank(labels))
        if len(set(refined)) == len(set(colours)):
            return refined
        colours = refined


def _canonical(nodes: Sequence[_Node], colours: tuple[int, ...]) -> tuple[_Node, ...]:
    """The DAG written in an order that depends on nothing but its shape."""
    colours = _refine(nodes, colours)
    tied = next((colour for colour, count in sorted(Counter(colours).items()) if count > 1), None)
    if tied is None:
        order = sorted(range(len(nodes)), key=colours.__getitem__)
        return tuple(
            (nodes[at][0], tuple(sorted((colours[source], count) for source, count in nodes[at][1]))) for at in order
        )
    doubled = [2 * colour for colour in colours]
    return min(
        _canonical(nodes, tuple(colour - (at == chosen) for at, colour in enumerate(doubled)))
        for chosen, its in enumerate(colours)
        if its == tied
    )
