"""FLOPs and parameters: counted on the plain graph as NAS-Bench-201 does, or on its live part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from micronas.choices import Removal
from micronas.hardware.counted import count_space
from micronas.hardware.options import option_layers
from micronas.indicator import Better, Scores
from micronas.network.graph import Graph, Kind, Signature
from micronas.network.live import Disconnected, live
from micronas.origin import COMPUTED, Origin
from micronas.spaces.space import SearchSpace, Skeleton


@lru_cache(maxsize=10_000)
def macs(signature: Signature) -> int:
    """Multiply-accumulates of one layer, the benchmark's "FLOPs".

    Convolutions and the linear layer count; the linear layer's bias counts one for each class.
    Pooling, batch norm, ReLU and sums count nothing (NAS-Bench-201, its public counter).
    """
    match signature.kind:
        case Kind.CONV | Kind.DEPTHWISE:
            height, width, _ = signature.out_shape
            return height * width * math.prod(signature.weight_shape)
        case Kind.LINEAR:
            return math.prod(signature.weight_shape) + signature.out_shape[2]
        case (
            Kind.INPUT
            | Kind.BATCH_NORM
            | Kind.RELU
            | Kind.AVG_POOL
            | Kind.MAX_POOL
            | Kind.ADD
            | Kind.MEAN
            | Kind.GLOBAL_POOL
            | Kind.PAD
        ):
            return 0


@lru_cache(maxsize=10_000)
def parameters(signature: Signature) -> int:
    """Trainable numbers of one layer: weights, the affine pair of batch norm, the linear layer's bias."""
    count = math.prod(signature.weight_shape) if signature.weight_shape else 0
    match signature.kind:
        case Kind.BATCH_NORM:
            return 2 * count
        case Kind.LINEAR:
            return count + signature.out_shape[2]
        case _:
            return count


def option_macs(space: SearchSpace, skeleton: Skeleton, removal: Removal) -> float:
    """Multiply-accumulates of the layers that only this option draws."""
    layers = option_layers(space, skeleton, removal.decision, removal.option)
    return float(sum(macs(layer.signature) for layer in layers))


@dataclass(frozen=True)
class Flops:
    """Multiply-accumulates of the plain graph, dead edges included: the benchmark's own count."""

    name: str = "flops"
    unit: str = "MAC"
    better: Better = Better.LOWER
    origin: Origin = COMPUTED

    def measure(self, graph: Graph) -> float:
        """MACs of one inference."""
        return float(sum(macs(layer.signature) for layer in graph))

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """MACs of each graph, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs])

    def price(self, space: SearchSpace, skeleton: Skeleton, removal: Removal) -> float:
        """MACs of one option on one decision, at every place of the cell: what striking it saves."""
        return option_macs(space, skeleton, removal)


@dataclass(frozen=True)
class LiveFlops:
    """Multiply-accumulates that reach the output; a cell full of dead edges only looks large.

    A disconnected network has none that count: 0. As a measure of capacity more is better; as a
    cost (`Term(LiveFlops(), better=Better.LOWER)`) it is what `flops` would be were dead edges removed.
    """

    name: str = "live-flops"
    unit: str = "MAC"
    better: Better = Better.HIGHER
    origin: Origin = COMPUTED

    def measure(self, graph: Graph) -> float:
        """MACs of one inference of the live graph."""
        try:
            return float(sum(macs(layer.signature) for layer in live(graph)))
        except Disconnected:
            return 0.0

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """MACs of each live graph, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs])

    def of_space(self, space: SearchSpace, skeleton: Skeleton) -> Scores:
        """MACs of every architecture of a space, shape (architectures,); +infinity where disconnected.

        Of what is deployed, a 1x1 depthwise layer is a batch norm that found no convolution to be
        folded into; it counts nothing, as in the plain graph.
        """
        return count_space(space, skeleton).total(lambda ran: 0 if _is_batch_norm(ran) else macs(ran))

    def price(self, space: SearchSpace, skeleton: Skeleton, removal: Removal) -> float:
        """MACs of one option on one decision, at every place of the cell: what striking it saves."""
        return option_macs(space, skeleton, removal)


def _is_batch_norm(deployed_as: Signature) -> bool:
    return deployed_as.kind is Kind.DEPTHWISE and deployed_as.kernel == (1, 1)


@dataclass(frozen=True)
class Parameters:
    """Trainable parameters of the plain graph, dead edges included: the benchmark's own count."""

    name: str = "params"
    unit: str = "parameters"
    better: Better = Better.LOWER
    origin: Origin = COMPUTED

    def measure(self, graph: Graph) -> float:
        """Parameters of the network."""
        return float(sum(parameters(layer.signature) for layer in graph))

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """Parameters of each graph, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs])


@dataclass(frozen=True)
class Layers:
    """Convolutions and linear layers that reach the output; a disconnected network has none: 0."""

    name: str = "layers"
    unit: str = "layers"
    better: Better = Better.HIGHER
    origin: Origin = COMPUTED

    def measure(self, graph: Graph) -> float:
        """Layers with weights in the live graph."""
        try:
            return float(sum(bool(macs(layer.signature)) for layer in live(graph)))
        except Disconnected:
            return 0.0

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """Layers of each live graph, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs])
