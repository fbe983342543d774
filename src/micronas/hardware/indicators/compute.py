"""What adds up over the layers of a network: FLOPs, parameters, layers; of the plain graph, or of its live part."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from micronas.candidate import Candidate
from micronas.hardware.indicators.counted import count_space, part_of
from micronas.hardware.indicators.prices import own_layers
from micronas.indicators import Better, Scores
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.network.signature import Kind, Signature
from micronas.origin import COMPUTED, Origin
from micronas.spaces.decisions import Removal
from micronas.spaces.space import FORMS, Form


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


def has_weights(signature: Signature) -> int:
    """1 for a layer that multiplies, else 0."""
    return int(bool(macs(signature)))


@dataclass(frozen=True)
class SumOverLayers:
    """What the indicators of this file have in common; each is its name, its form and what a layer counts.

    A disconnected network has no live layers: 0. In its plain form it is counted for what it is.

    Attributes:
        form: the layers that count: all plain ones, or the live ones.
        of_layer: what one layer counts.
    """

    name: str
    unit: str
    better: Better
    form: Form
    of_layer: Callable[[Signature], float]
    origin: Origin = COMPUTED

    def measure(self, graph: Graph) -> float:
        """The sum over one network."""
        try:
            return float(sum(self.of_layer(layer.signature) for layer in FORMS[self.form](graph)))
        except Disconnected:
            return 0.0

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """The sum over each network, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs], dtype=np.float64)

    def of_all(self, start: Candidate) -> Scores:
        """The sum over every network that `start` may become, shape (completions,); +infinity where disconnected."""
        sums = count_space(start.space, start.task, self.form).total(self.of_layer)
        connected = count_space(start.space, start.task, "live").connected
        return part_of(np.where(connected, sums, np.inf), start)

    def prices(self, start: Candidate, removals: Sequence[Removal]) -> Scores:
        """The sum over the layers that are there because of each option, at every place: what striking it saves."""
        own = (own_layers(start, removal.decision, removal.option) for removal in removals)
        return np.array([sum(self.of_layer(layer.signature) for layer in layers) for layers in own], dtype=np.float64)


@dataclass(frozen=True)
class Flops(SumOverLayers):
    """Multiply-accumulates of the plain graph, dead edges included: the benchmark's own count, and a cost."""

    name: str = "flops"
    unit: str = "MAC"
    better: Better = Better.LOWER
    form: Form = "plain"
    of_layer: Callable[[Signature], float] = field(default=macs, repr=False)


@dataclass(frozen=True)
class LiveFlops(SumOverLayers):
    """Multiply-accumulates that reach the output: capacity. A cell full of dead edges only looks large."""

    name: str = "live-flops"
    unit: str = "MAC"
    better: Better = Better.HIGHER
    form: Form = "live"
    of_layer: Callable[[Signature], float] = field(default=macs, repr=False)


@dataclass(frozen=True)
class Parameters(SumOverLayers):
    """Trainable parameters of the plain graph, dead edges included: the benchmark's own count."""

    name: str = "params"
    unit: str = "parameters"
    better: Better = Better.LOWER
    form: Form = "plain"
    of_layer: Callable[[Signature], float] = field(default=parameters, repr=False)


@dataclass(frozen=True)
class WeightedLayers(SumOverLayers):
    """Convolutions and linear layers that reach the output."""

    name: str = "layers"
    unit: str = "layers"
    better: Better = Better.HIGHER
    form: Form = "live"
    of_layer: Callable[[Signature], float] = field(default=has_weights, repr=False)
