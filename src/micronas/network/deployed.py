"""What runs on the chip: a network in the layers that our own kernels compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

from micronas.network.graph import Graph, Layer, Layers, bare, check_one_input, once, remade
from micronas.network.live import live
from micronas.network.signature import GraphError, Kind, Signature

FOLDS_BATCH_NORM = (Kind.CONV, Kind.DEPTHWISE, Kind.LINEAR)
"""Kinds whose weights take over the batch norm behind them."""

READS_RELU = (Kind.CONV, Kind.DEPTHWISE)
"""Kinds that clamp what they read, as they read it."""


@dataclass(frozen=True)
class Deployed(Layers):
    """A network as our own kernels run it: made by `deploy`, read by latency, memory, flash and the emitters.

    Convolutions have a bias; a layer may clamp its output, a convolution its operand. An ADD of n operands *means* the
    left fold of binary int8 adds, each intermediate with its own scale.

    Raises:
        GraphError: as `Layers`; no INPUT in front; a layer that no kernel computes (BATCH_NORM, MEAN, an ADD of one).
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_input(self)
        for layer in self.layers:
            kind, operands = layer.signature.kind, layer.signature.operands
            if kind in (Kind.BATCH_NORM, Kind.MEAN) or (kind is Kind.ADD and operands < 2):
                raise GraphError(f"layer {layer.name!r} ({layer.signature}) runs on no chip; deploy the graph")

    @property
    def operations(self) -> tuple[Layer, ...]:
        """The layers that run: all but the input, which only stands for the image."""
        return self.layers[1:]


@once
def deploy(graph: Graph) -> Deployed:
    """What runs on the chip: only layers that a kernel computes, under their plain names.

    Of what is live, one pass after the other: `drop_single_adds`, `_fold_batch_norm`, `_fold_relu`.

    Raises:
        Disconnected: as `live`.
        GraphError: a decision is still open (the graph holds a MEAN), or it is no plain graph.
    """
    network = live(graph)
    if any(layer.signature.kind is Kind.MEAN for layer in network):
        raise GraphError("a network with open decisions has no deployed form; decide them first")
    return Deployed(fused(network).layers)


def fused(network: Layers) -> Layers:
    """The passes of `deploy` on what may be a piece of a network."""
    return _fold_relu(_fold_batch_norm(drop_single_adds(bare(network))))


def drop_single_adds(network: Layers) -> Layers:
    """Conv -> add of 1 -> relu    becomes    conv -> relu."""
    return without(
        network,
        {
            layer.name: layer.inputs[0]
            for layer in network
            if layer.signature.kind is Kind.ADD and layer.signature.operands == 1
        },
    )


def _fold_batch_norm(network: Layers) -> Layers:
    """Into the convolution that it alone reads; elsewhere it is a 1x1 depthwise layer under its own name.

    conv -> batch_norm    becomes    conv
    add -> batch_norm     becomes    add -> depthwise 1x1
    """
    gone: dict[str, str] = {}
    changed: dict[str, Layer] = {}
    for layer in network:
        if layer.signature.kind is not Kind.BATCH_NORM:
            continue
        producer = network[resolved(gone, layer.inputs[0])]
        if producer.signature.kind in FOLDS_BATCH_NORM and len(network.readers[layer.inputs[0]]) == 1:
            gone[layer.name] = producer.name
        else:
            changed[layer.name] = Layer(layer.name, _scaling(layer.signature), layer.inputs, layer.clamp)
    return without(network, gone, changed)


@lru_cache(maxsize=10_000)
def _scaling(norm: Signature) -> Signature:
    """A batch norm as a layer of its own."""
    return replace(norm, kind=Kind.DEPTHWISE)


@lru_cache(maxsize=10_000)
def _clamping(signature: Signature) -> Signature:
    """The same that clamps what it reads."""
    return replace(signature, relu_in=True)


def _fold_relu(network: Layers) -> Layers:
    """A clamp at the producer if every reader wants it, else `relu_in` on the readers; else it stays a layer.

    conv -> relu -> all readers    becomes    conv clamped -> all readers
    conv -+-> relu -> conv         becomes    conv -+-> conv relu_in
          +-> add                                   +-> add
    """
    gone: dict[str, str] = {}
    changed: dict[str, Layer] = {}
    for layer in network:
        if layer.signature.kind is not Kind.RELU:
            continue
        source, readers = layer.inputs[0], network.readers[layer.name]
        wanted = all(reader.signature.kind is Kind.RELU for reader in network.readers[source])
        if wanted and network[source].signature.kind is not Kind.INPUT:
            gone[layer.name] = source
            changed[source] = replace(changed.get(source, network[source]), clamp=True)
        elif readers and all(reader.signature.kind in READS_RELU for reader in readers):
            gone[layer.name] = source
            for reader in readers:
                changed[reader.name] = Layer(reader.name, _clamping(reader.signature), reader.inputs, reader.clamp)
    return without(network, gone, changed)


_Form = TypeVar("_Form", bound=Layers)


def without(network: _Form, gone: Mapping[str, str], changed: Mapping[str, Layer] = MappingProxyType({})) -> _Form:
    """The same form with layers changed, and others gone: their readers read what stands for them now."""
    if not gone and not changed:
        return network
    kept = [changed.get(layer.name, layer) for layer in network if layer.name not in gone]
    left = gone.keys().isdisjoint
    return remade(network, tuple([layer if left(layer.inputs) else _rewired(layer, gone) for layer in kept]))


def _rewired(layer: Layer, gone: Mapping[str, str]) -> Layer:
    return Layer(layer.name, layer.signature, tuple([resolved(gone, name) for name in layer.inputs]), layer.clamp)


def resolved(gone: Mapping[str, str], name: str) -> str:
    """The layer that stands for one, whether it is gone or not."""
    while name in gone:
        name = gone[name]
    return name


def cost(network: Deployed) -> tuple[int, int]:
    """A board-free price of a deployed graph: (multiplications, feature-map elements read and written).

    Only good to choose among networks that compute the same function.
    """
    multiplications = elements = 0
    for layer in network:
        signature = layer.signature
        (height, width, channels), (in_h, in_w, in_c) = signature.out_shape, signature.in_shape
        weights = 1
        for size in signature.weight_shape:
            weights *= size
        multiplications += height * width * (weights if signature.weight_shape else 0)
        elements += signature.operands * in_h * in_w * in_c + height * width * channels
    return multiplications, elements
