"""SynFlow: how much signal the weights of an untrained network let through (Tanaka et al., 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from micronas.indicator import Better, Scores, draw_by_draw
from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.network.signature import Kind
from micronas.origin import COMPUTED, Origin
from micronas.task import REDUCED, Probe


@dataclass(frozen=True)
class SynFlow:
    """Σ over weights of |w · ∂R/∂w|, with R the sum of the logits of an image of ones (Tanaka et al., eq. 3).

    Every weight is replaced by its magnitude and batch norm is left out, so that no signal cancels. More flows
    through networks that train better. Weights are those of convolutions, depthwise convolutions and linear layers,
    biases left out. In float64, for the flow grows with every layer; needs no images, and runs in torch, network by
    network. A disconnected network is `better.worst`.

    Attributes:
        seed: of the weights.
    """

    seed: int = 0
    name: str = "synflow"
    unit: str = ""
    better: Better = Better.HIGHER
    origin: Origin = COMPUTED
    probe: Probe = REDUCED

    @property
    def fingerprint(self) -> str:
        """Everything its numbers depend on but the network and the code."""
        return f"seed {self.seed}"

    def caveat(self, value: float) -> str:
        """What must be said beside a number, "" if nothing."""
        return "disconnected" if value == self.better.worst else ""

    def with_seed(self, seed: int) -> Self:
        """The same with fresh weights."""
        return replace(self, seed=seed)

    def measure(self, graph: Graph) -> float:
        """The flow through one network."""
        import torch

        from micronas.torch_network import TorchNetwork

        try:
            graph = live(graph)
        except Disconnected:
            return self.better.worst
        network = TorchNetwork(graph, self.seed, torch.float64)
        for layer in graph:
            if layer.signature.kind is Kind.BATCH_NORM:
                network.layers[layer.name.replace(".", "/")] = torch.nn.Identity()
        weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(parameter.abs() if parameter.ndim > 1 else torch.zeros_like(parameter))
        height, width, channels = graph.layers[0].signature.out_shape
        flow = network(torch.ones((1, channels, height, width), dtype=torch.float64)).sum()
        slopes = torch.autograd.grad(flow, weights)
        return float(sum(float((weight * slope).detach().sum()) for weight, slope in zip(weights, slopes, strict=True)))

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """The flow through each network, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs], dtype=np.float64)

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """The flow through each network for each draw, shape (seeds, graphs)."""
        return draw_by_draw(self, graphs, seeds)
