"""SynFlow: how much signal the weights of an untrained network let through (Tanaka et al., 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micronas.indicators import Better, Scores, Untrained
from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.network.signature import LEARNED
from micronas.weights import draw_weight


@dataclass(frozen=True, kw_only=True)
class SynFlow(Untrained):
    """Σ over weights of |w · ∂R/∂w|, with R the sum of the logits of an image of ones (Tanaka et al., eq. 3).

    Every weight is replaced by its magnitude and batch norm is left out, so that no signal cancels. More flows
    through networks that train better. Weights are those of convolutions, depthwise convolutions and linear layers,
    biases left out. In float64, for the flow grows with every layer; needs no images, and runs in torch, network by
    network. A disconnected network is `better.worst`.
    """

    name = "synflow"
    better = Better.HIGHER

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """The flow through each network for each draw, shape (seeds, graphs)."""
        return np.array([[self._flow(graph, seed) for graph in graphs] for seed in seeds], dtype=np.float64)

    def _flow(self, graph: Graph, seed: int) -> float:
        """A layer is linear in its weights: Σ w · ∂R/∂w over them is Σ y · ∂R/∂y over what it makes."""
        import torch

        from micronas.torch_network import values_of

        try:
            graph = live(graph)
        except Disconnected:
            return self.better.worst
        height, width, channels = graph.input_shape
        ones = torch.ones((1, channels, height, width), dtype=torch.float64, requires_grad=True)
        values = values_of(graph, ones, lambda layer: np.abs(draw_weight(seed, layer)))
        made = [values[layer.name] for layer in graph if layer.signature.kind in LEARNED]
        slopes = torch.autograd.grad(values[graph.output.name].sum(), made)
        return float(sum((value.detach() * slope).sum() for value, slope in zip(made, slopes, strict=True)))
