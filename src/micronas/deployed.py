"""Three steps to the chip, each once: `live` (what matters), `deployed` (what runs), `legalise` (per runtime).

`live_key` and `segments` are how equal networks and equal parts of networks are recognised.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

from micronas.errors import UserError
from micronas.graph import Graph, Kind, Layer, Shape, Signature


class Disconnected(ValueError):
    """No path leads from the input to the output: the network computes a constant."""


def live(graph: Graph) -> Graph:
    """Drop layers that are fed by zero or that feed nothing; sums lose their zero operands.

    To be taken before training: a convolution of zero would learn its bias.

    Raises:
        Disconnected: nothing is left.
    """
    fed = _fed(graph)
    if graph.output.name not in fed:
        raise Disconnected("no path leads from the input to the output")
    kept: list[Layer] = []
    needed = {graph.output.name}
    for layer in reversed(graph.layers):
        if layer.name in needed:
            kept.append(fed[layer.name])
            needed.update(fed[layer.name].inputs)
    return Graph(tuple(reversed(kept)))


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


# --- deployed -----------------------------------------------------------------------------------

_FOLDS_BN = (Kind.CONV, Kind.DEPTHWISE, Kind.LINEAR)
_READS_RELU = (Kind.CONV, Kind.DEPTHWISE)


def deployed(graph: Graph) -> Graph:
    """What runs on the chip: only layers that a kernel computes, under their plain names.

    Batch norm is folded into the convolution it alone reads (elsewhere it becomes a 1x1 depthwise
    layer under its own name); a ReLU is a clamp at its producer if every reader wants it, else
    `relu_in` on the reader, else a layer; sums of one operand vanish. An n-operand ADD *means* the
    left fold of binary int8 adds, each intermediate with its own scale.

    Raises:
        Disconnected: as `live`.
        ValueError: a decision is still open (the graph holds a MEAN).
    """
    graph = live(graph)
    if any(layer.signature.kind is Kind.MEAN for layer in graph):
        raise ValueError("a network with open decisions has no deployed form; decide them first")
    return _fold_relu(_fold_batch_norm(_drop_single_adds(graph)))


def runs(layer: Layer) -> bool:
    """Whether a deployed layer is an operation: the input only stands for the image."""
    return layer.signature.kind is not Kind.INPUT


def _drop_single_adds(graph: Graph) -> Graph:
    return _without(
        graph,
        {
            layer.name: layer.inputs[0]
            for layer in graph
            if layer.signature.kind is Kind.ADD and layer.signature.operands == 1
        },
    )


def _fold_batch_norm(graph: Graph) -> Graph:
    gone: dict[str, str] = {}
    changed: dict[str, Layer] = {}
    for layer in graph:
        if layer.signature.kind is not Kind.BATCH_NORM:
            continue
        producer = graph[_resolve(gone, layer.inputs[0])]
        if producer.signature.kind in _FOLDS_BN and len(graph.readers[layer.inputs[0]]) == 1:
            gone[layer.name] = producer.name
        else:
            changed[layer.name] = replace(layer, signature=replace(layer.signature, kind=Kind.DEPTHWISE))
    return _without(graph, gone, changed)


def _fold_relu(graph: Graph) -> Graph:
    """Clamp at the producer, or on the reader; a ReLU that neither can take over stays a layer."""
    gone: dict[str, str] = {}
    changed: dict[str, Layer] = {}
    for layer in graph:
        if layer.signature.kind is not Kind.RELU:
            continue
        source, readers = layer.inputs[0], graph.readers[layer.name]
        wanted = all(reader.signature.kind is Kind.RELU for reader in graph.readers[source])
        if wanted and graph[source].signature.kind is not Kind.INPUT:
            gone[layer.name] = source
            changed[source] = replace(changed.get(source, graph[source]), clamp=True)
        elif readers and all(reader.signature.kind in _READS_RELU for reader in readers):
            gone[layer.name] = source
            for reader in readers:
                changed[reader.name] = replace(reader, signature=replace(reader.signature, relu_in=True))
    return _without(graph, gone, changed)


def _without(graph: Graph, gone: Mapping[str, str], changed: Mapping[str, Layer] = MappingProxyType({})) -> Graph:
    """The graph with layers changed, and others gone: their readers read what stands for them now."""
    if not gone and not changed:
        return graph
    return Graph(
        tuple(_rewired(changed.get(layer.name, layer), gone) for layer in graph.layers if layer.name not in gone)
    )


def _rewired(layer: Layer, gone: Mapping[str, str]) -> Layer:
    inputs = tuple([_resolve(gone, name) for name in layer.inputs])
    return layer if inputs == layer.inputs else Layer(layer.name, layer.signature, inputs, layer.clamp)


def _resolve(gone: Mapping[str, str], name: str) -> str:
    while name in gone:
        name = gone[name]
    return name


# --- legalise -----------------------------------------------------------------------------------


class Runtime(StrEnum):
    """Whose operators a deployed graph is cut into: our own kernels', or TFLite's."""

    C = "c"
    TFLITE = "tflite"


def legalise(graph: Graph, runtime: Runtime) -> Graph:
    """A deployed graph in the operators of a runtime.

    For our own kernels it is the graph itself. TFLite has no `relu_in` (a RELU is put before, one
    for all who read that tensor so), adds two operands at a time (left to right; a clamp stays with
    the last) and pads only as VALID or SAME does (else a PAD is put before a convolution).

    Raises:
        UserError: a pool whose padding is not SAME: TFLite cannot leave padding uncounted.
    """
    if runtime is Runtime.C:
        return graph
    drawn = _TfliteOperators(frozenset(layer.name for layer in graph))
    for layer in graph:
        drawn.put(layer)
    return Graph(tuple(drawn.layers))


class _TfliteOperators:
    """Collects the layers of a legalised graph, inventing names that no other layer has."""

    def __init__(self, taken: frozenset[str]) -> None:
        self.layers: list[Layer] = []
        self._taken = set(taken)
        self._rectified: dict[str, str] = {}

    def put(self, layer: Layer) -> None:
        if layer.signature.kind is Kind.ADD:
            layer = self._folded(layer)
        if layer.signature.relu_in:
            source = self._rectify(layer.inputs[0], layer.signature.in_shape)
            layer = replace(layer, inputs=(source,), signature=replace(layer.signature, relu_in=False))
        if layer.signature.padding != (0, 0) and not _is_tf_same(layer.signature):
            layer = self._padded(layer)
        self.layers.append(layer)

    def _name(self, name: str) -> str:
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name

    def _folded(self, layer: Layer) -> Layer:
        """The last of the binary adds; those before it are put."""
        first, *others, last = layer.inputs
        binary = replace(layer.signature, operands=2)
        for number, operand in enumerate(others, 1):
            self.layers.append(Layer(self._name(f"{layer.name}.sum{number}"), binary, (first, operand)))
            first = self.layers[-1].name
        return replace(layer, inputs=(first, last), signature=binary)

    def _rectify(self, source: str, shape: Shape) -> str:
        if source not in self._rectified:
            self._rectified[source] = self._name(f"{source}.relu")
            self.layers.append(Layer(self._rectified[source], Signature(Kind.RELU, shape, shape), (source,)))
        return self._rectified[source]

    def _padded(self, layer: Layer) -> Layer:
        signature = layer.signature
        if signature.kind not in _READS_RELU:
            raise UserError(f"TFLite has no {signature}: it pads pools only as SAME does")
        height, width, channels = signature.in_shape
        grown = (height + sum(signature.padding), width + sum(signature.padding), channels)
        pad = Signature(Kind.PAD, signature.in_shape, grown, padding=signature.padding)
        self.layers.append(Layer(self._name(f"{layer.name}.pad"), pad, layer.inputs))
        valid = replace(signature, in_shape=grown, padding=(0, 0))
        return replace(layer, inputs=(self.layers[-1].name,), signature=valid)


def _is_tf_same(signature: Signature) -> bool:
    """Whether TensorFlow's SAME pads so: by as little as needed, the odd pixel behind."""

    def same(size: int, out: int) -> tuple[int, int]:
        total = max((out - 1) * signature.stride + signature.kernel - size, 0)
        return total // 2, total - total // 2

    (height, width, _), (out_height, out_width, _) = signature.in_shape, signature.out_shape
    covers = (out_height, out_width) == (-(-height // signature.stride), -(-width // signature.stride))
    return covers and same(height, out_height) == same(width, out_width) == signature.padding


def cost(graph: Graph) -> tuple[int, int]:
    """A board-free price of a deployed graph: (multiplications, feature-map elements read and written).

    Only good to choose among networks that compute the same function.
    """
    multiplications = elements = 0
    for layer in graph:
        signature = layer.signature
        (height, width, channels), (in_h, in_w, in_c) = signature.out_shape, signature.in_shape
        weights = 1
        for size in signature.weight_shape:
            weights *= size
        multiplications += height * width * (weights if signature.weight_shape else 0)
        elements += signature.operands * in_h * in_w * in_c + height * width * channels
    return multiplications, elements


# --- segments and the live key ------------------------------------------------------------------


def segments(graph: Graph) -> tuple[tuple[Layer, ...], ...]:
    """Parts of the graph between points where one tensor is live; each reads only the last of the one before."""
    last_use = {name: at for at, layer in enumerate(graph) for name in layer.inputs}
    last_use[graph.output.name] = len(graph)
    parts: list[tuple[Layer, ...]] = []
    start, reach = 0, 0
    for at, layer in enumerate(graph):
        # tensors made before this layer are dead from here on when none of them is read later
        if at and reach <= at:
            parts.append(graph.layers[start : at + 1])
            start = at + 1
        reach = max(reach, last_use[layer.name])
    return tuple(parts)


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
        graph = _merge_twins(_drop_single_adds(live(graph)))
    except Disconnected:
        return DISCONNECTED
    keys: list[str] = []
    outside: tuple[str, ...] = ()
    for part in segments(graph):
        keys.append(_part_key(_anonymous(part, outside)))
        outside = (part[-1].name,)
    return hashlib.blake2b("\n".join(keys).encode(), digest_size=16).hexdigest()


def _merge_twins(graph: Graph) -> Graph:
    """One layer in place of several without weights that compute the same of the same inputs."""
    first: dict[tuple[Signature, tuple[str, ...]], str] = {}
    gone: dict[str, str] = {}
    for layer in graph:
        if not layer.signature.weight_shape:
            reads = tuple(sorted([_resolve(gone, name) for name in layer.inputs]))
            found = first.setdefault((layer.signature, reads), layer.name)
            if found != layer.name:
                gone[layer.name] = found
    return _without(graph, gone)


_Anonymous = tuple[tuple[Signature, tuple[int, ...]], ...]
"""Layers without names: (signature, positions of the inputs), -1 for the tensor the part reads."""


def _anonymous(part: Sequence[Layer], outside: tuple[str, ...]) -> _Anonymous:
    position = dict.fromkeys(outside, -1) | {layer.name: at for at, layer in enumerate(part)}
    return tuple((layer.signature, tuple(position[name] for name in layer.inputs)) for layer in part)


_Node = tuple[str, tuple[tuple[int, int], ...]]
"""A merged layer: (what it computes, its inputs as sorted (node, multiplicity))."""


@lru_cache(maxsize=100_000)
def _part_key(part: _Anonymous) -> str:
    nodes = _merge(part)
    return repr(_canonical(nodes, tuple(_rank([node[0] for node in nodes]))))


def _merge(part: _Anonymous) -> tuple[_Node, ...]:
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
        else:
            read = Counter(atom(value) for value in values)
            terms.append(Counter((node(str(signature), read, mergeable=not signature.weight_shape),)))
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
