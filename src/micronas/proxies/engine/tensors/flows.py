"""SynFlow's sums, network by network, one forward and one backward each; nothing is made a torch module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch

from micronas.network.graph import Graph, Layer
from micronas.network.live import Disconnected, live
from micronas.network.signature import LEARNED, Signature
from micronas.torch_network import values_of
from micronas.weights import Array, draw_weight


def flows(graphs: Sequence[Graph], seeds: Sequence[int]) -> Array:
    """Σ |w · ∂R/∂w| of each network for each draw, shape (seeds, graphs); NaN for a disconnected network."""
    return np.array([_of_draw(graphs, seed) for seed in seeds], dtype=np.float64)


def _of_draw(graphs: Sequence[Graph], seed: int) -> list[float]:
    """Weights that several networks share are drawn once."""

    @cache
    def magnitudes(name: str, signature: Signature) -> Array:
        return np.abs(draw_weight(seed, Layer(name, signature)))

    return [_flow(graph, lambda layer: magnitudes(layer.name, layer.signature)) for graph in graphs]


def _flow(graph: Graph, weight_of: Callable[[Layer], Array]) -> float:
    """A layer is linear in its weights: Σ w · ∂R/∂w over them is Σ y · ∂R/∂y over what it makes."""
    try:
        graph = live(graph)
    except Disconnected:
        return np.nan
    height, width, channels = graph.input_shape
    ones = torch.ones((1, channels, height, width), dtype=torch.float64, requires_grad=True)
    values = values_of(graph, ones, weight_of)
    made = [values[layer.name] for layer in graph if layer.signature.kind in LEARNED]
    slopes = torch.autograd.grad(values[graph.output.name].sum(), made)
    return float(sum((value.detach() * slope).sum() for value, slope in zip(made, slopes, strict=True)))
