"""SynFlow: how much signal the weights of an untrained network let through (Tanaka et al., 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micronas.indicators import Better, Scores, Untrained
from micronas.network.graph import Graph


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
        from micronas.proxies.engine.tensors.flows import flows

        found = flows(graphs, seeds)
        return np.where(np.isnan(found), self.better.worst, found)
